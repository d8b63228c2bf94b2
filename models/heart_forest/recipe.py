"""Heart disease by a random forest, routed by what merely looks best: the Cleveland data."""

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import FairUseRouter
from fairuse_router.datasets import load_heart

TITLE = "Heart disease, random forest"
DESCRIPTION = (
    "Tells whether a patient's coronary arteries are narrowed by half or more, from eleven "
    "clinical features. The policy promises nothing: it is here to show a bundle with several "
    "routes. A demonstration on 303 patients of one hospital in 1988, no medical device. Data: "
    "Janosi, Steinbrunn, Pfisterer & Detrano, UCI, CC BY 4.0."
)
SEED = 0
TEST_SIZE = 0.4
PRECISION = "exact"


def load():
    """Return the rows, group attributes included, and their labels."""
    return load_heart(return_X_y=True, as_frame=True)


def make_router():
    """Return the router, not yet fitted; 101 trees, so that their votes cannot tie."""
    encode = make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        sparse_threshold=0,
    )
    forest = RandomForestClassifier(101, max_depth=5, random_state=SEED)
    clf = make_pipeline(encode, forest)
    return FairUseRouter(clf, ["sex", "age_group"], policy="best", random_state=SEED)
