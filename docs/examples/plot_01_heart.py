"""
From one-hot to routed: the heart data
======================================

The Cleveland heart disease data have 303 people. Sex and age band are group attributes: what
people may be asked, and may withhold. Does asking pay for each group?
"""

# %%
# A Pipeline as anybody has it. The router wraps it; it trains a generic model without the two
# columns, and several that know them.
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairuse_router import FairUseRouter
from fairuse_router.datasets import load_heart

X, y = load_heart(return_X_y=True, as_frame=True)
clf = make_pipeline(
    make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    ),
    LogisticRegression(max_iter=1000),
)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
router = FairUseRouter(clf, group_attributes=["sex", "age_group"], random_state=0)
router.fit(X_train, y_train)
print(router.routing_table_)

# %%
# The table is evidence of a choice, and flatters it. The claim is the audit on other rows: here
# that nothing is proven in 76 people.
audit = router.audit(X_test, y_test)
print(audit)

# %%
# In pictures: what each candidate gains over generic in every group, with 90% intervals.
from fairuse_router.card import plot_gains

plot_gains(audit, candidate="onehot")
