"""`kidsnanny train student`: what is refused before anything is trained, and a short training from parquet."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kidsnanny.cli.app import app
from kidsnanny.evaluation.graphs.graph_data import synthetic_examples, write

pytestmark = pytest.mark.torch


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", "student", *map(str, arguments)])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.parquet", synthetic_examples(range(6), "train", 128))
    write(folder / "val.parquet", synthetic_examples(range(500, 502), "val", 128))
    return folder


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--columns", "map.toml"], "--columns says something of --data"),
        (["--vocabulary", "words.toml"], "--vocabulary says something of --data"),
        (["--recipe", "best"], "no recipe 'best'; name one of plain, ce,"),
        (["--data", "nowhere"], "nowhere"),
        (["--from", "nowhere"], "nowhere"),
        (["--rate", "0"], "rate"),
    ],
)
def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str) -> None:
    monkeypatch.chdir(tmp_path)
    found = train("--out", "out", "--steps", 1, *arguments)
    assert found.exit_code not in (0, 1)
    assert reason in " ".join(found.stderr.split())
    assert not list(tmp_path.glob("out/*.safetensors"))


def test_a_training_from_parquet_leaves_a_student_and_its_curve(tmp_path: Path, data: Path) -> None:
    from kidsnanny.stage1.student.student import Student

    out = tmp_path / "out"
    given = ("--out", out, "--data", data, "--recipe", "balanced", "--steps", 2, "--batch", 2)
    found = train(*given)
    assert found.exit_code == 0, found.output
    student = Student.open(out, device="cpu")
    assert student.settings.trained_on == "data, split train, 6 pictures"
    assert (out / "curve.json").is_file()
    assert list((out / "logs").rglob("events.*"))
    again = train(*given)
    assert again.exit_code != 0
    assert "name a new folder" in " ".join(again.stderr.split())


def test_another_plan_does_not_go_on_with_a_run(tmp_path: Path, data: Path) -> None:
    import json

    from kidsnanny.training.student.train_student import Plan

    out = tmp_path / "out"
    out.mkdir()
    there = {"plan": Plan(steps=9, seed=7).model_dump(), "pictures": "data, split train, 6 pictures", "start": None}
    (out / "run.json").write_text(json.dumps(there))
    found = train("--out", out, "--data", data, "--steps", 9, "--seed", 8, "--rate", 0.01)
    assert found.exit_code != 0
    assert "another learning_rate and seed" in " ".join(found.stderr.split())
