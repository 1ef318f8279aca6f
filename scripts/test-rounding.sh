#!/usr/bin/env bash
# The tests that train or sample, under other processors' rounding:
#   scripts/test-rounding.sh            each variant in turn
#   scripts/test-rounding.sh 1          a variant by its number, from 0
#   scripts/test-rounding.sh by-commit  one, another from commit to commit
# Sums of floating-point numbers round by the order in which they are taken, and
# that goes by the instructions of the machine: a test that passes on one alone
# rests on what a tiny model happens to write there.
set -euo pipefail
cd "$(dirname "$0")/.."

# libtorch's own loops, its products, and the lab's kernels (QINGLAN_CPU).
variants=(
  ATEN_CPU_CAPABILITY=default
  ATEN_CPU_CAPABILITY=avx2
  MKL_CBWR=COMPATIBLE
  QINGLAN_CPU=avx2
  QINGLAN_CPU=portable
)

# Target, then the modules of its tests that train or sample.
# The whole workspace is named each time, so that nothing is compiled again after
# `make test`: what is selected decides which features its dependencies have.
suites=(
  "--lib|cpu:: layers:: scores:: attention:: network:: generation:: training:: formats:: conformance::"
  "--test lab|between:: bits:: command_line:: compare:: demonstrations:: distributed:: formats:: metrics:: micro_batches:: models:: rewards:: run:: sampler:: sweep::"
)

run_suite() {
  local target=$1 filter output run
  shift
  # A name that matches nothing would pass unseen.
  for filter in "$@"; do
    # shellcheck disable=SC2086 # The target is several words.
    output=$(cargo test --workspace --quiet --locked $target -- --list "$filter")
    if ! grep -q ': test$' <<<"$output"; then
      echo "test-rounding: no test of $target is called $filter: mend the list in $0" >&2
      return 1
    fi
  done
  output=$(mktemp)
  # shellcheck disable=SC2086
  if ! cargo test --workspace --locked $target -- "$@" 2>&1 | tee "$output"; then
    rm "$output"
    return 1
  fi
  run=$(awk '/^test result: ok\. / { passed += $4 } END { print passed + 0 }' "$output")
  rm "$output"
  if [ "$run" -eq 0 ]; then
    echo "test-rounding: $target ran no test" >&2
    return 1
  fi
  echo "test-rounding: $run tests of $target passed"
}

run_variant() {
  local variant=$1 suite names
  # A machine without AVX2 has its own kernels tested by the other value.
  if [ "$variant" = QINGLAN_CPU=avx2 ] && ! grep -qw avx2 /proc/cpuinfo; then
    echo "test-rounding: skipped $variant, which this processor has not"
    return 0
  fi
  echo "test-rounding: $variant"
  for suite in "${suites[@]}"; do
    read -ra names <<<"${suite#*|}"
    (
      export "${variant?}"
      run_suite "${suite%%|*}" "${names[@]}"
    )
  done
}

case "${1:-all}" in
all) chosen=("${!variants[@]}") ;;
by-commit)
  commit=$(git rev-parse HEAD 2>/dev/null || date +%F | sha1sum)
  chosen=($((16#${commit:0:6} % ${#variants[@]})))
  ;;
*) chosen=("$1") ;;
esac
for number in "${chosen[@]}"; do
  if [ -z "${variants[$number]:-}" ]; then
    echo "test-rounding: there is no variant $number; there are 0 to $((${#variants[@]} - 1))" >&2
    exit 2
  fi
  run_variant "${variants[$number]}"
done
