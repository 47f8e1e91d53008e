"""`kidsnanny check --resume`: what an interrupted run has done is not done again, and the file ends as if nothing had
interrupted it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from filelock import FileLock
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Stage2
from kidsnanny.cli import resume
from kidsnanny.cli.app import app
from kidsnanny.profiles.profile import Profile
from kidsnanny.records import ModelId


class Counting(ScriptedStage1):
    """Counts the pictures that it looks at, of all of its kind."""

    seen = 0

    def screen(self, frames):  # type: ignore[no-untyped-def]
        Counting.seen += len(frames)
        return super().screen(frames)


@pytest.fixture(autouse=True)
def scripted_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Profile, "build_stage1", lambda _: Counting())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr("hello"), ScriptedTextModel()))


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six pictures from safe to unsafe, and a broken one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "album").mkdir()
    for n in range(6):
        (tmp_path / "album" / f"{n}.png").write_bytes(encoded(Image.new("RGB", (16, 16), (50 * n, 0, 0))))
    (tmp_path / "album" / "broken.jpg").write_bytes(encoded(gradient(300, 300), "JPEG")[:900])
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def timeless(path: Path) -> list[dict[str, object]]:
    """The verdicts of a file without the times they took."""
    verdicts = [json.loads(line) for line in path.read_bytes().splitlines()]
    for verdict in verdicts:
        del verdict["timings"]
    return verdicts


def looked_at(*arguments: object) -> tuple[int, Result]:
    """How many pictures a run looks at."""
    before = Counting.seen
    result = run(*arguments)
    return Counting.seen - before, result


TORN = {
    "nothing": lambda whole: b"".join(whole),
    "the last lines": lambda whole: b"".join(whole[:3]),
    "the end of a line": lambda whole: b"".join(whole[:3]) + whole[3][:99],
    "all but a few letters": lambda whole: whole[0][:5],
    "everything": lambda whole: b"" * len(whole),
    "the line break": lambda whole: b"".join(whole)[:-1],
}


@pytest.mark.parametrize("policy", ["preteen", "child,teen"])
@pytest.mark.parametrize("lost", TORN)
@pytest.mark.usefixtures("album")
def test_what_a_kill_has_torn_off_is_made_again(policy: str, lost: str) -> None:
    whole, torn = Path("whole.jsonl"), Path("torn.jsonl")
    first = run("--policy", policy, "--resume", whole, "--csv", "whole.csv", "album")
    lines = whole.read_bytes().splitlines(keepends=True)
    torn.write_bytes(TORN[lost](lines))
    known = torn.read_bytes().count(b"\n") // len(policy.split(","))
    count, again = looked_at("--policy", policy, "--resume", torn, "--csv", "torn.csv", "album")
    assert timeless(torn) == timeless(whole)
    assert (again.exit_code, again.stdout) == (first.exit_code, first.stdout)
    assert Path("torn.csv").read_text().count("\n") == Path("whole.csv").read_text().count("\n")
    assert count <= 7 - known
    assert ("from an earlier run" in again.stderr) == (known > 0)


@pytest.mark.usefixtures("album")
def test_the_counts_and_the_report_are_of_all_pictures() -> None:
    run("--resume", "run.jsonl", "album/0.png", "album/5.png")
    count, again = looked_at("--resume", "run.jsonl", "--html", "report.html", "album/0.png", "album/5.png")
    assert (count, again.exit_code) == (0, 10)
    assert "2 pictures: 1 unsafe, 0 review, 1 safe; 0 not inspected in full; " in again.stderr
    assert again.stderr.rstrip().endswith("2 from an earlier run. Written: report.html, run.jsonl.")
    assert "album/5.png" in Path("report.html").read_text("utf-8")


def changed(album: Path) -> None:
    (album / "2.png").write_bytes(encoded(Image.new("RGB", (16, 16), (3, 0, 0))))


def removed(album: Path) -> None:
    (album / "2.png").unlink()


def added(album: Path) -> None:
    (album / "1b.png").write_bytes(encoded(Image.new("RGB", (16, 16), (4, 0, 0))))


@pytest.mark.parametrize(("change", "again"), [(changed, 1), (removed, 0), (added, 1)])
def test_a_folder_that_has_changed_since(album: Path, change: object, again: int) -> None:
    """What is new is looked at, what is gone stays in the file and counts no more, and the order is the folder's."""
    run("--resume", "run.jsonl", "album")
    change(album / "album")  # type: ignore[operator]
    count, result = looked_at("--resume", "run.jsonl", "album")
    run("--resume", "fresh.jsonl", "album")
    assert count == again
    left = [one for one in timeless(Path("run.jsonl")) if Path(str(one["source"])).exists()]
    assert left == timeless(Path("fresh.jsonl"))
    assert len(timeless(Path("run.jsonl"))) == len(left) + (change is removed)
    assert f"{len(timeless(Path('fresh.jsonl')))} pictures: " in result.stderr


@pytest.mark.usefixtures("album")
def test_other_pictures_in_the_file_stay_there() -> None:
    run("--resume", "run.jsonl", "album/4.png")
    run("--resume", "run.jsonl", "album/1.png", "album/missing.png")
    run("--resume", "run.jsonl", "album/1.png", "album/missing.png")
    assert [one["source"] for one in timeless(Path("run.jsonl"))] == ["album/4.png", "album/1.png", "album/missing.png"]


@pytest.mark.usefixtures("album")
def test_a_picture_that_is_named_twice_is_in_the_file_twice() -> None:
    twice = ("album/0.png", "album/1.png", "album/0.png")
    run("--resume", "run.jsonl", *twice)
    count, _ = looked_at("--resume", "run.jsonl", *twice)
    assert (count, [one["source"] for one in timeless(Path("run.jsonl"))]) == (0, list(twice))


class Other(ScriptedStage1):
    models = (ModelId(name="scripted-stage1", revision="2"),)


DIFFERENT = {
    "policy": (["--policy", "teen"], "was made under preteen@", "give the same --policy as then"),
    "policies": (["--policy", "preteen,teen"], "was made under preteen@", "give the same --policy as then"),
    "a part": (
        ["--vision-only"],
        "ocr scripted-ocr@1, text_model scripted-text@1, and this run has no ocr",
        "--profile",
    ),
    "models": ([], "stage1 scripted-stage1@1, and this run has stage1 scripted-stage1@2", "give the same --profile"),
    "version": ([], "was made with kidsnanny 0.0, and this is", "name another file"),
}


@pytest.mark.parametrize("what", DIFFERENT)
@pytest.mark.usefixtures("album")
def test_a_run_that_would_say_something_else_is_refused(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    options, said, fix = DIFFERENT[what]
    run("--resume", "run.jsonl", "album")
    if what == "version":
        Path("run.jsonl").write_bytes(
            b"".join(
                json.dumps(one | {"provenance": one["provenance"] | {"kidsnanny": "0.0"}}).replace('": ', '":').encode()
                + b"\n"
                for one in map(json.loads, Path("run.jsonl").read_bytes().splitlines())
            )
        )
    if what == "models":
        monkeypatch.setattr(Profile, "build_stage1", lambda _: Other())
    if what == "a part":
        monkeypatch.setattr(Profile, "build_stage2", lambda _: pytest.fail("it is not asked for"))
    before = Path("run.jsonl").read_bytes()
    count, result = looked_at(*options, "--resume", "run.jsonl", "album")
    assert (count, result.exit_code) == (0, 2)
    assert result.stderr.startswith("kidsnanny: run.jsonl: line ")
    assert said in result.stderr
    assert fix in result.stderr
    assert result.stderr.count("\n") == 1
    assert Path("run.jsonl").read_bytes() == before


FOREIGN = {
    "a picture": encoded(gradient()),
    "text": b"dear diary",
    "JSON": b'{"a": 1}\n',
    "a verdict and more": b'{"source":"a.png"}\n',
    "null": b"null\n",
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.usefixtures("album")
def test_a_file_of_something_else_is_left_as_it_is(what: str) -> None:
    Path("run.jsonl").write_bytes(FOREIGN[what])
    result = run("--resume", "run.jsonl", "album")
    assert result.exit_code == 2
    assert result.stderr.startswith("kidsnanny: run.jsonl: ")
    assert result.stderr.count("\n") == 1
    assert Path("run.jsonl").read_bytes() == FOREIGN[what]


@pytest.mark.usefixtures("album")
def test_two_runs_on_one_file_at_once_are_refused() -> None:
    with FileLock(".run.jsonl.lock"):
        result = run("--resume", "run.jsonl", "album")
    assert result.exit_code == 2
    assert "run.jsonl: another command is writing there; wait until it has ended" in result.stderr
    assert not Path("run.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "run.jsonl", "-"], "standard input can be read only once; name files"),
        (["--resume", "run.jsonl", "--text", "-"], "standard input can be read only once; name files"),
        (["--resume", "-", "album"], "are files, not streams"),
        (["--resume", "a.html", "--html", "a.html", "album"], "a.html: two options name it"),
        (["--resume", "album", "album"], "album: verdicts cannot be kept there (Is a directory)"),
    ],
)
@pytest.mark.usefixtures("album")
def test_wrong_usage(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


@pytest.mark.usefixtures("album")
def test_a_full_disk_ends_the_run_and_keeps_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    run("--resume", "run.jsonl", "album/0.png")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resume, "SYNC_SECONDS", -1)
    monkeypatch.setattr(os, "fsync", full)
    result = run("--resume", "run.jsonl", "album")
    assert result.exit_code == 2
    assert "run.jsonl: verdicts cannot be kept there (No space left on device); make room" in result.stderr
    assert timeless(Path("run.jsonl"))[0]["source"] == "album/0.png"


@pytest.mark.usefixtures("album")
def test_messages_are_resumed_by_their_line() -> None:
    Path("a.txt").write_text("hello\nyou are mean\nbye\n")
    run("--resume", "run.jsonl", "--text", "a.txt")
    Path("a.txt").write_text("hello\nyou are kind\nbye\n")
    result = run("--resume", "run.jsonl", "--text", "a.txt")
    assert [(one["source"], one["label"]) for one in timeless(Path("run.jsonl"))] == [
        ("a.txt:1", "safe"),
        ("a.txt:2", "safe"),
        ("a.txt:3", "safe"),
    ]
    assert "3 messages: " in result.stderr
    assert "2 from an earlier run" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.usefixtures("album")
def test_only_the_owner_may_read_what_was_read_in_pictures() -> None:
    run("--resume", "run.jsonl", "album")
    assert Path("run.jsonl").stat().st_mode & 0o77 == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_real_run_that_is_killed_twice(tmp_path: Path, workers: str) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for n in range(40):
        (album / f"{n:02}.png").write_bytes(encoded(gradient(300, 200, n)))

    def command(name: str) -> "subprocess.Popen[bytes]":
        arguments = ["check", "--workers", workers, "--resume", name, "album"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.Popen(
            [sys.executable, "-m", "kidsnanny", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    command("whole.jsonl").communicate()
    for enough in (5, 20):
        process = command("killed.jsonl")
        while process.poll() is None and (not killed.exists() or killed.read_bytes().count(b"\n") < enough):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 20 <= killed.read_bytes().count(b"\n") < 40
    _, said = command("killed.jsonl").communicate()
    assert b"from an earlier run" in said
    assert timeless(killed) == timeless(whole)
