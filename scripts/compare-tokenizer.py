#!/usr/bin/env python3
"""Compares the tokenizer that `qinglan model import` makes of a GGUF file with
transformers' reading of the same file, on 1,000 texts of ten kinds.

    scripts/compare-tokenizer.py FILE.gguf IMPORTED_FOLDER

Needs transformers and gguf. Ends with 1 if ids or a decoded text differ."""

import random
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer

EACH = 100
checkout = Path(__file__).resolve().parent.parent


def passages(paths, draw, length):
    """Stretches of the files, cut wherever they fall."""
    whole = [path.read_text() for path in sorted(paths)]
    while True:
        text = draw.choice(whole)
        start = draw.randrange(max(1, len(text) - length))
        yield text[start : start + draw.randrange(1, length)]


def texts(vocabulary, whole):
    """The texts by kind."""
    draw = random.Random(19)
    words = sorted(vocabulary)
    letters = "abcdefghijklmnopqrstuvwxyzäöüßéñçåøœ"
    hanzi = [chr(point) for point in range(0x4E00, 0x9FA5)]
    kana = [chr(point) for point in range(0x3041, 0x30FF)]
    hangul = [chr(point) for point in range(0xAC00, 0xD7A3)]
    signs = [chr(point) for point in [*range(0x1F300, 0x1F650), 0x200D, 0xFE0F, 0x1F3FD, *range(0x2600, 0x2700)]]

    def some(among, most, between=""):
        return between.join(draw.choice(among) for _ in range(draw.randrange(1, most)))

    def number():
        kinds = [str(draw.randrange(10**9)), f"{draw.uniform(-1e6, 1e6):.3f}", f"{draw.random():e}", f"{draw.randrange(10**7):,}"]
        return draw.choice(kinds)

    prose = passages(checkout.glob("*.md"), draw, 400)
    code = passages(checkout.glob("src/**/*.rs"), draw, 400)
    blank = [" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "▁", "▁▁", "x", "word"]
    kinds = {
        "prose": lambda: next(prose),
        "code": lambda: next(code),
        "numbers": lambda: some([number() for _ in range(20)], 20, draw.choice([" ", "+", ", ", "\n"])),
        "spaces": lambda: some(["x", "", " y", "."], 12, " " * draw.randrange(1, 40)),
        "newlines": lambda: some(["x", "", " y", "z "], 12, "\n" * draw.randrange(1, 40)),
        "blanks": lambda: some(blank, 40),
        "signs": lambda: some(signs + [" ", "e\u0301", "ﬁ"], 30),
        "CJK": lambda: some(draw.choice([hanzi, kana, hangul, hanzi + kana + ["。", " ", "a"]]), 60),
        "control tokens": lambda: some(whole + [token[:-1] for token in whole[:9] if len(token) > 1] + [" ", "x", "<"], 12),
        "long words": lambda: some(draw.choice([letters, words, [chr(point) for point in range(1, 0x500)]]), 120),
    }
    for kind, make in kinds.items():
        for _ in range(EACH):
            yield kind, make()


file, folder = Path(sys.argv[1]), Path(sys.argv[2])
theirs = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
whole = sorted(theirs.get_added_vocab())
different = {}
count = 0
for kind, text in texts(theirs.get_vocab(), whole):
    count += 1
    expected = theirs(text)["input_ids"]
    ids = ours.encode(text).ids
    decoded = ours.decode(ids, skip_special_tokens=False) == theirs.decode(expected, clean_up_tokenization_spaces=False)
    if ids != expected or not decoded:
        different.setdefault(kind, []).append((text, ids, expected))
for kind, cases in different.items():
    text, ids, expected = min(cases, key=lambda case: len(case[0]))
    print(f"{kind}: {len(cases)} of {EACH} differ, the shortest {text!r}: {ids}, transformers {expected}")
print(f"{count} texts, {sum(map(len, different.values()))} differ")
sys.exit(bool(different))
