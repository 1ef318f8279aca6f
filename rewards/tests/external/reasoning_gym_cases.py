"""reasoning_gym's own word on completions of its problems.

`cases` prints a line of JSON for each completion: its data set, its problem as
a data set's row would hold it, and its text. `scores` reads a line for each of
them, the answer extracted by the lab as JSON, and prints what the data set's own
`score_answer` gives, null where it raises. The entries never leave the process
that scores them, so what a trip through JSON changes would show.
"""

import json
import sys

import reasoning_gym
from reasoning_gym.factory import DATASETS

SEED = 20240611
ENTRIES = 4


def completions(right, wrong):
    yield f"<think> so </think> {right}"
    yield f"<think> so </think>\n\nAnswer: {right}\n"
    yield f"It is \\boxed{{{right}}}."
    yield f"<think> so </think> {right} and {wrong}"
    yield f"<think> so </think> {wrong}"
    yield f"<think> {right}"
    yield f"</think> {right[: len(right) // 2]}"
    # 9**9**9 is missing on purpose: seven of the package's functions evaluate it,
    # which costs a deadline and leaves nothing to compare.
    for text in ("", "7", "nan", "1/0", "[[(", "\u0663\u00bd", "9**9", "x" * 10_000, "None"):
        yield f"<think></think>{text}"


def cases():
    """Every data set's first entries, with completions made of their answers."""
    for name in sorted(DATASETS):
        try:
            dataset = reasoning_gym.create_dataset(name, seed=SEED, size=ENTRIES + 1)
            entries = [dataset[i] for i in range(ENTRIES + 1)]
            rows = [json.dumps(entry) for entry in entries]
        except Exception as error:
            print(f"left out: {name}: {error!r}"[:200], file=sys.stderr)
            continue
        for i in range(ENTRIES):
            right, wrong = str(entries[i]["answer"]), str(entries[i + 1]["answer"])
            for completion in completions(right, wrong):
                yield name, dataset, entries[i], json.loads(rows[i]), completion


# Some data sets print what they do.
lines, sys.stdout = sys.stdout, sys.stderr
if sys.argv[1] == "cases":
    for name, _, _, row, completion in cases():
        print(json.dumps({"name": name, "row": row, "completion": completion}), file=lines)
else:
    for (_, dataset, entry, _, _), line in zip(cases(), sys.stdin):
        try:
            score = float(dataset.score_answer(answer=json.loads(line), entry=entry))
        except Exception:
            score = None
        print(json.dumps(score), file=lines)
