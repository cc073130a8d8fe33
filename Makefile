# Every target works on a machine that has Python 3.11 and make: it creates .venv from the hashed lock first.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENUE ?= us
WORKERS ?= 2

VENV := .venv
PY := $(VENV)/bin/python
LOCK := requirements/dev.lock
# Keyed on content, not on time: a checkout touches files, a changed lock changes the key.
KEY := $(shell cat $(LOCK) pyproject.toml | cksum | tr -s ' ' '-')
STAMP := $(VENV)/.installed-$(KEY)
TYPED := perpsctl $(wildcard scripts bench tests)

.DEFAULT_GOAL := help
.PHONY: help demo test optimised dst mutants crash soak powercut iofail restart auditflips check format dev bench docs lock clean killtrials fuzz stateful

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 - \2/p' $(firstword $(MAKEFILE_LIST))

$(STAMP):
	@test -n "$(PYTHON)" || { echo "no python3.11 on PATH; set PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "perpsctl needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installed-*
	@touch $@

dev: $(STAMP)  ## create .venv from the lock and install perpsctl in it
	@echo "ready: $(VENV)/bin/perpsctl"

demo: $(STAMP)  ## the product's story on the embedded exchange (VENUE=us)
	$(PY) scripts/demo.py --venue $(VENUE)

test: $(STAMP)  ## every test (WORKERS=2)
	$(PY) -m pytest -n $(WORKERS)

optimised: $(STAMP)  ## every test under python -O: no check of ours is an assert (R9)
	$(PY) -O -m pytest -n $(WORKERS)

dst: $(STAMP)  ## seeded fault schedules against an independent judge (SEEDS=3000 SEED=1 MODE=forever|60s|never VENUE=us|global|both JOBS=2)
	@$(PY) -m tests.dst.run --seeds $(or $(SEEDS),3000) --seed $(or $(SEED),1) $(if $(MODE),--mode $(MODE)) \
	  --venue $(if $(filter command line environment,$(origin VENUE)),$(VENUE),both) --jobs $(or $(JOBS),2)

mutants: $(STAMP)  ## planted bugs, each run until the schedules catch it (SEEDS=3000 at most each, JOBS=2)
	@$(PY) -m tests.dst.mutants --seeds $(or $(SEEDS),3000) --seed $(or $(SEED),1) --jobs $(or $(JOBS),2)

soak: $(STAMP)  ## both venues for MINUTES=30 on real sockets, faults all along (VENUE=both FAULTS=5 SEED=1)
	@$(PY) -m tests.soak.run --minutes $(or $(MINUTES),30) --faults $(or $(FAULTS),5) --seed $(or $(SEED),1) \
	  --venue $(if $(filter command line environment,$(origin VENUE)),$(VENUE),both)

crash: $(STAMP)  ## real processes killed with SIGKILL at every named step and at random instants (N=150 SEED=1 VENUE=us|global|both JOBS=2)
	@$(PY) -m tests.crash.run --n $(or $(N),150) --seed $(or $(SEED),1) \
	  --venue $(if $(filter command line environment,$(origin VENUE)),$(VENUE),both) --jobs $(or $(JOBS),2)

killtrials: $(STAMP)  ## the kill switch engaged again and again while three processes place (TRIALS=10000 JOURNAL=sqlite|postgresql COMMAND=200 SEED=1)
	@$(PY) -m tests.killtrials.run --trials $(or $(TRIALS),10000) --journal $(or $(JOURNAL),sqlite) \
	  --command $(or $(COMMAND),200) --seed $(or $(SEED),1)

powercut: $(STAMP)  ## power cuts under the real commands: torn images of the disk, and what was acknowledged is there (N=50 SEED=1 JOBS=2)
	@$(PY) -m tests.disk.powercut --n $(or $(N),50) --seed $(or $(SEED),1) --jobs $(or $(JOBS),2)

iofail: $(STAMP)  ## the n-th write, sync, open, rename and read of every command fails, for every n (ALL=1: no limit of 50; VENUE=us)
	@$(PY) -m tests.disk.iofail $(if $(ALL),--all) --venue $(VENUE) --jobs $(or $(JOBS),2)

restart: $(STAMP)  ## a start over a long past, to reconciled and ready in 30 s (ORDERS=100000)
	@$(PY) -m tests.disk.restart --orders $(or $(ORDERS),100000)

auditflips: $(STAMP)  ## every single-bit flip and edit of a journal of 200 records, 10,000 clean opens (JOBS=2 SEED=1 OPENS=10000 MINUTES=)
	@$(PY) -m tests.audit.run --jobs $(or $(JOBS),2) --seed $(or $(SEED),1) --opens $(or $(OPENS),10000) $(if $(MINUTES),--minutes $(MINUTES))

fuzz: $(STAMP)  ## hostile responses by seed at every endpoint and channel of both venues (N=20000 SEED=1 JOBS=2 LEVEL=both|wire)
	@$(PY) -m tests.hostile.run --cases $(or $(N),20000) --seed $(or $(SEED),1) --jobs $(or $(JOBS),2) --level $(or $(LEVEL),both)

stateful: $(STAMP)  ## a Hypothesis state machine over the desk (EXAMPLES=300 STEPS=60)
	@$(PY) -m tests.stateful.run --examples $(or $(EXAMPLES),300) --steps $(or $(STEPS),60)

check: $(STAMP)  ## lint, format, types, architecture
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict $(TYPED)
	$(PY) -m pytest -q tests/architecture

format: $(STAMP)  ## rewrite in the house format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(STAMP)  ## hold the documents to the code
	$(PY) -m pytest -q tests/docs

bench: $(STAMP)  ## measure, with the building blocks beside
	@test -f bench/run.py || { echo "bench/run.py is not here yet: nothing to measure" >&2; exit 2; }
	$(PY) bench/run.py

lock: pyproject.toml  ## resolve the locks anew; they carry hashes and name no index
	@test -x $(VENV)/bin/pip-compile || { echo "install pip-tools into $(VENV) first" >&2; exit 1; }
	CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/pip-compile --quiet --generate-hashes --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --output-file requirements/runtime.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/pip-compile --quiet --generate-hashes --strip-extras --extra dev \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --constraint requirements/runtime.lock --output-file requirements/dev.lock pyproject.toml

clean:  ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
