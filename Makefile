# Two commands: `make demo` (install, then grasps of a shipped mug) and `make test` (install, lint, types, tests).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := formats,meshopt,sim,mano,clip,mesh-to-sdf,mujoco,usd,stream,cluster,video,vlm

.PHONY: demo bench test test-all coverage test-oldest test-newest lint format docs release-check clean

$(STAMP): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv==0.13.8 || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt setuptools -e '.[dev,docs,$(EXTRAS)]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/hoprior run grasp --mesh hoprior/assets/meshes/mug.obj --text "a mug" --num 10 --out out/demo
	@echo "open out/demo/report.html in a browser, and out/demo/grasp_000.glb in any 3D viewer"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One worker a core, each with one thread; a module's tests stay together, as they share what they load.
WORKERS ?= auto
# Of `make coverage`, test-oldest and test-newest: TESTS="tests/geometry tests/metrics" runs some of them.
TESTS ?= tests
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

# The same work in two ways, side by side, and how cost grows with what there is to do; tables and a plot are in build/bench.
# OPTIONS=--check fails where a ratio is too low, or cost grows too fast.
bench: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench --out build/bench $(OPTIONS)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.growth --out build/bench $(OPTIONS)

# Which branches the tests take, those of processes that they start too; a line for each module, and the whole.
coverage: $(STAMP)
	rm -f .coverage .coverage.*
	OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile -m "not slow" $(TESTS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered

# The same with the oldest packages that pyproject.toml allows, and with the newest: each set has an environment of its own.
test-oldest: SET := lowest-direct
test-newest: SET := highest
test-oldest test-newest: $(STAMP)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/env-$@
	$(BIN)/uv pip install --quiet --compile-bytecode --python build/env-$@/bin/python --resolution $(SET) 'setuptools>=64' -e '.[dev,$(EXTRAS)]'
	OMP_NUM_THREADS=1 build/env-$@/bin/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadfile -m "not slow" $(TESTS)

# The site, in build/site/index.html; any warning or broken link is an error.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# What would be uploaded, in dist/: as package indexes check it, then every task from the wheel without a network, and the
# sources' own tests.
release-check: $(STAMP)
	rm -rf dist
	$(BIN)/python -W error::DeprecationWarning -m build
	$(BIN)/python -m twine check --strict dist/*
	DEPENDENCIES=$(VENV) bash tools/check_release.sh dist

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache out
