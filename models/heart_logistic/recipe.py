"""Heart disease by logistic regression: the Cleveland data, groups sex x age band."""

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import FairUseRouter
from fairuse_router.datasets import load_heart

TITLE = "Heart disease, logistic regression"
DESCRIPTION = (
    "Tells whether a patient's coronary arteries are narrowed by half or more, from eleven "
    "clinical features. A demonstration on 303 patients of one hospital in 1988, no medical "
    "device. Data: Janosi, Steinbrunn, Pfisterer & Detrano, UCI, CC BY 4.0."
)
SEED = 0
TEST_SIZE = 0.4
PRECISION = "fast"


def load():
    """Return the rows, group attributes included, and their labels."""
    return load_heart(return_X_y=True, as_frame=True)


def make_router():
    """Return the router, not yet fitted."""
    encode = make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    clf = make_pipeline(encode, LogisticRegression(max_iter=1000))
    return FairUseRouter(clf, ["sex", "age_group"], random_state=SEED)
