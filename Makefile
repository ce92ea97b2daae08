# make demo: install into .venv, train a small language model, show what it writes
# make test: install what the tests need and run them all
# make lint: style, types, and the arrows between the rooms
# make bench: measure speed side by side, in under ten minutes; ARGS="--json FILE --only lstm,gru"
# inside an active virtual environment that one is used, and no other is made

PYTHON ?= python3
ifdef VIRTUAL_ENV
ENV := $(VIRTUAL_ENV)
else
ENV := .venv
endif
BIN := $(ENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint bench clean

demo: $(ENV)/.ostinato
	$(BIN)/ostinato demo

test: $(ENV)/.ostinato-test
	$(BIN)/python -m pytest

lint: $(ENV)/.ostinato-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(ENV)/.ostinato
	$(BIN)/python benchmarks/cells.py $(ARGS)

# each stamp stands for one finished installation; a change of what is required makes it anew
$(BIN)/python:
	$(PYTHON) -m venv $(ENV)

$(ENV)/.ostinato: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Ostinato into $(ENV) (once; a minute or two) ..."
	$(INSTALL) -e .
	@touch $@

$(ENV)/.ostinato-test: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e ".[test]"
	@touch $@ $(ENV)/.ostinato

$(ENV)/.ostinato-lint: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e ".[test,lint]"
	@touch $@ $(ENV)/.ostinato $(ENV)/.ostinato-test

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
