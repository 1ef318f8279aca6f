#!/usr/bin/env bash
# Kills a small paired run thirty times at random moments, fills its disk again
# and again, and holds what it ends with to an undisturbed run. Takes minutes.
# The full disk needs the right to mount one; without it that half says so.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/provision-libtorch.sh
exec cargo test --locked --test lab safety -- --ignored --nocapture --test-threads 1
