# Every recipe is one line that calls a tool; `make` alone prints what there is.
# Needs git, make and Python 3.11 or newer: uv is taken from PATH or installed into .tools, everything else into .venv.

UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .tools/bin/uv)
RUN := $(UV) run --no-sync
READY := .venv/.ready
PROJECTS := pyproject.toml $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)

export UV

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-unit test-promises test-containers test-kubernetes etcd docker-up format check proto docs schema images chart bench clean

help:
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Start
demo: $(READY) ## a fleet on this machine solves a backlog of tickets
	$(RUN) python examples/tickets/run.py

dev: $(READY) ## every service in one process, until Ctrl-C
	$(RUN) tercio dev

##@ Test
test: $(READY) etcd ## all but the guarantees under their faults, on as many cores as there are up to four
	$(RUN) pytest -n auto --maxprocesses 4 --dist loadfile --ignore tests/promises

test-unit: $(READY) ## pure code on fake time, in seconds
	$(RUN) pytest tests/unit

test-promises: $(READY) etcd ## the guarantees, each under its fault, a long mix of all, and a crash in every place
	TERCIO_TEST_LONG=1 $(RUN) pytest tests/promises tests/integration/registry/test_*crash*.py

test-containers: $(READY) etcd docker-up ## the guarantees over real networks that are cut; needs Docker
	TESTCONTAINERS_RYUK_DISABLED=true $(RUN) pytest tests/containers

test-kubernetes: $(READY) etcd ## scaling and the chart on the cluster that KUBECONFIG names; needs the images there, helm, kubectl and kwok
	$(RUN) pytest tests/kubernetes

docker-up: ## start the Docker engine unless it answers; prints its version
	@python3 tools/docker_engine.py

etcd: ## find or build an etcd that is safe to use; prints its path
	@python3 tools/etcd_binary.py

##@ Check
format: $(READY) ## fix what tools can fix: imports, layout, protos
	$(RUN) python tools/check.py --fix

check: $(READY) ## verify style, types, architecture and contracts
	$(RUN) python tools/check.py

##@ Generate
proto: $(READY) ## Python code from the contracts
	$(RUN) python tools/generate_protos.py

docs: $(READY) ## reference pages of reasons and settings from the code
	$(RUN) python tools/generate_docs.py

schema: $(READY) ## what the chart's settings may be, from the code
	$(RUN) python tools/generate_schema.py

##@ Measure
bench: $(READY) etcd ## Tercio beside its peers on this machine, 10 minutes; ARGS=--smoke is short
	$(RUN) python -m benchmarks.peers $(ARGS)

##@ Ship
images: ## container images of every service and of the agent; needs Docker
	python3 tools/images.py

chart: ## check the Helm chart and pack it into dist; needs helm
	helm lint --strict deploy/helm/tercio && helm package --destination dist deploy/helm/tercio

##@ Clean
clean: ## remove everything that tools made
	rm -rf .venv .tools dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(READY): $(PROJECTS) | $(UV)
	$(UV) sync --quiet && touch $@

.tools/bin/uv:
	python3 -m venv .tools && .tools/bin/pip install --quiet uv
