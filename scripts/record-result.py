#!/usr/bin/env python3
"""Copies a finished run's tables and pictures into docs/results, with its provenance.

    scripts/record-result.py RUN NAME
    scripts/record-result.py --readme [FOLDER]

The first writes docs/results/DATE-NAME/ (DATE is the run's own). The prose in analysis.md
there is written by hand and never touched. The second puts the table of arms, the answers
and two pictures of a recorded result between the markers of README.md: of FOLDER, or of the
one that README.md shows already. No number is typed: all come from the run.
"""

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- results -->", "<!-- end of results -->"
PICTURES = ["bars-elasticity.svg", "r-by-samples.svg"]
# Those of a run whose tasks nobody was timed on.
WITHOUT_TIMES = ["bars-accuracy.svg", "among-samples.svg"]


def section(markdown: str, title: str) -> str:
    """The part of a comparison.md under a heading, without the heading."""
    after = markdown.split(f"\n## {title}\n", 1)
    if len(after) == 1:
        sys.exit(f"error: comparison.md has no section {title!r}")
    return after[1].split("\n## ", 1)[0].strip()


def pictures_of(folder: Path) -> list[str]:
    """The pictures that stand for a result, those of them that there are."""
    there = {path.name for path in (folder / "figures").glob("*.svg")}
    return PICTURES if there.issuperset(PICTURES) else [name for name in WITHOUT_TIMES if name in there]


def shown(readme: str) -> Path:
    """The folder of the result that a README shows."""
    found = re.search(r": \[(docs/results/[^\]]+)\]", readme.split(START, 1)[1])
    if not found:
        sys.exit("error: README.md shows no result yet; name the folder to show")
    return ROOT / found.group(1)


def write_readme(folder: Path | None) -> None:
    """Puts a recorded result between the markers of README.md."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    folder = (folder or shown(text)).resolve()
    if not (folder / "comparison.md").exists():
        sys.exit(f"error: {folder} holds no comparison.md: it is not a recorded result")
    markdown = (folder / "comparison.md").read_text()
    record = (folder / "README.md").read_text()
    facts = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", record, flags=re.MULTILINE))
    title = record.split("\n", 1)[0].removeprefix("# ")
    seeds = re.search(r"^seeds = \[(.*)\]", (folder / "definition.toml").read_text(), flags=re.MULTILINE)
    place = folder.relative_to(ROOT).as_posix()
    block = [
        START,
        "",
        f"{title}, run on {facts['date']}, {facts.get('processor', 'processor unknown')}, "
        f"{facts['cores']} cores, seeds {seeds.group(1) if seeds else 'unknown'}.",
        "",
        section(markdown, "Arms"),
        "",
        section(markdown, "Questions"),
        "",
        *(f"![{Path(p).stem}]({place}/figures/{p})" for p in pictures_of(folder)),
        "",
        f"All tables, pictures and what they mean: [{place}]({place}/README.md).",
        "",
        END,
    ]
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1] if END in rest else rest
    readme.write_text(before + "\n".join(block) + after)


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--readme"] and len(arguments) <= 2:
        write_readme(Path(arguments[1]) if len(arguments) == 2 else None)
        return
    if len(arguments) != 2:
        sys.exit(__doc__)
    run, name = Path(arguments[0]), arguments[1]
    if not (run / "manifest.json").exists():
        sys.exit(f"error: {run} has no manifest.json: it is not a finished run")
    manifest = json.loads((run / "manifest.json").read_text())
    facts = manifest["environment"]
    target = ROOT / "docs" / "results" / f"{facts['date']}-{name}"
    # What the run does not draw any more is not left standing.
    shutil.rmtree(target / "figures", ignore_errors=True)
    (target / "figures").mkdir(parents=True)
    for file in ["comparison.md", "comparison.csv"]:
        shutil.copyfile(run / file, target / file)
    # A folder of norms lies outside the project, wherever its owner keeps it.
    definition = (run / "definition.toml").read_text()
    definition = re.sub(r'^norms = "(?!builtin").*"', 'norms = "DIR"', definition, flags=re.MULTILINE)
    (target / "definition.toml").write_text(definition)
    for figure in sorted((run / "figures").glob("*.svg")):
        shutil.copyfile(figure, target / "figures" / figure.name)

    seconds = {}
    for arm_run in manifest["arm_runs"]:
        if arm_run["budget"]:
            seconds.setdefault(arm_run["arm"], []).append(arm_run["budget"]["seconds"])
    lines = [f"# {manifest['title']}", "", "| | |", "|---|---|"]
    lines += [f"| {key} | {facts[key]} |" for key in sorted(facts)]
    lines += [
        f"| training seconds, {arm} | {', '.join(f'{s:.0f}' for s in spent)} |"
        for arm, spent in seconds.items()
    ]
    analysis = target / "analysis.md"
    if analysis.exists():
        lines += ["", analysis.read_text().strip()]
    lines += ["", "Tables: [comparison.md](comparison.md), [comparison.csv](comparison.csv).", ""]
    pictures = [*pictures_of(target), "accuracy-tokens.svg", *(p.name for p in sorted((target / "figures").glob("scatter-*.svg")))]
    lines += [f"![{Path(p).stem}](figures/{p})" for p in pictures]
    (target / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
