# The only entry point, for people and for CI. `make` prints the targets.
# Every target sets up what it needs; the second time that takes a moment.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first Python between 3.11 and 3.13; name another with `make PYTHON=… setup`.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && { command -v $$p; break; }; done)
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
UV_VERSION := 0.13.9

# One thread a process: the tests and the simulation bring their own processes.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help
help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: ## make .venv with the locked dependencies and this project (the other targets call it)
	@if [ -z "$(PYTHON)" ]; then \
		echo "rolloutlab needs Python 3.11, 3.12 or 3.13; on Debian: sudo apt-get install python3 python3-venv" >&2; exit 1; fi
	@"$(PYTHON)" scripts/setup_venv.py requirements/lock-dev.txt

.PHONY: demo
demo: setup ## compare rolling, blue-green and canary over five releases: a table, and out/compare.html
	@$(BIN)/rolloutlab demo

.PHONY: test
test: setup ## run all tests
	@$(PYTEST) -n logical --dist worksteal

.PHONY: test-fast
test-fast: setup ## run the tests that are not marked slow
	@$(PYTEST) -n logical --dist worksteal -m "not slow"

.PHONY: drills
drills: setup ## run every real drill of the tests, the slow ones too: processes behind Envoy, no root
	@$(PYTEST) tests/chaos

.PHONY: cluster-up
cluster-up: ## bring up a real one-node Kubernetes without Docker (root; hack/node/README.md)
	@hack/node/preflight.sh --before-packages && hack/node/packages.sh && hack/node/up.sh --with-prometheus

.PHONY: cluster-down
cluster-down: ## end it; nothing of it stays
	@hack/node/down.sh

.PHONY: cluster-test
cluster-test: setup ## real pods: drills, controls, a killed harness, faults, controllers (root, about ten minutes)
	@hack/node/test.sh tests/cluster -m "not slow" -p no:cacheprovider -n 3 --dist loadfile

.PHONY: drills-cluster
drills-cluster: setup cluster-up ## every drill in the cluster, with repeats; writes docs/explanation/drill-results.md
	@$(BIN)/python scripts/cluster_drills.py
	@hack/node/argo.sh || echo "the tests of Argo Rollouts are skipped"
	@hack/node/test.sh tests/cluster -m slow -p no:cacheprovider

.PHONY: kind-up
kind-up: ## make a kind cluster with Chaos Mesh, Gateway API, Traefik and Prometheus (needs Docker; docs/how-to/kind.md)
	@hack/kind/up.sh

.PHONY: kind-down
kind-down: ## delete it
	@hack/kind/down.sh

.PHONY: kind-test
kind-test: setup ## drills in it: each strategy, faults of real Chaos Mesh, a scheduled one
	@hack/kind/test.sh

.PHONY: conformance
conformance: setup ## compare PromQL with promtool (Debian package prometheus) in fresh random cases
	@$(BIN)/python tests/conformance/promql_differential.py --seed $${SEED:-$$RANDOM} --cases $${CASES:-500}

.PHONY: coverage
coverage: setup ## run all tests and print the lines they miss
	@$(PYTEST) -n logical --dist worksteal --cov --cov-report term-missing:skip-covered

.PHONY: check
check: setup ## format, lint, types, import contracts, generated text
	@failed=""; \
	for tool in "ruff format --check" "ruff check" mypy "lint-imports --no-logo" "python docs/generate.py --check"; do \
		echo "--- $$tool"; $(BIN)/$$tool || failed="$$failed  $$tool;"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

.PHONY: format
format: setup ## format, and repair what the linter can repair
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

.PHONY: bench
bench: setup ## measure ratios in one run; writes out/bench.md
	@$(BIN)/python -m benchmarks

.PHONY: docs
docs: setup ## rewrite the generated parts of README.md and docs/
	@$(BIN)/python docs/generate.py

.PHONY: golden
golden: setup ## rewrite the golden files of the tests; read the difference before you commit it
	@$(PYTEST) -n logical --dist worksteal --golden-rewrite || true
	@git --no-pager diff --stat -- tests/golden

.PHONY: notebook
notebook: setup ## open the notebooks in Jupyter
	@.venv/bin/python scripts/setup_venv.py requirements/lock-notebook.txt
	@$(BIN)/jupyter lab notebooks

# The core, then the tools, then everything: the smaller files take the versions of the largest.
.PHONY: lock
lock: ## resolve the dependencies again; rewrites requirements/
	@"$(PYTHON)" -m venv build/lock && build/lock/bin/python -m pip install --quiet "uv==$(UV_VERSION)"
	@compile() { \
		build/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-config \
			--custom-compile-command "make lock" --output-file "requirements/$$1" pyproject.toml "$${@:2}"; }; \
	rm -f requirements/lock-*.txt; \
	compile lock-all.txt --all-extras; \
	compile lock-core.txt --constraints requirements/lock-all.txt; \
	compile lock-cluster.txt --extra cluster --constraints requirements/lock-all.txt; \
	compile lock-dev.txt --extra dev --constraints requirements/lock-all.txt; \
	compile lock-notebook.txt --extra dev --extra notebook --constraints requirements/lock-all.txt; \
	build/lock/bin/uv pip compile --quiet --universal --generate-hashes --no-config --no-annotate \
		--custom-compile-command "make lock" --output-file hack/node/requirements.txt hack/node/requirements.in
	@wc -l requirements/lock-*.txt

.PHONY: clean
clean: ## remove .venv, caches and out/
	@rm -rf .venv build dist out .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
