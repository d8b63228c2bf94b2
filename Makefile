.PHONY: check quick oldest newest docs
check:  ## what CI runs: a fresh environment, README's two commands, lint, types
	bash .ci/run
quick:  ## the same checks in the environment at hand, without the slow tests
	ruff check . && ruff format --check . && mypy && python -m pytest -q -n auto -m "not slow"
oldest:  ## the tests with the oldest releases that pyproject.toml allows of what the package needs
	bash .ci/oldest
newest:  ## the tests with the newest releases of everything; PYTHON= names another interpreter
	bash .ci/newest
docs:  ## the site, in docs/_build/html; needs pip install ".[docs]"; warnings are errors
	bash .ci/docs
