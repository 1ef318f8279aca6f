#!/usr/bin/env bash
# What a machine with a GPU says of this project: conformance on CUDA, the
# benches, a short paired run. Needs PyTorch 2.11 in python3 and no Rust; the
# binary is built elsewhere. Writes a dated record.
#
#   scripts/gpu-check.sh [--binary FILE] [--fixtures DIR] [--model DIR|GGUF] [--out DIR]
#
# --fixtures: model folders with expected.json; without it conformance is left
# out. --model: what the benches sample from and the paired run starts from;
# without it both are left out. What is left out is said in the record.
set -uo pipefail

binary=target/release/qinglan
fixtures=""
model=""
out="docs/results/$(date +%F)-gpu-check"
while [ $# -gt 0 ]; do
    case "$1" in
        --binary) binary=$2 ;;
        --fixtures) fixtures=$2 ;;
        --model) model=$2 ;;
        --out) out=$2 ;;
        *) echo "error: $1 is not an option; see the head of this script" >&2; exit 2 ;;
    esac
    shift 2 || { echo "error: an option has no value" >&2; exit 2; }
done

# Only PyTorch's own folder is named. Its libraries say where NVIDIA's are, and
# a program's own idea of where libtorch lies comes after LD_LIBRARY_PATH.
torch=$(python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")')
if [ ! -e "$torch/lib/libtorch_cuda.so" ]; then
    echo "error: python3 finds no PyTorch with CUDA (${torch:-no torch package})" >&2
    exit 2
fi
export LD_LIBRARY_PATH="$torch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

mkdir -p "$out"
record="$out/record.md"
failed=0

# What was printed, without the folders of this machine.
bare() {
    local given
    given=$(realpath -q "${fixtures:-.}")
    sed -e "s#${given:-$PWD}/##g" -e "s#$torch#PYTORCH#g" -e "s#$PWD#.#g" -e "s#$HOME#~#g"
}

# Writes a command and what it printed into the record.
step() {
    local title=$1
    shift
    echo "== $title" >&2
    printf '\n## %s\n\n```text\n' "$title" >> "$record"
    local begun=$SECONDS status=0
    "$@" > "$out/.step" 2> "$out/.step.err" || status=$?
    bare < "$out/.step" >> "$record"
    if [ $status -ne 0 ]; then
        failed=$((failed + 1))
        tail -n 40 "$out/.step.err" | bare >> "$record"
    fi
    printf '```\n\nExit code %d after %d s.\n' "$status" "$((SECONDS - begun))" >> "$record"
    rm -f "$out/.step" "$out/.step.err"
}

left_out() {
    printf '\n## %s\n\nLeft out: %s.\n' "$1" "$2" >> "$record"
}

{
    echo "# GPU check, $(date +%F)"
    echo
    echo "Written by \`scripts/gpu-check.sh\`; nothing in it is typed in."
    echo
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null |
        sed 's/^/GPU: /'
    python3 -c 'import torch; print("PyTorch", torch.__version__)'
} > "$record"

step "The machine" "$binary" doctor
if [ -n "$fixtures" ]; then
    step "Conformance on CUDA" "$binary" conformance logits "$fixtures" --device cuda
else
    left_out "Conformance on CUDA" "no fixtures were given"
fi
if [ -n "$model" ]; then
    rollout=("$binary" bench rollout --model "$model" --device cuda --json --repeats 3)
    for batch in 1 32 256; do
        step "Rollouts, batch $batch" "${rollout[@]}" --batch $batch --new-tokens 64
    done
    step "Rollouts, batch 32, no CUDA graphs" "${rollout[@]}" --batch 32 --new-tokens 64 --without cuda-graphs
    step "Rollouts, batch 32, no flash attention" \
        "${rollout[@]}" --batch 32 --new-tokens 64 --without flash-attention
    step "Rollouts, batch 32, float32" "${rollout[@]}" --batch 32 --new-tokens 64 --dtype float32
    step "Rollouts, 256 of 8 to 512 tokens" "${rollout[@]}" --batch 256 --new-tokens 512 --mixed
    run=$(mktemp -d)
    step "A short paired run" "$binary" run experiments/definitions/smollm2.toml --device cuda \
        --out "$run/smollm2" --set "base.model=\"$(realpath "$model")\"" ${GPU_CHECK_SETTINGS:-}
    cp "$run/smollm2/report.html" "$run/smollm2/manifest.json" "$out/" 2>/dev/null
    rm -rf "$run"
else
    left_out "Rollouts and a short paired run" "no model was given"
fi

echo "$record" >&2
if [ $failed -gt 0 ]; then
    echo "$failed steps failed; the record says how" >&2
    exit 1
fi
