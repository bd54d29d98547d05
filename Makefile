# `make` lists the commands. Each sets up what it needs in .venv, once, and again when a lock changes.

PYTHON ?= python3
BIN := .venv/bin
# Installed apart from the packages, so that syncing them does not remove it.
UV := .venv/uv/bin/uv
UV_STAMP := .venv/uv.stamp
export PATH := $(CURDIR)/$(BIN):$(PATH)
RUNTIME := .venv/runtime.stamp
DEVELOPMENT := .venv/development.stamp
PEERS := .venv/peers.stamp

.DEFAULT_GOAL := help
.PHONY: help repro pull push test tables lint vulnerabilities smoke rehearse audit verify claims simulate faults fuzz bench bench-repro ui serve wheel lock clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/make \1\t\2/' | expand -t 22

repro: $(RUNTIME) ## the main job: fetch, validate, train, search, theory, report; then MLflow is brought up to date
	LR_CEILING_AHEAD=$${LR_CEILING_AHEAD:-all} dvc repro
	lr-ceiling log

pull: $(RUNTIME) ## the results of `make repro` from DVC's remote, without training; then MLflow is brought up to date
	lr-ceiling pull
	lr-ceiling log

push: $(RUNTIME) ## send the results to DVC's remote `store`, from where others pull them
	@$(call add,requirements-s3.txt)
	dvc push --remote store

# Tests wait for the processes that they start. On two cores three are as fast as two.
test: $(DEVELOPMENT) ## every test
	pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

tables: $(DEVELOPMENT) # bring the tables, figures and page of README and docs up to date with the reports
	python tests/tables.py

lint: $(DEVELOPMENT) ## style, types, dependencies, security rules, and the GitHub workflows
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache --no-logo
	deptry src
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml tests/rehearsal/*/action.yml tests/rehearsal/*/*/action.yml
	actionlint
	zizmor --quiet --offline --persona pedantic .github

# In an environment of its own, and strict: a package that can't be looked up is an error.
vulnerabilities: | $(BIN)/python ## look up known vulnerabilities of all locked packages
	@$(BIN)/python -m venv .venv/pip-audit
	@.venv/pip-audit/bin/python -m pip install --quiet --require-hashes --requirement requirements-pip-audit.txt
	.venv/pip-audit/bin/pip-audit --strict --require-hashes --disable-pip $(addprefix -r ,$(wildcard requirements*.txt))

smoke: $(RUNTIME) ## the same pipeline on small budgets, in state/smoke
	python tests/smoke.py state/smoke

# WHAT=all plays through all that can go wrong, WHAT=once runs the workflow on the project as it is.
rehearse: $(DEVELOPMENT) ## two weeks of a GitHub workflow here: WORKFLOW=retrain
	python tests/rehearse.py $(or $(WORKFLOW),retrain) state/rehearsal $(or $(WHAT),weeks)

audit: $(RUNTIME) data/splits.npz ## continue runs that the judge would end, and count its errors; can be stopped and continued
	lr-ceiling audit data/splits.npz --output reports/audit.json --state state/runs

verify: $(RUNTIME) data/splits.npz ## fresh seeds at the ceilings, about an hour; can be stopped and continued
	lr-ceiling verify data/splits.npz --search data/search --audit reports/audit.json --output reports/verification.json --state state/runs

claims: $(RUNTIME) data/splits.npz ## the claims that need more runs, 40 to 80 minutes; can be stopped and continued
	lr-ceiling claims data/splits.npz --train data/train --output reports/claims.json --state state/runs

simulate: $(RUNTIME) ## test the search on networks whose ceilings are known, hours; can be stopped and continued
	lr-ceiling simulate --output reports/simulation.json --state state/simulation

faults: $(RUNTIME) ## make each disk write of a small pipeline fail, tear, or be the last; hours, can be stopped and continued
	python -m faults
	python -m faults.cluster --output reports/reliability.json

# One process a reader, since atheris ends its process.
fuzz: $(RUNTIME) ## change files at random for each reader of foreign files: MINUTES=10 each
	@$(call add,requirements-fuzz.txt)
	for reader in $$(python -c 'from faults.readers import READERS; print(*READERS)'); do \
		python -m faults.fuzz $$reader --minutes $(or $(MINUTES),10) || exit 1; \
	done

bench: $(RUNTIME) $(PEERS) data/splits.npz ## the benchmarks: 15 minutes, with nothing else on the machine
	python -m benchmarks

# The row of the report that takes half an hour: `make repro` in a fresh clone.
bench-repro: $(RUNTIME) # with FOLDER=<new folder>
	python -m benchmarks.repro $(FOLDER)

ui: $(RUNTIME) ## the MLflow UI on the logged runs
	lr-ceiling ui

serve: $(RUNTIME) ## the live model over HTTP, on loopback
	lr-ceiling serve

# What an earlier build left would be in this one's wheel.
wheel: $(RUNTIME) ## build the library's wheel in dist/
	rm -rf build dist
	python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build
	@ls dist/*.whl

lock: $(UV_STAMP) ## compile the locks from pyproject.toml: pins stay as they are, UPGRADE=--upgrade takes the newest
	$(UV) pip compile --quiet $(UPGRADE) $(COMPILE) --extra pipeline pyproject.toml -o requirements.txt
	$(UV) pip compile --quiet $(UPGRADE) $(COMPILE) --group dev -c requirements.txt -o requirements-dev.txt
	$(UV) pip compile --quiet $(UPGRADE) $(COMPILE) --group peers -c requirements.txt -o requirements-peers.txt
	$(UV) pip compile --quiet $(UPGRADE) $(COMPILE) --group pip-audit -c requirements.txt -o requirements-pip-audit.txt
	$(UV) pip compile --quiet $(UPGRADE) $(COMPILE) --group s3 -c requirements.txt -o requirements-s3.txt
	$(UV) pip compile --quiet $(UPGRADE) $(COMPILE) --group fuzz -c requirements.txt -o requirements-fuzz.txt
	echo uv | $(UV) pip compile --quiet $(UPGRADE) $(COMPILE) - -o requirements-uv.txt

clean: ## remove the environment and all undeclared state; results and MLflow's runs stay
	rm -rf .venv state

TORCH := torch==2.13.0
COMPILE := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

$(BIN)/python:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("error: Python is %d.%d: 3.11 to 3.13 is needed; name one by make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "making .venv from the lock"
	@$(PYTHON) -m venv .venv

# Failing to get uv is no error: pip does the same, slower.
$(UV_STAMP): requirements-uv.txt | $(BIN)/python
	-@$(BIN)/python -m pip install --quiet --require-hashes --upgrade --target .venv/uv --requirement $<
	@touch $@

# Compiled once: where Python keeps no bytecode, each start of a worker takes 14 s instead of 5.
define install
if test -x $(UV); then \
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(1) && \
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
else \
	$(BIN)/python -m pip install --quiet --require-hashes $(addprefix --requirement ,$(1)) && \
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .; \
fi
endef

# Each time, since syncing one of the other locks removes what this one adds.
define add
if test -x $(UV); then \
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirement $(1); \
else \
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(1); \
fi
endef

$(RUNTIME): requirements.txt pyproject.toml | $(UV_STAMP)
	@$(call install,requirements.txt)
	@touch $@

$(DEVELOPMENT): $(RUNTIME) requirements-dev.txt | $(UV_STAMP)
	@$(call install,requirements.txt requirements-dev.txt)
	@touch $@

# The benchmark's alternatives, in an environment of their own. PyTorch is pinned by version alone:
# its build for CPUs is on no common registry, and has other hashes than the one that is. Where pip
# finds a CPU build (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL) it takes that, elsewhere one of some GB.
$(PEERS): requirements-peers.txt | $(BIN)/python
	@$(BIN)/python -m venv .venv/peers
	@.venv/peers/bin/python -m pip install --quiet --require-hashes --requirement $<
	@.venv/peers/bin/python -m pip install --quiet $(TORCH)
	@touch $@

data/splits.npz: | $(RUNTIME)
	dvc repro validate
