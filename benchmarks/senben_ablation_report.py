"""The tables of `senben_ablation.py`, in Markdown: our ladder beside the paper's, of other data and other measures."""

import itertools
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from kidsnanny.training.student.recipe import LADDER

PAPER: Mapping[str, tuple[str, str, str]] = {
    "ce": (".349", ".389", ".544"),
    "suffix": (".366", ".406", ".509"),
    "var": (".376", ".408", ".509"),
    "min-perm": (".386", ".415", ".532"),
    "smoothing": (".385", ".419", ".533"),
    "sampling": (".392", ".422", ".516"),
    "balanced": (".413", ".428", ".594"),
    "aggressive": (".449", ".431", ".457"),
}
"""Row -> SenBen's recall, F1 and tag F1 (arXiv 2604.08819, Table 1; `aggressive` from the results of the two released
students)."""
PAPER_LEFT_OUT: Mapping[str, str] = {
    "no-suffix": "-3.8",
    "no-var": "-3.4",
    "no-smoothing": "-1.5",
    "no-sampling": "-0.7",
    "no-min-perm": "-0.4",
}
"""Row -> what leaving the part out changes in the paper's recall, in points (Table 2, average of the categories)."""
SCORES = {
    "graph_recall": "graph recall",
    "graph_f1": "graph F1",
    "tag_f1": "tag F1",
    "rare_recall": "rare-class recall",
    "rare_words": "the same without tags",
    "other_recall": "recall of the others",
}
FIRST, WHOLE, CHOSEN = "ce", "balanced", "var-balanced"
Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""Row -> seed -> what `senben_ablation.py` wrote of the run."""


def report(found: Sequence[Mapping[str, Any]]) -> str:
    """The whole report, of the runs that are there."""
    runs: dict[str, dict[int, Mapping[str, Any]]] = {row: {} for row in LADDER}
    for one in found:
        words = [counts for name, counts in one["rare"].items() if not name.startswith("tag ")]
        value = sum(hits for hits, _, _ in words) / sum(n for _, n, _ in words)
        runs[one["row"]][one["seed"]] = {**one, "scores": {**one["scores"], "rare_words": {"value": value}}}
    runs = {row: dict(sorted(seeds.items())) for row, seeds in runs.items() if seeds}
    if not runs:
        return "No run is there yet.\n"
    one = next(iter(next(iter(runs.values())).values()))
    setting, seeds = one["setting"], sorted({seed for of_row in runs.values() for seed in of_row})
    parts = [
        "# The ablation of SenBen's recipe, on drawn scenes",
        f"{len(found)} runs, seeds {', '.join(map(str, seeds))}, {setting['seconds']:g} seconds of compute each "
        f"({one['hardware']}), batches of {setting['batch']}, {setting['scenes']:,} long-tailed scenes to train on and "
        f"{setting['test']:,} others to be judged by, decoded without a grammar, one beam. {_versions(one)}. "
        "Written by `benchmarks/senben_ablation.py`; what the numbers say is in `docs/results.md`.",
        "A number is the mean over seeds ± its standard deviation; `seconds` are those that the training took in the "
        "end. **The paper's numbers are of other data (frames of films), of another network and of measures that it "
        "does not define**: compare the order of the rows, not the numbers.",
        "## Each part added to those before it",
        _table(["row", "steps", "seconds", *SCORES.values(), "paper: recall", "F1", "tag F1"], _ladder(runs)),
        "## What each part changed, in points, with the same seeds",
        "The mean over seeds, and the least and the greatest change. `ladder`: beside the row before; `left out`: the "
        "whole recipe beside the one without the part, turned so that more than 0 is a gain by the part.",
        _table(
            ["part", "graph recall", "tag F1", "rare-class recall", SCORES["rare_words"], "paper: recall"],
            _changes(runs),
        ),
        f"## The whole recipe (`{WHOLE}`) beside plain cross-entropy (`{FIRST}`)",
        _beside(runs, WHOLE),
        f"## The parts that helped on other scenes (`{CHOSEN}`) beside plain cross-entropy",
        _beside(runs, CHOSEN),
        "## Learning curves: graph recall after each fifth of the compute",
        f"Over {setting['watched']} scenes that are not those of the tables above; the mean over seeds.",
        _table(["row", *(f"{n} / 5" for n in range(1, 6))], _curves(runs)),
    ]
    return "\n\n".join(parts) + "\n"


def _versions(one: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in one["versions"].items())


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _values(runs: Runs, row: str, score: str) -> dict[int, float]:
    """Seed -> value."""
    found = {seed: one["scores"][score]["value"] for seed, one in runs.get(row, {}).items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _ladder(runs: Runs) -> list[list[str]]:
    return [
        [
            f"`{row}`",
            f"{mean(one['steps'] for one in seeds.values()):.0f}",
            f"{mean(one['seconds'] for one in seeds.values()):.0f}",
            *(_spread(list(_values(runs, row, score).values())) for score in SCORES),
            *PAPER.get(row, ("", "", "")),
        ]
        for row, seeds in runs.items()
    ]


def _differences(runs: Runs, more: str, less: str, score: str) -> list[float]:
    """In points, of the seeds that both rows have."""
    one, other = _values(runs, more, score), _values(runs, less, score)
    return [100 * (one[seed] - other[seed]) for seed in one if seed in other]


def _range(points: Sequence[float]) -> str:
    return f"{mean(points):+.1f} ({min(points):+.1f} to {max(points):+.1f})" if points else "-"


def _changes(runs: Runs) -> list[list[str]]:
    ladder = list(PAPER)[: list(PAPER).index(WHOLE) + 1]
    pairs = [(f"ladder: {more}", more, less) for less, more in itertools.pairwise(ladder)]
    pairs.append((f"aggressive in place of {WHOLE}", "aggressive", WHOLE))
    pairs += [(f"left out: {row.removeprefix('no-')}", WHOLE, row) for row in LADDER if row.startswith("no-")]
    scores = "graph_recall", "tag_f1", "rare_recall", "rare_words"
    return [
        [name, *(_range(_differences(runs, more, less, score)) for score in scores), _of_paper(more, less)]
        for name, more, less in pairs
        if more in runs and less in runs
    ]


def _of_paper(more: str, less: str) -> str:
    if less.startswith("no-"):
        return f"{-float(PAPER_LEFT_OUT[less]):+.1f}" if less in PAPER_LEFT_OUT else ""
    return f"{100 * (float(PAPER[more][0]) - float(PAPER[less][0])):+.1f}"


def _beside(runs: Runs, row: str) -> str:
    """A row beside plain cross-entropy."""
    lines = []
    for score, name in SCORES.items():
        points = _differences(runs, row, FIRST, score)
        if not points:
            return f"`{row}` and `{FIRST}` have no seed in common yet."
        spreads = [100 * stdev(v.values()) for one in (FIRST, row) if len(v := _values(runs, one, score)) > 1]
        spread = f"; the larger spread over seeds of the two is {max(spreads):.1f}" if spreads else ""
        lines.append(f"- {name}: {_range(points)} points{spread}")
    return "\n".join(lines)


def _curves(runs: Runs) -> list[list[str]]:
    rows = []
    for row, seeds in runs.items():
        curves = zip(*([point["graph_recall"] for point in one["curve"]] for one in seeds.values()), strict=True)
        rows.append([f"`{row}`", *(f"{mean(point):.3f}" for point in curves)])
    return rows
