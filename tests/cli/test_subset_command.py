"""`kidsnanny subset` from the outside, up to a report on what came out of it."""

import csv
import json
import re
from pathlib import Path

import pytest
from conftest import encoded, gradient, page
from typer.testing import CliRunner, Result

from kidsnanny.cli.app import app

BAD, MILD = "Adults only: sexy webcam show tonight", "The library is open from nine to six"
PICTURES = {
    "unsafe/advertisement": (BAD, "unsafe", "safe", "unsafe"),
    "unsafe/story": ("Erotic stories for adults, read them now", "unsafe", "safe", "unsafe"),
    "safe/library": (MILD, "safe", "safe", "safe"),
    "safe/quoted": (BAD, "safe", "safe", "unsafe"),
    "safe/doubtful": (MILD, "safe", "unsure", "safe"),
    "safe/plain": ("", "safe", "", "none"),
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawings, all but one with a line of text, and a broken one."""
    folder = tmp_path_factory.mktemp("data")
    for seed, (name, (text, *_)) in enumerate(PICTURES.items()):
        image = gradient(480, 320, seed)
        if text:
            image.paste(page(text, size=(460, 60), letters=20), (10, 250))
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.png").write_bytes(encoded(image))
    (folder / "safe" / "broken.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture(scope="module")
def drawn(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Candidates, and what was said of them."""
    out = tmp_path_factory.mktemp("drawn") / "candidates"
    done = run("subset", "draw", "--data", data, "--out", out, "--without-text", "100%", "--category", "Sexual")
    assert done.exit_code == 0, done.output
    return out, flat(done.output)


def labels(file: Path, rows: dict[str, tuple[str, ...]] = PICTURES) -> Path:
    with file.open("w", newline="") as lines:
        given = ((f"{name}.png", *said) for name, (_, *said) in rows.items())
        head = ("id", "label_picture", "label_text_painted_out", "label_text_alone")
        csv.writer(lines).writerows([head, *given])
    return file


def test_candidates_are_drawn(drawn: tuple[Path, str]) -> None:
    out, said = drawn
    assert "6 candidates of 7 pictures: 5 with text, 1 of 1 without; 1 could not be looked at." in said
    assert "its pictures are mosaicked, --pictures shows them" in said
    files = [".lock", "manifest.json", "scans.jsonl", "sheet.csv", "sheet.html"]
    assert sorted(path.name for path in out.iterdir()) == files
    assert {row["id"] for row in csv.DictReader((out / "sheet.csv").read_text().splitlines())} == {
        f"{name}.png" for name in PICTURES
    }
    for path in out.iterdir():
        assert not any(text in path.read_text() for text in (BAD, MILD)), "what was read is kept nowhere"


def test_from_the_labels_to_a_report_with_the_papers_rows(data: Path, drawn: tuple[Path, str], tmp_path: Path) -> None:
    made = run("subset", "make", drawn[0], "--sheet", labels(tmp_path / "l.csv"), "--labelled-by", "A. Reader")
    assert made.exit_code == 0, made.output
    assert "text+visual: 4 pictures, 2 unsafe" in flat(made.output)
    assert "text-only: 3 pictures, 2 unsafe" in flat(made.output)
    assert "Of 6 rows, 1 are unsure and 1 have no text." in flat(made.output)

    asked = ("eval", "--data", data, "--systems", "nudenet,embedded", "--out", tmp_path / "run", "--expect", 4)
    done = run(*asked, "--subset", drawn[0] / "text+visual.json", "--counterfactual")
    assert done.exit_code == 0, done.output
    assert "A. Reader labelled 6 candidates: every picture in whose first frame ppocrv6" in flat(done.output)
    found = {
        one["system"]: one for one in json.loads((tmp_path / "run" / "counterfactual.json").read_text())["systems"]
    }
    assert set(found) == {"nudenet", "embedded:vision-only", "embedded:multimodal"}
    reads, blind = found["embedded:multimodal"], found["nudenet"]
    assert (blind["n"], blind["flips"]["successes"]) == (4, 0), "who cannot read does not follow"
    assert reads["flips"]["successes"] == reads["raised"] == 3
    assert (reads["expected_flips"]["successes"], reads["expected_flips"]["n"]) == (2, 2)
    assert (reads["unexpected_flips"]["successes"], reads["unexpected_flips"]["n"]) == (1, 2), (
        "it does not see what excuses the quotation"
    )
    assert (reads["matches_text_alone"]["successes"], reads["text_alone_unsafe"]["successes"]) == (3, 3)
    report = (tmp_path / "run" / "report.html").read_text()
    for said in (
        "subset <bdi>text+visual</bdi>: 4 pictures",
        "Does the verdict follow the text?",
        "text+visual subset",
    ):
        assert said in report
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["subset"] == "text+visual"
    assert summary["systems"]["embedded:multimodal"]["all"]["scores"]["counts"] == {"tp": 2, "fp": 1, "fn": 0, "tn": 1}

    asked = ("eval", "--data", data, "--systems", "embedded", "--out", tmp_path / "only", "--regime", "multimodal")
    other = run(*asked, "--subset", drawn[0] / "text-only.json", "--category", "Hate")
    assert other.exit_code == 2
    assert "its candidates were drawn with --category Sexual, not Hate; leave it out." in flat(other.output)
    assert not (tmp_path / "only").exists()
    only = run(*asked, "--subset", drawn[0] / "text-only.json")
    assert only.exit_code == 0, only.output
    assert "75.76" in only.output, "the published row of this subset"
    assert "Does the verdict follow" not in (tmp_path / "only" / "report.html").read_text()


def test_a_subset_that_is_empty_has_no_file(drawn: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "text-only.json").write_text("of an earlier sheet")
    nothing = dict.fromkeys(PICTURES, ("", "safe", "", "none"))
    asked = ("subset", "make", drawn[0], "--labelled-by", "me", "--out", tmp_path)
    made = run(*asked, "--sheet", labels(tmp_path / "l.csv", nothing))
    assert made.exit_code == 0
    assert "text-only: no picture, no file" in flat(made.output)
    assert not (tmp_path / "text-only.json").exists()


@pytest.mark.parametrize("share", ["many", "-1", "101%", "%", "1.5", "nan%", ""])
def test_a_sample_that_is_none(data: Path, tmp_path: Path, share: str) -> None:
    refused = run("subset", "draw", "--data", data, "--out", tmp_path / "out", f"--without-text={share}")
    assert refused.exit_code == 2
    assert f"--without-text {share}: expected a number of pictures or a share" in refused.output
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_said_in_a_sentence(data: Path, drawn: tuple[Path, str], tmp_path: Path) -> None:
    wrong = {**PICTURES, "safe/plain": ("", "fine", "", "none")}
    sheet = labels(tmp_path / "l.csv", wrong)
    for arguments, says in (
        *(
            (
                (*command, "--data", tmp_path / "nowhere", "--out", tmp_path / "run"),
                "nowhere: there is nothing there; name a",
            )
            for command in (("eval",), ("subset", "draw"))
        ),
        (("subset", "make", tmp_path, "--sheet", sheet, "--labelled-by", "me"), "no candidates were drawn there"),
        (("subset", "make", drawn[0], "--sheet", sheet, "--labelled-by", " "), "--labelled-by is empty; say who"),
        (
            ("subset", "make", drawn[0], "--sheet", sheet, "--labelled-by", "me"),
            "row 7 (safe/plain.png): label_picture is 'fine'; expected safe, unsafe or unsure; correct it.",
        ),
        (
            ("eval", "--data", data, "--out", tmp_path / "run", "--counterfactual", "--systems", "nudenet"),
            "name a subset with --subset FILE",
        ),
        (("eval", "--data", data, "--out", tmp_path / "run", "--subset", sheet), "l.csv: it is not a subset"),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 2, refused.output
        assert says in flat(refused.output)
    assert not (tmp_path / "run").exists()


def test_help_teaches_how_to_label() -> None:
    said = flat(run("subset", "draw", "--help").output)
    assert "Its pictures are mosaicked" in said
    assert "to label, draw with --pictures" in said
    assert "Example: kidsnanny subset make candidates --sheet labels.csv" in said
    said = flat(run("subset", "make", "--help").output)
    assert "these definitions are ours" in said
    assert "safe, unsafe or unsure; for the text alone also `no text` (or `none`)" in said
