"""`kidsnanny decide`: a saved run under another policy is what a direct check under that policy says."""

import json
import sys
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Policy, Stage2, Verdict, decide
from kidsnanny.cli.app import app
from kidsnanny.evaluation import generated
from kidsnanny.profiles.profile import Profile

runner = CliRunner()
POLICIES = ["child", "preteen", "teen", "strict.toml"]


def run(*arguments: object, given: bytes | None = None) -> Result:
    return runner.invoke(app, [*map(str, arguments)], input=given)


def facts(lines: str) -> list[dict[str, object]]:
    """The verdicts, without how long each took to make."""
    verdicts = [json.loads(line) for line in lines.splitlines()]
    assert all(verdict.pop("timings") for verdict in verdicts)
    return verdicts


@pytest.fixture
def scripted_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Profile, "build_stage1", lambda _: ScriptedStage1())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr("hello"), ScriptedTextModel()))


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted_engines: None) -> Path:  # noqa: ARG001
    """Pictures between the thresholds of the policies, a clean one and a broken one; `run.jsonl` is a check of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "album").mkdir()
    for red in (0, 30, 120, 145, 160, 170, 250):
        (tmp_path / "album" / f"{red:03}.png").write_bytes(encoded(Image.new("RGB", (16, 16), (red, 0, 0))))
    (tmp_path / "album" / "broken.jpg").write_bytes(encoded(gradient(300, 300), "JPEG")[:900])
    (tmp_path / "strict.toml").write_text(
        'name = "strict"\nbase = "child"\n[categories]\nnudity = { review = 0.1, block = 0.2 }\n'
    )
    checked = run("check", "--jsonl", "album")
    (tmp_path / "run.jsonl").write_text(checked.stdout)
    (tmp_path / "clean.jsonl").write_text(checked.stdout.splitlines()[0] + "\n")
    (tmp_path / "broken.jsonl").write_text(checked.stdout.splitlines()[-1] + "\n")
    return tmp_path


@pytest.mark.parametrize("fail_on", ["review", "unsafe"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.usefixtures("album")
def test_a_decision_is_what_a_check_under_that_policy_says(policy: str, fail_on: str) -> None:
    rules = ("--policy", policy, "--fail-on", fail_on)
    checked = run("check", "--jsonl", *rules, "album")
    decided = run("decide", "run.jsonl", "--jsonl", *rules)
    assert facts(decided.stdout) == facts(checked.stdout)
    assert decided.exit_code == checked.exit_code == 10
    for saved, source in (("clean.jsonl", "album/000.png"), ("broken.jsonl", "album/broken.jpg")):
        code = run("check", *rules, source).exit_code
        assert run("decide", saved, *rules).exit_code == code == (11 if "broken" in saved else 0)


@pytest.mark.usefixtures("album")
def test_the_policies_differ_on_these_pictures() -> None:
    labels = {
        tuple(verdict["label"] for verdict in facts(run("decide", "run.jsonl", "--jsonl", "--policy", policy).stdout))
        for policy in POLICIES
    }
    assert len(labels) == len(POLICIES)


@pytest.mark.usefixtures("album")
def test_no_engine_is_built_and_no_picture_is_read(monkeypatch: pytest.MonkeyPatch, album: Path) -> None:
    monkeypatch.delattr(Profile, "build_stage1")
    monkeypatch.delattr(Profile, "build_stage2")
    for picture in (album / "album").iterdir():
        picture.unlink()
    assert run("decide", "run.jsonl").exit_code == 10


def test_text_and_json_are_those_of_check(album: Path) -> None:
    assert run("decide", "run.jsonl").stdout == run("check", "album").stdout
    lines = (album / "run.jsonl").read_text().splitlines()
    assert json.loads(run("decide", "run.jsonl", "--json").stdout) == [json.loads(line) for line in lines]


def test_a_decision_can_be_decided_again(album: Path) -> None:
    (album / "teen.jsonl").write_text(run("decide", "run.jsonl", "--jsonl", "--policy", "teen").stdout)
    again = run("decide", "teen.jsonl", "--jsonl")
    assert again.stdout == (album / "run.jsonl").read_text()


def test_stdin_is_read_and_stays_open(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        run("decide", "-", "--jsonl", given=(album / "run.jsonl").read_bytes()).stdout
        == run("decide", "run.jsonl", "--jsonl").stdout
    )
    with (album / "run.jsonl").open() as given:
        monkeypatch.setattr(sys, "stdin", given)
        with pytest.raises(SystemExit):
            app(["decide", "-"])
        assert not given.buffer.closed


def test_the_inspections_of_an_evaluation(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    generated.write(data / "test-00000-of-00001.parquet", 6)
    evaluated = run(
        "eval", "--data", data, "--split", "test", "--out", out, "--systems", "embedded", "--policy", "teen"
    )
    assert evaluated.exit_code == 0, evaluated.output
    decided = run("decide", out / "inspections" / "embedded.jsonl", "--jsonl", "--policy", "child")
    verdicts = [Verdict.from_json(line) for line in decided.stdout.splitlines()]
    assert len(verdicts) == 6
    assert all(verdict.provenance.policy.startswith("child@") for verdict in verdicts)
    for verdict in verdicts:
        assert verdict == decide(verdict.inspection, Policy.load("child"))
    flagged = any(verdict.reasons for verdict in verdicts)
    missed = any(verdict.not_inspected for verdict in verdicts)
    assert decided.exit_code == (10 if flagged else 11 if missed else 0)


@pytest.mark.parametrize(
    "line",
    [
        b"notes",
        b"",
        b"7",
        b"[]",
        b"{}",
        b'{"label": "safe"}',
        b'{"inspection": 7}',
        b'{"inspection": {"source": "a.png", "mood": "good"}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda line: line[:24].decode("latin-1") or "empty",
)
def test_a_bad_line_is_named_and_the_lines_before_it_stand(album: Path, line: bytes) -> None:
    whole = (album / "run.jsonl").read_bytes().splitlines(keepends=True)
    (album / "torn.jsonl").write_bytes(whole[0] + line + b"\n" + whole[1])
    torn = run("decide", "torn.jsonl", "--jsonl")
    assert torn.exit_code == 2
    assert torn.stdout.encode() == whole[0]
    assert torn.stderr.startswith("kidsnanny: torn.jsonl: line 2 is neither a verdict nor an inspection (")
    assert torn.stderr.count("\n") == 1


@pytest.mark.usefixtures("album")
def test_a_saved_run_is_told_to_a_parent_or_with_what_was_looked_for_once() -> None:
    assert run("decide", "run.jsonl").stdout.count("Looked for") == 1
    told = run("decide", "run.jsonl", "--for-parent", "--language", "fr").stdout
    assert "Looked for" not in told
    assert "un enfant ne devrait pas voir." in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run.jsonl", "--language", "de"], "give --for-parent as well"),
        (["missing.jsonl"], "missing.jsonl: it cannot be read (No such file or directory)"),
        (["album"], "album: it cannot be read (Is a directory)"),
        (["run.jsonl", "--policy", "toddler"], "toddler"),
        (["run.jsonl", "--json", "--jsonl"], "--json and --jsonl exclude each other"),
    ],
)
@pytest.mark.usefixtures("album")
def test_wrong_usage_is_exit_2_and_one_sentence(arguments: list[str], said: str) -> None:
    result = run("decide", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not result.stdout.strip("[\n]")


def test_an_array_is_decided_like_lines(album: Path) -> None:
    (album / "run.json").write_text(run("check", "--json", "album").stdout)
    assert facts(run("decide", "run.json", "--jsonl", "--policy", "teen").stdout) == facts(
        run("decide", "run.jsonl", "--jsonl", "--policy", "teen").stdout
    )
    (album / "none.json").write_text("[\n]\n")
    assert run("decide", "none.json").exit_code == 2


def test_an_empty_run_is_no_run_in_which_nothing_was_flagged(tmp_path: Path) -> None:
    """As `kidsnanny check --jsonl … > run.jsonl` leaves it when the check itself was refused."""
    (tmp_path / "run.jsonl").touch()
    result = run("decide", tmp_path / "run.jsonl")
    assert result.exit_code == 2
    assert "it is empty, so there is nothing to decide" in result.stderr
