# The build folder stands outside the clone, so that a fresh clone finds the compiled dependencies again.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/zerocloud/target

.PHONY: build test lint
build:
	cargo build --workspace

# Every test: Rust, and the access rules on otto, the JavaScript engine of Sync Gateway itself.
test:
	cargo test --workspace --locked
	if [ -d sync-gateway/tests/otto ]; then cd sync-gateway/tests/otto && go test ./...; fi

lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
