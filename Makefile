# The build folder stands outside the clone, so that a fresh clone finds the compiled dependencies again.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/zerocloud/target

# Cargo judges by the age of files. When another checkout used this folder last, ours may be older than what it built.
LAST := $(CARGO_TARGET_DIR)/checkout
.PHONY: build install test lint fresh demo demo-binary venv test-venv schemathesis bench soak
fresh:
	@mkdir -p $(CARGO_TARGET_DIR)
	@if [ "$$(cat $(LAST) 2>/dev/null)" != "$(CURDIR)" ]; then git ls-files -z | xargs -0 touch -c; echo "$(CURDIR)" > $(LAST); fi

build: fresh
	cargo build --workspace

# zerocloud into cargo's own folder of programs (~/.cargo/bin), optimised.
install: fresh
	cargo install --locked --path . --bin zerocloud

# Every test: what is missing on this machine is said first. Rust; the access rules on otto, the JavaScript engine of Sync Gateway
# itself; the containers' files; the demo's checker; the templates for AWS; PouchDB and Couchbase Lite as real clients; generated calls
# of the REST API; the pages in Chromium.
test: fresh test-venv schemathesis
	tests/clients/prerequisites.sh
	tests/pages/prerequisites.sh >/dev/null
	cargo build --workspace --locked --all-targets
	cargo test --workspace --locked
	cd sync-gateway/tests/otto && go test ./...
	cd docker/tests && ZEROCLOUD_BIN=$(CARGO_TARGET_DIR)/debug/zerocloud go test -count=1 ./...
	cd docker/tests/proxy && go test ./...
	$(PYTHON) -m unittest -q demo.test_checker
	$(TEST_VENV)/bin/python -m unittest -q aws-setup/test_templates.py
	SCHEMATHESIS=$(GENERATOR)/bin/schemathesis node tests/clients/run.mjs
	node tests/pages/run.mjs

lint: fresh
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# How fast, in an optimised build: single steps of the gateway without HTTP, the gateway under load from a process of its own,
# from a person's act to zerocloud's answer, and a thousand events a second through the hook. Nothing here is a test.
bench: fresh
	cargo bench --locked -p zerocloud-gateway --bench inside
	cargo build --release --locked -p zerocloud-gateway -p gateway-load
	$(CARGO_TARGET_DIR)/release/gateway-load bench --gateway $(CARGO_TARGET_DIR)/release/zerocloud-gateway --sync sync-gateway/sync.js
	cargo bench --locked -p zerocloud --bench reaction

# The long runs: the gateway killed 200 times under load, and many busy years of leases under seeds.
soak: fresh
	cargo build --release --locked -p zerocloud-gateway -p gateway-load
	$(CARGO_TARGET_DIR)/release/gateway-load soak --gateway $(CARGO_TARGET_DIR)/release/zerocloud-gateway --rounds 200
	cargo test --workspace --locked --lib -- --ignored many_busy_years

# The demo: zerocloud from end to end on this machine, against moto. ONCE=1 runs one whole life and exits 0 only if all went
# as expected; BREAK=detector, notifier or reaper breaks that part and must fail. ZEROCLOUD_BIN=path and GITHUB_BIN=path skip the build.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= $(HOME)/.cache/zerocloud/venv
TEST_VENV ?= $(HOME)/.cache/zerocloud/test-venv
GENERATOR ?= $(HOME)/.cache/zerocloud/schemathesis
ZEROCLOUD_BIN ?=
GITHUB_BIN ?=

# exec: a signal to make reaches the demo, which ends what it started.
demo: venv $(if $(ZEROCLOUD_BIN),,demo-binary)
	@exec $(VENV)/bin/python -m demo --zerocloud "$(or $(ZEROCLOUD_BIN),$(CARGO_TARGET_DIR)/debug/zerocloud)" \
		--github "$(or $(GITHUB_BIN),$(CARGO_TARGET_DIR)/debug/github-double)" \
		$(if $(filter-out 0,$(ONCE)),--once) $(if $(BREAK),--break "$(BREAK)")

# With a bench beside them the programs have the same features of libraries as the tests, so that aws-sdk-ec2 is compiled once.
demo-binary: fresh
	@if [ ! -e $(CARGO_TARGET_DIR)/debug/zerocloud ]; then \
		echo "Building zerocloud. The first build compiles aws-sdk-ec2: about 10 minutes on two cores."; fi
	cargo build --workspace --locked --bin zerocloud --bin github-double --bench inside

# Outside the clone too, and made anew only when the list of packages changes.
define make_venv
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "This needs Python 3.11 or later: install it, or say where it is with PYTHON=path." >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: python3-venv)." >&2; exit 1; fi
	@if ! cmp -s $(2) $(1)/requirements.txt; then \
		echo "Installing what $(2) names into $(1): half a minute to two, by the network."; \
		$(PYTHON) -m venv --clear $(1) && $(1)/bin/pip install -q --disable-pip-version-check -r $(2) \
		&& cp $(2) $(1)/requirements.txt; fi
endef

venv:
	$(call make_venv,$(VENV),demo/requirements.txt)

test-venv:
	$(call make_venv,$(TEST_VENV),tests/requirements.txt)

# What generates calls of the REST API from its description; in a folder of its own, as it brings much along.
schemathesis:
	$(call make_venv,$(GENERATOR),tests/clients/api/requirements.txt)
