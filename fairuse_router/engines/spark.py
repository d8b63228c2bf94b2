"""Score on Spark: a pandas UDF that opens the bundle once a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from fairuse_router.bundle import Bundle
from fairuse_router.engines.opened import Scorer

__all__ = ["predict", "udf"]

_TYPES = {"int64": "bigint", "bool": "boolean", "float64": "double", "str": "string"}


def udf(bundle: Bundle | str | os.PathLike[str], output: str = "label") -> Any:
    """Return a user-defined function that scores a struct of the columns of X.

    Parameters
    ----------
    bundle : Bundle, str or path
        Read on the driver; its bytes travel with the function.
    output : {"label", "probability", "probabilities", "prediction", "route"}, default="label"
        ``"probability"`` is that of the second of two classes, ``"probabilities"`` an array.

    Returns
    -------
    callable
        Of one column, such as ``struct("age", "sex")``; names are found in any order, and group
        attributes that are lacking are withheld.

    Raises
    ------
    ValueError
        If the bundle has no such output, or was trained on an array.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pyspark.sql import SparkSession
    >>> from pyspark.sql.functions import struct
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> frame = SparkSession.builder.master("local[1]").getOrCreate().createDataFrame(X[-2:])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    ...     score = udf(f"{folder}/router.onnx", "probability")
    >>> frame.withColumn("p", score(struct("x", "sex")) > 0.9).select("p").collect()
    [Row(p=True), Row(p=True)]
    """
    import pandas
    from pyspark.sql.functions import pandas_udf

    scorer = Scorer(bundle, output)
    kind = "array<double>" if output == "probabilities" else _TYPES[scorer.kind]

    def score(frames: Any) -> Any:
        for frame in frames:
            found = scorer(frame)
            yield pandas.Series(list(found) if found.ndim == 2 else found)

    # as objects: Spark reads them to tell an iterator from a column
    score.__annotations__ = {
        "frames": Iterator[pandas.DataFrame],
        "return": Iterator[pandas.Series],
    }
    make: Any = pandas_udf  # whose types know no iterator of frames
    return make(score, returnType=kind)


def predict(
    bundle: Bundle | str | os.PathLike[str], frame: Any, output: str = "label", name: str = ""
) -> Any:
    """Return a Spark frame with one column more, scored by `udf`.

    Parameters
    ----------
    bundle, output
        As for `udf`.
    frame : pyspark.sql.DataFrame
    name : str, default=""
        Of the new column; empty: that of the output.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pyspark.sql import SparkSession
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter, export_bundle
    >>> X = pd.DataFrame({"x": np.arange(80.0), "sex": ["F", "M"] * 40})
    >>> router = FairUseRouter(LogisticRegression(), ["sex"], cv=2).fit(X, X.x > 40)
    >>> spark = SparkSession.builder.master("local[1]").getOrCreate()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = export_bundle(router, f"{folder}/router.onnx", X)
    ...     frame = predict(f"{folder}/router.onnx", spark.createDataFrame(X))
    ...     found = [row.label for row in frame.collect()]
    >>> found == router.predict(X).tolist()
    True
    """
    from pyspark.sql.functions import struct

    columns = [column for column in Scorer(bundle, output).columns if column in frame.columns]
    return frame.withColumn(name or output, udf(bundle, output)(struct(*columns)))
