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

    Examples
    --------
    >>> import tempfile
    >>> import dask.dataframe as dd
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    ...     labels = predict(f"{folder}/router.onnx", dd.from_pandas(X, npartitions=2))
    >>> labels.compute().tolist() == router.predict(X).tolist()
    True
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
