"""A small package in the place of reasoning_gym, its faults included."""

import os
import random
import signal
import sys
from dataclasses import dataclass
from typing import Optional


@dataclass
class Config:
    terms: int = 2
    least: int = 0
    seed: Optional[int] = None
    size: int = 500

    def validate(self):
        assert self.terms > 0, "there must be a term"


class Sums:
    def __init__(self, config):
        self.config = config

    def __getitem__(self, index):
        number = self.config.seed + index
        return self.entry("sums", " + ".join([str(number)] * self.config.terms), str(number * self.config.terms))

    def entry(self, name, question, answer, **metadata):
        return {"question": question, "answer": answer, "metadata": {"source_dataset": name, **metadata}}

    def score_answer(self, answer, entry):
        if answer == "raise":
            raise ValueError("no number")
        if answer == "exit":
            os._exit(4)
        return 1.0 if answer == entry["answer"] else 0.25


class Plain(Sums):
    def __getitem__(self, index):
        return self.entry("plain", "?", [None, 1][index])


class Shared(Sums):
    def __init__(self, config):
        super().__init__(config)
        self.all = random.Random(config.seed).choices(range(10**9), k=config.size)

    def __getitem__(self, index):
        first = list({"a", "b", "c", "d", "e", "f"})
        return self.entry(
            "shared", f"{self.all[index]} {random.random()} {first}", "", index=index
        )


class Faulty(Sums):
    def __getitem__(self, index):
        if index == 10:
            self.fault()
        return self.entry("faulty", "?", "")


class Raises(Faulty):
    def fault(self):
        raise ValueError("the eleventh")


class Unwritable(Faulty):
    def __getitem__(self, index):
        return self.entry("unwritable", "?", "", thing=object() if index == 10 else 1)


class Dies(Faulty):
    def fault(self):
        print("a last word", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


class Exits(Faulty):
    def fault(self):
        os._exit(3)


DATASETS = {
    kind.__name__.lower(): (kind, Config)
    for kind in (Sums, Plain, Shared, Raises, Unwritable, Dies, Exits)
}


def create_dataset(name, **settings):
    kind, config = DATASETS[name]
    config = config(**settings)
    config.validate()
    return kind(config)


def get_score_answer_fn(name):
    return create_dataset(name).score_answer
