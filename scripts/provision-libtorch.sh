#!/usr/bin/env bash
# Puts libtorch into the user's cache, once for all checkouts, and links this
# checkout to it. Does nothing where LIBTORCH is set: that one is used.
#
# libtorch comes out of the torch wheel. --no-deps keeps the CUDA libraries
# (gigabytes) away; the two small packages named here are the ones that
# libtorch_cpu itself needs to load.
set -euo pipefail

version=2.11.0
checkout=$(cd "$(dirname "$0")/.." && pwd)

if [ -n "${LIBTORCH:-}" ]; then
    if [ ! -e "$LIBTORCH/lib/libtorch_cpu.so" ]; then
        echo "error: LIBTORCH=$LIBTORCH holds no lib/libtorch_cpu.so; unset it, or point it at a libtorch $version" >&2
        exit 2
    fi
    exit 0
fi

if [ -z "${XDG_CACHE_HOME:-}" ] && [ -z "${HOME:-}" ]; then
    echo "error: neither XDG_CACHE_HOME nor HOME is set; set one of them, or LIBTORCH" >&2
    exit 2
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/qinglan"
whole="$cache/libtorch-$version"

if [ ! -e "$whole/torch/lib/libtorch_cpu.so" ]; then
    mkdir -p "$cache"
    aside=$(mktemp -d "$cache/.libtorch-$version.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    echo "fetching libtorch $version into $whole (about 1.2 GB, once)" >&2
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target "$aside/content" --no-deps \
        "torch==$version" "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-cupti==13.0.*"
    # A directory that another run has put there meanwhile is as good as ours.
    if ! mv -T "$aside/content" "$whole" 2>/dev/null && [ ! -e "$whole/torch/lib/libtorch_cpu.so" ]; then
        echo "error: cannot write $whole; remove what is there and try again" >&2
        exit 1
    fi
fi

ln -sfn "$whole/torch" "$checkout/.libtorch"
