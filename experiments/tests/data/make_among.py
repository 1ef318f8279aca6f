"""Writes among.json: pass@k and majority@k of small items, by looking at every draw of k samples.

    python3 make_among.py > among.json

An item is a list of samples: an answer or null, and whether it was right. Every set of k samples
is equally likely. pass: one of them is right. majority: the most frequent answer of the set is
right; answers that are equally frequent share it; a set without an answer is wrong.
"""

import json
from collections import Counter
from fractions import Fraction
from itertools import combinations

ITEMS = {
    "all right": [["7", True]] * 4,
    "none right": [["8", False], ["9", False], [None, False]],
    "no answer at all": [[None, False]] * 3,
    "one of two, once silent": [["7", True], ["7", True], ["8", False], [None, False]],
    "the right one is rarer": [["7", True]] * 2 + [["8", False]] * 3,
    "three ways": [["7", True]] * 3 + [["8", False]] * 3 + [["9", False]] * 2 + [[None, False]],
    "all unlike": [[str(i), i < 3] for i in range(8)],
    "several right ways to say it": [["1+3", True]] * 2 + [["3+1", True]] * 2 + [["5", False]] * 3 + [["6", False]],
    "an answer that is right half the time": [["7", True], ["7", False], ["8", False], ["8", False], [None, False]],
    "twelve": [["a", True]] * 4 + [["b", False]] * 5 + [["c", False]] + [[None, False]] * 2,
}


def sizes(n):
    return sorted({2**i for i in range(n.bit_length()) if 2**i <= n} | {n})


def majority(drawn, share):
    counts = Counter(answer for answer, _ in drawn if answer is not None)
    if not counts:
        return Fraction(0)
    most = max(counts.values())
    winners = [answer for answer, count in counts.items() if count == most]
    return sum(share[winner] for winner in winners) / len(winners)


def of_item(samples):
    answers = {answer for answer, _ in samples if answer is not None}
    graded = {answer: [right for given, right in samples if given == answer] for answer in answers}
    share = {answer: Fraction(sum(grades), len(grades)) for answer, grades in graded.items()}
    figures = []
    for k in sizes(len(samples)):
        draws = list(combinations(samples, k))
        passed = Fraction(sum(any(right for _, right in drawn) for drawn in draws), len(draws))
        voted = sum((majority(drawn, share) for drawn in draws), Fraction(0)) / len(draws)
        figures.append({"k": k, "pass": float(passed), "majority": float(voted)})
    return {"samples": samples, "figures": figures}


print(json.dumps({name: of_item(samples) for name, samples in ITEMS.items()}, indent=1))
