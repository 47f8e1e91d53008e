"""`kidsnanny audit`: a data set's card in one command, with what may be wrong told in a sentence."""

import csv
import re
from pathlib import Path

import pytest
from audited_data import FORMS, GREY, RED, as_folder, plain, probe_in
from networks import COLOURS_CARD, colour_classifier
from typer.testing import CliRunner, Result

from kidsnanny.cli.app import app
from kidsnanny.probes.datasheet.question_16 import Datasheet


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Path:  # noqa: ARG001
    """A folder with a probe and its encoder."""
    monkeypatch.chdir(tmp_path)
    add_encoder()
    probe_in(tmp_path / "my-probe")
    return tmp_path


def add_encoder(random: bool = False) -> None:
    colour_classifier(Path("n.onnx"), (0, 1), side=32, random=random)
    Path("card.toml").write_text(COLOURS_CARD)
    assert run("weights", "add", "card.toml").exit_code == 0


def audit(*arguments: object) -> Result:
    return run("audit", *arguments, "--out", "card")


@pytest.mark.parametrize("form", FORMS)
def test_one_command_makes_the_card(here: Path, form: str) -> None:
    done = audit(FORMS[form](here / "data"), "--probe", "my-probe")
    assert done.exit_code == 11, "one of the pictures could not be looked at"
    said = " ".join(done.stdout.split())
    assert "6 pictures; potentially inappropriate 3 of 5 (60.0%, 95 % interval 23.1% to 88.2%) from 0.5 on" in said
    assert "2 of 5 (40.0%, 95 % interval 11.8% to 76.9%) from 0.9 on" in said
    assert "Not judged: 1 picture that could not be looked at." in said
    assert "The card: card/datasheet.html" in said
    assert {one.name for one in Path("card").iterdir() if not one.name.startswith(".")} == {
        "datasheet.html",
        "datasheet.json",
        "flagged.csv",
        "embeddings",
    }


def test_a_probe_that_was_added_goes_by_its_name(here: Path) -> None:
    assert run("weights", "add", "my-probe/card.toml").exit_code == 0
    (here / "my-probe").rename(here / "elsewhere")
    assert audit(as_folder(here / "data"), "--probe", "my-probe").exit_code == 3, "its weights are not there any more"
    (here / "elsewhere").rename(here / "my-probe")
    (here / "my-probe" / "card.toml").unlink()
    assert audit(here / "data", "--probe", "my-probe").exit_code == 11


def test_a_persons_answers_come_back(here: Path) -> None:
    (here / "data").mkdir()
    (here / "data" / "a.png").write_bytes(plain(RED))
    (here / "data" / "b.png").write_bytes(plain(GREY))
    assert audit("data", "--probe", "my-probe").exit_code == 0
    with Path("card/flagged.csv").open(newline="") as file:
        head, row = csv.reader(file)
    with Path("card/flagged.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([head, [*row[:-1], "yes"]])  # as some spreadsheets write it
    again = audit("data", "--probe", "my-probe")
    assert "has a person's answers, and stays as it is; --confirmed counts them" in " ".join(again.stdout.split())
    done = audit("data", "--probe", "my-probe", "--confirmed", "card/flagged.csv")
    assert "Confirmed by a person: 1 of 1 (100.0%, 95 % interval 20.7% to 100.0%)" in " ".join(done.stdout.split())
    sheet = Datasheet.model_validate_json(Path("card/datasheet.json").read_bytes())
    assert sheet.confirmed
    assert sheet.confirmed.at_threshold.successes == 1


def test_answers_that_do_not_count_are_said(here: Path) -> None:
    (here / "data").mkdir()
    (here / "data" / "a.png").write_bytes(plain(RED))
    rows = "".join(f"{name * 64},0.9,{said}\n" for name, said in (("a", "yes"), ("b", "no"), ("c", "")))
    Path("away.csv").write_text("sha256,score,confirmed\n" + rows)
    done = " ".join(audit("data", "--probe", "my-probe", "--confirmed", "away.csv").stdout.split())
    assert "Confirmed by a person: nothing yet, for no answer counts." in done
    assert "Not counted: answers about 2 pictures not flagged now, or not there." in done


def test_of_pictures_that_are_all_broken_nothing_is_known(here: Path) -> None:
    (here / "data").mkdir()
    (here / "data" / "a.png").write_bytes(plain(RED)[:40])
    done = audit("data", "--probe", "my-probe")
    assert done.exit_code == 11
    assert "data: 1 picture; not one of them could be looked at, so nothing is known of any." in " ".join(
        done.stdout.split()
    )


@pytest.mark.parametrize("probe", ["my-probe", "my-probe/", "my-probe/card.toml"])
def test_a_probe_goes_by_its_folder_or_its_card(here: Path, probe: str) -> None:
    assert audit(as_folder(here / "data"), "--probe", probe).exit_code == 11


def test_embeddings_may_be_shared(here: Path) -> None:
    as_folder(here / "data")
    assert audit("data", "--probe", "my-probe", "--embeddings", "rows").exit_code == 11
    (cache,) = Path("rows").iterdir()
    before = (cache / "rows.f32").stat().st_mtime_ns
    assert run("audit", "data", "--probe", "my-probe", "--embeddings", "rows", "--out", "other").exit_code == 11
    assert (cache / "rows.f32").stat().st_mtime_ns == before
    assert not Path("other/embeddings").exists()


def test_random_weights_are_said_first(here: Path) -> None:
    add_encoder(random=True)
    (here / "data").mkdir()
    (here / "data" / "a.png").write_bytes(plain(RED))
    done = audit("data", "--probe", "my-probe")
    assert done.exit_code == 0
    assert " ".join(done.stdout.split()).startswith("The weights are random, so what they say means nothing.")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere", "--probe", "my-probe"], 2, "nowhere: there is nothing there; name a folder of pictures"),
        (["data", "--probe", "nowhere"], 3, "nowhere: there is no card of that name"),
        (["data", "--probe", "colours"], 3, "its card is of an encoder, not of a probe"),
        (["data", "--probe", "my-probe", "--threshold", "0.4"], 2, "Invalid value for '--threshold'"),
        (["data", "--probe", "my-probe", "--confirmed", "none.csv"], 2, "none.csv: there is no such file; name a"),
        (["cut.tar", "--probe", "my-probe"], 2, "cut.tar: it is no whole .tar file"),
        (["data", "--probe", "empty"], 3, "empty/card.toml: it has 0 cards of probes"),
        (["data", "--probe", "empty/card.toml"], 3, "empty/card.toml: it has 0 cards of probes"),
        (["data", "--probe", "data"], 3, "data: the folder has no card.toml"),
    ],
)
def test_what_is_refused(here: Path, arguments: list[str], code: int, says: str) -> None:
    as_folder(here / "data")
    (here / "cut.tar").write_bytes(b"no tar")
    (here / "empty").mkdir()
    (here / "empty" / "card.toml").write_text("")
    done = audit(*arguments)
    assert done.exit_code == code, done.output
    assert says in re.sub(r"[\s│╭╮╰╯─]+", " ", done.stderr)


def test_an_encoder_of_another_revision_is_refused(here: Path) -> None:
    card = here / "my-probe" / "card.toml"
    card.write_text(
        card.read_text().replace('encoder = "colours"', 'encoder = "colours"\nencoder_revision = "0123456789ab"')
    )
    done = audit(as_folder(here / "data"), "--probe", "my-probe")
    assert done.exit_code == 3
    assert "it was trained on colours@0123456789ab" in " ".join(done.stderr.split())
    assert not Path("card").exists()
