"""`kidsnanny eval` on pictures with text in them, from the outside."""

import json
import re
from pathlib import Path

import pytest
from conftest import encoded, page
from typer.testing import CliRunner, Result

from kidsnanny.cli.app import app

HARMFUL, HARMLESS = "nobody likes you, you stupid ugly loser", "the match begins at three on Saturday"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of two texts in two looks each."""
    folder = tmp_path_factory.mktemp("texts")
    rows = ["file,label,text,source,category"]
    for name, text in (("harmful", HARMFUL), ("harmless", HARMLESS)):
        words = text.split()
        drawn = page(" ".join(words[:4]), " ".join(words[4:]))
        for look, picture in (("page", drawn), ("turned", drawn.rotate(90, expand=True))):
            (folder / f"{name}-{look}.png").write_bytes(encoded(picture))
            rows.append(f'{name}-{look}.png,{"unsafe" if text == HARMFUL else "safe"},"{text}",{look},harassment')
    (folder / "texts.csv").write_text("\n".join(rows))
    return folder / "texts.csv"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", "--category", "all", *map(str, arguments)])


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_a_column_of_texts_makes_an_audit(data: Path, tmp_path: Path) -> None:
    done = run("--data", data, "--out", tmp_path, "--counterfactual")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "text_audit.json").read_text())
    both = next(one for one in found["systems"] if one["system"] == "embedded:multimodal")
    assert (both["all"]["pictures"], both["all"]["texts"]) == (4, 2)
    assert (both["all"]["recall"]["successes"], both["all"]["false_alarms"]["successes"]) == (2, 0)
    assert set(both["by_look"]) == {"page", "turned"}
    assert set(both["by_topic"]) == {"harassment"}
    (engine,) = found["engines"]
    assert (engine["system"], engine["all"]["pictures"]) == ("embedded", 4)
    assert engine["all"]["mean"]["value"] < 0.1
    assert found["painted_out"]["cleared"] == {
        "successes": 2,
        "n": 2,
        "value": 1.0,
        "interval": found["painted_out"]["cleared"]["interval"],
    }
    assert found["painted_out"]["still_read"] == []
    report = (tmp_path / "report.html").read_text("utf-8")
    assert 'id="text-audit"' in report
    assert "stupid" not in report

    again = run("--data", data, "--out", tmp_path, "--counterfactual")
    assert again.exit_code == 0, again.output
    assert json.loads((tmp_path / "text_audit.json").read_text()) == found, "nothing is looked at or painted twice"


def test_without_texts_it_is_made_if_asked_for(data: Path, tmp_path: Path) -> None:
    (data.parent / "plain.csv").write_text("file,label\nharmful-page.png,unsafe\nharmless-page.png,safe\n")
    asked = ("--data", data.parent / "plain.csv", "--systems", "nudenet", "--out", tmp_path)
    assert run(*asked).exit_code == 0
    assert not (tmp_path / "text_audit.json").exists()
    assert 'id="text-audit"' not in (tmp_path / "report.html").read_text("utf-8")
    assert run(*asked, "--text-audit").exit_code == 0
    found = json.loads((tmp_path / "text_audit.json").read_text())
    assert (found["engines"], found["losses"], found["given"]) == ([], None, [])
    assert "No picture&#39;s text is known" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("arguments", [("--systems", "nudenet"), ("--regime", "vision-only")])
def test_text_is_painted_out_only_where_it_is_known_to_be(
    data: Path, tmp_path: Path, arguments: tuple[str, str]
) -> None:
    refused = run("--data", data, "--out", tmp_path / "out", "--counterfactual", *arguments)
    assert refused.exit_code == 2
    assert "name a subset with --subset FILE, or have `embedded` among --systems" in flat(refused.output)
    assert not (tmp_path / "out").exists()
