"""The figures in docs/false-alarms.md are those of benchmarks/results."""

import json
import re
from typing import Any

import pytest
from conftest import ROOT

PAGE = (ROOT / "docs" / "false-alarms.md").read_text("utf-8")
HARDWARE = "2core-intel-xeon"
SETS = {
    "photographs (ImageNet samples)": "photos",
    "app and browser screens": "screens",
    "street scenes": "streets",
    "people who cough, drink or phone": "people",
    "receipts": "receipts",
    "memes, English": "memes_a",
    "memes, romanised Hindi and English": "memes_b",
}
CAUSES = {
    "text could not be read": "text on … of the frame could not be read",
    "a language that is not judged": "text in a language that is not judged",
    "a script that is not judged": "text in Katakana script",
}
"""Cause as the page calls it -> as the benchmark does; a category is `self-harm in the text` on the page."""
TEXTS = {
    "plain English messages": ("test_lines_at_preteen", "en", "plain"),
    "innocent English messages with the words of harmful ones": ("test_lines_at_preteen", "en", "look_alikes"),
    "questions to a bank or an assistant": ("harmless", "benign_clinc150_banking77"),
    "comments on Reddit": ("harmless", "benign_goemotions"),
    "words and sentences of programs": ("harmless", "benign_ui_strings"),
    "pages of 60 to 150 words": ("harmless", "pages of 60 to 150 words"),
    "pages of 12 English messages, three in four of them with the words of harmful ones": (
        "drowned",
        "12 harmless lines",
    ),
    "pages of 39 such messages": ("drowned", "39 harmless lines"),
}


def measured(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}-{HARDWARE}.json").read_text("utf-8"))


def row(name: str) -> list[str]:
    (found,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", PAGE, re.M)
    return found.split(" | ")


def check_share(cell: str, figures: dict[str, Any]) -> None:
    """`1.8 % [0.9–3.4]`, each figure as close as its digits say; Wilson's bounds were rounded before the page's."""
    found = [float(number) for number in re.findall(r"[\d.]+", cell)]
    for shown, exact in zip(found, [figures["share"], *figures["interval_95"]], strict=True):
        assert shown == pytest.approx(100 * exact, abs=0.51 if shown >= 10 and shown.is_integer() else 0.055), cell


@pytest.mark.parametrize("name", SETS)
def test_pictures(name: str) -> None:
    figures = measured("ordinary")["now"]["sets"][SETS[name]]
    n, held_back, unsafe, causes = row(name)
    assert int(n) == figures["pictures"]
    check_share(held_back, figures["held_back"])
    check_share(unsafe, figures["unsafe"])
    told = {} if causes == "–" else {c.rpartition(" ")[0]: int(c.rpartition(" ")[2]) for c in causes.split(", ")}
    told = {CAUSES.get(cause, cause.replace("self-harm", "self_harm")): count for cause, count in told.items()}
    assert told == {cause: found["pictures"] for cause, found in figures["causes"].items()}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str) -> None:
    figures = measured("text_model")
    for key in TEXTS[name]:
        figures = figures[key]
    n, held_back = row(name)
    assert int(n.replace(",", "")) == figures["texts"]
    check_share(held_back, figures)


def test_the_drawn_threats() -> None:
    sets = measured("unjudged_text")["now"]["sets"].values()
    found, of = sum(one["not safe"] for one in sets), sum(one["pictures"] for one in sets)
    assert f"{found} of {of} are not `safe`" in re.sub(r"\s+", " ", PAGE)


def test_the_album(capsys: pytest.CaptureFixture[str]) -> None:
    """The block prints what the page shows, from the measured rate."""
    (code,) = re.findall(r"^```python\n(album.*?)^```$", PAGE, re.M | re.S)
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.M | re.S)
    photos = measured("ordinary")["now"]["sets"]["photos"]["held_back"]
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    assert capsys.readouterr().out == shown
    assert [namespace[name] for name in ("rate", "low", "high")] == [photos["share"], *photos["interval_95"]]
