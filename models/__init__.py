"""Reference bundles, with recipe, audit, card and test vectors each; `python -m models.build`."""
