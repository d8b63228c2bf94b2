"""Whether what callers hand over is a fitted router."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from fairuse_router.router import FairUseRouter


def check_router(router: Any) -> None:
    """Refuse what is no fitted router.

    Raises
    ------
    TypeError
        If it is no FairUseRouter.
    NotFittedError
        If it is not fitted.
    """
    if not isinstance(router, FairUseRouter):
        kind = f"the class {router.__name__}" if isinstance(router, type) else type(router).__name__
        raise TypeError(
            f"router must be a fitted FairUseRouter; got {kind}. If a Pipeline holds the router, "
            "pass its step."
        )
    check_is_fitted(router)
