# Everything builds on .venv, which `make install` makes from the lock file. It needs Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip --quiet --disable-pip-version-check
PICTURES ?=
ARGS ?=
SEEDS ?= 2000

.DEFAULT_GOAL := help
.PHONY: help install demo test drills alert-drills sftp-differential simulate scenarios properties mutants bench bench-consensus bench-snapshot bench-turns bench-expiring bench-sending bench-volumes bench-repair bench-sftp bench-logins chaos churn deliveries clients client-modules flood stalls conformance lint house quick format types proto proto-check docs docs-check wheel release lock clean

help:
	@echo "make demo    a three-node cluster on this machine shows what it can do (PICTURES=DIR: with yours)"
	@echo "make test    unit, property and integration tests"
	@echo "make simulate  consensus and catalog against seeded faults (SEEDS=10000: so many seeds)"
	@echo "make scenarios  scenarios of consensus that one can read (ARGS=--rewrite: renew what they print)"
	@echo "make properties  the property tests with 20 times the examples of make test, others each time (some 15 minutes)"
	@echo "make mutants   known bugs that the simulator must catch"
	@echo "make bench   rates beside stock pyftpdlib, in one run (ARGS=--quick: a short version)"
	@echo "make bench-consensus  commits beside etcd's (Debian: etcd-server, nghttp2-client), in one run"
	@echo "make bench-snapshot  commits while a snapshot of 1,000,000 files is taken, sent and installed"
	@echo "make bench-turns  for how long a command of the largest file holds a node's loop"
	@echo "make bench-expiring  for how long commands hold a node's loop that remove 1,000,000 files from trash and by retention"
	@echo "make bench-sending  what a picture costs that is put to a person or group, beside a STOR to a directory"
	@echo "make bench-volumes  start of a node with 1,000,000 chunks, from its saved index and without"
	@echo "make chaos   kills, pauses and one-way cuts of real nodes under load (SEED=N; some 20 minutes)"
	@echo "make bench-repair  uploads while the pictures of a lost node are copied to the others"
	@echo "make bench-sftp  SFTP beside a threaded paramiko server, OpenSSH's sftp as the client (ARGS=--quick: a short version)"
	@echo "make churn   20,000 uploads and deletes while space is collected and nodes are killed (some 5 minutes)"
	@echo "make deliveries  10,000 pictures from person to person through random nodes, while leaders are killed (some 10 minutes)"
	@echo "make clients   docs/clients.md anew, from the real clients at a running cluster"
	@echo "make fuzz    220,000 inputs for FTP, SFTP and the port between nodes (some 3 minutes)"
	@echo "make flood   floods of strangers at every port of a node, while a client that behaves must be served (some 3 minutes)"
	@echo "make bench-logins  logins with argon2id, without and beside 50 guesses a second from one address"
	@echo "make bench-slow  rates of others beside 500 clients that send a byte a second or never read"
	@echo "make stalls  the worst that can be asked of a node's loop, and how long that holds it (some 3 minutes)"
	@echo "make conformance  third-party suites: what stock pyftpdlib passes passes here (ARGS=--short: a short version)"
	@echo "make drills   the drills of docs/operating.md, five times over, on machines made of namespaces (root; ROUNDS=N)"
	@echo "make alert-drills  alerts that a real Prometheus fires when something goes wrong, and clears (ROUNDS=N)"
	@echo "make sftp-differential  SEQUENCES of random requests to OpenSSH's sftp-server and to ours (default: 20000)"
	@echo "make lint    ruff, mypy --strict, layers and words, freshness of generated code and pages"
	@echo "make quick   lint, types, and the unit tests that start no processes and wait for little"
	@echo "make format  ruff format, and what ruff can mend"
	@echo "make proto   generate raftstore/wire from proto/"
	@echo "make docs    generate the pages of docs/ that come from the program"
	@echo "make wheel   dist/*.whl"
	@echo "make release  tests/releases/VERSION of the version in pyproject.toml (ARGS=--check: only what is in its way)"
	@echo "make lock    renew requirements.lock"

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("pixraft needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) install -r requirements.lock
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: install
	$(BIN)/pixraft demo $(if $(PICTURES),--pictures "$(PICTURES)")

# Most of the tests' time is waiting, for elections and for disks: two run at a time, those of real nodes first.
test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

simulate: install
	$(BIN)/python tests/simulation/run.py --seeds $(SEEDS)

scenarios: install
	$(BIN)/python tests/scenarios/run.py $(ARGS)

properties: install
	PIXRAFT_EXAMPLES=20 $(BIN)/python -m pytest -n 2 tests/property tests/simulation/test_histories.py tests/unit/serving/test_transfer_log.py

mutants: install
	$(BIN)/python tests/simulation/mutants.py

bench: install
	$(BIN)/python tests/bench/run.py $(ARGS)

bench-consensus: install
	$(BIN)/python tests/bench/consensus.py

bench-snapshot: install
	PYTHONPATH=tests/support $(BIN)/python tests/bench/snapshot.py $(ARGS)

bench-turns: install
	PYTHONPATH=tests/support $(BIN)/python tests/bench/turns.py $(ARGS)

bench-expiring: install
	$(BIN)/python tests/bench/expiring.py $(ARGS)

bench-sending: install
	$(BIN)/python tests/bench/sending.py $(ARGS)

bench-volumes: install
	$(BIN)/python tests/bench/volumes.py $(ARGS)

chaos: install
	PYTHONPATH=tests/support:tests/chaos $(BIN)/python tests/chaos/run.py $(if $(SEED),--seed $(SEED))

bench-repair: install
	PYTHONPATH=tests/support $(BIN)/python tests/bench/repair.py $(ARGS)

bench-sftp: install
	PYTHONPATH=tests/support $(BIN)/python tests/bench/sftp.py $(ARGS)

churn: install
	PYTHONPATH=tests/support:tests/chaos $(BIN)/python tests/chaos/churn.py $(if $(SEED),--seed $(SEED)) $(ARGS)

deliveries: install
	PYTHONPATH=tests/support:tests/chaos $(BIN)/python tests/chaos/deliveries.py $(if $(SEED),--seed $(SEED)) $(ARGS)

conformance: install
	PYTHONPATH=tests/support $(BIN)/python tests/conformance/run.py $(ARGS)

clients: install client-modules
	PIXRAFT_WRITE_CLIENTS=1 $(BIN)/python -m pytest tests/integration/test_clients.py

# The clients that come from npm, as tests/clients/package-lock.json has them.
client-modules:
	mkdir -p build/clients
	cp tests/clients/package.json tests/clients/package-lock.json build/clients
	cd build/clients && npm ci --ignore-scripts --no-audit --no-fund

bench-logins: install
	$(BIN)/python tests/bench/logins.py $(ARGS)

fuzz: install
	PYTHONPATH=tests/support:tests/chaos $(BIN)/python tests/chaos/fuzz.py $(ARGS)

stalls: install
	PYTHONPATH=tests/support:tests/chaos $(BIN)/python tests/chaos/stalls.py $(ARGS)

flood: install
	PYTHONPATH=tests/support:tests/chaos $(BIN)/python tests/chaos/flood.py $(ARGS)

bench-slow: install
	PYTHONPATH=tests/support $(BIN)/python tests/bench/slow.py $(ARGS)

drills: install
	PIXRAFT_DRILL_ROUNDS=$(or $(ROUNDS),5) $(BIN)/python -m pytest -v tests/integration/test_drills.py

alert-drills: install
	PIXRAFT_DRILL_ROUNDS=$(or $(ROUNDS),5) $(BIN)/python -m pytest -v tests/integration/test_alert_drills.py

sftp-differential: install
	PIXRAFT_SFTP_SEQUENCES=$${SEQUENCES:-20000} $(BIN)/python -m pytest tests/processes/sftp/test_sftp_differential.py -q

lint: types proto-check docs-check house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Unit tests start no processes. Left out are the front-ends (they wait on sockets), four long modules on the Raft log,
# and the check of the house, which lint has done.
quick: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit tests/contract tests/house -m "not slow and not integration" \
		--ignore=tests/unit/ftp --ignore=tests/unit/sftp \
		--deselect tests/house/test_housecheck.py::test_the_house_is_in_order

house: install
	$(BIN)/python tests/house/housecheck.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install
	$(BIN)/mypy

proto: install
	$(BIN)/python proto/generate.py

proto-check: install
	$(BIN)/python proto/generate.py --check

docs: install
	$(BIN)/python docs/generate.py

docs-check: install
	$(BIN)/python docs/generate.py --check

wheel: install
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation

# Checks wheel and sdist, installs the wheel, and has three nodes of it make the data that later versions must read.
release: install
	$(BIN)/python tests/releases/makerelease.py $(ARGS)

# What pyproject.toml asks for, in the newest versions there are, with all that it brings.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python $(PIP) install --upgrade "pip>=25.1"
	build/lock/bin/python $(PIP) install --upgrade ".[fast]" --group dev
	( echo "# Made by \`make lock\`."; build/lock/bin/python $(PIP) freeze --exclude pixraft --exclude pip ) > build/requirements.lock
	mv build/requirements.lock requirements.lock

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
