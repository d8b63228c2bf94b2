"""The Cleveland heart disease data, embedded."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from fairuse_router.datasets._pandas import require_pandas

_PACKAGE = "fairuse_router.datasets"
_FILE = "heart.csv"
_TARGET = "target"
_GROUP_ATTRIBUTES = ["sex", "age_group"]
_FLOATS = {"trestbps", "chol", "thalach", "oldpeak", "ca"}
_FLAGS = {"fbs", "exang"}
_FEATURES = [
    *_GROUP_ATTRIBUTES,
    *("cp", "trestbps", "chol", "fbs", "restecg", "thalach"),
    *("exang", "oldpeak", "slope", "ca", "thal"),
]


def load_heart(*, return_X_y: bool = False, as_frame: bool = False) -> Bunch | tuple[Any, Any]:
    """Load the Cleveland heart disease data (classification, groups sex x age band).

    ================  =================================================================
    Rows              303, of which 139 diseased
    Columns           13: 2 group attributes, 5 measurements, 2 flags, 4 strings
    Groups            female <60: 58, female 60+: 39, male <60: 154, male 60+: 52
    Missing           `ca` in 4 rows, `thal` in 2; they stay missing (NaN)
    ================  =================================================================

    Age in years is no column: whoever withholds the age band must not be found out by it.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return a pandas DataFrame and Series. Strings stay strings, flags are int64, measurements
        float64. Otherwise `data` is an array of dtype object that holds str, int and float,
        as scikit-learn's ColumnTransformer takes it, by column index.

    Returns
    -------
    data : sklearn.utils.Bunch
        With the attributes

        - data : ndarray of dtype object or DataFrame, shape (303, 13); the group attributes come
          first, so their indices are 0 and 1
        - target : ndarray of int64 or Series, shape (303,); 1 = diseased
        - feature_names : list of str, the 13 columns of `data`
        - target_names : ndarray of str, ``["healthy", "diseased"]``
        - group_attributes : list of str, ``["sex", "age_group"]``
        - frame : DataFrame of `data` and `target`, or None if `as_frame` is False
        - DESCR : str, the columns, the source and the licence
        - filename : str, and data_module : str, where the CSV file lies

    (data, target) : tuple
        If `return_X_y` is True.

    Raises
    ------
    ImportError
        If `as_frame` is True and pandas is not installed.

    Notes
    -----
    Janosi, A., Steinbrunn, W., Pfisterer, M., Detrano, R. (1988). Heart Disease. UCI Machine
    Learning Repository, https://doi.org/10.24432/C52P4X, licensed under CC BY 4.0. What was
    changed is written at the end of `DESCR`.

    Examples
    --------
    >>> from fairuse_router.datasets import load_heart
    >>> heart = load_heart()
    >>> heart.data.shape, int(heart.target.sum())
    ((303, 13), 139)
    >>> heart.group_attributes, heart.data[0, :2].tolist()
    (['sex', 'age_group'], ['male', '60+'])
    >>> X, y = load_heart(return_X_y=True, as_frame=True)
    >>> X.groupby(["sex", "age_group"]).size().tolist()
    [39, 58, 52, 154]
    """
    patients = _read_patients()
    data = _to_array(patients)
    target = np.array([int(patient["num"]) > 0 for patient in patients], dtype=np.int64)
    frame = None
    if as_frame:
        frame = _to_frame(data, target)
        data, target = frame[_FEATURES].copy(), frame[_TARGET].copy()
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        frame=frame,
        feature_names=list(_FEATURES),
        target_names=np.array(["healthy", "diseased"]),
        group_attributes=list(_GROUP_ATTRIBUTES),
        DESCR=files(_PACKAGE).joinpath("heart.md").read_text(encoding="utf-8"),
        filename=_FILE,
        data_module=_PACKAGE,
    )


def _read_patients() -> list[dict[str, str]]:
    """Return the CSV file's rows as text, with the age band added."""
    text = files(_PACKAGE).joinpath(_FILE).read_text(encoding="utf-8")
    patients = list(csv.DictReader(text.splitlines()))
    for patient in patients:
        patient["age_group"] = "60+" if int(patient["age"]) >= 60 else "<60"
    return patients


def _to_array(patients: list[dict[str, str]]) -> NDArray[np.object_]:
    """Return the columns of `_FEATURES` as one object array."""
    data = np.empty((len(patients), len(_FEATURES)), dtype=object)
    for j, name in enumerate(_FEATURES):
        data[:, j] = [_parse(name, patient[name]) for patient in patients]
    return data


def _parse(name: str, text: str) -> str | int | float:
    """Return one cell as its column's type; NaN if it is missing."""
    if text == "":
        return float("nan")
    if name in _FLOATS:
        return float(text)
    return int(text) if name in _FLAGS else text


def _to_frame(data: NDArray[np.object_], target: NDArray[np.int64]) -> Any:
    """Return data and target as one DataFrame, with a dtype per column."""
    pandas = require_pandas("load_heart(as_frame=True)")
    frame = pandas.DataFrame({name: data[:, j].tolist() for j, name in enumerate(_FEATURES)})
    return frame.assign(**{_TARGET: target})
