"""`kidsnanny watch`, on real files."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Stage2, watching
from kidsnanny.cli import watch
from kidsnanny.cli.app import app
from kidsnanny.profiles.profile import Profile
from kidsnanny.verdict import Verdict
from kidsnanny.watching import FolderWatch

SAFE, DOUBTFUL, UNSAFE = (encoded(Image.new("RGB", (16, 16), (red, 0, 0))) for red in (0, 150, 250))
PATIENCE = 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an unsafe picture in a sub-folder, and files that are none."""
    monkeypatch.setattr(Profile, "build_stage1", lambda _: ScriptedStage1())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr("hello"), ScriptedTextModel()))
    monkeypatch.setattr(watching, "SETTLED", 0.3)
    monkeypatch.setattr(watching, "TICK", 0.05)
    monkeypatch.chdir(tmp_path)
    Path("in/sub").mkdir(parents=True)
    Path("in/sub/old.png").write_bytes(UNSAFE)
    Path("in/notes.txt").write_text("no picture")
    Path("in/.hidden.png").write_bytes(UNSAFE)
    return tmp_path / "in"


def until(said: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not said():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def logged() -> list[tuple[str, str]]:
    lines = Path("log.jsonl").read_bytes().splitlines() if Path("log.jsonl").exists() else []
    return [(Path(one["source"]).name, one["label"]) for one in map(json.loads, lines)]


def run(*arguments: str, do: Callable[[], None] = lambda: None, end: bool = True) -> Result:
    """A watch in this process that Ctrl-C ends when `do`, in another thread, is done."""
    failure: list[BaseException] = []

    def work() -> None:
        try:
            do()
        except BaseException as error:
            failure.append(error)
        finally:
            if end:
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=work)
    original = FolderWatch.files

    def files(self: FolderWatch) -> Iterator[Path]:
        thread.start()
        return original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderWatch, "files", files)
        result = CliRunner().invoke(app, ["watch", "--log", "log.jsonl", *arguments])
    thread.join()
    if failure:
        raise failure[0]
    return result


def test_what_is_there_and_what_comes_is_looked_at() -> None:
    def do() -> None:
        until(lambda: ("old.png", "unsafe") in logged())
        Path("in/new.png").write_bytes(SAFE)
        Path("in/later").mkdir()
        Path("in/later/deep.png").write_bytes(DOUBTFUL)
        until(lambda: len(logged()) == 3)

    result = run("in", do=do)
    assert result.exit_code == 0
    assert sorted(logged()) == [("deep.png", "review"), ("new.png", "safe"), ("old.png", "unsafe")]
    assert result.stdout.startswith("UNSAFE: ")
    assert "3 pictures: 1 unsafe, 1 review, 1 safe; 0 not inspected in full; " in result.stderr
    for line in Path("log.jsonl").read_text().splitlines():
        Verdict.from_json(line)


def test_only_what_is_new() -> None:
    def do() -> None:
        Path("in/new.png").write_bytes(SAFE)
        until(logged)
        time.sleep(0.5)

    run("--new-only", "in", do=do)
    assert logged() == [("new.png", "safe")]


def test_a_download_is_looked_at_when_it_has_its_name() -> None:
    """Whole, and once; a file that grows is waited for."""

    def do() -> None:
        data = encoded(gradient(300, 300), "JPEG")
        for name in ("a.jpg.crdownload", "b.jpg.part", ".c.jpg"):
            Path("in", name).write_bytes(data)
        with Path("in/slow.jpg").open("wb") as file:
            for start in range(0, len(data), len(data) // 5 + 1):
                file.write(data[start : start + len(data) // 5 + 1])
                file.flush()
                time.sleep(0.15)
        time.sleep(0.6)
        assert logged() == [("slow.jpg", "safe")]
        Path("in/a.jpg.crdownload").rename("in/a.jpg")
        until(lambda: len(logged()) == 2)

    run("--new-only", "in", do=do)
    assert logged() == [("slow.jpg", "safe"), ("a.jpg", "safe")]


def test_a_changed_picture_is_looked_at_again_and_a_touched_attribute_is_no_change() -> None:
    def do() -> None:
        until(lambda: len(logged()) == 1)
        os.chmod("in/sub/old.png", 0o600)
        Path("in/sub/old.png").read_bytes()
        time.sleep(0.6)
        Path("in/sub/old.png").write_bytes(SAFE)
        until(lambda: len(logged()) == 2)

    run("in", do=do)
    assert logged() == [("old.png", "unsafe"), ("old.png", "safe")]


def test_an_unsafe_picture_is_moved_with_its_sub_folder_and_can_be_put_back(folder: Path) -> None:
    Path("away/sub").mkdir(parents=True)
    Path("away/sub/old.png").write_bytes(b"somebody else's")

    def do() -> None:
        Path("in/doubtful.png").write_bytes(DOUBTFUL)
        until(lambda: len(logged()) == 2 and not Path("in/sub/old.png").exists())

    result = run("--move-to", "away", "in", do=do)
    assert result.exit_code == 0
    assert "Moved 1 to away." in result.stderr
    assert Path("in/doubtful.png").exists()
    assert Path("away/sub/old.png").read_bytes() == b"somebody else's"
    assert Path("away/sub/old (2).png").read_bytes() == UNSAFE
    beside = json.loads(Path("away/sub/old (2).png.verdict.json").read_text("utf-8"))
    assert beside["moved_from"] == str(folder / "sub" / "old.png")
    assert beside["verdict"]["label"] == "unsafe"


def test_review_is_moved_where_that_is_asked_for_and_what_cannot_be_looked_at_is_as_the_policy_says() -> None:
    Path("in/broken.jpg").write_bytes(encoded(gradient(300, 300), "JPEG")[:900])

    def do() -> None:
        until(lambda: not Path("in/broken.jpg").exists() and not Path("in/sub/old.png").exists())

    run("--move-to", "away", "--move-on", "review", "in", do=do)
    assert {path.name for path in Path("away").rglob("*.*")} >= {"broken.jpg", "old.png"}
    assert ("broken.jpg", "review") in logged()


def test_links_are_not_followed() -> None:
    Path("out").mkdir()
    Path("out/secret.png").write_bytes(UNSAFE)
    Path("in/link.png").symlink_to(Path("out/secret.png").resolve())
    Path("in/folder").symlink_to(Path("out").resolve())

    def do() -> None:
        until(logged)
        Path("out/second.png").write_bytes(UNSAFE)
        time.sleep(0.6)

    result = run("--move-to", "away", "in", do=do)
    assert logged() == [("old.png", "unsafe")]
    assert {path.name for path in Path("out").iterdir()} == {"secret.png", "second.png"}
    assert "link.png is a link, and links are not followed." in result.stderr
    assert "folder is a link, and links are not followed." in result.stderr


def test_a_picture_that_cannot_be_moved_is_named_and_the_watch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(watch, "_move", refuse)

    def do() -> None:
        until(logged)
        Path("in/next.png").write_bytes(SAFE)
        until(lambda: len(logged()) == 2)

    result = run("--move-to", "away", "in", do=do)
    assert "old.png: it could not be moved (Permission denied); it is still there." in result.stderr
    assert Path("in/sub/old.png").read_bytes() == UNSAFE
    assert not [path for path in Path("away").rglob("*") if path.is_file()], "nothing is left of the attempt"


def test_another_picture_under_the_name_of_one_that_is_unsafe_is_not_moved_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = watch._append

    def replace(log: Path, verdict: Verdict) -> None:
        original(log, verdict)
        if verdict.label == "unsafe":
            Path("in/sub/old.png").write_bytes(SAFE)

    monkeypatch.setattr(watch, "_append", replace)
    run("--move-to", "away", "in", do=lambda: until(lambda: len(logged()) == 2))
    assert logged() == [("old.png", "unsafe"), ("old.png", "safe")]
    assert Path("in/sub/old.png").exists()


def test_a_folder_that_disappears_ends_it_with_a_sentence(folder: Path) -> None:
    def do() -> None:
        until(logged)
        folder.rename("gone")

    result = run("in", do=do, end=False)
    assert result.exit_code == 2
    assert f"kidsnanny: {folder}: the folder is not there any more; watch the one that is.\n" in result.stderr


def test_changes_that_nobody_tells_of_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network drive."""
    import watchfiles

    def silent(*_: object, stop_event: threading.Event, **__: object) -> Iterator[set[object]]:
        yield set()
        stop_event.wait()

    monkeypatch.setattr(watchfiles, "watch", silent)
    monkeypatch.setattr(watching, "RESCAN", 0.2)

    def do() -> None:
        until(logged)
        Path("in/new.png").write_bytes(SAFE)
        until(lambda: len(logged()) == 2)

    run("in", do=do)


WRONG = {
    "a missing folder": (["nowhere"], 2, "nowhere: there is no such folder"),
    "a file": (["in/notes.txt"], 2, "in/notes.txt: there is no such folder"),
    "inside": (["--move-to", "in/away", "in"], 2, "lie in one another"),
    "above": (["--move-to", ".", "in"], 2, "lie in one another"),
    "itself": (["--move-to", "in", "in"], 2, "lie in one another"),
    "through a link": (["--move-to", "link", "in"], 2, "lie in one another"),
    "a target that is a file": (["--move-to", "in.txt", "in"], 2, "it cannot be made (File exists)"),
    "a foreign log": (["--log", "in/notes.txt", "in"], 2, "is no file of verdicts"),
    "a policy": (["--policy", "toddler", "in"], 2, "toddler: there is no such policy"),
    "a label": (["--move-on", "safe", "in"], 2, "safe"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_usage(what: str) -> None:
    arguments, code, said = WRONG[what]
    Path("link").symlink_to("in/sub")
    Path("in.txt").touch()
    result = CliRunner().invoke(app, ["watch", *arguments])
    assert (result.exit_code, said in " ".join(result.stderr.split())) == (code, True), result.stderr
    assert not Path("in/away").exists()


def test_without_watchfiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    result = CliRunner().invoke(app, ["watch", "in"])
    assert result.exit_code == 3
    assert "pip install 'kidsnanny[watch]'" in result.stderr


def test_a_full_disk_under_the_log_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(watch, "private", full)
    result = run("--move-to", "away", "in", do=lambda: until(lambda: Path("away/sub/old.png").exists()))
    assert result.exit_code == 0
    assert "log.jsonl: the verdict on " in result.stderr
