# `make` lists the targets. Targets create and update their virtualenvs in .venvs/ as needed.

UV_VERSION := 0.13.9
# Python of all environments; defaults to a Python 3.11 to 3.13 found here, or else downloaded by uv.
export PYTHON ?=
ENVS       := sdk data model gateway dev notebooks
TESTED     := data model gateway
UV         := .venvs/uv/bin/uv
SYNC       := .venvs/uv/bin/python locks/sync.py
STATE      ?= .tiffin
COMPILE    := $(UV) pip compile pyproject.toml --quiet --upgrade --generate-hashes --no-emit-index-url --no-header --no-annotate
# Each lock covers Python 3.11 to 3.13 on Linux and macOS; `data` has another lock for glibc older than 2.39.
EVERYWHERE := --universal --python-version 3.11 --fork-strategy fewest
COMPATIBLE := --python-version 3.11 --python-platform x86_64-manylinux_2_28

# Each test runs in the environment of its image, or in dev: tests/support/environments.py. These tests also need a Docker
# engine; they start one if none is running.
IMAGE_TESTS := tests/images/engine
# Training data of the image tests, if found beside the checkout; generated deliveries otherwise.
TAXI        ?= $(wildcard ../shared/data/chicago_taxi.csv)
# Options of pytest: one worker per core, at most 4. To replace them: PYTEST='-x -k ingest'.
PYTEST      ?= --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

ifdef CI
export UV_NO_PROGRESS := 1
endif
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run demo-loop test test-dev test-data test-model check compile golden lock bench bench-images format clean notebooks test-notebooks images images-push images-digest pin-images check-pins diff-specs publish test-images docs docs-serve

##@ Use

help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venvs/sdk/.ready .venvs/data/.ready .venvs/model/.ready .venvs/gateway/.ready ## Create the virtualenvs of the suite in .venvs/.
	@$(if $(filter setup,$(MAKECMDGOALS)),$(SYNC) --list)

run: setup ## Train on generated data, deploy the model, and get a prediction by gRPC.
	@.venvs/sdk/bin/tiffin demo --state $(STATE)

demo-loop: setup .venvs/dev/.ready ## Play the life of a model: a changing world, alerts, retraining, rollout, rollback. Needs a few minutes.
	@PATH="$$(PYTHONPATH=tests .venvs/dev/bin/python -m support.debian prometheus):$$PATH" \
	  .venvs/sdk/bin/tiffin demo --loop --state $(STATE)-loop

compile: .venvs/sdk/.ready ## Compile every pipeline and component into build/.
	@rm -rf build/components build/*.yaml  # specs of other versions; keep build/images
	@.venvs/sdk/bin/tiffin compile --output build

notebooks: .venvs/notebooks/.ready setup ## Open the notebooks in JupyterLab.
	@cd notebooks && PATH="$(CURDIR)/.venvs/notebooks/bin:$$PATH" jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root)

##@ Release

images: .venvs/sdk/.ready ## Build the images with docker or buildah. BASE=... BASE_DIGEST=sha256:... for another base.
	@.venvs/sdk/bin/python -m images build

images-push: .venvs/sdk/.ready ## Push the images to the registry in TIFFIN_IMAGE_PREFIX, such as registry.example/team.
	@.venvs/sdk/bin/python -m images push

images-digest: .venvs/sdk/.ready ## Write build/images/digests.json, to pin images in specs: TIFFIN_IMAGE_DIGESTS=FILE make compile.
	@.venvs/sdk/bin/python -m images digests

pin-images: .venvs/sdk/.ready ## Write the digests of the images that manifests/ and .gitlab-ci.yml take from others; needs docker buildx.
	@.venvs/sdk/bin/python -m images pin

check-pins: .venvs/sdk/.ready ## Fail if an image of others is not pinned by its digest.
	@.venvs/sdk/bin/python -m images check-pins

diff-specs: .venvs/sdk/.ready ## Show how the specs in build/ differ from those of the newest release.
	@.ci/diff-specs

publish: .venvs/sdk/.ready ## Upload the pipelines to the backend at KF_PIPELINES_ENDPOINT.
	@.venvs/sdk/bin/tiffin publish

test-images: .venvs/dev/.ready setup ## Build the images and run the training pipeline in them. TAXI=FILE.csv for Chicago's taxi trips.
	@$(if $(TAXI),TAXI_CSV=$(abspath $(TAXI))) .venvs/dev/bin/python -m pytest --timeout=2400 $(IMAGE_TESTS)

##@ Develop

# The tests of `dev` wait for processes as often as they compute; those of the stages run beside them.
test: .venvs/dev/.ready setup $(TESTED:%=.venvs/%/.tested) ## Run the tests, each in the environment of its image.
	@echo "Testing in dev, and in $(TESTED) beside it; the output of each follows when it has ended."
	@$(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=line) test-dev test-stages

test-dev: .venvs/dev/.ready setup
	@.venvs/dev/bin/python -m pytest $(PYTEST) --ignore=$(IMAGE_TESTS) -m "not runs"

test-stages:
	@status=0; for env in $(TESTED); do $(MAKE) --no-print-directory test-$$env || status=1; done; exit $$status

$(addprefix test-,$(TESTED)): test-%: .venvs/%/.tested
	@.venvs/$*/bin/python -m pytest $(PYTEST)

test-runs: .venvs/dev/.ready setup .venvs/model/.tested ## Run whole pipelines and model servers on this machine, also while processes are killed.
	@.venvs/dev/bin/python -m pytest $(PYTEST) --ignore=$(IMAGE_TESTS) -m runs

test-notebooks: .venvs/notebooks/.ready setup ## Execute the notebooks against real local runs.
	@.venvs/notebooks/bin/python -m pytest --numprocesses=2 tests/notebooks

# Environments of the newest and the lowest packages, with the names that tests and local runs expect. tests/ci is left out: it
# needs the locked environments.
.PHONY: test-newest test-lowest
test-newest: RESOLUTION := highest
test-newest: test-bounds-newest ## Install the newest packages that pyproject.toml allows, without the locks, and run the tests.
test-lowest: RESOLUTION := lowest-direct
test-lowest: test-bounds-lowest ## Install the lowest versions of the requirements in pyproject.toml, and run the tests.
test-bounds-%: $(UV) setup
	@python=$$($(SYNC) --python) && for env in dev data model gateway; do \
	  case $$env in dev) config=--no-config tests=;; gateway) config=--no-config tests=.[test,test-s3];; *) config="--config-file locks/$$env.toml" tests=.[test,test-s3];; esac; \
	  if [ $$env = model ]; then tests=.[test,test-s3,test-mlflow]; fi; \
	  echo "Installing the $* packages of $$env in .venvs/$*/$$env"; \
	  $(UV) venv --quiet --clear --python $$python .venvs/$*/$$env || exit 1; \
	  install="$(UV) pip install --quiet --python .venvs/$*/$$env/bin/python --editable"; \
	  $$install ".[$$env]" --upgrade --resolution $(RESOLUTION) $$config || exit 1; \
	  if [ -n "$$tests" ]; then $$install "$$tests" --no-config || exit 1; fi; \
	  $(UV) pip freeze --exclude-editable --python .venvs/$*/$$env/bin/python >.venvs/$*/$$env.txt || exit 1; \
	done
	@status=0; for env in dev data model gateway; do \
	  .venvs/$*/$$env/bin/python -m pytest $(PYTEST) --ignore=$(IMAGE_TESTS) --ignore=tests/ci || status=1; \
	done; exit $$status

check: .venvs/dev/.ready ## Lint, check types, import rules and formatting.
	@.venvs/dev/bin/ruff format --check .
	@.venvs/dev/bin/ruff check .
	@.venvs/dev/bin/mypy components pipelines
	@.venvs/dev/bin/lint-imports

golden: .venvs/dev/.ready ## Rewrite the goldens, the dashboards, the alert rules and the descriptors; review the diff.
	@.venvs/dev/bin/python -m pytest -q tests/goldens/test_interfaces.py --update-goldens
	@.venvs/dev/bin/python -m dashboards
	@.venvs/dev/bin/tiffin monitor rules --operator --output manifests/options/monitoring/rules.yaml
	@.venvs/dev/bin/python tests/support/manifest_rendering.py
	@.venvs/dev/bin/python -m grpc_tools.protoc --proto_path=components/tiffin/serving \
	  --descriptor_set_out=components/tiffin/serving/descriptors.binpb tensorflow.proto tensorflow_serving.proto

bench: setup ## Run the benchmarks and compare with other tools. LONG=--long for 10 million rows; BENCH='--set data=... --set label=...' for other data.
	@.venvs/sdk/bin/python tests/benchmarks/pipeline.py $(BENCH)
	@.venvs/data/bin/python tests/benchmarks/tfdv.py 2>/dev/null
	@.venvs/data/bin/python tests/benchmarks/ingest.py $(LONG)
	@TF_CPP_MIN_LOG_LEVEL=3 .venvs/data/bin/python tests/benchmarks/real_data.py 2>/dev/null
	@.venvs/sdk/bin/python tests/benchmarks/client.py
	@.venvs/sdk/bin/python tests/benchmarks/defaults.py
	@.venvs/sdk/bin/python tests/benchmarks/batch.py
	@TF_CPP_MIN_LOG_LEVEL=3 .venvs/model/bin/python tests/benchmarks/memory.py
	@.venvs/model/bin/python tests/benchmarks/serving.py
	@.venvs/sdk/bin/python tests/benchmarks/rollout_load.py
	@.venvs/sdk/bin/python tests/benchmarks/gateway_load.py
	@.venvs/model/bin/python tests/benchmarks/gateway.py
	@.venvs/sdk/bin/python tests/benchmarks/rollout_tests.py --draws 400
	@.venvs/gateway/bin/python tests/benchmarks/recorder.py
	@.venvs/data/bin/python tests/benchmarks/drift.py
	@.venvs/data/bin/python tests/benchmarks/labels.py
	@.venvs/data/bin/python tests/benchmarks/monitoring.py 2>/dev/null
	@.venvs/data/bin/python tests/benchmarks/verdicts.py 2>/dev/null

docs: .venvs/docs/.ready ## Build the documentation into build/docs; check links, anchors and offline use.
	@rm -rf build/pages
	@PYTHONPATH=docs .venvs/docs/bin/python -m generation pages build/pages
	@.venvs/docs/bin/zensical build --strict --clean
	@PYTHONPATH=docs .venvs/docs/bin/python -m generation check build/docs

docs-serve: docs ## Serve the documentation at http://127.0.0.1:8000.
	@.venvs/docs/bin/python -m http.server --bind 127.0.0.1 --directory build/docs

format: .venvs/dev/.ready ## Format the code and apply the fixes of ruff.
	@.venvs/dev/bin/ruff format .
	@.venvs/dev/bin/ruff check --fix .
	@.venvs/dev/bin/python notebooks/strip.py notebooks/*.ipynb

lock: $(UV) ## Resolve the environments into locks/, without URLs.
	@for env in sdk dev notebooks docs data model gateway; do \
	  case $$env in data|model) config="--config-file locks/$$env.toml";; *) config=--no-config;; esac; \
	  echo "locks/$$env.txt"; \
	  $(COMPILE) $$config $(EVERYWHERE) --extra $$env -o locks/$$env.txt || exit 1; \
	done
	@for env in $(TESTED); do \
	  echo "locks/test-$$env.txt"; \
	  $(COMPILE) --no-config $(EVERYWHERE) --extra test --extra test-s3 $$(test $$env = model && echo --extra test-mlflow) -c locks/$$env.txt \
	    -o locks/test-$$env.txt || exit 1; \
	done
	@echo "locks/compatibility"
	@$(COMPILE) --config-file locks/data.toml $(COMPATIBLE) --extra data -o locks/compatibility/data.txt
	@$(COMPILE) --no-config $(COMPATIBLE) --extra test --extra test-s3 -c locks/compatibility/data.txt \
	  -o locks/compatibility/test-data.txt

bench-images: .venvs/dev/.ready ## Print the sizes and start times of the images, with the time of each import.
	@.venvs/dev/bin/python -m pytest --timeout=2400 $(IMAGE_TESTS)/test_images.py -k "size or cpu_seconds or pushed"

clean: ## Remove everything that was built: environments, state, specs, documentation.
	git clean -Xfdq .

# --- environments: uv in its own virtualenv, then one virtualenv per lock file ---

$(UV):
	@python=$$(command -v $(or $(PYTHON),python3) || command -v python) || \
	  { echo "error: Set-up needs a Python with venv to install uv. Install python3 and python3-venv." >&2; exit 1; }; \
	echo "uv        installing $(UV_VERSION) in .venvs/uv" && \
	{ $$python -m venv .venvs/uv || { rm -rf .venvs/uv; exit 1; }; } && \
	.venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venvs/%/.synced: locks/%.txt | $(UV)
	@$(SYNC) $*

.venvs/data/.synced: locks/compatibility/data.txt

.venvs/%/.ready: .venvs/%/.synced pyproject.toml
	@$(UV) pip install --quiet --no-deps --python .venvs/$*/bin/python --editable .
	@touch $@

# The test lock matches the platform of the environment's lock.
.venvs/%/.tested: locks/test-%.txt .venvs/%/.ready
	@$(UV) pip install --quiet --require-hashes --compile-bytecode --python .venvs/$*/bin/python -r $$($(SYNC) --test-lock $*)
	@touch $@

.PRECIOUS: .venvs/%/.synced .venvs/%/.ready .venvs/%/.tested
