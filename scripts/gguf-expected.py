#!/usr/bin/env python3
"""Writes tests/data/gguf/blocks.json: blocks of each quantised format of GGUF,
and their numbers as the package gguf dequantises them. Needs gguf 0.19."""

import json
from pathlib import Path

import numpy
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

FORMATS = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
FORMATS += ["IQ4_NL", "IQ4_XS"]


def blocks(kind):
    """Random blocks whose numbers are finite, and those numbers."""
    numbers, size = GGML_QUANT_SIZES[kind]
    draw = numpy.random.default_rng(kind.value)
    while True:
        data = draw.integers(0, 256, size * max(2, 32 // numbers), dtype=numpy.uint8)
        with numpy.errstate(all="ignore"):
            values = dequantize(data, kind)
        if numpy.isfinite(values).all():
            return data, values.astype(numpy.float32)


made = {}
for name in FORMATS:
    data, values = blocks(GGMLQuantizationType[name])
    # The numbers' bits, big-endian, so that they read as they are written.
    made[name] = {"blocks": data.tobytes().hex(), "numbers": values.astype(">f4").tobytes().hex()}
target = Path(__file__).resolve().parent.parent / "tests/data/gguf/blocks.json"
target.parent.mkdir(exist_ok=True)
target.write_text(json.dumps(made, indent=1) + "\n")
