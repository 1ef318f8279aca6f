# Every target provides libtorch for itself; see scripts/provision-libtorch.sh.

QUICKSTART := experiments/definitions/quickstart.toml

.PHONY: help build quickstart readme smollm2 gemma3 test test-distributed test-rounding check bench-peers gpu-check libtorch

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

quickstart: build ## run the main experiment, print its table and write its report
	target/release/qinglan run $(QUICKSTART) --out runs/quickstart --resume

readme: ## write README.md's results again from the recorded result that it shows
	@scripts/record-result.py --readme $(RESULT)

smollm2: build ## bring SmolLM2-135M-Instruct into the cache of models
	@scripts/fetch-model.sh smollm2

gemma3: build ## bring Gemma 3 270M into the cache of models, under Gemma's terms of use
	@scripts/fetch-model.sh gemma3

bench-peers: smollm2 ## time this lab beside its peers and write docs/PERFORMANCE.md's table
	@scripts/bench-peers.py

gpu-check: ## on a machine with a GPU: conformance, benches and a short run, recorded
	@scripts/gpu-check.sh $(GPU_CHECK)

build: libtorch ## the release binary, target/release/qinglan
	cargo build --release --locked

test: libtorch ## all tests
	cargo test --workspace --locked

test-distributed: libtorch ## the tests that start several processes of one run
	cargo test --locked -p torch-ext distributed
	cargo test --locked --test lab distributed

test-rounding: libtorch ## the tests that train or sample, under other processors' rounding
	@scripts/test-rounding.sh $(VARIANT)

check: libtorch ## format, lints and docs, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

libtorch: ## libtorch in the user's cache, linked from this checkout
	@scripts/provision-libtorch.sh
