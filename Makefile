# Everything runs in a virtual environment inside the checkout, made on the first use and again when the pins change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: demo test test-open-clip check fix docs lint types clean

demo: $(VENV)/.ready
	$(BIN)/coopt demo --out demo

test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses 2

# open_clip pulls torchvision, which the project itself does without: its tests have an environment of their own.
test-open-clip: .venv-open-clip/.ready
	.venv-open-clip/bin/python -m pytest tests/open_clip

check: lint types test

lint: $(VENV)/.ready
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks

types: $(VENV)/.ready
	$(BIN)/mypy

fix: $(VENV)/.ready
	$(BIN)/ruff format src tests tools benchmarks
	$(BIN)/ruff check --fix src tests tools benchmarks

# The methods' pages; their sizes and costs come from `python -m benchmarks.method_steps`.
docs: $(VENV)/.ready
	$(BIN)/python -m tools.method_pages

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 13) else f"coopt needs Python 3.10 to 3.13; this is {sys.version.split()[0]}. Name another: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable '.[demo,report,test,lint]'
	touch $@

.venv-open-clip/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-open-clip
	.venv-open-clip/bin/python -m pip install --quiet --constraint constraints.txt torch
	.venv-open-clip/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[open-clip,test]'
	touch $@

clean:
	rm -rf $(VENV) .venv-open-clip demo runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
