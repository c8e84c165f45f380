# Everything here works from a fresh clone with git, make and Python 3.11+; it never needs root and never refuses it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# What is installed, each a stamp: what running needs, what the demo needs beside it, what the tests need.
RUNNING := $(VENV)/.running
DEMO := $(VENV)/.demo
STAMP := $(VENV)/.installed

.PHONY: run demo test lint types contracts tests audit test-interop test-restarts test-lowest test-matrix attack bench docs picture secrets fuzz build clean

run: $(RUNNING)  ## PostgreSQL and the receiver, until Ctrl-C
	@$(BIN)/otelgres up

demo: $(DEMO)  ## a sample system for 20 seconds, then what SQL says of it
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
	$(BIN)/pytest -n 2 --dist loadfile

audit: $(STAMP)  ## known vulnerabilities of the dependencies
	$(BIN)/python .ci/audit

test-lowest:  ## some of the library's tests with the lowest packages that are allowed
	$(PYTHON) tests/matrix.py --set lowest --quick --one

test-matrix:  ## the library's tests on every Python that is here, with the lowest and the newest packages
	$(PYTHON) tests/matrix.py

test-interop: $(STAMP)  ## the stock Collector, built from its Go modules, in front of us
	$(BIN)/pytest -m interop

test-restarts: $(STAMP)  ## PostgreSQL killed 50 times below a receiver that takes requests
	$(BIN)/pytest -m restarts

fuzz: $(STAMP)  ## FUZZ_SECONDS (60) of each kind of fuzzing
	$(BIN)/python -m tests.fuzz.run --seconds $${FUZZ_SECONDS:-60} --seed $${FUZZ_SEED:-1}
	$(BIN)/python -m tests.fuzz.http $$(( $${FUZZ_SECONDS:-60} * 300 ))
	$(BIN)/python -m tests.fuzz.rows $$(( $${FUZZ_SECONDS:-60} * 100 ))

attack: $(STAMP)  ## amplifiers, floods, greedy senders, every routine as every login: what held
	$(BIN)/python -m tests.attack.run --mib $${ATTACK_MIB:-2}

bench: $(RUNNING)
	$(BIN)/otelgres bench ingest

# A short order in which one call was repeated.
PICTURED := SELECT flow_id FROM otel.flows WHERE flow_name = 'order' AND complete AND status <> 'ERROR' \
	AND error_count = 2 ORDER BY duration_ms LIMIT 1

picture: $(DEMO)  ## the picture of README.md: an order of `make demo`, while `make run` runs
	$(BIN)/otelgres flow "$$($(BIN)/otelgres query --format csv "$(PICTURED)" | tail -n 1)" --svg docs/demo.svg

docs: $(STAMP)  ## the reference pages, from what the program has
	$(BIN)/python -m otelgres.collector.tools.reference docs

secrets:  ## random passwords for docker-compose.yml, once
	@sh docs/deploy/make-secrets.sh

$(RUNNING): EXTRAS := server,embedded
$(DEMO): EXTRAS := server,embedded,demo
$(STAMP): EXTRAS := dev

$(RUNNING) $(DEMO) $(STAMP): pyproject.toml
	@# pip is the last that venv installs: without it, an earlier make was interrupted.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV) ..."; $(PYTHON) -m venv --clear $(VENV); } || \
		{ echo "The venv module is missing: install it (Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "Installing otelgres[$(EXTRAS)] into $(VENV) ..."
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[$(EXTRAS)]'
	@$(BIN)/python -m pip check
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

build: $(STAMP)  ## the source distribution and the wheel in dist/, checked
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
