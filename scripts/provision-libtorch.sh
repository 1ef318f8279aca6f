#!/usr/bin/env bash
# Puts libtorch into the user's cache, once for all checkouts, and links this
# checkout to it. Does nothing where LIBTORCH is set: that one is used.
#
# libtorch comes out of the torch wheel. --no-deps keeps the CUDA libraries
# (gigabytes) away; of the small packages named here two are what libtorch_cpu
# itself needs to load, and the last is headers for the part that uses a GPU.
# Runs over several processes want headers that no such package has: Debian's.
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
        "torch==$version" "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-cupti==13.0.*" \
        "nvidia-cuda-crt==13.0.*"
    # A directory that another run has put there meanwhile is as good as ours.
    if ! mv -T "$aside/content" "$whole" 2>/dev/null && [ ! -e "$whole/torch/lib/libtorch_cpu.so" ]; then
        echo "error: cannot write $whole; remove what is there and try again" >&2
        exit 1
    fi
    rm -rf "$aside"
fi

# A cache from before has all but the last package. It is small, and the build
# does without it, only without CUDA graphs.
headers="$whole/nvidia/cu13/include"
if [ ! -e "$headers/crt" ]; then
    aside=$(mktemp -d "$cache/.crt-13.0.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    if ! python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target "$aside" --no-deps "nvidia-cuda-crt==13.0.*" ||
        ! mv -T "$aside/nvidia/cu13/include/crt" "$headers/crt" 2>/dev/null && [ ! -e "$headers/crt" ]; then
        echo "note: the package nvidia-cuda-crt cannot be had; this build will have no CUDA graphs" >&2
    fi
    rm -rf "$aside"
fi

# Unpacked, not installed, so that it wants no root; where this machine has no
# package lists, by lists of its own.
fetch_gloo() {
    cd "$aside" || return
    if ! apt-get -qq download libgloo-dev 2>/dev/null; then
        mkdir -p lists/partial archives/partial
        set -- -qq -o Dir::State::lists="$aside/lists" -o Dir::Cache="$aside"
        apt-get "$@" update 2>/dev/null && apt-get "$@" download libgloo-dev 2>/dev/null || return
    fi
    dpkg-deb -x libgloo-dev_*.deb unpacked && mkdir -p content/include &&
        mv unpacked/usr/include/gloo content/include/
}

if [ ! -e "$whole/gloo" ] && [ ! -e /usr/include/gloo/context.h ]; then
    aside=$(mktemp -d "$cache/.gloo.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    if ! (fetch_gloo) || ! mv -T "$aside/content" "$whole/gloo" 2>/dev/null && [ ! -e "$whole/gloo" ]; then
        echo "note: Debian's package libgloo-dev cannot be had; this build will not run over several processes (with Gloo's headers under /usr/include it will)" >&2
    fi
    rm -rf "$aside"
fi

ln -sfn "$whole/torch" "$checkout/.libtorch"
