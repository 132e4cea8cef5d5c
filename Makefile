# Targets for a newcomer: `make demo`, `make test` and `make docs`. Each makes .venv when it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow test-gpu lint docs clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/colorcnn demo --force

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

test: lint
	$(PYTEST) -m "not slow"

# Whole commands that are interrupted and go on, rehearsals of the tools, notebooks, exported graphs, the site.
test-slow: $(VENV)/.installed-test
	$(PYTEST) -m slow

# On a machine with a CUDA device; every stage of `reproduce` takes it by itself.
test-gpu: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/gpu tests/reproduce/stages

# The site of documentation, in site/. A warning, a broken link or a missing anchor fails.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f docs/mkdocs.yml

clean:
	rm -rf $(VENV) build dist site *.egg-info
