"""Shared by the tests: tables of every backend, rows whose best routes differ, a fit by the CLI."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from patients import GROUPS, patients, write_csv

from fairuse_router.cli import fit as fit_command
from fairuse_router.cli import main

BACKENDS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "numpy": lambda columns: np.array(list(zip(*columns.values(), strict=True)), dtype=object),
}


@pytest.fixture(params=BACKENDS)
def make_table(request):
    """Build a table of the backend's kind out of a dict of columns (an object array for numpy)."""
    return BACKENDS[request.param]


class Rows(NamedTuple):
    """Columns by name, group columns among them, and labels."""

    columns: dict[str, list]
    y: np.ndarray
    groups: list[str]

    @property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.columns)

    @property
    def group_positions(self) -> list[int]:
        return [list(self.columns).index(name) for name in self.groups]

    @property
    def cells(self) -> np.ndarray:
        """The group of each row as text, shape (n,)."""
        return np.array(["/".join(map(str, g)) for g in zip(*self._group_columns, strict=True)])

    @property
    def _group_columns(self) -> list[list]:
        return [self.columns[name] for name in self.groups]


def make_rows(n: int = 320, seed: int = 0) -> Rows:
    """Rows of four groups of one size; for M/old, x speaks the other way round.

    One group needs a model of its own (or a slope), the others can share one.
    """
    rng = np.random.default_rng(seed)
    sex = np.tile(["F", "M", "F", "M"], n // 4 + 1)[:n]
    age = np.tile(["old", "old", "young", "young"], n // 4 + 1)[:n]
    x, z = rng.normal(size=(2, n))
    sign = np.where((sex == "M") & (age == "old"), -1.0, 1.0)
    y = (2.5 * sign * x + z + rng.normal(size=n) > 0).astype(int)
    columns = {
        "x": x.tolist(),
        "sex": sex.tolist(),
        "z": z.tolist(),
        "age": age.tolist(),
    }
    return Rows(columns, y, ["sex", "age"])


@pytest.fixture(scope="session")
def rows() -> Rows:
    return make_rows()


@pytest.fixture(scope="session")
def many_rows() -> Rows:
    return make_rows(960)


@pytest.fixture(scope="session")
def cli_fit(tmp_path_factory):
    """A data file, the bundle fitted on it, and the router that was in memory."""
    folder = tmp_path_factory.mktemp("cli")
    data, out = write_csv(folder / "data.csv", patients()), str(folder / "router.onnx")
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        export = fit_command.export_bundle
        patch.setattr(
            fit_command,
            "export_bundle",
            lambda router, path, X, **more: (
                kept.append((router, X)) or export(router, path, X, **more)
            ),
        )
        assert main(["fit", data, *GROUPS, "--out", out, "--policy", "best", "--cv", "3"]) == 0
    return data, out, *kept[0]
