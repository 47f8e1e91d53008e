"""`--policy child,teen`: each picture is looked at once, and has a verdict for each policy."""

import json
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Stage2
from kidsnanny.cli.app import app
from kidsnanny.profiles.profile import Profile


@pytest.fixture(autouse=True)
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A safe, a doubtful and an unsafe picture."""
    monkeypatch.setattr(Profile, "build_stage1", lambda _: ScriptedStage1())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr("hello"), ScriptedTextModel()))
    monkeypatch.chdir(tmp_path)
    Path("album").mkdir()
    for red in (0, 130, 250):
        Path(f"album/{red:03}.png").write_bytes(encoded(Image.new("RGB", (16, 16), (red, 0, 0))))
    Path("own, mine.toml").write_text('name = "own"\nbase = "child"\n')
    Path("a.txt").write_text("hello\nyou are mean\n")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def facts(lines: str) -> list[tuple[str, str, str]]:
    """Source, policy and label of each verdict."""
    verdicts = [json.loads(line) for line in lines.splitlines()]
    return [(one["source"], one["provenance"]["policy"].split("@")[0], one["label"]) for one in verdicts]


@pytest.mark.parametrize("what", [["album"], ["--text", "a.txt"]], ids=["pictures", "text"])
@pytest.mark.parametrize("command", ["check", "decide"])
def test_each_policy_says_what_it_says_alone(command: str, what: list[str]) -> None:
    Path("run.jsonl").write_text(run("check", "--jsonl", *what).stdout)
    given = what if command == "check" else ["run.jsonl"]
    both = facts(run(command, "--jsonl", "--policy", "child,teen", *given).stdout)
    child, teen = (facts(run(command, "--jsonl", "--policy", name, *given).stdout) for name in ("child", "teen"))
    assert both == [verdict for pair in zip(child, teen, strict=True) for verdict in pair]
    assert {policy for _, policy, _ in both} == {"child", "teen"}


def test_a_printed_line_says_which_policy_it_is_of() -> None:
    printed = [line.split(".png")[0] for line in run("check", "--policy", "child, teen", "album").stdout.splitlines()]
    assert printed[2:4] == ["REVIEW for child: album/130", "SAFE for teen: album/130"]
    assert run("check", "--policy", "teen", "album").stdout.startswith("SAFE: album/000")


def test_the_counts_and_the_exit_code_are_of_all_policies() -> None:
    result = run("check", "--policy", "teen,child", "album/000.png", "album/130.png")
    assert result.exit_code == 10
    assert run("check", "--policy", "teen", "album/000.png", "album/130.png").exit_code == 0
    counts = "2 pictures: for teen 0 unsafe, 0 review, 2 safe; for child 0 unsafe, 1 review, 1 safe; "
    assert result.stderr.startswith(counts)


def test_the_report_has_each_verdict() -> None:
    run("check", "--policy", "child,teen", "--html", "report.html", "album")
    page = Path("report.html").read_text("utf-8")
    assert page.count("album/130.png") >= 2


def test_a_file_with_a_comma_in_its_name_is_one_policy() -> None:
    assert facts(run("check", "--jsonl", "--policy", "own, mine.toml", "album/000.png").stdout) == [
        ("album/000.png", "own", "safe")
    ]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("child,child", "--policy has two policies with the name child; name each once."),
        ("child,", "''"),
        ("child,toddler", "toddler: there is no such policy"),
    ],
)
@pytest.mark.parametrize("command", [["check", "album"], ["decide", "run.jsonl"]], ids=lambda words: words[0])
def test_wrong_policies(command: list[str], policy: str, said: str) -> None:
    result = run(*command, "--policy", policy)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"kidsnanny: {said}")
