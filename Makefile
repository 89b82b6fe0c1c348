# One command for each task; `make help` lists them.

PYTHON ?= python3
ARGS ?=
# What is tested on Spark in eight minutes; everything takes twenty.
SPARK_TESTS ?= tests/spark tests/engines tests/runs tests/api tests/cli tests/sources/test_object_store.py \
	tests/sources/test_unreachable_stores.py

bin := .venv/bin
# The locks are complete, so pip must not resolve: it would look for newer releases of packages, too.
install := -m pip install -qq --disable-pip-version-check --no-deps
pip := $(bin)/python $(install)
# One stamp for each interpreter, so that another PYTHON builds the environment again.
packages := .venv/.packages-of-$(subst /,-,$(PYTHON))
environment := .venv/.ready
peers := .venv/.peers
tools := .venv-tools/.ready
locks := requirements.lock benchmarks/requirements.lock tests/spark/requirements.lock deploy/spark.lock \
	deploy/spark-client.lock .ci/tools.lock
# Spark's packages are in environments of their own: two of them install the same folder.
with_spark := TEST_SPARK='local[1]' TEST_SPARK_CLIENT=.venv-spark-client/bin/python \
	.venv-spark/bin/python
on_spark := .venv-spark/.ready
on_spark_client := .venv-spark-client/.ready
compile = $(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(ARGS)

# Tests start hundreds of short processes; each would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-long test-spark check audit sbom bench bench-spark soak lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(environment) ## compute the snapshots of the sample in data/exports and show them
	$(bin)/bufdir nightly
	$(bin)/bufdir list
	$(bin)/bufdir show agg-001 --json

serve: $(environment) ## serve the API on http://127.0.0.1:8000 (ARGS="--port 9000 --workers 2")
	$(bin)/bufdir serve $(ARGS)

test: $(environment) ## run the tests; fails under 95 % coverage (ARGS="-k name")
	$(bin)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term $(ARGS)

test-long: $(environment) ## run the tests that take long: a power cut at every moment (ARGS="-k name")
	$(bin)/python -m pytest -n 2 --dist worksteal -m long tests $(ARGS)

check: $(environment) ## check format, lint, types, import layers, dependencies and names
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports --no-logo
	$(bin)/python -m pip check
	@sh .ci/check-names

audit: $(tools) ## look up known vulnerabilities of all locked packages; ends with 69 without a network
	@.venv-tools/bin/python .ci/audit.py $(locks)

sbom: $(tools) ## print the software bill of materials of requirements.lock, as CycloneDX JSON
	@.venv-tools/bin/cyclonedx-py requirements --output-reproducible --output-format JSON \
	    --pyproject pyproject.toml --mc-type application requirements.lock

bench: $(peers) ## compare everything with its peers: half an hour, 30 GB, needs wrk (ARGS="--scale 0.05")
	$(bin)/python -m benchmarks $(ARGS)

soak: $(environment) ## call a served API with everything at once, for half an hour (ARGS="--minutes 2")
	$(bin)/python -m benchmarks.soak $(ARGS)

bench-spark: $(on_spark) $(on_spark_client) ## compare Spark with Polars, needs Java 17 (ARGS="--rows 100000000 --cells 1000000")
	.venv-spark/bin/python -m benchmarks.spark --client .venv-spark-client/bin/python $(ARGS)

test-spark: $(on_spark) $(on_spark_client) ## run the tests of Spark and of object stores, needs Java 17 (SPARK_TESTS=tests for all)
	$(with_spark) -m pytest -n 2 --dist worksteal -m 'spark and not cluster and not long' \
	    $(SPARK_TESTS) $(ARGS)
	$(with_spark) -m pytest -m cluster tests/spark $(ARGS)

lock: $(environment) ## write the locks again from pyproject.toml (ARGS=--upgrade)
	$(compile) --extra dev --output-file requirements.lock pyproject.toml
	$(compile) --extra bench --constraint requirements.lock \
	    --output-file benchmarks/requirements.lock pyproject.toml
	$(compile) --extra dev --extra spark --extra s3-server --constraint requirements.lock \
	    --output-file tests/spark/requirements.lock pyproject.toml
	$(compile) --extra spark --constraint tests/spark/requirements.lock \
	    --output-file deploy/spark.lock pyproject.toml
	$(compile) --extra spark-client --constraint tests/spark/requirements.lock \
	    --output-file deploy/spark-client.lock pyproject.toml
	$(compile) --output-file .ci/tools.lock .ci/tools.in

clean: ## remove the environment and what the tools left; never anything in data/
	rm -rf .venv .venv-spark .venv-spark-client .venv-tools build dist *.egg-info .coverage .coverage.* htmlcov .hypothesis \
	    .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(packages): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'This needs Python 3.11 or newer: name one with "make PYTHON=python3.12".' >&2; exit 1; }
	@echo 'Setting up .venv with $(PYTHON) from requirements.lock; the first time takes minutes ...'
	@$(PYTHON) -m venv --clear .venv
	@$(pip) --require-hashes --requirement requirements.lock
	@touch '$@'

$(peers): benchmarks/requirements.lock $(environment)
	@$(pip) --require-hashes --requirement benchmarks/requirements.lock
	@touch '$@'

$(on_spark): tests/spark/requirements.lock
$(on_spark_client): deploy/spark-client.lock
$(on_spark) $(on_spark_client):
	@echo 'Setting up $(@D) from $<; the first time takes minutes ...'
	@$(PYTHON) -m venv --clear '$(@D)'
	@'$(@D)/bin/python' $(install) --require-hashes --requirement '$<'
	@echo '$(CURDIR)' >"$$('$(@D)/bin/python' -c 'import site; print(site.getsitepackages()[0])')/bufdir.pth"
	@touch '$@'

$(tools): .ci/tools.lock
	@echo 'Setting up $(@D) from $<; the first time takes a minute ...' >&2
	@$(PYTHON) -m venv --clear '$(@D)'
	@'$(@D)/bin/python' $(install) --require-hashes --requirement '$<'
	@touch '$@'

$(environment): pyproject.toml $(packages)
	@$(pip) --no-build-isolation --editable .
	@touch '$@'
