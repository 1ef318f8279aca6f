"""The Python end of qinglan's external rewards.

Run by the lab as `python3 -c SOURCE SETTINGS`, with SETTINGS in JSON: `calls`
(`trl`, `verl`, `reasoning_gym` or `gym`), `file`, `function` and `form`. It speaks the
protocol of rewards/src/external/protocol.rs and needs nothing but the standard
library of Python 3.9; what it calls, and with what, is said in the head of
rewards/src/external/python.rs.

What it deliberately does not do: decide anything. An exception, a NaN or a
string is passed on as the error that it is.
"""

import sys

# A file of the user's called json.py is none of this file's business.
sys.path = [folder for folder in sys.path if folder]

import asyncio
import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import json
import math
import os
import random
import signal
import traceback

PROTOCOL = 1

# The tail of a longer traceback says what happened.
LONGEST_ERROR = 4000


class Wrong(Exception):
    """An error whose text says everything; its traceback would only distract."""


def main():
    settings = json.loads(sys.argv[1])
    requests, replies = take_pipes()
    end_with_parent()

    def say(message):
        replies.write(json.dumps(message, allow_nan=False) + "\n")
        replies.flush()

    try:
        if sys.version_info < (3, 9):
            raise Wrong("Python %d.%d is too old: 3.9 is needed" % sys.version_info[:2])
        judge, name = load(settings)
    except BaseException:
        say({"protocol": PROTOCOL, "error": error_text()})
        return
    say({"protocol": PROTOCOL, "name": name})
    for line in requests:
        request = json.loads(line)
        try:
            reply = judge(request)
        except BaseException:
            reply = {"error": error_text()}
        sys.stdout.flush()
        say({"id": request["id"], **reply})


def take_pipes():
    """The protocol's two pipes, out of reach of `print` and `input`."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    return requests, replies


def end_with_parent():
    """Asks Linux to kill this process when the lab ends; elsewhere, and for what
    is not asleep in a function, the end of the requests is enough."""
    try:
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    except (ImportError, OSError, AttributeError):
        pass


def error_text():
    """What is being handled, without the adapter's own part of the traceback."""
    kind, error, trace = sys.exc_info()
    if isinstance(error, Wrong):
        return str(error)
    own = main.__code__.co_filename
    while trace is not None and trace.tb_frame.f_code.co_filename == own:
        trace = trace.tb_next
    return "".join(traceback.format_exception(kind, error, trace))[-LONGEST_ERROR:]


def load(settings):
    """What answers a request, and its name."""
    calls = settings["calls"]
    if calls == "reasoning_gym":
        return ReasoningGym(), calls
    if calls == "gym":
        return Gym(), calls
    function = find(settings["file"], settings["function"])
    if calls == "verl":
        return Verl(function), settings["function"]
    return Trl(function, settings["form"] == "conversational"), settings["function"]


def find(path, name):
    """The function `name` of the file at `path`, which is imported as a module
    whose neighbours it can import."""
    folder, file = os.path.split(path)
    module_name = os.path.splitext(file)[0]
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None:
        raise Wrong(f"{file} is no Python file: its name must end in `.py`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if callable(function):
        return function
    if function is not None:
        raise Wrong(f"`{name}` in {file} is of type {type(function).__name__} and cannot be called")
    known = [key for key, value in vars(module).items() if inspect.isroutine(value)]
    near = difflib.get_close_matches(name, known) or sorted(known)[:10]
    names = ", ".join(f"`{one}`" for one in near) or "it has none"
    raise Wrong(f"{file} has no function `{name}`; functions near it: {names}")


class Awaiter:
    """Runs what `async` functions return, on one event loop for all calls."""

    def __init__(self):
        self.loop = None

    def results(self, outcomes):
        """Of calls, some of which may have to be awaited: all at a time."""
        waiting = [i for i, outcome in enumerate(outcomes) if inspect.isawaitable(outcome)]
        if not waiting:
            return outcomes
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)

        async def gather():
            calls = [outcomes[i] for i in waiting]
            return await asyncio.gather(*calls, return_exceptions=True)

        for i, outcome in zip(waiting, self.loop.run_until_complete(gather())):
            outcomes[i] = outcome
        return outcomes


# What can be listed and is no list of scores.
UNORDERED = (str, bytes, dict, set, frozenset)


class Trl:
    """A reward function as TRL calls it: once for a batch, with columns."""

    def __init__(self, function, conversational):
        self.function = function
        self.conversational = conversational
        self.awaiter = Awaiter()
        self.warned = set()

    def __call__(self, request):
        logged = Logged(len(request["completions"]), self.warned)
        prompts, completions = request["prompts"], request["completions"]
        if self.conversational:
            own = request["columns"].get("prompt", [None] * len(prompts))
            prompts = [
                messages if isinstance(messages, list) else [{"role": "user", "content": prompt}]
                for messages, prompt in zip(own, prompts)
            ]
            completions = [[{"role": "assistant", "content": text}] for text in completions]
        arguments = columns(request)
        arguments.update(
            trainer_state=TrainerState(), log_extra=logged.extra, log_metric=logged.metric
        )
        outcome = self.function(
            prompts=prompts,
            completions=completions,
            completion_ids=request["completion_ids"],
            **arguments,
        )
        (scores,) = self.awaiter.results([outcome])
        if isinstance(scores, BaseException):
            raise scores
        try:
            if isinstance(scores, UNORDERED):
                raise TypeError
            scores = list(scores)
        except TypeError:
            raise Wrong(
                f"it returned {shown(scores)} where TRL expects a list of floats or None"
            ) from None
        if len(scores) != len(completions):
            raise Wrong(
                f"it returned {len(scores)} scores for {len(completions)} completions: "
                "one is needed for each, in their order"
            )
        scores = [None if score is None else number(score) for score in scores]
        return {"scores": scores, "parts": logged.parts, "metrics": logged.metrics()}


def columns(request):
    """What a TRL function gets by keyword. The data set's own columns come first;
    TRL keeps three names for itself."""
    expected = request["expected"]
    named = {
        "answer": expected,
        "solution": expected,
        "ground_truth": expected,
        "task": request["tasks"],
        "problem": request["problems"],
        "human_cost": request["human_costs"],
        "reasoning_tokens": request["reasoning_tokens"],
        "completion_tokens": request["completion_tokens"],
        "max_new_tokens": request["max_new_tokens"],
        "truncated": request["truncated"],
    }
    named.update(request["columns"])
    for taken in ("prompt", "completion", "completion_ids"):
        named.pop(taken, None)
    return named


class TrainerState:
    """Stands for TRL's; to look at it is an error, to be given it is not."""

    def __getattr__(self, name):
        raise AttributeError(
            f"trainer_state.{name}: qinglan's rewards do not know how far a training is, "
            "as a resumed training must score as an uninterrupted one does"
        )


class Logged:
    """What a TRL function says through `log_extra` and `log_metric`."""

    def __init__(self, count, warned):
        self.count = count
        self.warned = warned
        self.parts = {}
        self.values = {}

    def extra(self, column, values):
        values = list(values)
        if len(values) != self.count:
            raise Wrong(
                f"log_extra({column!r}, ...) got {len(values)} values for {self.count} completions"
            )
        if all(value is None or is_number(value) for value in values):
            self.parts[str(column)] = [None if v is None else float(v) for v in values]
        elif column not in self.warned:
            self.warned.add(column)
            print(f"log_extra({column!r}, ...): only finite numbers are kept", file=sys.stderr)

    def metric(self, name, value):
        if not is_number(value):
            raise Wrong(f"log_metric({name!r}, ...) got {shown(value)}, no finite number")
        self.values.setdefault(str(name), []).append(float(value))

    def metrics(self):
        return {name: sum(values) / len(values) for name, values in self.values.items()}


class Verl:
    """A `compute_score` as verl's reward managers call it, for each completion."""

    def __init__(self, function):
        self.function = function
        self.awaiter = Awaiter()

    def __call__(self, request):
        own = request["columns"]
        outcomes = []
        for i, completion in enumerate(request["completions"]):
            row = {name: values[i] for name, values in own.items() if values[i] is not None}
            truth = row.get("reward_model")
            truth = truth.get("ground_truth") if isinstance(truth, dict) else None
            if truth is None:
                truth = row.get("ground_truth", request["expected"][i])
            arguments = {
                "data_source": row.get("data_source", request["tasks"][i]),
                "solution_str": completion,
                "ground_truth": truth,
                "extra_info": row.get("extra_info", {}),
            }
            outcomes.append(attempt(self.function, arguments))
        parts = {}
        scores = []
        for i, outcome in enumerate(self.awaiter.results(outcomes)):
            if isinstance(outcome, dict) and "score" in outcome:
                for name, value in outcome.items():
                    if name != "score" and is_number(value):
                        parts.setdefault(str(name), [None] * len(outcomes))[i] = float(value)
                outcome = outcome["score"]
            if isinstance(outcome, Exception):
                scores.append(failure(outcome))
            elif outcome is None or isinstance(outcome, dict):
                scores.append(
                    {
                        "error": f"it returned {shown(outcome)} where verl expects a number "
                        "or a dict with `score`"
                    }
                )
            else:
                scores.append(number(outcome))
        return {"scores": scores, "parts": parts}


# Data sets that compare grids of tuples with the metadata's, which a data set's
# file can only hold as lists.
OF_TUPLES = ("arc_agi", "rearc")


class ReasoningGym:
    """The `score_answer` of the data set that each problem is from."""

    def __init__(self):
        try:
            import reasoning_gym
        except ModuleNotFoundError as error:
            raise Wrong(
                f"{sys.executable} cannot import reasoning_gym ({error}): install it there "
                "(pip install reasoning-gym), or set `interpreter` to the Python that has it"
            ) from None
        self.package = reasoning_gym
        self.functions = {}

    def __call__(self, request):
        own = request["columns"]
        scores = []
        for i, answer in enumerate(request["extracted"]):
            row = {name: values[i] for name, values in own.items() if values[i] is not None}
            metadata = row.get("metadata")
            if isinstance(metadata, str):
                metadata = attempt(json.loads, {"s": metadata})
            if not isinstance(metadata, dict) or "source_dataset" not in metadata:
                scores.append(
                    {
                        "error": "its problem has no column `metadata` with a `source_dataset`: "
                        "is the data set one of reasoning_gym's?"
                    }
                )
                continue
            entry = {
                "question": row.get("question", request["prompts"][i]),
                "answer": row.get("answer", request["expected"][i]),
                "metadata": metadata,
            }
            scored = attempt(self.score, {"answer": answer, "entry": entry})
            if isinstance(scored, Exception):
                scores.append(failure(scored))
            else:
                scores.append(number(scored))
        return {"scores": scores}

    def score(self, answer, entry):
        source = entry["metadata"]["source_dataset"]
        if source in OF_TUPLES:
            metadata = {key: tuples(value) for key, value in entry["metadata"].items()}
            entry = {**entry, "metadata": metadata}
        if source not in self.functions:
            self.functions[source] = self.package.get_score_answer_fn(source)
        return self.functions[source](answer=answer, entry=entry)


class Gym(ReasoningGym):
    """Entries of data sets, and the scores of answers to them, as
    rewards/src/external/gym asks for them."""

    # A data set makes as many entries as this where it makes them all at once.
    SIZE = 500
    # Data sets that are kept, of which one may hold megabytes.
    KEPT = 8

    def __init__(self):
        super().__init__()
        self.kept = {}

    def __call__(self, request):
        for what in ("open", "draw", "rate"):
            if what in request:
                return getattr(self, what)(**request[what])
        raise Wrong("a request that is none of `open`, `draw` and `rate`")

    def open(self, name, settings):
        """What there is: all names and, where this is one of them, its settings."""
        from reasoning_gym.factory import DATASETS

        if name not in DATASETS:
            return {"names": sorted(DATASETS)}
        known = [field.name for field in dataclasses.fields(DATASETS[name][1])]
        return {"settings": [field for field in known if field not in ("seed", "size")]}

    def draw(self, name, settings, seed, start, count):
        """Entries, each as an object, or as the text of why there is none."""
        entries = []
        for index in range(start, start + count):
            try:
                entry = self.entry(name, settings, seed, index)
                json.dumps(entry, allow_nan=False)
                entries.append(entry)
            except Exception:
                entries.append(error_text())
        return {"entries": entries}

    def entry(self, name, settings, seed, index):
        """The entry of this index, whatever was drawn before: some data sets draw
        from the generators that all of Python shares."""
        block, index = divmod(index, self.SIZE)
        if block > 0:
            digest = hashlib.sha256(f"{seed} {block}".encode()).digest()
            seed = int.from_bytes(digest[:4], "big") >> 1
        key = json.dumps([name, settings, seed])
        dataset = self.kept.pop(key, None)
        if dataset is None:
            self.seed_all(seed, "data set")
            dataset = self.package.create_dataset(name, **settings, seed=seed, size=self.SIZE)
        self.kept[key] = dataset
        if len(self.kept) > self.KEPT:
            del self.kept[next(iter(self.kept))]
        self.seed_all(seed, index)
        return dataset[index]

    def seed_all(self, *key):
        random.seed(repr(key))
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(random.getrandbits(32))

    def rate(self, entry, answer):
        """The score, or the text of the error that the data set's own function
        raises over this answer."""
        scored = attempt(self.score, {"answer": answer or None, "entry": entry})
        if isinstance(scored, Exception):
            return {"score": failure(scored)["error"]}
        scored = number(scored)
        return {"score": scored["error"] if isinstance(scored, dict) else scored}


def tuples(value):
    """The value with tuples for its lists."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def attempt(function, arguments):
    """What a call for one completion returns, or the exception that it raises:
    the other completions are judged all the same."""
    try:
        return function(**arguments)
    except Exception as error:
        return error


def failure(error):
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"error": text[-LONGEST_ERROR:]}


def is_number(value):
    """Whether a value, be it numpy's or torch's, is a finite number."""
    if isinstance(value, (str, bytes)):
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def number(value):
    """A score, or the error that it is."""
    if is_number(value):
        return float(value)
    return {"error": f"it returned {shown(value)} as a score: it must be a finite number"}


def shown(value):
    text = repr(value)
    return f"{text[:100] + '...' if len(text) > 100 else text} ({type(value).__name__})"


main()
