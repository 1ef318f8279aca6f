#!/usr/bin/env bash
# Kills small paired runs at random moments, ROUNDS times (30 where it is not
# said; a thousand take a night), changes their files and those of the cache,
# a fifth as often, fills their disk and limits their files again and again,
# and compares what they end with to an undisturbed run.
# The full disk needs the right to mount one; without it that part says so.
#
#   scripts/kill-test.sh [ROUNDS] [TEST]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/provision-libtorch.sh
export QINGLAN_ROUNDS="${1:-30}"
exec cargo test --locked --test lab "safety::${2:-}" -- --ignored --nocapture --test-threads 1
