#!/usr/bin/env bash
# What a machine with a GPU says of this project: conformance on CUDA, the
# benches, a short paired run. Needs PyTorch 2.11 in python3 and no Rust; the
# binary is built elsewhere. Writes a dated record.
#
#   scripts/gpu-check.sh [--binary FILE] [--fixtures DIR] [--model DIR|GGUF] [--out DIR]
#
# --fixtures: more model folders with expected.json, beside the small ones of the
# project. --model: what the benches sample from and the paired run starts from;
# without it both are left out. What is left out is said in the record.
set -uo pipefail

binary=target/release/qinglan
fixtures=""
model=""
out="docs/results/$(date +%F)-gpu-check"
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { echo "error: $1 has no value" >&2; exit 2; }
    case "$1" in
        --binary) binary=$2 ;;
        --fixtures) fixtures=$2 ;;
        --model) model=$2 ;;
        --out) out=$2 ;;
        *) echo "error: $1 is not an option; see the head of this script" >&2; exit 2 ;;
    esac
    shift 2
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
    sed -e "s#${given:-$PWD}/##g" -e "s#${architectures:-/nowhere}/##g" -e "s#$torch#PYTORCH#g" -e "s#${run:-/nowhere}#RUN#g" -e "s#$PWD#.#g" -e "s#$HOME#~#g"
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
# The project's own models of every architecture, which share a tokenizer.
architectures=$(mktemp -d)
for folder in tests/data/architectures/*/; do
    mkdir -p "$architectures/$(basename "$folder")"
    cp "$folder"/* tests/data/demonstrations/model/* "$architectures/$(basename "$folder")"
done
step "Every architecture on CUDA" "$binary" conformance logits "$architectures" --device cuda
rm -rf "$architectures"
if [ -n "$fixtures" ]; then
    step "Conformance on CUDA" "$binary" conformance logits "$fixtures" --device cuda
else
    left_out "Conformance of larger models on CUDA" "no fixtures were given"
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
    for what in grpo sft; do
        at=(--model "$model" --device cuda --json --steps 3)
        step "$what updates" "$binary" bench $what "${at[@]}" --micro-batch-tokens 16384
        step "$what updates, layers computed twice" \
            "$binary" bench $what "${at[@]}" --micro-batch-tokens 16384 --gradient-checkpointing
        step "$what updates, float32" "$binary" bench $what "${at[@]}" --micro-batch-tokens 16384 --dtype float32
    done
    run=$(mktemp -d)
    # Under a name of its own, so that no path of this machine enters a manifest.
    models="${XDG_CACHE_HOME:-$HOME/.cache}/qinglan/models"
    name=gpu-check
    case "$model" in *.gguf) name=gpu-check.gguf ;; esac
    mkdir -p "$models"
    ln -sfn "$(realpath "$model")" "$models/$name"
    if python3 -c 'import transformers' 2>/dev/null; then
        "$binary" model export "$model" "$run/folder" > /dev/null 2>&1
        step "transformers' generate on this GPU, batch 32" python3 -c '
import json, sys, time, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, batch, tokens = sys.argv[1], 32, 64
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).cuda()
chat = [{"role": "user", "content": "What is 17 + 25? Think step by step."}]
text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
x = tokenizer([text] * batch, return_tensors="pt").to("cuda")
with torch.inference_mode():
    model.generate(**x, max_new_tokens=4, min_new_tokens=4)
    rates = []
    for _ in range(3):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        model.generate(**x, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=True)
        torch.cuda.synchronize()
        rates.append(round(batch * tokens / (time.perf_counter() - begun), 1))
print(json.dumps({"peer": "transformers", "dtype": "bfloat16", "batch": batch, "new_tokens": tokens,
                  "tokens_per_second": sorted(rates)[1]}))' "$run/folder"
    else
        left_out "transformers' generate" "python3 has no transformers"
    fi
    step "A short paired run" "$binary" run experiments/definitions/smollm2.toml --device cuda \
        --out "$run/smollm2" --set "base.model=\"$name\"" ${GPU_CHECK_SETTINGS:-}
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
