"""Score on Dask: partitions where they are, by a bundle that each worker opens once."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fairuse_router.bundle import Bundle
from fairuse_router.engines.opened import Scorer

__all__ = ["predict"]


def predict(bundle: Bundle | str | os.PathLike[str], frame: Any, output: str = "label") -> Any:
    """Return the scores of a Dask frame, lazily.

    Parameters
    ----------
    bundle : Bundle, str or path
        Read here; its bytes travel with the tasks.
    frame : dask.dataframe.DataFrame
        With the columns of X in any order; group attributes that are lacking are withheld.
    output : {"label", "probability", "prediction", "route"}, default="label"
        ``"probability"`` is that of the second of two classes.

    Returns
    -------
    dask.dataframe.Series
        On the frame's index, named as the output.

    Raises
    ------
    ValueError
        If the bundle has no such output, or was trained on an array.
    """
    import pandas

    if output == "probabilities":
        raise ValueError("output='probabilities' is no one column; ask for 'probability'.")
    scorer = Scorer(bundle, output)

    def score(partition: Any) -> Any:
        found = scorer(partition) if len(partition) else np.empty(0, dtype=kind)
        return pandas.Series(found, index=partition.index, name=output).astype(kind)

    kind = "object" if scorer.kind == "str" else scorer.kind
    return frame.map_partitions(score, meta=(output, kind))
