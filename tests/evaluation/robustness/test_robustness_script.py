"""`benchmarks/robustness.py`: what is wrong with its options is said in a line, before anything is measured."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def arguments(monkeypatch: pytest.MonkeyPatch, *given: str) -> object:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", ["robustness.py", "data", *given])
    import robustness

    return robustness.arguments()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--out", "."], "--out: . cannot be written; name a file in a folder that is there."),
        (["--out", "none/y.json"], "--out: none/y.json cannot be written"),
        (["--systems", "my-probe,embedded"], "--systems names my-probe; choose from embedded, "),
        (["--attack", "nope"], "--attack names nope; choose from "),
        (["--attack", "nudenet-320n"], "--attack names nudenet-320n; choose from "),
        (["--changes", "nope"], "--changes names nope; choose from "),
        (["--limit", "-3"], "argument --limit: it is -3, and must be at least 1"),
        (["--per-source", "0"], "argument --per-source: it is 0, and must be at least 1"),
        (["--levels", "0"], "argument --levels: it is 0, and must be at least 1"),
        (["--thin", "0"], "argument --thin: it is 0, and must be at least 1"),
        (["--eps", "nan"], "--eps is nan; give a number above 0."),
    ],
)
def test_what_is_wrong_with_the_options_is_said_first(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    given: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        arguments(monkeypatch, *given)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_an_attack_without_torch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    monkeypatch.delitem(sys.modules, "robustness", raising=False)
    with pytest.raises(SystemExit):
        arguments(monkeypatch, "--attack", "image-safety-s")
    assert "--attack needs torch; run `pip install '.[eval,vit]'`." in capsys.readouterr().err


def test_the_help_has_the_names_and_the_defaults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        arguments(monkeypatch, "--help")
    said = " ".join(capsys.readouterr().out.split())
    for told in ("default: embedded", "default: 0.01", "default: 500", "default: 2023", "screenshot", "--out OUT"):
        assert told in said
