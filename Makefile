# Everything runs in .venv; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A Linux machine takes torch's CUDA build from PyPI unless told otherwise; see README, "Without CUDA".
TORCH_INDEX ?=
# Replays of each planner on each table of past experiments.
SEEDS ?= 50
# Campaigns of each planner on each physics twin and target.
TWIN_SEEDS ?= 20
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: demo test lint bench bench-daemon bench-planners clean

demo: $(VENV)/.runtime
	$(BIN)/lumiflow run configs/campaigns/quickstart.yaml --fresh

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.loop
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.faults

# What the daemon promises, in its long forms: hours.
bench-daemon: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash.power_loss
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash.bit_flips --flips 1000
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash.disk_errors
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash.daemon_kill_sweep --kills 200 --ensemble 20 --boundaries --jobs 2
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crash.death_sweep --daemon
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.dst
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.soak virtual
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.soak real

bench-planners: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.pools --seeds $(SEEDS) --document docs/pools.md --keep
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.emulators --seeds $(TWIN_SEEDS) --document docs/benchmarks.md --keep
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.twins --seeds $(TWIN_SEEDS) --document docs/benchmarks.md --keep
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.speed

$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	touch $@

$(VENV)/.runtime: $(VENV)/.torch pyproject.toml
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) install -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
