"""
Someone withholds, and what to ask
==================================

Women and men of three age bands, in a population in which the groups differ as the squares of a
chessboard do. What should a form ask, and what happens to those who do not answer?
"""

# %%
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

population = make_population(n_samples=3000, effect="interaction", random_state=1)
X, y = population.to_frame(), population.y
router = FairUseRouter(LogisticRegression(), population.group_attributes, random_state=0)
router.fit(X, y)

# %%
# The disclosure plan says what to ask, in which order, and what asking less would cost.
plan = router.routing_table_.disclosure_plan()
print(plan)

# %%
plan.plot()

# %%
# A form asks the next question of the plan, until there is none.
step = plan.next({})
print(step.ask, "->", plan.next({step.ask: "a1"}).ask)

# %%
# One person under three reports: all, a part, nothing. What is withheld cannot matter.
person = X[:1]
reports = {"all": {}, "a part": {"group_b": "?"}, "nothing": {"group_a": "?", "group_b": "?"}}
for name, withheld in reports.items():
    asked = person.assign(**withheld)
    print(f"{name:8}", router.predict_proba(asked)[0, 1].round(3), router.route(asked).reason[0])

# %%
# What that person is told:
print(router.explain(person))
