#!/usr/bin/env python3
"""Puts the lab's judge of answers and math-verify to the same answers.

    cargo build -p rewards --example judge
    scripts/compare-math-verify.py target/debug/examples/judge > table.md

The pairs are made here, from a fixed seed, in kinds as data sets of problems have
them; each pair's truth follows from how it was made, and is neither judge's. The
200 pairs of rewards/tests/data/answer-pairs.tsv, whose truth was judged by hand, are
added. Ends with status 1 where the lab takes a wrong answer for right. Needs
Python with `pip install math-verify`.

`--differences FILE` writes every pair on which a judge errs, one JSON object a
line.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from math_verify import ExprExtractionConfig, LatexExtractionConfig, StringExtractionConfig
from math_verify import parse, verify

SEED = 20261130
# Right and wrong ones of each kind.
EACH = 40
PAIRS = Path(__file__).resolve().parent.parent / "rewards/tests/data/answer-pairs.tsv"

# How a completion may announce an answer; `{}` stands for it.
PLAIN = [
    "Answer: {}",
    "**Answer:** {}",
    "The answer is {}.",
    "<think> Let me see. </think> Final answer: {}",
    "I add them up.\n#### {}",
    "So it is \\boxed{{{}}}.",
]
LATEX = [
    "So it is $\\boxed{{{}}}$.",
    "Answer: ${}$",
    "The answer is ${}$.",
    "**Final answer:** $\\boxed{{{}}}$",
    "<think> hm </think> We find\n\\[ \\boxed{{{}}} \\]",
]


class Kind:
    """Pairs of one kind: (expected, completion, whether it is right, its form)."""

    def __init__(self, name, judge="same"):
        self.name = name
        self.judge = judge
        self.pairs = []

    def add(self, expected, completion, right, form):
        self.pairs.append((expected, completion, right, form))


def grouped(number):
    return f"{number:,}"


def plain(rng, answer):
    return rng.choice(PLAIN).format(answer)


def latex(rng, answer):
    return rng.choice(LATEX).format(answer)


def near(rng, number):
    """Another whole number that a slip would give."""
    others = {number + 1, number - 1, number * 10, -number, number + 10, number * 2}
    others |= {int(str(abs(number))[::-1]), number // 10}
    return rng.choice(sorted(others - {number}))


def gsm8k(rng):
    kind = Kind("GSM8K: worked, `####`")
    for _ in range(EACH):
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        expected = f"She makes {a} * {b} = <<{a}*{b}={a * b}>>{a * b} dollars.\n#### {grouped(a * b)}"
        for right in (True, False):
            n = a * b if right else near(rng, a * b)
            form, text = rng.choice(
                [
                    ("####", f"{a} times {b} is {n}.\n#### {grouped(n)}"),
                    ("sentence", f"Each costs {b}. She makes {a} * {b} = ${grouped(n)} a day."),
                    ("marked", plain(rng, n)),
                    ("dollars", plain(rng, f"${grouped(n)}")),
                    ("boxed", f"So she makes $\\boxed{{{n}}}$ dollars."),
                    ("decimals", plain(rng, f"${n}.00")),
                ]
            )
            kind.add(expected, text, right, form)
    return kind


def fractions(rng):
    kind = Kind("fractions")
    for _ in range(EACH):
        a, b = rng.randint(1, 30), rng.randint(2, 30)
        value = Fraction(a, b)
        expected = f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
        for right in (True, False):
            p, q = (a, b) if right else rng.choice([(b, a), (a + 1, b), (a, b + 1), (-a, b)])
            if not right and Fraction(p, q) == value:
                p += 1
            form, text = rng.choice(
                [
                    ("a/b", plain(rng, f"{p}/{q}")),
                    ("\\frac", latex(rng, f"\\frac{{{p}}}{{{q}}}")),
                    ("\\dfrac", latex(rng, f"\\dfrac{{{p}}}{{{q}}}")),
                    ("-\\frac" if p < 0 else "\\tfrac", latex(rng, f"\\tfrac{{{p}}}{{{q}}}")),
                ]
            )
            kind.add(expected, text, right, form)
    return kind


def mixed(rng):
    kind = Kind("mixed numbers")
    for _ in range(EACH):
        whole, q = rng.randint(1, 9), rng.randint(2, 9)
        p = rng.randint(1, q - 1)
        value = whole + Fraction(p, q)
        expected = f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
        for right in (True, False):
            w, n = (whole, p) if right else rng.choice([(whole + 1, p), (p, whole * q + 1)])
            form, text = rng.choice(
                [
                    ("1 1/2", plain(rng, f"{w} {n}/{q}")),
                    ("1\\frac{1}{2}", latex(rng, f"{w}\\frac{{{n}}}{{{q}}}")),
                    ("1 \\frac{1}{2}", latex(rng, f"{w} \\frac{{{n}}}{{{q}}}")),
                ]
            )
            kind.add(expected, text, right and w + Fraction(n, q) == value, form)
    return kind


def decimals(rng):
    kind = Kind("decimals")
    for _ in range(EACH):
        cents = rng.randint(1, 9999)
        value = Fraction(cents, 100)
        expected = f"{cents // 100}.{cents % 100:02}"
        forms = [
            ("more zeros", f"{expected}0"),
            ("as expected", expected),
            ("fraction", f"{value.numerator}/{value.denominator}"),
        ]
        if cents < 100:
            forms.append(("no zero before", f".{cents:02}"))
        form, text = rng.choice(forms)
        kind.add(expected, plain(rng, text), True, form)
        form, text = rng.choice(
            [
                ("point moved", f"{cents // 10}.{cents % 10}0"),
                ("last digit", f"{(cents + 1) // 100}.{(cents + 1) % 100:02}"),
                ("further digit", f"{expected}1"),
                ("rounded", f"{expected}49"),
            ]
        )
        kind.add(expected, plain(rng, text), False, form)
    for a, b, text in [(1, 3, "0.33"), (1, 3, "0.3333"), (2, 3, "0.67"), (22, 7, "3.14")]:
        kind.add(f"\\frac{{{a}}}{{{b}}}", plain(rng, text), False, "rounded fraction")
    return kind


def thousands(rng):
    kind = Kind("thousands separators")
    for _ in range(EACH):
        n = rng.randint(1000, 99_999_999)
        commas = grouped(n)
        form, text = rng.choice(
            [
                ("commas", plain(rng, commas)),
                ("none", plain(rng, n)),
                ("{,}", latex(rng, commas.replace(",", "{,}"))),
                ("\\,", latex(rng, commas.replace(",", "\\,"))),
                ("\\!", latex(rng, commas.replace(",", ",\\!"))),
                ("spaces", plain(rng, commas.replace(",", " "))),
            ]
        )
        kind.add(str(n), text, True, form)
        form, text = rng.choice(
            [
                ("other number", plain(rng, grouped(near(rng, n)))),
                ("a group lost", plain(rng, commas.rsplit(",", 1)[0])),
                ("a group more", plain(rng, f"{commas},000")),
                ("two numbers", plain(rng, commas.replace(",", ", ", 1))),
                ("misplaced comma", plain(rng, f"{str(n)[:-2]},{str(n)[-2:]}")),
            ]
        )
        kind.add(str(n), text, False, form)
    return kind


def negatives(rng):
    kind = Kind("negative numbers")
    for _ in range(EACH):
        n = rng.randint(1, 500)
        form, text = rng.choice(
            [
                ("-", plain(rng, f"-{n}")),
                ("the minus sign", plain(rng, f"\u2212{n}")),
                ("$-5$", latex(rng, f"-{n}")),
                ("before the box", f"Thus it is $-\\boxed{{{n}}}$."),
                ("brackets", plain(rng, f"(-{n})")),
            ]
        )
        kind.add(f"-{n}", text, True, form)
        form, text = rng.choice(
            [
                ("no sign", plain(rng, n)),
                ("other number", plain(rng, -near(rng, n) if near(rng, n) > 0 else n)),
                ("two signs", latex(rng, f"-(-{n})")),
                ("plus or minus", latex(rng, f"\\pm {n}")),
                ("a range", plain(rng, f"0-{n}")),
            ]
        )
        if text.endswith(f"-{n}") and form == "other number":
            text = plain(rng, n)
        kind.add(f"-{n}", text, False, form)
    return kind


def percents(rng):
    kind = Kind("percent")
    for _ in range(EACH):
        n = rng.choice([n for n in range(1, 100) if n % 10])
        by_sign = rng.random() < 0.5
        expected = f"{n}\\%" if by_sign else f"0.{n:02}"
        form, text = rng.choice(
            [
                ("%", plain(rng, f"{n}%")),
                ("\\%", latex(rng, f"{n}\\%")),
                ("the word", plain(rng, f"{n} percent")),
                ("decimal", plain(rng, f"0.{n:02}")),
                ("hundredths", plain(rng, f"{n}/100")),
            ]
        )
        kind.add(expected, text, True, form)
        form, text = rng.choice(
            [
                ("other percent", plain(rng, f"{n + 1}%")),
                ("ten times", plain(rng, f"{10 * n}%")),
                ("a hundredth of it", plain(rng, f"0.{n:02}%")),
                ("percent of percent", plain(rng, f"0.00{n:02}")),
                ("other decimal", plain(rng, f"0.{n:02}5")),
            ]
            + ([] if by_sign else [("no sign", plain(rng, n))])
        )
        kind.add(expected, text, False, form)
    return kind


UNITS = [("km", "m", 1000), ("m", "cm", 100), ("kg", "g", 1000), ("hours", "minutes", 60)]


def units(rng):
    kind = Kind("numbers with units")
    for _ in range(EACH):
        n = rng.randint(2, 90)
        unit, small, ratio = rng.choice(UNITS)
        expected = f"{n} {unit}" if unit != "m" else f"{n}\\text{{ m}}"
        form, text = rng.choice(
            [
                ("the same", plain(rng, f"{n} {unit}" if unit != "m" else f"{n} meters")),
                ("\\text", latex(rng, f"{n} \\text{{ {unit}}}")),
                ("no unit", plain(rng, n)),
                ("converted", plain(rng, f"{n * ratio} {small}")),
            ]
        )
        kind.add(expected, text, True, form)
        other = rng.choice([one for one, _, _ in UNITS if one != unit])
        form, text = rng.choice(
            [
                ("other number", plain(rng, f"{n + 1} {unit}")),
                ("other unit", latex(rng, f"{n} \\text{{ {other}}}")),
                ("smaller unit", latex(rng, f"{n} \\text{{ {small}}}")),
                ("squared unit", latex(rng, f"{n} \\text{{ {unit}}}^2")),
                ("per hour", plain(rng, f"{n} {unit} per second")),
            ]
        )
        kind.add(expected, text, False, form)
    return kind


def intervals(rng):
    kind = Kind("intervals")
    for _ in range(EACH):
        a = rng.randint(-20, 20)
        b = a + rng.randint(1, 30)
        left, right = rng.choice("[("), rng.choice(")]")
        expected = f"{left}{a}, {b}{right}"
        form, text = rng.choice(
            [
                ("no room", latex(rng, f"{left}{a},{b}{right}")),
                ("\\left", latex(rng, f"\\left{left}{a}, {b}\\right{right}")),
                ("x in", latex(rng, f"x \\in {left}{a}, {b}{right}")),
                ("decimals", latex(rng, f"{left}{a}.0, {b}{right}")),
            ]
        )
        kind.add(expected, text, True, form)
        other_left, other_right = {"[": "(", "(": "["}[left], {")": "]", "]": ")"}[right]
        form, text = rng.choice(
            [
                ("left bracket", latex(rng, f"{other_left}{a}, {b}{right}")),
                ("right bracket", latex(rng, f"{left}{a}, {b}{other_right}")),
                ("turned round", latex(rng, f"{left}{b}, {a}{right}")),
                ("one end", latex(rng, f"{left}{a}, {b + 1}{right}")),
                ("infinite", latex(rng, f"{left}{a}, \\infty)")),
                ("united", latex(rng, f"{left}{a}, {b}{right} \\cup ({b + 2}, {b + 3})")),
            ]
        )
        kind.add(expected, text, False, form)
    return kind


def sets(rng):
    kind = Kind("sets")
    for _ in range(EACH):
        members = rng.sample(range(-15, 30), rng.randint(2, 4))
        braces = lambda list: "\\{" + ", ".join(map(str, list)) + "\\}"
        expected = braces(members)
        turned = members[1:] + members[:1]
        form, text = rng.choice(
            [
                ("the same", latex(rng, braces(members))),
                ("other order", latex(rng, braces(turned))),
                ("\\left", latex(rng, braces(turned).replace("\\{", "\\left\\{").replace("\\}", "\\right\\}"))),
                ("a member twice", latex(rng, braces(members + members[:1]))),
            ]
        )
        kind.add(expected, text, True, form)
        form, text = rng.choice(
            [
                ("one less", latex(rng, braces(members[1:]))),
                ("one more", latex(rng, braces(members + [31]))),
                ("another", latex(rng, braces(members[1:] + [31]))),
                ("sign", latex(rng, braces(members[1:] + [-members[0] or 32]))),
            ]
        )
        wrong = form != "sign" or members[0] != 0 and -members[0] not in members
        if wrong:
            kind.add(expected, text, False, form)
    return kind


def tuples(rng):
    kind = Kind("pairs and lists in order")
    for _ in range(EACH):
        a, b = rng.sample(range(-20, 40), 2)
        expected = f"({a}, {b})"
        form, text = rng.choice(
            [
                ("no room", latex(rng, f"({a},{b})")),
                ("\\left", latex(rng, f"\\left({a}, {b}\\right)")),
                ("plain", plain(rng, f"({a}, {b})")),
                ("(x, y) =", latex(rng, f"(x, y) = ({a}, {b})")),
            ]
        )
        kind.add(expected, text, True, form)
        form, text = rng.choice(
            [
                ("turned round", latex(rng, f"({b}, {a})")),
                ("one differs", latex(rng, f"({a}, {b + 1})")),
                ("three", latex(rng, f"({a}, {b}, 0)")),
                ("a set", latex(rng, f"\\{{{a}, {b}\\}}")),
                ("an interval", latex(rng, f"[{a}, {b}]")),
            ]
        )
        kind.add(expected, text, False, form)
    return kind


def square_free(n):
    return all(n % (k * k) for k in range(2, n))


def roots(rng):
    kind = Kind("roots")
    for _ in range(EACH):
        r = rng.choice([n for n in range(2, 40) if square_free(n)])
        a = rng.randint(2, 9)
        expected = f"{a}\\sqrt{{{r}}}"
        form, text = rng.choice(
            [
                ("the same", latex(rng, f"{a}\\sqrt{{{r}}}")),
                ("room", latex(rng, f"{a} \\sqrt{{{r}}}")),
                ("\u221a", plain(rng, f"{a}\u221a{r}")),
                ("sqrt()", plain(rng, f"{a}*sqrt({r})")),
                ("\\cdot", latex(rng, f"{a} \\cdot \\sqrt{{{r}}}")),
                ("not simplified", latex(rng, f"\\sqrt{{{a * a * r}}}")),
            ]
        )
        kind.add(expected, text, True, form)
        form, text = rng.choice(
            [
                ("other radicand", latex(rng, f"{a}\\sqrt{{{r + 1}}}")),
                ("other factor", latex(rng, f"{a + 1}\\sqrt{{{r}}}")),
                ("no root", latex(rng, f"{a} \\cdot {r}")),
                ("cube root", latex(rng, f"{a}\\sqrt[3]{{{r}}}")),
                ("decimal", plain(rng, f"{a * r ** 0.5:.2f}")),
                ("plus", latex(rng, f"{a} + \\sqrt{{{r}}}")),
            ]
        )
        kind.add(expected, text, False, form)
    return kind


def powers(rng):
    kind = Kind("powers of ten")
    for _ in range(EACH):
        a, e = rng.randint(2, 9), rng.randint(3, 9)
        expected = f"{a} \\times 10^{{{e}}}"
        form, text = rng.choice(
            [
                ("\\times", latex(rng, f"{a}\\times 10^{{{e}}}")),
                ("\\cdot", latex(rng, f"{a} \\cdot 10^{e}")),
                ("digits", plain(rng, grouped(a * 10**e))),
                ("e", plain(rng, f"{a}e{e}")),
            ]
        )
        kind.add(expected, text, True, form)
        form, text = rng.choice(
            [
                ("exponent", latex(rng, f"{a} \\times 10^{{{e + 1}}}")),
                ("sign of exponent", latex(rng, f"{a} \\times 10^{{-{e}}}")),
                ("factor", latex(rng, f"{a + 1} \\times 10^{{{e}}}")),
                ("digits", plain(rng, grouped(a * 10 ** (e - 1)))),
            ]
        )
        kind.add(expected, text, False, form)
    return kind


def formulas(rng):
    kind = Kind("formulas and equations")
    for _ in range(EACH):
        a, b = rng.sample(range(2, 20), 2)
        expected = rng.choice([f"{a}x + {b}", f"x^2 + {a}x + {b}", f"\\frac{{x + {a}}}{{{b}}}"])
        tight = expected.replace(" + ", "+")
        form, text = rng.choice(
            [
                ("the same", latex(rng, expected)),
                ("no room", latex(rng, tight)),
                ("y =", latex(rng, f"y = {expected}")),
            ]
            + ([("terms in other order", latex(rng, f"{b} + {a}x"))] if expected == f"{a}x + {b}" else [])
        )
        kind.add(expected, text, True, form)
        form, text = rng.choice(
            [
                ("sign", latex(rng, expected.replace(" + ", " - ", 1))),
                ("constant", latex(rng, expected.replace(str(b), str(b + 20)))),
                ("variable", latex(rng, expected.replace("x", "z"))),
                ("a number", latex(rng, a + b)),
            ]
        )
        kind.add(expected, text, False, form)
    return kind


WORDS = ["yes", "no", "true", "false", "Paris", "Monday", "red", "even", "odd", "none", "Alice", "triangle"]


def words(rng):
    kind = Kind("words")
    for _ in range(EACH):
        word, other = rng.sample(WORDS, 2)
        form, text = rng.choice(
            [
                ("case", plain(rng, rng.choice([word.upper(), word.capitalize(), word.lower()]))),
                ("\\text", latex(rng, f"\\text{{{word}}}")),
                ("quotes", plain(rng, f'"{word}"')),
                ("emphasis", plain(rng, f"**{word}**")),
            ]
        )
        kind.add(word, text, True, form)
        form, text = rng.choice(
            [
                ("another", plain(rng, other)),
                ("denied", plain(rng, f"not {word}")),
                ("both", plain(rng, f"{word} or {other}")),
                ("part of a word", plain(rng, f"{word}ish")),
                ("only thought of", f"<think> {word} </think> Answer: {other}"),
            ]
        )
        kind.add(word, text, False, form)
    return kind


def choices(rng):
    kind = Kind("multiple choice", judge="choice")
    texts = {"A": "a town of the north", "B": "Paris", "C": "it is not known", "D": "42 km"}
    for _ in range(EACH):
        right, other = rng.sample("ABCD", 2)
        form, text = rng.choice(
            [
                ("letter", plain(rng, right)),
                ("bracketed", plain(rng, f"({right})")),
                ("with text", f"Answer: {right}) {texts[right]}"),
                ("full stop and text", f"**Answer:** {right}. {texts[right]}"),
                ("\\text", latex(rng, f"\\text{{({right})}}")),
                ("bare", f"<think> {other}? No. </think> {right}"),
            ]
        )
        kind.add(right, text, True, form)
        form, text = rng.choice(
            [
                ("another", plain(rng, other)),
                ("another with text", f"Answer: {other}) {texts[other]}"),
                ("two", plain(rng, f"{right} or {other}")),
                ("a list", plain(rng, f"{right}, {other}")),
                ("denied", plain(rng, f"not {right}")),
                ("only thought of", f"<think> {right} </think> {other}"),
                ("text of another", f"Answer: {texts[other]}"),
                ("two with text", f"Answer: {right}) {texts[right]} or {other}) {texts[other]}"),
            ]
        )
        kind.add(right, text, False, form)
    return kind


def hedged(rng):
    kind = Kind("several numbers, bounds, doubts")
    for _ in range(EACH):
        n = rng.randint(3, 900)
        kind.add(str(n), *rng.choice(
            [
                (f"It is not {n - 1}. The answer is {n}.", True, "another denied before"),
                (f"First I got \\boxed{{{n + 1}}}, which is wrong. So \\boxed{{{n}}}.", True, "corrected"),
                (f"Answer: {n}\n\nI hope this helps!", True, "closing phrase"),
                (f"From {n + 2} I take 2. Answer: {n}", True, "work before"),
            ]
        ))
        kind.add(str(n), *rng.choice(
            [
                (f"Answer: {n} or {n + 1}", False, "or"),
                (f"Answer: between {n} and {n + 2}", False, "between"),
                (f"Answer: at least {n}", False, "at least"),
                (f"Answer: not {n}", False, "not"),
                (f"Answer: {n} million", False, "million"),
                (f"The answer is not {n}.", False, "is not"),
                (f"First I got \\boxed{{{n}}}, which is wrong. So \\boxed{{{n + 1}}}.", False, "corrected away"),
                (f"So it is $\\boxed{{{n}}}$ or $\\boxed{{{n + 1}}}$.", False, "two boxes"),
                (f"<think> {n} </think> I cannot tell.", False, "only thought of"),
                (f"<think> The answer is {n}", False, "never closed"),
                (f"Answer: {n}^2", False, "squared"),
                (f"Answer: {n}x", False, "times x"),
                (f"Answer: {n}!", False, "factorial or exclamation"),
            ]
        ))
    return kind


KINDS = [
    gsm8k, fractions, mixed, decimals, thousands, negatives, percents, units, intervals,
    sets, tuples, roots, powers, formulas, words, choices, hedged,
]


def by_hand():
    kind = Kind("200 pairs judged by hand")
    with PAIRS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    for expected, given, truth, _, reason in rows:
        kind.add(expected, f"So it is $\\boxed{{{given}}}$.", truth == "right", reason or "by hand")
    return kind


def ours(program, kinds):
    """What the lab says of every pair, in their order."""
    lines = [
        json.dumps({"judge": kind.judge, "expected": expected, "completion": completion})
        for kind in kinds
        for expected, completion, _, _ in kind.pairs
    ]
    done = subprocess.run(
        [program], input="\n".join(lines) + "\n", text=True, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(f"{program}: {done.stderr}")
    return [line == "true" for line in done.stdout.splitlines()]


def theirs(judge, expected, completion):
    """What math-verify says, asked as its own documentation does; it is given the
    letters of a multiple choice, and the completion without its reasoning."""
    configs = [LatexExtractionConfig(), ExprExtractionConfig()]
    if judge == "choice":
        configs = [StringExtractionConfig(strings=("A", "B", "C", "D"))]
    gold = expected.rsplit("#### ", 1)[-1]
    wrapped = gold if judge == "choice" else f"${gold}$"
    gold = parse(wrapped, extraction_config=configs)
    after = completion.rsplit("</think>", 1)[-1]
    if "<think>" in after:
        after = ""
    return bool(verify(gold, parse(after, extraction_config=configs)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("judge", help="the example `judge` of the crate rewards")
    arguments.add_argument("--differences", type=Path, help="where every error goes")
    arguments = arguments.parse_args()

    kinds = [make(random.Random(f"{SEED} {make.__name__}")) for make in KINDS]
    kinds.append(by_hand())
    judged = iter(ours(arguments.judge, kinds))
    rows, errors, examples = [], Counter(), {}
    listed = []
    totals = Counter()
    for kind in kinds:
        counts = Counter()
        for expected, completion, right, form in kind.pairs:
            us, them = next(judged), theirs(kind.judge, expected, completion)
            counts["pairs"] += 1
            counts["right"] += right
            counts["agree"] += us == them
            for who, said in (("us", us), ("them", them)):
                counts[f"{who} wrong taken"] += said and not right
                counts[f"{who} right refused"] += right and not said
            if us != right or them != right:
                key = (kind.name, form, right, us, them)
                errors[key] += 1
                examples.setdefault(key, (expected, completion))
                listed.append(
                    {
                        "kind": kind.name,
                        "form": form,
                        "expected": expected,
                        "completion": completion,
                        "right": right,
                        "lab": us,
                        "math_verify": them,
                    }
                )
        rows.append((kind.name, counts))
        totals.update(counts)
    rows.append(("**all**", totals))

    print(f"math-verify {version('math-verify')}, {totals['pairs']} pairs, seed {SEED}\n")
    print("| kind | pairs (right) | the two agree | lab: wrong taken, right refused "
          "| math-verify: wrong taken, right refused |")
    print("|---|---|---|---|---|")
    for name, c in rows:
        print(
            f"| {name} | {c['pairs']} ({c['right']}) | {c['agree']} "
            f"| {c['us wrong taken']}, {c['us right refused']} "
            f"| {c['them wrong taken']}, {c['them right refused']} |"
        )
    word = {True: "right", False: "wrong"}
    print("\n| kind | form | truth | lab | math-verify | pairs | an example |")
    print("|---|---|---|---|---|---|---|")
    for key, count in sorted(errors.items(), key=lambda one: (one[0][0], -one[1], one[0][1])):
        name, form, right, us, them = key
        expected, completion = examples[key]
        shown = json.dumps([expected.rsplit("#### ", 1)[-1], completion], ensure_ascii=False)
        shown = shown.replace("|", "\\|").replace("`", "'")
        form = form.replace("|", "\\|")
        print(f"| {name} | {form} | {word[right]} | {word[us]} | {word[them]} | {count} | `{shown}` |")
    if arguments.differences:
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in listed]
        arguments.differences.write_text("".join(lines), encoding="utf-8")
    if totals["us wrong taken"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
