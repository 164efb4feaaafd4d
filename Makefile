# Every target sets up what it needs: python 3.11 or newer with pip, make and git are enough.

UV_VERSION := 0.9.30
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
LABORATORY := $(VENV)/laboratory
FETCHED := $(LABORATORY)/fetched

# The recorded numbers come from python 3.11, so it is preferred where there are several.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3
USABLE := import sys, pip, venv; raise SystemExit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do $$p -c '$(USABLE)' 2>/dev/null && echo $$p && break; done)

# `make book MODEL=...` is short for the environment variable that the pages read; empty, it leaves
# them the default. The embedded models lie in data, so nothing may be looked up on a hub for them.
ifeq ($(origin MODEL),command line)
EMBEDDING_GEOMETRY_MODEL := $(MODEL)
endif
# pages run in notebooks/, where a folder named from here would not be found
ifneq ($(and $(EMBEDDING_GEOMETRY_MODEL),$(wildcard $(EMBEDDING_GEOMETRY_MODEL)/.)),)
override EMBEDDING_GEOMETRY_MODEL := $(abspath $(EMBEDDING_GEOMETRY_MODEL))
endif
export EMBEDDING_GEOMETRY_MODEL
ifneq ($(EMBEDDING_GEOMETRY_RESULTS),)
override EMBEDDING_GEOMETRY_RESULTS := $(abspath $(EMBEDDING_GEOMETRY_RESULTS))
export EMBEDDING_GEOMETRY_RESULTS
endif
ifneq ($(wildcard data/$(or $(EMBEDDING_GEOMETRY_MODEL),*)/model_index.json),)
export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1
endif

# The stored outputs of the notebooks were recorded on the default model, on the CPU with two threads and without a
# network. Two pages at a time are compared with them, each with one thread.
REFERENCE := EMBEDDING_GEOMETRY_MODEL= HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 \
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 PYTHONPATH="$(CURDIR)/tests/offline"

COMPARE := $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg \
	--numprocesses 2 --dist loadfile
# What takes another processor's place, and the pages that measure pictures, where its rounding would be seen first.
NARROW := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41
MEASURING := $(addprefix notebooks/,05_interpolations.ipynb 07_evaluator.ipynb 13_tokens.ipynb)

STUDIES := $(foreach model,pocket menagerie,$(model) $(addprefix $(model)_,dose ways retiming rivals rivals_retiming))

.DEFAULT_GOAL := help
.PHONY: help setup book pdf test narrow lint study benchmark pocket clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1	/' | expand -t 12

setup: $(INSTALLED) $(FETCHED) ## install the locked environment into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no python 3.11 or newer with pip was found" \
		"(tried: $(CANDIDATES)); install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c '$(USABLE)' || { echo "error: $(PYTHON) is not python 3.11 or newer with pip" >&2; exit 1; }
	$(PYTHON) -m venv --clear --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# What the networks of the page "Try it yourself" run in; without a network that page goes without.
$(FETCHED): book/laboratory/package-lock.json $(INSTALLED)
	@mkdir -p $(LABORATORY)
	@cp book/laboratory/.npmrc book/laboratory/package*.json $(LABORATORY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix $(LABORATORY) --ignore-scripts --no-audit \
		--no-fund --no-update-notifier --fetch-retries 0 --silent && touch $@ || echo \
		"note: ONNX Runtime Web could not be fetched; the book's laboratory is left out"

book: $(INSTALLED) $(FETCHED) ## execute every page and build the book into _build/html
	rm -rf _build
	$(BIN)/jupyter-book build . -W -n
	@echo "The book is at $(CURDIR)/_build/html/index.html"

pdf: $(INSTALLED) ## the book, then as one document in _build/pdf/book.pdf (needs Chromium)
	$(BIN)/python tools/print_book.py --check
	$(MAKE) book
	$(BIN)/jupyter-book build . --builder singlehtml -W -n
	$(BIN)/python tools/print_book.py

test: $(INSTALLED) $(FETCHED) ## unit tests, then every notebook against its stored outputs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --numprocesses 2 --dist loadfile --no-loadscope-reorder
	$(REFERENCE) $(COMPARE) notebooks

# For continuous integration: the pages that measure pictures, compared as a processor without wide vectors rounds.
narrow: $(INSTALLED)
	$(REFERENCE) $(NARROW) $(COMPARE) $(MEASURING)

lint: $(INSTALLED) ## style, import directions and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

study: $(INSTALLED) ## run or resume the recorded studies (five to six hours on two cores)
	$(BIN)/python -m embedding_geometry record $(STUDIES)

benchmark: $(INSTALLED) ## speed against the loops one would write by hand; records the tables
	$(BIN)/python -m pytest --confcutdir=tests/benchmarks tests/benchmarks/bench_*.py --record data/results

pocket: $(INSTALLED) ## train or resume the pocket model (three hours on two cores)
	$(BIN)/python -m embedding_geometry.pocket train
	$(BIN)/python -m embedding_geometry.pocket evaluate

clean: ## remove what can be made again; never a recorded result
	rm -rf _build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
