# Everything here works from a fresh clone with git, make and Python 3.11+; it never needs root and never refuses it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run demo test lint types contracts tests audit test-lowest test-matrix test-interop bench docs secrets fuzz clean

run: $(STAMP)  ## PostgreSQL and the receiver, until Ctrl-C
	@$(BIN)/otelgres up

demo: $(STAMP)  ## a sample system for 20 seconds, then what SQL says of it
	@$(BIN)/otelgres demo

test: lint types contracts tests  ## what CI runs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

tests: $(STAMP)
	$(BIN)/pytest -n 2

audit: $(STAMP)  ## known vulnerabilities of the dependencies
	$(BIN)/python .ci/audit

test-lowest:  ## some of the library's tests with the lowest packages that are allowed
	$(PYTHON) tests/matrix.py --set lowest --quick --one

test-matrix:  ## the library's tests on every Python that is here, with the lowest and the newest packages
	$(PYTHON) tests/matrix.py

test-interop: $(STAMP)  ## the stock Collector, built from its Go modules, in front of us
	$(BIN)/pytest -m interop

fuzz: $(STAMP)  ## FUZZ_SECONDS (60) of each kind of fuzzing
	$(BIN)/python -m tests.fuzz.run --seconds $${FUZZ_SECONDS:-60} --seed $${FUZZ_SEED:-1}
	$(BIN)/python -m tests.fuzz.http $$(( $${FUZZ_SECONDS:-60} * 300 ))
	$(BIN)/python -m tests.fuzz.rows $$(( $${FUZZ_SECONDS:-60} * 100 ))

bench: $(STAMP)
	$(BIN)/otelgres bench ingest

docs: $(STAMP)  ## the reference pages, from what the program has
	$(BIN)/python -m otelgres.collector.tools.reference docs

secrets:  ## random passwords for docker-compose.yml, once
	@sh docs/deploy/make-secrets.sh

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "The venv module is missing: install it (Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "Installing otelgres and what it needs into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -m pip check
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
