"""The tables of `benchmarks/senben_ablation.py`, from made-up runs."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))

from senben_ablation_report import PAPER, PAPER_LEFT_OUT, SCORES, report

from kidsnanny.training.student.recipe import LADDER


def run(row: str, seed: int, value: float) -> dict[str, Any]:
    return {
        "row": row,
        "seed": seed,
        "setting": {"seconds": 120, "batch": 16, "scenes": 3000, "watched": 60, "test": 400},
        "steps": 100,
        "seconds": 118.6,
        "scores": {name: {"value": value} for name in SCORES},
        "rare": {"label cake": [3, 10, 50], "attribute crown": [0, 10, 40], "tag weapon": [9, 9, 70]},
        "curve": [{"graph_recall": value * step / 5} for step in range(1, 6)],
        "hardware": "one thread",
        "versions": {"torch": "2"},
    }


def line(text: str, begins: str) -> str:
    return next(one for one in text.splitlines() if one.startswith(begins))


def test_rows_are_compared_by_the_seeds_that_both_have() -> None:
    text = report([run("ce", 0, 0.2), run("ce", 1, 0.3), run("suffix", 1, 0.35), run("balanced", 0, 0.5)])
    assert line(text, "| `ce`").startswith("| `ce` | 100 | 119 | 0.250 ± 0.071 |")
    assert "| +5.0 (+5.0 to +5.0) |" in line(text, "| ladder: suffix")
    assert "| +1.7 |" in line(text, "| ladder: suffix")  # the paper's .366 less .349
    assert "ladder: var" not in text
    assert "- rare-class recall: +30.0 (+30.0 to +30.0) points; the larger spread" in text
    assert line(text, "| `suffix` | 0.070") == "| `suffix` | 0.070 | 0.140 | 0.210 | 0.280 | 0.350 |"


def test_rare_words_are_told_without_tags() -> None:
    assert "| 0.150 | 0.500 |" in line(report([run("var", 0, 0.5)]), "| `var` | 100")


def test_what_leaving_a_part_out_costs_is_its_gain() -> None:
    text = report([run("balanced", 0, 0.5), run("no-var", 0, 0.4), run("no-asymmetric", 0, 0.55)])
    assert line(text, "| left out: var").endswith("| +10.0 (+10.0 to +10.0) | +0.0 (+0.0 to +0.0) | +3.4 |")
    assert line(text, "| left out: asymmetric").endswith("| -5.0 (-5.0 to -5.0) | +0.0 (+0.0 to +0.0) |  |")
    assert "have no seed in common yet" in text


@pytest.mark.parametrize("given", [[], [run("var", 0, 0.1)]], ids=["no run", "one"])
def test_it_is_written_whatever_is_there(given: list[dict[str, Any]]) -> None:
    assert report(given)


def test_the_papers_rows_are_ours() -> None:
    assert {*PAPER, *PAPER_LEFT_OUT} <= set(LADDER)
