#!/usr/bin/env python3
"""Writes experiments/data/word-problems.jsonl: short word problems with their solutions.

    scripts/word-problems.py

Each row has the form of GSM8K: `question`, and `answer` with the work and, after `####`, the
result. `steps` is the number of operations. The same file comes out every time.
"""

import json
import random
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "experiments" / "data" / "word-problems.jsonl"
COUNT = 240

NAMES = ["Ada", "Bo", "Cleo", "Dario", "Edith", "Farid", "Greta", "Hugo", "Ines", "Jun", "Kofi", "Lena"]
THINGS = ["apples", "stamps", "marbles", "pencils", "shells", "cards", "buttons", "plums", "beads", "tickets"]
PLACES = ["jar", "box", "drawer", "basket", "tray", "bag"]


def gain(r):
    name, thing = r.choice(NAMES), r.choice(THINGS)
    a, b = r.randint(3, 40), r.randint(2, 30)
    return (
        f"{name} has {a} {thing} and finds {b} more. How many {thing} does {name} have now?",
        [f"{a} + {b} = {a + b}"],
        a + b,
    )


def loss(r):
    name, thing = r.choice(NAMES), r.choice(THINGS)
    a = r.randint(12, 60)
    b = r.randint(2, a - 1)
    return (
        f"Of {a} {thing}, {name} gives away {b}. How many {thing} are left?",
        [f"{a} - {b} = {a - b}"],
        a - b,
    )


def rows(r):
    thing, place = r.choice(THINGS), r.choice(PLACES)
    a, b = r.randint(2, 9), r.randint(3, 12)
    return (
        f"There are {b} {thing} in every {place}. How many {thing} are in {a} of them?",
        [f"{a} * {b} = {a * b}"],
        a * b,
    )


def share(r):
    name, thing = r.choice(NAMES), r.choice(THINGS)
    a, b = r.randint(2, 8), r.randint(3, 12)
    return (
        f"{name} shares {a * b} {thing} equally among {a} friends. How many {thing} does each friend get?",
        [f"{a * b} / {a} = {b}"],
        b,
    )


def buy(r):
    name, thing = r.choice(NAMES), r.choice(THINGS)
    a, b, c = r.randint(2, 9), r.randint(2, 9), r.randint(1, 20)
    return (
        f"{name} buys {a} {thing} at {b} coins each and has {c} coins left. With how many coins did {name} come?",
        [f"{a} * {b} = {a * b}", f"{a * b} + {c} = {a * b + c}"],
        a * b + c,
    )


def walk(r):
    name = r.choice(NAMES)
    a, b, days = r.randint(2, 9), r.randint(2, 9), r.randint(2, 7)
    return (
        f"{name} walks {a} miles every morning and {b} miles every evening. How far does {name} walk in {days} days?",
        [f"{a} + {b} = {a + b}", f"{days} * {a + b} = {days * (a + b)}"],
        days * (a + b),
    )


def broken(r):
    thing, place = r.choice(THINGS), r.choice(PLACES)
    a, b = r.randint(3, 9), r.randint(4, 12)
    c = r.randint(1, a * b - 1)
    return (
        f"A shop gets {a} crates with {b} {thing} each. {c} of the {thing} cannot be sold and go into a {place}. "
        f"How many {thing} can be sold?",
        [f"{a} * {b} = {a * b}", f"{a * b} - {c} = {a * b - c}"],
        a * b - c,
    )


def older(r):
    one, other = r.sample(NAMES, 2)
    a, b, years = r.randint(4, 30), r.randint(2, 15), r.randint(2, 10)
    return (
        f"{one} is {a} years old, and {other} is {b} years older. How old will {other} be in {years} years?",
        [f"{a} + {b} = {a + b}", f"{a + b} + {years} = {a + b + years}"],
        a + b + years,
    )


KINDS = [gain, loss, rows, share, buy, walk, broken, older]


def main():
    r = random.Random(20)
    seen, lines = set(), []
    while len(lines) < COUNT:
        question, work, result = KINDS[len(lines) % len(KINDS)](r)
        if question in seen:
            continue
        seen.add(question)
        answer = "\n".join([*work, f"#### {result}"])
        lines.append(json.dumps({"question": question, "answer": answer, "steps": len(work)}))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
