import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from PIL import Image
from typer.testing import CliRunner

from kidsnanny import Pipeline, Stage2
from kidsnanny.cli.app import app
from kidsnanny.errors import WeightsError
from kidsnanny.profiles.engine_registry import BUILT_IN
from kidsnanny.profiles.profile import Profile

runner = CliRunner()


def use(monkeypatch: pytest.MonkeyPatch, stage1: object, stage2: object) -> None:
    """Build every profile from these engines."""
    monkeypatch.setattr(Profile, "build_stage1", lambda _: stage1())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: stage2())


@pytest.fixture(autouse=True)
def scripted_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line is tested on scripted engines; test_wheel runs it on the real ones."""
    use(monkeypatch, ScriptedStage1, lambda: Stage2(ScriptedOcr("hello"), ScriptedTextModel()))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with a safe, a doubtful, an unsafe and a broken picture, and a file that is none."""
    (tmp_path / "sub").mkdir()
    for name, level in [("a_safe.png", 0), ("b_review.png", 150), ("sub/unsafe 田.png", 250)]:
        (tmp_path / name).write_bytes(encoded(Image.new("RGB", (16, 16), (level, 0, 0))))
    (tmp_path / "broken.jpg").write_bytes(encoded(gradient(300, 300), "JPEG")[:900])
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "empty").mkdir()
    return tmp_path


EXITS = [
    (["a_safe.png"], 0),
    (["b_review.png"], 10),
    (["sub"], 10),
    (["broken.jpg"], 11),
    (["broken.jpg", "b_review.png"], 10),
    (["missing.png"], 11),
    (["--fail-on", "unsafe", "b_review.png"], 0),
    (["--fail-on", "unsafe", "b_review.png", "sub"], 10),
    (["--fail-on", "unsafe", "broken.jpg"], 11),
    (["--policy", "child", "a_safe.png"], 0),
    (["--policy", "toddler", "a_safe.png"], 2),
    (["--policy", "notes.txt", "a_safe.png"], 2),
    (["--json", "--jsonl", "a_safe.png"], 2),
    (["--fail-on", "safe", "a_safe.png"], 2),
    (["--nonsense", "a_safe.png"], 2),
    ([], 2),
    (["--profile", "gigantic", "a_safe.png"], 2),
    (["-", "-"], 2),
    (["a_safe.png", "empty"], 2),
]


@pytest.mark.parametrize(("arguments", "code"), EXITS, ids=[" ".join(a) for a, _ in EXITS])
def test_exit_codes(album: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int) -> None:
    monkeypatch.chdir(album)
    assert runner.invoke(app, ["check", *arguments]).exit_code == code


def test_a_part_that_cannot_be_built_is_exit_3_and_one_sentence(monkeypatch: pytest.MonkeyPatch, album: Path) -> None:
    def missing() -> ScriptedStage1:
        raise WeightsError("nudenet-320n: the package nudenet is not installed; reinstall it.")

    use(monkeypatch, missing, lambda: None)
    result = runner.invoke(app, ["check", str(album)])
    assert result.exit_code == 3
    assert (
        result.stderr.splitlines()[-1] == "kidsnanny: nudenet-320n: the package nudenet is not installed; reinstall it."
    )


def test_help_teaches_the_exit_codes() -> None:
    text = " ".join(runner.invoke(app, ["check", "--help"]).stdout.split())
    for said in ("0 nothing flagged", "10 something flagged", "11 something could not be inspected", "130 interrupted"):
        assert said in text


def test_a_folder_is_walked_in_name_order_and_other_files_are_counted(album: Path) -> None:
    result = runner.invoke(app, ["check", "--jsonl", str(album)])
    names = [Path(json.loads(line)["source"]).name for line in result.stdout.splitlines()]
    assert names == ["a_safe.png", "b_review.png", "broken.jpg", "unsafe 田.png"]
    assert "Skipped 1 file that is not a picture: notes.txt" in result.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_pipe_in_a_folder_is_not_waited_for(album: Path) -> None:
    os.mkfifo(album / "pipe")
    result = runner.invoke(app, ["check", "--jsonl", str(album)])
    assert "Skipped 2 files that are not pictures: notes.txt, pipe" in result.stderr


def test_a_folder_without_pictures_is_wrong_usage(tmp_path: Path) -> None:
    result = runner.invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 2
    assert "There are no pictures in" in result.stderr


def test_json_is_one_array(album: Path) -> None:
    labels = [verdict["label"] for verdict in json.loads(runner.invoke(app, ["check", "--json", str(album)]).stdout)]
    assert labels == ["safe", "review", "review", "unsafe"]


def test_stdin(album: Path) -> None:
    result = runner.invoke(app, ["check", "--jsonl", "-"], input=(album / "b_review.png").read_bytes())
    verdict = json.loads(result.stdout)
    assert verdict["source"] == "-"
    assert (verdict["label"], result.exit_code) == ("review", 10)


def test_stdin_that_is_no_picture_is_called_as_on_the_command_line() -> None:
    verdict = json.loads(runner.invoke(app, ["check", "--jsonl", "-"], input=b"no picture").stdout)
    assert verdict["source"] == "-"


def test_text_from_a_picture_cannot_drive_the_terminal(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "mean \x1b[31m[red]you\x1b[0m"
    use(monkeypatch, ScriptedStage1, lambda: Stage2(ScriptedOcr(evil), ScriptedTextModel()))
    printed = runner.invoke(app, ["check", str(album / "a_safe.png")]).stdout
    assert "\x1b" not in printed
    assert "[red]you" in printed


def test_a_file_name_that_is_not_utf8_survives(album: Path) -> None:
    name = os.fsencode(album) + b"/caf\xe9.png"
    with open(name, "wb") as file:
        file.write((album / "a_safe.png").read_bytes())
    verdicts = [json.loads(line) for line in runner.invoke(app, ["check", "--jsonl", str(album)]).stdout.splitlines()]
    assert any(verdict["source"].endswith("caf\\udce9.png") and verdict["label"] == "safe" for verdict in verdicts)


def test_the_readers_pipeline_is_what_the_command_line_uses() -> None:
    assert Pipeline().stage1.models == ScriptedStage1.models


def test_a_profile_of_the_users_own(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose engines the built-in profiles do not have: here a scripted one, as a package would add it."""
    monkeypatch.undo()
    monkeypatch.chdir(album)
    monkeypatch.setitem(BUILT_IN["stage1"], "scripted", "conftest:ScriptedStage1")
    Path("my.toml").write_text('name = "mine"\n[[stage1]]\nengine = "scripted"\n')
    result = runner.invoke(app, ["check", "--jsonl", "--profile", "my.toml", "a_safe.png", "b_review.png"])
    verdicts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [verdict["label"] for verdict in verdicts] == ["safe", "review"]
    assert verdicts[0]["provenance"]["models"] == {
        "stage1": [{"name": "scripted-stage1", "revision": "1", "caveat": None}]
    }
    assert result.exit_code == 10


@pytest.mark.parametrize(
    ("profile", "code", "said"),
    [
        ("name = 7", 2, "my.toml: name: "),
        ("not TOML", 2, "my.toml: the profile cannot be read"),
        ('name = "mine"\n[[stage1]]\nengine = "magic"', 3, "magic: there is no such stage1 engine"),
        ('name = "mine"\n[[stage1]]\nmodel = "nudenet-320n"\nspeed = 9', 2, "mine: stage1: "),
        ('name = "mine"\nspeed = 9\n[[stage1]]\nmodel = "nudenet-320n"', 2, "my.toml: speed: there is no such key ("),
        ('name = "mine"\n[[stage1]]\nmodel = "nudenet-320n"\ndevice = 9', 2, "mine: stage1: device: "),
        ("x = " + "[" * 5000, 2, "my.toml: the profile cannot be read (its values are nested too deeply)"),
        ("x = " + "9" * 5000, 2, "my.toml: the profile cannot be read (a number in it has too many digits)"),
    ],
)
def test_a_profile_that_cannot_be_used(
    album: Path, monkeypatch: pytest.MonkeyPatch, profile: str, code: int, said: str
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(album)
    Path("my.toml").write_text(profile)
    result = runner.invoke(app, ["check", "--profile", "my.toml", "a_safe.png"])
    assert result.exit_code == code
    assert result.stderr.startswith(f"kidsnanny: {said}")
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for n in range(80):
        (album / f"{n}.png").write_bytes(encoded(gradient(400, 300, n)))
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # background jobs ignore it
    process = subprocess.Popen(
        [sys.executable, "-c", f"{listen}; from kidsnanny.cli.app import main; main()", "check", "--jsonl", str(album)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()  # it is at work
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in errors
    assert rest.count(b"\n") < 79, "it does not go on to the end"


def test_no_picture_in_a_folder_is_passed_over_in_silence(tmp_path: Path) -> None:
    """Formats we do not read, pictures under odd names, and links to folders all get a verdict."""
    good = encoded(Image.new("RGB", (16, 16)))
    (tmp_path / "photo.dat").write_bytes(good)
    (tmp_path / "nameless").write_bytes(good)
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "notes.md").write_text("no picture")
    (tmp_path / "elsewhere").symlink_to(tmp_path.parent)
    result = runner.invoke(app, ["check", "--jsonl", str(tmp_path)])
    verdicts = {Path(v["source"]).name: v["label"] for v in map(json.loads, result.stdout.splitlines())}
    assert verdicts == {"IMG_1.HEIC": "review", "nameless": "safe", "photo.dat": "safe", "elsewhere": "review"}
    assert "Skipped 1 file" in result.stderr
    assert result.exit_code == 11


def test_a_report_takes_the_place_of_a_report_and_of_nothing_else(album: Path) -> None:
    """`check --html *.jpg` would otherwise write the report over the first picture."""
    picture, report = album / "a_safe.png", album / "report.html"
    before = picture.read_bytes()
    result = runner.invoke(app, ["check", "--html", str(picture), str(album / "b_review.png")])
    assert result.exit_code == 2
    assert "it is there and is not a report of ours" in result.stderr
    assert picture.read_bytes() == before
    for _ in range(2):
        assert runner.invoke(app, ["check", "--html", str(report), str(picture)]).exit_code == 0


def test_what_was_looked_for_is_said_once_after_all_verdicts(album: Path) -> None:
    lines = runner.invoke(app, ["check", str(album)]).stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == ["SAFE", "REVIEW", "REVIEW", "UNSAFE"]
    assert sum("Looked for" in line for line in lines) == 1
    assert lines[-1].startswith("Looked for nudity in the pictures; for harassment, scam in their text; not in the ")
    assert lines[-1].endswith(" Of the 4, 1 could not be looked at.")


@pytest.mark.parametrize("option", ["--json", "--jsonl"])
def test_json_has_what_was_not_looked_for_in_each_verdict_and_nothing_after_them(album: Path, option: str) -> None:
    printed = runner.invoke(app, ["check", option, str(album)]).stdout
    verdicts = json.loads(printed) if option == "--json" else [json.loads(line) for line in printed.splitlines()]
    assert all("violence" in verdict["not_looked_for"] for verdict in verdicts)
    assert "Looked for" not in printed


def test_sentences_for_a_parent(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album)
    result = runner.invoke(app, ["check", "--for-parent", "--language", "de-AT", "sub", "a_safe.png", "gone.png"])
    assert result.exit_code == 10
    unsafe, safe, gone = result.stdout.splitlines()
    assert unsafe.startswith("sub/unsafe 田.png: Im Bild ist höchstwahrscheinlich ein nackter Körper")
    assert safe.startswith("a_safe.png: Es wurde nichts gefunden, was ein Kind nicht sehen sollte. ")
    assert gone.startswith("gone.png: Die Datei konnte nicht geöffnet werden. Prüfen Sie, ob sie vorhanden ist")


@pytest.mark.parametrize(("locale", "begins"), [("fr_FR.UTF-8", "Le fichier"), ("C", "The file"), ("xx", "The file")])
def test_sentences_are_in_the_machines_language(locale: str, begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    assert runner.invoke(app, ["check", "--for-parent", "gone.png"]).stdout.startswith(f"gone.png: {begins}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--for-parent", "--language", "xx"],
            "--language 'xx': there are no sentences in this language; give one of en",
        ),
        (["--language", "de"], "give --for-parent as well"),
        (["--for-parent", "--json"], "leave out --json and --jsonl"),
        (["--for-parent", "--jsonl"], "leave out --json and --jsonl"),
    ],
)
def test_options_that_do_not_go_with_sentences(arguments: list[str], says: str) -> None:
    result = runner.invoke(app, ["check", *arguments, "gone.png"])
    assert result.exit_code == 2
    assert says in result.stderr
