"""`benchmarks/rendered_text.py`: which texts it draws, and that reading them loses little against the text itself."""

import json
import random
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
SCRIPT = ROOT / "benchmarks" / "rendered_text.py"
TEXTS = 16


def test_half_of_the_texts_are_harmful_a_third_look_like_it_and_each_look_comes_as_often() -> None:
    from rendered_text import LOOKS, chosen, drawings, lines_of

    assert len(chosen(lines_of(None), 11, random.Random(0))) == 11
    lines = chosen(lines_of(None), 66, random.Random(0))
    assert Counter(line.kind for line in lines) == {"harmful": 33, "look_alike": 22, "plain": 11}
    harmful = Counter(line.categories[0] for line in lines if line.kind == "harmful")
    assert max(harmful.values()) - min(harmful.values()) <= 1
    assert len({line.text for line in lines}) == 66
    drawn = list(drawings(lines, [str(n) for n in range(9)], Path(), Namespace(seed=0, photos=None)))
    assert set(Counter(one.look for one in drawn).values()) == {660 // len(LOOKS)}
    assert {len(looks) for looks in ({one.look for one in drawn if one.text == line.text} for line in lines)} == {10}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json\n", "a line is not of the corpus' form"),
        ('{"text": "see you at five"}\n', "a line is not of the corpus' form"),
        (None, "it cannot be read"),
        ("", "There are only 0 texts"),
    ],
    ids=["no JSON", "no kind", "no file", "no lines"],
)
def test_texts_that_cannot_be_had_are_named(tmp_path: Path, content: str | None, said: str) -> None:
    from rendered_text import chosen, lines_of

    few = tmp_path / "few.jsonl"
    if content is not None:
        few.write_text(content)
    with pytest.raises(SystemExit, match=f"{said}.*[.)]$"):
        chosen(lines_of(few), 2, random.Random(0))


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("rendered")
    result = folder / "result.json"
    command = [sys.executable, SCRIPT, "--out", folder / "run", "--texts", str(TEXTS), "--result", result]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert (folder / "run" / "report.html").is_file()
    return json.loads(result.read_text())["audit"]


@pytest.mark.slow
def test_reading_a_picture_loses_little_against_the_text_itself(audit: Any) -> None:
    """With a wide margin: on so few texts a ratio is a matter of one or two. The goal on 220 texts is .95."""
    assert audit["pictures"] == TEXTS * 10
    ours = next(one for one in audit["given"] if one["system"] == "embedded:multimodal")["all"]
    assert ours["recall"]["value"] >= 0.85
    assert ours["precision"]["value"] >= 0.75
    assert audit["engines"][0]["all"]["mean"]["value"] < 0.1


@pytest.mark.slow
def test_reading_finds_what_looking_alone_does_not(audit: Any) -> None:
    assert audit["vision"]["recall_gain"]["value"] >= 0.4
    assert audit["vision"]["false_alarms"]["value"] <= 0.3
