"""What reaches stdout and stderr: names of any bytes, any encoding, a full disk, a closed pipe, and nothing that
libraries have to say."""

import csv
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Stage2
from kidsnanny.cli import sources
from kidsnanny.cli.app import app
from kidsnanny.profiles.profile import Profile

GOOD = encoded(Image.new("RGB", (16, 16)))


@pytest.fixture
def scripted_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Profile, "build_stage1", lambda _: ScriptedStage1())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr("hello \ud83d you"), ScriptedTextModel()))


def named(folder: Path, name: bytes) -> bytes:
    return os.path.join(os.fsencode(folder), name)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Pictures, dangling links and a link to itself, under names that are no UTF-8."""
    folder = tmp_path / "album"
    folder.mkdir()
    for name in (b"caf\xe9.png", b"\xff\xfe.png", "emoji 😀 田.png".encode()):
        with open(named(folder, name), "wb") as file:
            file.write(GOOD)
    with open(named(folder, b"broken \xe9.jpg"), "wb") as file:
        file.write(encoded(gradient(300, 300), "JPEG")[:900])
    os.symlink(b"nowhere \xe9", named(folder, b"dangling \xe9.png"))
    os.symlink(b"loop \xe9.png", named(folder, b"loop \xe9.png"))
    os.symlink(b".", named(folder, b"round \xe9"))
    os.mkdir(named(folder, b"inner \xe9"))
    with open(named(folder, b"inner \xe9/\xe9.txt"), "wb") as file:
        file.write(b"no picture")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.usefixtures("scripted_engines")
def test_names_that_are_no_utf8_cost_no_picture_its_verdict(album: Path, tmp_path: Path) -> None:
    lines = run("check", "--jsonl", album)
    verdicts = [json.loads(line) for line in lines.stdout.splitlines()]
    found = {Path(verdict["source"]).name: verdict["label"] for verdict in verdicts}
    assert found == {
        "caf\\udce9.png": "safe",
        "\\udcff\\udcfe.png": "safe",
        "emoji 😀 田.png": "safe",
        "broken \\udce9.jpg": "review",
        "dangling \\udce9.png": "review",
        "loop \\udce9.png": "review",
        "round \\udce9": "review",
    }
    assert lines.exit_code == 11
    assert len(json.loads(run("check", "--json", album).stdout)) == len(found)
    assert run("check", album).stdout.count("\n") == len(found) + 1  # what was looked for
    assert run("check", "--html", tmp_path / "report.html", album).exit_code == 11
    assert "dangling" in (tmp_path / "report.html").read_text("utf-8")
    (tmp_path / "run.jsonl").write_text(lines.stdout, "utf-8")
    decided = run("decide", "--jsonl", tmp_path / "run.jsonl")
    assert decided.stdout == lines.stdout
    for named_itself in (named(album, b"dangling \xe9.png"), named(album, b"absent \xff.png")):
        assert run("check", "--jsonl", os.fsdecode(named_itself)).exit_code == 11


@pytest.mark.usefixtures("scripted_engines")
def test_half_a_character_in_a_saved_run_is_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"inspection": {"source": "half \\ud83d.png"}}\n')
    assert json.loads(run("decide", "--jsonl", tmp_path / "run.jsonl").stdout)["source"] == "half \\ud83d.png"


@pytest.mark.usefixtures("scripted_engines")
def test_names_that_are_no_utf8_in_a_data_set(album: Path, tmp_path: Path) -> None:
    data = tmp_path / "data \udce9"
    (data / "safe").mkdir(parents=True)
    for name in os.listdir(os.fsencode(album)):
        if not os.path.isdir(named(album, name)):
            os.rename(named(album, name), named(data / "safe", name))
    (data / "unsafe").mkdir()
    (data / "unsafe" / "a.png").write_bytes(GOOD)
    out = tmp_path / "run \udcff"
    for _ in range(2):
        result = run("eval", "--data", data, "--systems", "embedded", "--pictures", "--out", out)
        assert result.exit_code == 0, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
    ids = {json.loads(line)["id"] for line in (out / "predictions" / "embedded.jsonl").read_text("utf-8").splitlines()}
    assert {"safe/caf\\udce9.png", "safe/dangling \\udce9.png", "unsafe/a.png"} <= ids
    drawn = run("subset", "draw", "--data", data, "--without-text", "100%", "--out", tmp_path / "drawn \udce9")
    assert drawn.exit_code == 0, drawn.output
    with (tmp_path / "drawn \udce9" / "sheet.csv").open(encoding="utf-8", newline="") as sheet:
        assert "safe/caf\\udce9.png" in {row["id"] for row in csv.DictReader(sheet)}


def test_a_folder_is_sorted_out_in_time_that_grows_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """40,000 files took minutes when each was looked for in the list of pictures."""
    files = [Path(f"{number:05}.{'png' if number % 2 else 'txt'}") for number in range(40_000)]
    compared = 0

    class Counted(type(files[0])):  # type: ignore[misc]
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            assert compared < 1_000_000
            return super().__eq__(other)

        __hash__ = type(files[0]).__hash__

    monkeypatch.setattr(sources, "walk", lambda _: ([Counted(file) for file in files], []))
    monkeypatch.setattr(sources, "is_media", lambda file: file.suffix == ".png")
    assert len(sources.pictures([str(tmp_path)])) == 20_000


def command(*arguments: object, **options: object) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "PYTHONUNBUFFERED": "", **options.pop("env", {})}
    return subprocess.run([sys.executable, "-m", "kidsnanny", *map(str, arguments)], env=environment, **options)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["check", "--help"],
        ["decide", "--jsonl", "run.jsonl"],
        ["decide", "--json", "run.jsonl"],
        ["decide", "run.jsonl"],
        ["weights", "list"],
        ["llm", "serve", "--print"],
    ],
    ids=" ".join,
)
def test_a_full_disk_is_one_sentence_and_exit_4(tmp_path: Path, arguments: list[str], unbuffered: str) -> None:
    (tmp_path / "run.jsonl").write_text('{"source": "a.png"}\n' * 3)
    with open("/dev/full", "wb") as full:
        ended = command(
            *arguments, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env={"PYTHONUNBUFFERED": unbuffered}
        )
    assert ended.returncode == 4
    assert ended.stderr.decode() == (
        "kidsnanny: the output cannot be written (No space left on device); make room, or send it to another place.\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
@pytest.mark.parametrize("form", ["--jsonl", "--json", None])
def test_a_closed_pipe_ends_a_command_quietly(tmp_path: Path, form: str | None) -> None:
    (tmp_path / "run.jsonl").write_text('{"source": "a.png"}\n' * 3)
    reader, writer = os.pipe()
    os.close(reader)
    arguments = ["decide", *filter(None, [form]), tmp_path / "run.jsonl"]
    ended = command(*arguments, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_console_of_another_encoding(tmp_path: Path, encoding: str) -> None:
    source = "é 田 😀.png"
    (tmp_path / "run.jsonl").write_text(json.dumps({"source": source}) + "\n")
    plain, saved = (
        command("decide", *form, tmp_path / "run.jsonl", capture_output=True, env={"PYTHONIOENCODING": encoding})
        for form in ([], ["--jsonl"])
    )
    assert (plain.returncode, plain.stderr) == (11, b"")
    assert source.encode(encoding, "backslashreplace") in plain.stdout
    assert json.loads(saved.stdout.decode("utf-8"))["source"] == source


@pytest.mark.parametrize("given", ["closed", "unreadable"])
def test_stdin_that_cannot_be_read(given: str, tmp_path: Path) -> None:
    if given == "closed":
        ended = subprocess.run(["sh", "-c", f'"{sys.executable}" -m kidsnanny check - <&-'], capture_output=True)
    else:
        with (tmp_path / "written").open("wb") as write_only:
            ended = command("check", "-", stdin=write_only, capture_output=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"kidsnanny: -: standard input ")
    assert ended.stderr.count(b"\n") == 1


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _provoking() -> dict[str, bytes]:
    """Files of which libraries print something, or raise a warning."""
    tiff = encoded(gradient(), "TIFF")
    jpeg = encoded(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09\1\x0f\0\2\0\0\xff\xff\0\0\1\0")
    png = encoded(gradient())
    palette = encoded(gradient().convert("P"), transparency=b"\0\x80")
    body, rest = png[:33], png[33:]
    mpo = encoded(gradient(), "MPO", save_all=True, append_images=[gradient(seed=1)])
    return {
        "tag_too_large.tif": tiff[:-4] + b"\xff\xff\xff\xff",
        "short.tif": tiff[:200],
        "exif.jpg": jpeg,
        "exif_cut.jpg": jpeg[:60],
        "icc.png": body + _chunk(b"iCCP", b"x\0\0" + b"no deflate") + rest,
        "apng.png": body + _chunk(b"acTL", b"\0\0\0\0\0\0\0\0") + rest,
        "gamma.png": body + _chunk(b"gAMA", b"\0\0\0\0") + rest,
        "palette.png": palette,
        "mpo.jpg": mpo,
        "mpo_cut.jpg": mpo[:-300],
        "many_samples.tif": tiff.replace(b"\x15\1\3\0\1\0\0\0\3\0", b"\x15\1\3\0\1\0\0\0\xf0\0"),
        "bomb.png": body[:16] + (20_000).to_bytes(4, "big") + (20_000).to_bytes(4, "big") + body[24:29] + rest,
    }


def test_nothing_that_libraries_say_reaches_the_terminal(tmp_path: Path) -> None:
    for name, data in _provoking().items():
        (tmp_path / name).write_bytes(data)
    ended = command("check", "--jsonl", "--html", tmp_path / "report.html", tmp_path, capture_output=True)
    assert ended.stderr.startswith(b"12 pictures: ")
    assert ended.stderr.count(b"\n") == 1
    verdicts = {Path(verdict["source"]).name: verdict for verdict in map(json.loads, ended.stdout.splitlines())}
    assert verdicts.keys() == _provoking().keys()
    for name in ("short.tif", "exif_cut.jpg", "mpo_cut.jpg", "bomb.png", "many_samples.tif"):
        assert verdicts[name]["not_inspected"], f"{name} is damaged"
    assert verdicts["exif.jpg"]["label"] == verdicts["palette.png"]["label"] == "safe"


@pytest.mark.usefixtures("scripted_engines")
def test_a_full_disk_under_the_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(GOOD)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("check", "--html", tmp_path / "report.html", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "report.html: the report cannot be written (No space left on device)" in " ".join(result.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]
