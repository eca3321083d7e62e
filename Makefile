# Every target sets up what it needs; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup run research test check format status doctor ui serve bench drill azurite lock imagelocks lowest sbom freshness deploy docs client clean

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python
SCALE  ?=
SOURCE ?=
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHONDONTWRITEBYTECODE = # each of the many processes would compile every module again: 7 of 14 seconds of a code location's import

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## install the locked dependencies into .venv

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name it: make setup PYTHON=python3.11")'
	@echo "Installing into $(VENV) (a minute or two the first time)"
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/pip install --quiet --require-hashes -r $(VENV)/uv.lock
	@$(INSTALL) --require-hashes -r requirements.lock || $(BIN)/pip install --quiet --no-compile --require-hashes -r requirements.lock # where only pip knows a mirror
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## the whole graph: a sample portfolio (SCALE=0.05; 1 is full size) or your data (SOURCE=directory or address), then remembered
	@$(BIN)/creditrisk run $(if $(SOURCE),--source "$(SOURCE)",$(if $(SCALE),--scale $(SCALE)))

research: setup ## challengers, rebalancing, selection, search, ladder beside the model in use (hours at full size)
	@$(BIN)/creditrisk research

test: check ## every check and every test
	@$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

check: setup ## lint, types, layers, SQL
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m creditrisk_assets.features.lint

format: setup ## put the code into its one format
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

status: setup ## champion, last run, what is stale, disk
	@$(BIN)/creditrisk status

doctor: setup ## what is missing or broken, and what to do
	@$(BIN)/creditrisk doctor

ui: setup ## the Dagster UI with its daemon on http://127.0.0.1:3000
	@$(BIN)/creditrisk ui

serve: setup ## the scoring API on http://127.0.0.1:8000
	@$(BIN)/creditrisk serve

bench: setup ## every stage beside the floor; the feature store beside pandas; the model beside XGBoost and its ancestor; the service beside an echo, MLflow and pandas; drift beside Evidently (SCALE=0.05)
	@$(BIN)/python -m creditrisk_assets_tests.benchmarks.stages --scale $(or $(SCALE),0.05)
	@$(BIN)/python -m creditrisk_assets_tests.benchmarks.features --scale $(or $(SCALE),0.05)
	@$(BIN)/python -m creditrisk_assets_tests.benchmarks.model --scale $(or $(SCALE),0.05)
	@$(BIN)/python -m creditrisk_assets_tests.benchmarks.serving --scale $(or $(SCALE),0.05)
	@$(BIN)/python -m creditrisk_assets_tests.benchmarks.drift

drill: setup ## long soaks and fault drills
	@$(BIN)/pytest -q -m drill

azurite: ## the emulator of Azure Blob that tests of the connector talk to (needs npm)
	@test -x .cache/azurite/node_modules/.bin/azurite-blob || npm install --silent --no-audit --no-fund --prefix .cache/azurite azurite@3.37

docs: setup ## the pages generated from the contracts
	@$(BIN)/python -m creditrisk_assets.contracts.render.markdown docs/data-dictionary.md
	@$(BIN)/python -m creditrisk_assets.features.catalogue > docs/feature-catalogue.md
	@$(BIN)/python -m creditrisk_assets.modelling.explanation.catalogue_page > docs/reason-catalogue.md

client: setup ## the Python client, generated from the OpenAPI document
	@$(BIN)/python -m creditrisk_serving.client_generator

UV_COMPILE = $(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --no-strip-extras --quiet
extras = $(foreach extra,$(1),--extra $(extra))
# The service reads Parquet and scores through DuckDB and LightGBM's shared library: what only their Python packages need stays out.
NOT_SERVED = $(foreach package,pyarrow scipy narwhals,--no-emit-package $(package))

lock: setup ## resolve requirements.lock anew from pyproject.toml, and the images' locks from it
	@$(UV_COMPILE) pyproject.toml $(call extras,assets serving azure kaggle dvc postgres cluster s3 spark traces research dev) --output-file requirements.lock
	@$(MAKE) --no-print-directory imagelocks

imagelocks: setup ## the locks of the images: parts of requirements.lock
	@$(UV_COMPILE) pyproject.toml $(call extras,serving postgres s3 traces) --constraint requirements.lock --output-file requirements-serving.lock $(NOT_SERVED)
	@$(UV_COMPILE) pyproject.toml $(call extras,assets serving azure kaggle postgres cluster s3 traces research) --constraint requirements.lock --output-file requirements-orchestration.lock
	@echo setuptools | $(UV_COMPILE) - --constraint requirements.lock --output-file requirements-build.lock

lowest: setup ## the oldest releases that pyproject.toml allows, in an environment of their own: both code locations and the service load
	@mkdir -p .cache
	@$(BIN)/uv pip compile --python-version 3.11 --resolution lowest-direct --no-annotate --no-header --quiet pyproject.toml \
		$(call extras,assets serving azure kaggle postgres cluster s3 traces research) --output-file .cache/lowest.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .cache/lowest
	@$(BIN)/uv pip install --quiet --python .cache/lowest/bin/python --requirement .cache/lowest.txt
	@.cache/lowest/bin/python -c "import creditrisk_assets.definitions, creditrisk_serving.definitions, creditrisk_serving.app"

sbom: setup ## what is in the images, as CycloneDX, into build/sbom/
	@mkdir -p build/sbom
	@for image in serving orchestration; do \
		$(BIN)/cyclonedx-py requirements requirements-$$image.lock --pyproject pyproject.toml --output-reproducible --output-file build/sbom/$$image.json || exit 1; \
	done

freshness: setup ## how old the feeds are; fails when one is stale or missing
	@$(BIN)/creditrisk freshness --fail-on-stale

deploy: setup ## release CREDITRISK_SERVING_DEPLOY_IMAGE to the target of the settings, verify it, roll it back otherwise
	@$(BIN)/creditrisk deploy

clean: ## delete everything the platform wrote (CREDITRISK_HOME)
	rm -rf $${CREDITRISK_HOME:-.creditrisk}
