"""Names of candidates, as users, tables and bundles write them; this loads no scikit-learn."""

GENERIC = "generic"
MULTILEVEL = "multilevel"
ROUTED = "routed"  # what audits call the deployed routing, beside the candidates

CANDIDATES = (GENERIC, "onehot", "intersectional", "decoupled")
KNOWN = (*CANDIDATES, MULTILEVEL)
WEIGH_MULTILEVEL = ("priced", "tested", "certified")  # policies that need it among the candidates
