"""A model of one's own, from its file to verdicts and an evaluation, with nothing but the command line."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import encoded
from networks import colour_classifier
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Pipeline
from kidsnanny.cli.app import app
from kidsnanny.models.cards import cards, shipped
from kidsnanny.models.store import home

pytestmark = pytest.mark.usefixtures("own_home")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a network, and pictures that it tells apart."""
    monkeypatch.chdir(tmp_path)
    colour_classifier(tmp_path / "model.onnx", (0, 1), batch=1, side=224)
    for label, colour in (("unsafe", "red"), ("safe", "green")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "data" / label / f"{number}.png").write_bytes(
                encoded(Image.new("RGB", (64 + number, 48), colour))
            )
    return tmp_path


def test_a_template_that_is_filled_in_is_added_and_used(folder: Path) -> None:
    (folder / "card.toml").write_text(run("weights", "card-template").stdout)
    added = run("weights", "add", "card.toml")
    assert added.exit_code == 0, added.output
    assert "kidsnanny check --profile my-model" in added.stdout
    checked = run("check", "--jsonl", "--profile", "my-model", "--vision-only", "data")
    verdicts = {
        Path(verdict["source"]).parent.name: verdict for verdict in map(json.loads, checked.stdout.splitlines())
    }
    assert {name: verdict["label"] for name, verdict in verdicts.items()} == {"unsafe": "unsafe", "safe": "safe"}
    assert verdicts["safe"]["coverage"] == {"sexual": {"image": None}, "nudity": {"image": None}}
    with Pipeline(profile="my-model") as pipeline:
        assert pipeline("data/unsafe/0.png").label == "unsafe"

    for option in ("--systems", "--profile"):
        out = folder / option.strip("-")
        done = run("eval", "--data", "data", option, "my-model", "--regime", "vision-only", "--out", out)
        assert done.exit_code == 0, done.output
        systems = json.loads((out / "summary.json").read_text())["systems"]
        assert systems["my-model:vision-only"]["all"]["scores"]["counts"] == {"tp": 2, "fp": 0, "fn": 0, "tn": 2}


def test_a_file_alone_gets_a_card_to_fill_in(folder: Path) -> None:
    suggested = run("weights", "add", "model.onnx")
    assert suggested.exit_code == 2, "nothing was added"
    assert "save this one as model.toml" in suggested.stderr
    assert "kidsnanny weights add model.toml" in suggested.stderr
    assert not home().exists()
    text = suggested.stdout
    (folder / "model.toml").write_text(text)
    refused = run("weights", "add", "model.toml")
    assert refused.exit_code == 2
    assert refused.stderr.count("still say") == 6
    assert len(refused.stderr.splitlines()) == 6
    for blank, value in (
        ('what = "?"', 'what = "how red a picture is"'),
        ('licence = "?"', 'licence = "ours"'),
        ('mean = "?"', "mean = [0, 0, 0]"),
        ('std = "?"', "std = [1, 1, 1]"),
        ('interpolation = "?"', 'interpolation = "bilinear"'),
        ('"label 1" = "?"', "red = { gore = 1 }"),
        ('"label 2" = "?"', "green = {}"),
    ):
        assert blank in text
        text = text.replace(blank, value)
    (folder / "model.toml").write_text(text)
    assert run("weights", "add", "model.toml").exit_code == 0
    assert cards()["model"].locate() == folder / "model.onnx"


def test_what_a_card_says_is_compared_with_its_file(folder: Path) -> None:
    text = run("weights", "card-template").stdout
    (folder / "card.toml").write_text(text.replace("input = 224", "input = 192") + "third = {}\n")
    refused = run("weights", "add", "card.toml")
    assert refused.exit_code == 2
    assert [line.partition("; ")[0] for line in refused.stderr.splitlines()] == [
        "kidsnanny: my-model.input: it is 192, and model.onnx has 224",
        "kidsnanny: my-model.labels: there are 3, and model.onnx has 2 outputs",
    ]
    assert not home().exists()
    like = run("weights", "add", "model.onnx", "--like", "freepik-nsfw", "--name", "mine")
    assert like.exit_code == 2
    assert "mine.labels: there are 4, and model.onnx has 2 outputs" in like.stderr


def test_published_weights_under_a_name_of_ones_own_give_the_same_scores(folder: Path) -> None:
    theirs = shipped()["open-nsfw"]
    shutil.copy(theirs.locate(), folder / "yahoo.onnx")
    assert run("weights", "add", "yahoo.onnx", "--like", "open-nsfw", "--name", "my-nsfw").exit_code == 0
    picture = folder / "data" / "unsafe" / "0.png"
    found = []
    for name in ("open-nsfw", "my-nsfw"):
        line = run("check", "--jsonl", "--vision-only", "--profile", name, picture).stdout
        found.append({category: score["final"] for category, score in json.loads(line)["detail"].items()})
    assert found[0] == found[1]


@pytest.mark.parametrize(("role", "form"), [("text", "onnx"), ("student", "safetensors"), ("detector", "safetensors")])
def test_each_role_has_a_template(role: str, form: str) -> None:
    printed = run("weights", "card-template", role, "--format", form)
    assert printed.exit_code == 0
    assert f'role = "{role}"' in printed.stdout
    assert f'.{form}"' in printed.stdout


@pytest.mark.usefixtures("folder")
def test_a_name_that_is_none_is_said() -> None:
    for asked in (
        ("check", "--profile", "nsfw", "data"),
        ("eval", "--data", "data", "--systems", "nsfw", "--out", "o"),
    ):
        refused = run(*asked)
        assert refused.exit_code == 2
        assert "a name from `kidsnanny weights list`" in " ".join(refused.stderr.split())
