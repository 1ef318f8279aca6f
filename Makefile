# Every target provides libtorch for itself; see scripts/provision-libtorch.sh.

QUICKSTART := experiments/definitions/quickstart.toml

.PHONY: help build quickstart test check libtorch

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

quickstart: build ## run the main experiment, print its table and write its report
	target/release/qinglan run $(QUICKSTART) --out runs/quickstart --resume

build: libtorch ## the release binary, target/release/qinglan
	cargo build --release --locked

test: libtorch ## all tests
	cargo test --workspace --locked

check: libtorch ## format, lints and docs, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

libtorch: ## libtorch in the user's cache, linked from this checkout
	@scripts/provision-libtorch.sh
