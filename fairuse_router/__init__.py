"""FairUseRouter: give every group the model that serves it."""
