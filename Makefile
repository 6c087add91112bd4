# make install | run | test | soak | bench | bench-kafka | kafka: each does all its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet

TEST_PROCESSES ?= 4
KAFKA_PORT ?= 9092
KAFKA_DIR ?= data/kafka
KAFKA_BROKERS ?= 1

# The tests start services by the hundred: each would compile the application anew.
unexport PYTHONDONTWRITEBYTECODE

# Installs what different tests need side by side, and checks meanwhile; several goals still come one after the other.
ifeq ($(MAKECMDGOALS),test)
MAKEFLAGS += --jobs=2
endif

.PHONY: install run test test-kafka check soak bench bench-kafka kafka pins clean

install: $(VENV)/.runtime

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "callscore needs Python 3.11 or newer; name one with: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: $(BIN)/python requirements/runtime.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

# Weave's own SDK, in an environment of its own, as its users have it.
$(VENV)/.weave: $(BIN)/python requirements/weave.txt
	$(BIN)/python -m venv $(VENV)/weave
	$(VENV)/weave/bin/python -m pip install --quiet --require-hashes -r requirements/weave.txt
	@touch $@

# The peer that is measured beside callscore.
$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bench.txt
	@touch $@

run: install
	$(BIN)/callscore up --sample

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

PYTEST := $(BIN)/pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# Everything on the embedded log, and on a real Apache Kafka what differs there, if it can be had here: a JDK 17 and
# Maven. More processes than cores, as most of a test is waiting; the files in order, as the longest come first.
test: check $(VENV)/.weave
	$(PYTEST) -m "not repeated"

# Everything on Kafka: about half an hour.
test-kafka: $(VENV)/.dev $(VENV)/.weave
	CALLSCORE_REQUIRE_KAFKA=1 $(PYTEST) tests/crash tests/integration -k "kafka or workers"

# The crash tests, and limits, breakers and fairness, at length: about an hour.
soak: $(VENV)/.dev
	CALLSCORE_SOAK=1 CALLSCORE_REQUIRE_KAFKA=1 CALLSCORE_TEST_KILLS=200 CALLSCORE_TEST_TASKS=50000 \
		CALLSCORE_TEST_FAULTS=100 CALLSCORE_TEST_MOMENTS=0 CALLSCORE_TEST_SEQUENCES=500 CALLSCORE_TEST_CANCELLED=1000000 \
		$(BIN)/pytest -s -o timeout=3600 tests/crash tests/integration/embedded tests/integration/features

# What docs/performance.md tells of, beside a peer if there is a redis-server.
bench: $(VENV)/.bench
	$(BIN)/python -m bench
	$(BIN)/python -m bench.judges

# The same on a real Apache Kafka, and several workers, failures and restarts: about an hour, a JDK 17 and Maven.
bench-kafka: $(VENV)/.bench
	$(BIN)/python -m bench --kafka
	$(BIN)/python -m bench.judges --kafka

# A real Apache Kafka in the foreground, KAFKA_BROKERS=1 or 3; needs a JDK 17 and Maven.
kafka: $(BIN)/python
	$(BIN)/python -m kafka --port $(KAFKA_PORT) --dir $(KAFKA_DIR) --brokers $(KAFKA_BROKERS)

# Renews the pins; needs uv on the PATH.
pins:
	$(UV_COMPILE) pyproject.toml requirements/build.in -o requirements/runtime.txt
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra dev -c requirements/runtime.txt -o requirements/dev.txt
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra bench -c requirements/dev.txt -o requirements/bench.txt
	$(UV_COMPILE) requirements/weave.in -o requirements/weave.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
