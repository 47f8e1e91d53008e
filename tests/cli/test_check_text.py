"""`kidsnanny check --text`."""

import json
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel
from typer.testing import CliRunner

from kidsnanny import Stage2
from kidsnanny.cli.app import app
from kidsnanny.profiles.profile import Profile

runner = CliRunner()


@pytest.fixture(autouse=True)
def scripted_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Profile, "build_stage1", lambda _: ScriptedStage1())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr(), ScriptedTextModel()))


FILES = {
    "lines": ("a.txt", b"hello\n\nyou are mean\n", [(1, "safe"), (3, "unsafe")], 10),
    "windows": ("a.txt", b"\xef\xbb\xbfhello\r\nbye\r\n", [(1, "safe"), (2, "safe")], 0),
    "not UTF-8": ("a.txt", b"hello\ncaf\xe9\n", [(1, "safe"), (2, "review")], 11),
    "JSON by name": ("a.jsonl", b'{"text": "mean"}\n', [(1, "unsafe")], 10),
    "JSON by content": ("a.log", b'{"text": "hello", "id": 5}\n', [(1, "safe")], 0),
    "a conversation": (
        "a.jsonl",
        b'{"turns": [{"speaker": "x", "text": "hi"}, {"text": "you are mean"}]}',
        [(1, "unsafe")],
        10,
    ),
    "an object behind plain lines": (
        "a.txt",
        b'hello\n{"text": "you are mean"}\n{smile}\n',
        [(1, "safe"), (2, "unsafe"), (3, "safe")],
        10,
    ),
    "one object over lines": (
        "a.txt",
        b'{"turns": [\n{"speaker": "x", "text": "you are mean"}\n]}',
        [(None, "unsafe")],
        10,
    ),
    "a conversation as a list": ("a.txt", b'[{"speaker": "x", "text": "you are mean"}]', [(1, "unsafe")], 10),
    "a list over lines": ("a.json", b'[\n"hello",\n{"text": "you are mean"}\n]', [("1", "safe"), ("2", "unsafe")], 10),
    "an array behind plain lines": (
        "a.txt",
        b'[12:05] hello\n[1]\n[{"speaker": "x", "text": "you are mean"}]\n',
        [(1, "safe"), (2, "safe"), (3, "unsafe")],
        10,
    ),
    "nothing is dropped unseen": (
        "a.jsonl",
        b'{"text": "mean", "text": "hi"}\n{"text": "mean", "turns": [{"text": "hi"}]}\n' + b"[" * 600 + b"]" * 600,
        [(1, "review"), (2, "review"), ("3:1", "review")],
        11,
    ),
    "bad lines": (
        "a.jsonl",
        b'nope\n{"texts": 1}\n{"text": 1}\n[]\n{"turns": [1]}\n{"text": "hello"}\n' + b"[" * 100_000,
        [*((n, "review") for n in range(1, 6)), (6, "safe"), (7, "review")],
        11,
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_each_line_gets_a_verdict(tmp_path: Path, case: str) -> None:
    name, data, verdicts, code = FILES[case]
    path = tmp_path / name
    path.write_bytes(data)
    ended = runner.invoke(app, ["check", "--jsonl", "--text", str(path)])
    printed = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(one["source"], one["label"]) for one in printed] == [
        (f"{path}:{n}" if n else str(path), label) for n, label in verdicts
    ]
    assert ended.exit_code == code


def test_standard_input() -> None:
    ended = runner.invoke(app, ["check", "--text", "-"], input=b"hello\nyou are mean\n")
    assert [line.split(".")[0] for line in ended.stdout.splitlines()[:-1]] == ["SAFE: -:1", "UNSAFE: -:2"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "Name pictures, or text with --text FILE"),
        (["--text", "a.txt", "b.png"], "and not both"),
        (["--text", "a.txt", "--vision-only"], "there is nothing to check"),
        (["--text", "missing.txt"], "missing.txt: the text cannot be read"),
        (["--text", "."], ".: the text cannot be read"),
        (["--text", "empty.txt"], "empty.txt: there is no text in it"),
    ],
)
def test_wrong_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], why: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "empty.txt").write_text("\n\n")
    ended = runner.invoke(app, ["check", *arguments])
    assert (ended.exit_code, why in ended.stderr) == (2, True)


def test_the_report_shows_what_was_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\nyou are <b>mean</b>\n")
    runner.invoke(app, ["check", "--text", str(tmp_path / "a.txt"), "--html", str(tmp_path / "a.html")])
    page = (tmp_path / "a.html").read_text()
    assert "you are &lt;b&gt;mean&lt;/b&gt;" in page
    assert '"lost":' not in page, "a message lacks no thumbnail"
