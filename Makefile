# Every target sets itself up: all you need is Python 3.11 or newer and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test test-browser test-all page-assets lint format types docs benchmark clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*##/\t/' | expand -t 14

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "slmmux needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## two small models answer 24 questions together
	@$(BIN)/slmmux demo

test: $(STAMP)  ## the tests of every change (under 8 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser"

test-browser: $(STAMP)  ## pages in headless Chromium, which it installs where it can
	@.ci/chromium
	$(BIN)/python -m pip install --quiet --editable '.[browser]'
	$(BIN)/python -m pytest -m browser

test-all: $(STAMP)  ## these and the slow ones
	$(BIN)/python -m pytest -n 2

page-assets:  ## are the page's vendored files those that npm publishes?
	$(PYTHON) docs/page_assets.py

lint: $(STAMP)  ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

format: $(STAMP)  ## let ruff write the format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)  ## what the documentation takes from the program: tree, help, faults
	$(BIN)/python docs/generate.py

benchmark: $(STAMP)  ## every figure of benchmarks/README.md
	$(BIN)/python benchmarks/draws.py
	$(BIN)/python benchmarks/rules.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/bank_import.py
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/embedded_throughput.py
	$(BIN)/python benchmarks/operations.py
	$(BIN)/python benchmarks/gateway.py
	$(BIN)/python benchmarks/selection.py

clean:  ## remove the virtual environment and caches of this checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
