#!/usr/bin/env python3
"""Time this lab beside its peers, in alternation on one machine, and write the
tables of docs/PERFORMANCE.md: sampling, training, or both.

    scripts/bench-peers.py [sampling] [training] [--rounds N] [--peers PYTHON] [--scripts DIR]

Needs the release binary, SmolLM2-135M-Instruct (`make smollm2`), and the peers:
a Python with torch, transformers, trl and llama-cpp-python (default
~/.peers/bin/python) and their scripts (default ../shared/bench). Ratios are of
medians over the rounds; every round runs each program once, so that what else
the machine does meets all of them alike.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qinglan" / "models"
MODEL = CACHE / "smollm2-135m-instruct"
GGUF = CACHE / "smollm2-135m-instruct.gguf"
BINARY = ROOT / "target" / "release" / "qinglan"
PAGE = ROOT / "docs" / "PERFORMANCE.md"
# Updates of one run of a training bench.
STEPS = 2

# What the machine can do at most: a product far larger than a cache, and a
# read of memory that no cache holds.
LIMITS = """
import json, time, torch
def best(f, n=5):
    f(); times = []
    for _ in range(n):
        t = time.perf_counter(); f(); times.append(time.perf_counter() - t)
    return min(times)
out = {}
for name, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
    a, b = torch.randn(2048, 2048).to(kind), torch.randn(2048, 2048).to(kind)
    with torch.inference_mode():
        out[name] = 2 * 2048**3 / best(lambda: a @ b)
x = torch.ones(1 << 28)
out["bytes"] = 4 * x.numel() / best(lambda: x.sum())
print(json.dumps(out))
"""


def run(command):
    """The JSON of a command's last line; the command and its error where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        tail = "\n".join(done.stderr.splitlines()[-5:])
        sys.exit(f"error: {' '.join(map(str, command))} failed:\n{tail}")
    return json.loads(lines[-1])


def alternate(programs, rounds):
    """The figures of each program, a list a name."""
    figures = {name: [] for name in programs}
    for round_ in range(rounds):
        for name, program in programs.items():
            print(f"round {round_ + 1} of {rounds}: {name}", file=sys.stderr)
            figures[name].append(program())
    return figures


def cases(peers, scripts):
    """Title, our command's figure, peers' figures by name, of every comparison."""

    def ours(dtype, batch, tokens, *more):
        command = [BINARY, "bench", "rollout", "--model", GGUF, "--json", "--device", "cpu"]
        command += ["--dtype", dtype, "--batch", batch, "--new-tokens", tokens, *more]
        return lambda: run(command)

    def transformers(dtype, batch, tokens):
        return lambda: run([peers, scripts / "hf_generate.py", MODEL, dtype, batch, tokens])

    def llama(batch, tokens):
        return lambda: run([peers, scripts / "llamacpp_batched.py", GGUF, batch, tokens])

    # Groups of 8 share a prompt's cache; transformers reads every prompt, and
    # llama.cpp's script reads one for all, outside of its clock.
    for dtype, batch in (("bf16", 1), ("bf16", 32), ("bf16", 64), ("fp32", 32)):
        others = {"transformers": transformers(dtype, batch, 64)}
        if dtype == "bf16":
            others["llama.cpp (Q4_1)"] = llama(batch, 64)
        yield dtype, batch, f"{batch} x 64 tokens, {dtype}", ours(dtype, batch, 64), others
    yield (
        "bf16",
        32,
        "32 x 64 tokens, bf16, nothing shared",
        ours("bf16", 32, 64, "--group", "1"),
        {"transformers": transformers("bf16", 32, 64)},
    )
    # transformers runs every row to the longest: of its tokens only those
    # within a row's own length count.
    yield (
        "bf16",
        32,
        "32 of 8 to 128 tokens, bf16",
        ours("bf16", 32, 128, "--mixed"),
        {"transformers": transformers("bf16", 32, 128)},
    )


def floor(limits, dtype, batch, parameters):
    """Tokens per second at most: a step reads all weights and multiplies by them."""
    width = 2 if dtype == "bf16" else 4
    seconds = max(parameters * width / limits["bytes"], 2 * parameters * batch / limits[dtype])
    return batch / seconds


def training_cases(peers, scripts):
    """Title, our command's figure, the peer's figure, of every training."""

    def ours(*command):
        command = [BINARY, "bench", *command, "--model", MODEL, "--steps", STEPS]
        command += ["--dtype", "bfloat16", "--device", "cpu", "--json"]
        return lambda: run(command)

    def trl(script, *arguments):
        return lambda: run([peers, scripts / script, MODEL, "amp", *arguments])

    yield (
        "GRPO, 8 prompts x 8 completions x 64 tokens",
        ours("grpo", "--prompts", 8, "--generations", 8, "--new-tokens", 64),
        trl("trl_grpo.py", 8, 8, 64, STEPS, 16),
    )
    yield (
        "SFT, 32 rows of mixed length",
        ours("sft", "--rows", 32),
        trl("trl_sft.py", 32, STEPS, 8),
    )


def spread(values, digits):
    """A median with its range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def training_rows(asked):
    """The table of training."""
    rows = [
        "| one update | qinglan, s | peak | TRL, s | peak | times faster | of its memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, ours, peer in training_cases(asked.peers, asked.scripts):
        figures = alternate({"qinglan": ours, "trl": peer}, asked.rounds)
        seconds, peaks = {}, {}
        for name, runs in figures.items():
            seconds[name] = [step for figure in runs for step in figure["step_seconds"]]
            peaks[name] = max(figure["peak_gb"] for figure in runs)
        ratio = statistics.median(seconds["trl"]) / statistics.median(seconds["qinglan"])
        rows.append(
            f"| {title} | {spread(seconds['qinglan'], 1)} | {peaks['qinglan']:.2f} GB "
            f"| {spread(seconds['trl'], 1)} | {peaks['trl']:.2f} GB "
            f"| {ratio:.1f} | {peaks['qinglan'] / peaks['trl']:.0%} |"
        )
    return rows


def sampling_rows(asked, limits):
    """The table of sampling."""
    parameters = run([BINARY, "model", "inspect", MODEL, "--json"])["parameters"]
    rows = [
        "| completions | qinglan, tokens/s | of the floor | peak | peer | tokens/s | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for dtype, batch, title, ours, others in cases(asked.peers, asked.scripts):
        figures = alternate({"qinglan": ours, **others}, asked.rounds)
        own = [figure["tokens_per_second"] for figure in figures["qinglan"]]
        median = statistics.median(own)
        peak = max(figure["peak_gb"] for figure in figures["qinglan"])
        share = median / floor(limits, dtype, batch, parameters)
        for name in others:
            theirs = [figure["tokens_per_second"] for figure in figures[name]]
            if "8 to" in title:
                useful = figures["qinglan"][0]["sampled_tokens"] / (batch * 128)
                theirs = [rate * useful for rate in theirs]
            rows.append(
                f"| {title} | {spread(own, 0)} | {share:.0%} | {peak:.2f} GB "
                f"| {name} | {spread(theirs, 0)} | {median / statistics.median(theirs):.1f} |"
            )
    return rows


def write(mark, asked, limits, rows):
    """Puts a table between its marks, with where it comes from."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    heading = (
        f"Measured by `make bench-peers` on {time.strftime('%Y-%m-%d')} at commit {commit}: "
        f"{platform.machine()}, {os.cpu_count()} cores, medians of {asked.rounds} rounds in alternation "
        "(lowest to highest in brackets), SmolLM2-135M-Instruct. "
        f"The machine's limits in the same minutes: {limits['bf16'] / 1e9:.0f} GFLOP/s in bfloat16, "
        f"{limits['fp32'] / 1e9:.0f} in float32 (a product of 2048 x 2048 matrices by PyTorch), "
        f"{limits['bytes'] / 1e9:.0f} GB/s read."
    )
    page = PAGE.read_text()
    if begin not in page or end not in page:
        sys.exit(f"error: {PAGE} lacks the marks {begin} and {end}")
    before, rest = page.split(begin, 1)
    text = "\n".join([begin, heading, "", *rows, end])
    PAGE.write_text(before + text + rest.split(end, 1)[1])
    print("\n".join(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=["sampling", "training", []])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path.home() / ".peers/bin/python")
    parser.add_argument("--scripts", type=Path, default=ROOT.parent / "shared" / "bench")
    asked = parser.parse_args()
    for need, how in (
        (BINARY, "run make build"),
        (MODEL / "config.json", "run make smollm2"),
        (GGUF, "run make smollm2"),
        (asked.peers, "give a Python with the peers as --peers"),
        (asked.scripts / "hf_generate.py", "give the folder of the peers' scripts as --scripts"),
    ):
        if not need.exists():
            sys.exit(f"error: {need} is not there; {how}")
    what = asked.what or ["sampling", "training"]
    limits = run([asked.peers, "-c", LIMITS])
    if "sampling" in what:
        write("peers", asked, limits, sampling_rows(asked, limits))
    if "training" in what:
        write("peers-training", asked, limits, training_rows(asked))


if __name__ == "__main__":
    main()
