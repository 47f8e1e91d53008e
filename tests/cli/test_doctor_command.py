"""`kidsnanny doctor`, on the real default profile and on broken parts."""

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel
from typer.testing import CliRunner

from kidsnanny import Stage2
from kidsnanny.cli.app import app
from kidsnanny.profiles.profile import Profile

runner = CliRunner()


def test_each_component_is_tested_and_what_is_missing_is_listed() -> None:
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 0
    marks = {line.split(maxsplit=1)[0] for line in result.stdout.splitlines()[:-1]}
    assert marks == {"ok", "-"}
    assert (
        "\n-    marqo-nsfw-384: not needed by the embedded profile; its weights are not on this machine; run"
        in result.stdout
    )
    absent = [line[5:].partition(":")[0] for line in result.stdout.splitlines() if line.startswith("-")]
    passed = sum(line.startswith("ok ") for line in result.stdout.splitlines())
    closing = f"All {passed} tests passed; optional and not installed: {', '.join(absent)}."
    assert result.stdout.splitlines()[-1] == closing
    for said in (
        "nudenet-320n@",
        "reads HELLO 123",
        "separates a scam",
        "does not look for illegal",
        "AGPL-3.0",
        "verified",
    ):
        assert said in result.stdout


@pytest.mark.parametrize(
    ("part", "broken", "says"),
    [
        ("stage1", lambda: ScriptedStage1(), "a drawn face is not detected"),
        ("stage2", lambda: Stage2(ScriptedOcr(), ScriptedTextModel()), "where 'HELLO 123' is written"),
        ("stage2", lambda: Stage2(ScriptedOcr("HELLO 123"), ScriptedTextModel()), "does not separate a scam"),
    ],
)
def test_a_broken_part_is_named(monkeypatch: pytest.MonkeyPatch, part: str, broken: object, says: str) -> None:
    monkeypatch.setattr(Profile, f"build_{part}", lambda _: broken())
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 3
    assert says in result.stdout
