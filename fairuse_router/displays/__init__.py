"""Displays: pictures of what audits found, made as scikit-learn's displays are.

Each has ``from_estimator(router, X, y)``, ``from_predictions(y, predictions, groups)``, ``plot()``
and, once plotted, ``figure_`` and ``ax_``. Here lives what draws; what is drawn is computed in
`audit/`. matplotlib is imported when something is plotted.
"""

from fairuse_router.displays.calibration import CalibrationDisplay
from fairuse_router.displays.corrections import CorrectionDisplay
from fairuse_router.displays.decision_curve import DecisionCurveDisplay
from fairuse_router.displays.gains import GainDisplay
from fairuse_router.displays.plans import PlanDisplay

__all__ = [
    "CalibrationDisplay",
    "CorrectionDisplay",
    "DecisionCurveDisplay",
    "GainDisplay",
    "PlanDisplay",
]
