# The build folder stands outside the clone, so that a fresh clone finds the compiled dependencies again.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/zerocloud/target

# Cargo judges by the age of files. When another checkout used this folder last, ours may be older than what it built.
LAST := $(CARGO_TARGET_DIR)/checkout
.PHONY: build test lint fresh
fresh:
	@mkdir -p $(CARGO_TARGET_DIR)
	@if [ "$$(cat $(LAST) 2>/dev/null)" != "$(CURDIR)" ]; then git ls-files -z | xargs -0 touch -c; echo "$(CURDIR)" > $(LAST); fi

build: fresh
	cargo build --workspace

# Every test: Rust, and the access rules on otto, the JavaScript engine of Sync Gateway itself.
test: fresh
	cargo test --workspace --locked
	if [ -d sync-gateway/tests/otto ]; then cd sync-gateway/tests/otto && go test ./...; fi

lint: fresh
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
