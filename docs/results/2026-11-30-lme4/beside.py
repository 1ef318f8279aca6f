#!/usr/bin/env python3
"""The lab's elasticities beside lme4's, as Markdown.

    beside.py COMPARISON LONG

COMPARISON is what `qinglan compare RUN --format json` prints, LONG a folder of
`qinglan compare RUN --format long` in which analysis.R was run.
"""

import csv
import json
import sys
from pathlib import Path
from statistics import mean

comparison = json.loads(Path(sys.argv[1]).read_text())
folder = Path(sys.argv[2])

# The spread of human cost within each task, by which a pooled slope weighs the tasks.
costs = {}
with open(folder / "samples.csv", newline="", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        if row["h"]:
            costs.setdefault(row["task"], {})[row["item"]] = float(row["h"])
spread = {task: sum((h - mean(of.values())) ** 2 for h in of.values()) for task, of in costs.items()}

# lme4's rows: two fits for each arm and each pair, the second with (1 | item:arm).
fits = {}
with open(folder / "lme4.csv", newline="", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        if row["model"] == "tokens":
            fits.setdefault((row["arm"], row["against"]), []).append(row)


def pooled(tasks):
    weights = [spread[task["task"]] for task in tasks]
    slopes = [task["elasticity"]["value"] for task in tasks]
    return sum(w * b for w, b in zip(weights, slopes)) / sum(weights)


def shown(value, low, high, sign=1):
    low, high = sorted((sign * float(low), sign * float(high)))
    return f"{sign * float(value):+.3f} [{low:+.3f}, {high:+.3f}]"


print("| arm | lab: mean over tasks (SE) | the same, tasks weighed by their spread of h | lme4 | SE without, with `(1 \\| item:arm)` |")
print("|---|---|---|---|---|")
for arm in comparison["arms"]:
    name, lab, weighed = arm["name"], arm["elasticity"], pooled(arm["tasks"])
    one, two = fits[name, ""]
    print(f"| {name} | {lab['value']:+.3f} ({lab['se']:.3f}) | {weighed:+.3f} | {float(two['estimate']):+.3f} | {float(one['se']):.3f}, {float(two['se']):.3f} |")

print()
print("| difference of elasticity | lab [95 %] | SE | df | lme4 [95 %] | SE | with `(1 \\| item:arm)` [95 %] | SE |")
print("|---|---|---|---|---|---|---|---|")
for of in comparison["contrasts"]:
    if of["measure"] != "elasticity":
        continue
    pair = (of["arm"], of["against"])
    sign = 1 if pair in fits else -1
    one, two = fits[pair if sign == 1 else pair[::-1]]
    lab = of["difference"]
    print(
        f"| {' - '.join(pair)} | {shown(lab['value'], lab['low'], lab['high'])} | {lab['se']:.3f} | {lab['df']:.1f} "
        f"| {shown(one['estimate'], one['low'], one['high'], sign)} | {float(one['se']):.3f} "
        f"| {shown(two['estimate'], two['low'], two['high'], sign)} | {float(two['se']):.3f} |"
    )
