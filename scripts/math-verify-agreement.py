#!/usr/bin/env python3
"""Prints how far `correct` and math-verify agree on the answer pairs.

The pairs and what `correct` says of each stand in
rewards/tests/data/answer-pairs.tsv; `cargo test -p rewards` holds `correct` to
them. Needs Python with `pip install math-verify`.
"""

import csv
from importlib.metadata import version
from pathlib import Path

from math_verify import parse, verify

PAIRS = Path(__file__).resolve().parent.parent / "rewards/tests/data/answer-pairs.tsv"


def judge(expected: str, given: str) -> str:
    """What math-verify says, asked as its own documentation does."""
    gold = parse(f"${expected}$")
    answer = parse(f"\\boxed{{{given}}}")
    return "right" if verify(gold, answer) else "wrong"


def main() -> None:
    with PAIRS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    agreed = ours_true = theirs_true = 0
    print("expected | given | truth | correct | math-verify")
    for expected, given, truth, ours, _ in rows:
        theirs = judge(expected, given)
        agreed += ours == theirs
        ours_true += ours == truth
        theirs_true += theirs == truth
        if ours != theirs:
            print(f"{expected} | {given} | {truth} | {ours} | {theirs}")
    count = len(rows)
    print(f"math-verify {version('math-verify')}: agreement {agreed}/{count}")
    print(f"as the truth is: correct {ours_true}/{count}, math-verify {theirs_true}/{count}")


if __name__ == "__main__":
    main()
