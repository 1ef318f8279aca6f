#!/usr/bin/env python3
"""Writes tests/data/gguf: blocks of each format of GGUF and their numbers as the package gguf
dequantises them (blocks.json), and ids of texts in a small vocabulary as transformers reads it
from a file (ids.json). Needs gguf 0.19 and transformers 5.23."""

import json
import tempfile
from pathlib import Path

import numpy
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import dequantize
from transformers import AutoTokenizer

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

CONTROL, USER, NORMAL, BYTE = TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.NORMAL, TokenType.BYTE
PIECES = ["er", "lo", "▁lo", "low", "▁low", "ow", "▁▁x", "12", "123", "3.", "你好", "xx", "xxxx", "xxx", "▁l", "est", "st"]
VOCABULARY = [
    *[(token, CONTROL) for token in ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]],
    ("[multimodal]", USER),
    ("<start_of_turn>", CONTROL),
    *[("\n" * length, USER) for length in range(1, 6)],
    # llama.cpp stores runs of spaces as such.
    *[(" " * length, USER) for length in range(2, 9)],
    ("<b>", USER),
    *[(f"<0x{byte:02X}>", BYTE) for byte in range(256)],
    *[(piece, NORMAL) for piece in PIECES],
    *[(letter, NORMAL) for letter in "▁elowrstx123.你好<>b/a"],
]
TEXTS = [
    *["", "low", " low", "lower  lowest", "slow\nlow", "x  x", "xxxxxxxxxxx", "   xx xxx", "123.123 3.12", "low. Low"],
    *[" " * length for length in (1, 2, 7, 8, 9, 17, 40)],
    *["\n" * length for length in (1, 2, 5, 6, 13)],
    *["x\n\n  low\n \nx", "▁low", "▁▁", "▁▁ ▁x", "\t\tlow", "low\r\n", "\u00a0low", "a\u200bb"],
    *["你好", "你 好吗", "naïve é", "e\u0301", "😀", "👩‍💻low", "\x00", "ﬁ"],
    *["<bos>low<eos>", "<start_of_turn>low\n", "< bos>", "<bos", "<b>low</b>", "[multimodal]", "<0x41>", "<mask><pad> x"],
    *["lowlowlow" * 9, "er" * 30, "x" * 70, "12" * 40],
]


def ids(architecture):
    """The texts' ids in that vocabulary as a file of that architecture."""
    # -1000 for what is not learnt, as in files there are; the others in no order, as Gemma's merges go by place.
    scores = [-1000.0 if kind != NORMAL else -float(at * 37 % 101) for at, (_, kind) in enumerate(VOCABULARY)]
    with tempfile.TemporaryDirectory() as folder:
        writer = GGUFWriter(Path(folder) / "small.gguf", architecture)
        writer.add_tokenizer_model("llama")
        writer.add_token_list([token for token, _ in VOCABULARY])
        writer.add_token_scores(scores)
        writer.add_token_types([kind for _, kind in VOCABULARY])
        writer.add_bos_token_id(2)
        writer.add_eos_token_id(1)
        writer.add_unk_token_id(3)
        writer.add_pad_token_id(0)
        writer.add_add_space_prefix(False)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="small.gguf")
    rows = [(text, tokenizer(text)["input_ids"]) for text in TEXTS]
    return {
        "tokens": [token for token, _ in VOCABULARY],
        "scores": scores,
        "types": [int(kind) for _, kind in VOCABULARY],
        "texts": [{"text": text, "ids": ids, "decoded": tokenizer.decode(ids)} for text, ids in rows],
    }


folder = Path(__file__).resolve().parent.parent / "tests/data/gguf"
folder.mkdir(exist_ok=True)
(folder / "blocks.json").write_text(json.dumps(made, indent=1) + "\n")
(folder / "ids.json").write_text(json.dumps(ids("gemma3"), ensure_ascii=False) + "\n")
