"""
Somebody else's scores, in Parquet
==================================

Two models are in service elsewhere. Their scores, the outcomes and the groups lie in a Parquet file
that may be larger than memory; DuckDB adds up what an audit needs.
"""

# %%
# Two such files, as two hospitals may have them.
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from fairuse_router import audit_sums
from fairuse_router.audit import federate

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
for hospital, n in (("north", 6000), ("south", 3000)):
    sex, x = rng.choice(["F", "M"], n), rng.normal(size=n)
    effect = np.where(sex == "F", 1.2, 0.4 if hospital == "north" else 1.2)
    y = (rng.random(n) < 1 / (1 + np.exp(-effect * x))).astype(int)
    generic, told = (1 / (1 + np.exp(-b * x)) for b in (0.8, np.where(sex == "F", 1.2, 0.4)))
    frame = pd.DataFrame({"sex": sex, "y": y, "p_generic": generic, "p_told": told})
    frame.to_parquet(folder / f"{hospital}.parquet")

# %%
# Sums of each; only these leave a hospital, as JSON without figures on fewer than five rows.
sums = {
    hospital: audit_sums(
        duckdb.read_parquet(str(folder / f"{hospital}.parquet")),
        y="y",
        predictions={"generic": "p_generic", "told": "p_told"},
        groups=["sex"],
        metrics=["log_loss", "auc"],
    )
    for hospital in ("north", "south")
}
print((sums["north"] + sums["south"]).audit())

# %%
# Does the gain hold in both? The men of the south are not like those of the north.
print(federate(sums))

# %%
# The same from a shell::
#
#     fairuse-router audit north.parquet --target y --groups sex \
#         --predictions generic=p_generic,told=p_told
