# Everything builds on .venv, which `make install` makes from the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PICTURES ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test bench lint types proto proto-check lock clean

help:
	@echo "make demo    a three-node cluster on this machine shows what it can do"
	@echo "make test    unit, property and integration tests"
	@echo "make bench   rates beside stock pyftpdlib, in one run"
	@echo "make lint    ruff, mypy --strict, freshness of generated code"
	@echo "make proto   generate raftstore/wire from proto/"
	@echo "make lock    renew requirements.lock"

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: install
	$(BIN)/pixraft demo $(if $(PICTURES),--pictures "$(PICTURES)")

test: install
	$(BIN)/python -m pytest

bench: install
	$(BIN)/python tests/bench/run.py

lint: install proto-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

proto: install
	$(BIN)/python proto/generate.py

proto-check: install
	$(BIN)/python proto/generate.py --check

lock: install
	$(BIN)/python proto/lock.py

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
