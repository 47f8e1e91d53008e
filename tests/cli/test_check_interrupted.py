"""Ctrl-C and SIGTERM: what is done is printed, written and counted, and nothing is left running."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from PIL import Image
from typer.testing import CliRunner, Result

from kidsnanny import Stage2
from kidsnanny.cli.app import app
from kidsnanny.cli.console import Terminated, terminable
from kidsnanny.profiles.profile import Profile


class Stops(ScriptedStage1):
    """Is interrupted at its fourth picture."""

    error: type[BaseException] = KeyboardInterrupt

    def __init__(self) -> None:
        self.count = 0

    def screen(self, frames):  # type: ignore[no-untyped-def]
        self.count += len(frames)
        if self.count >= 4:
            raise self.error
        return super().screen(frames)


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six pictures, each looked at by itself because of --resume, of which the fourth is interrupted."""
    monkeypatch.setattr(Profile, "build_stage1", lambda _: Stops())
    monkeypatch.setattr(Profile, "build_stage2", lambda _: Stage2(ScriptedOcr("hello"), ScriptedTextModel()))
    monkeypatch.chdir(tmp_path)
    Path("album").mkdir()
    for n in range(6):
        Path(f"album/{n}.png").write_bytes(encoded(Image.new("RGB", (16, 16), (50 * n, 0, 0))))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", "--resume", "run.jsonl", *arguments, "album"])


@pytest.mark.usefixtures("album")
def test_what_is_done_is_printed_written_and_counted() -> None:
    result = run("--json", "--csv", "a.csv", "--parquet", "a.parquet")
    assert result.exit_code == 130
    assert result.stderr.startswith(
        "Interrupted after 3 of 6 pictures: 0 unsafe, 0 review, 3 safe; 0 not inspected in "
    )
    assert result.stderr.endswith("Written: a.csv, a.parquet, run.jsonl. The same command goes on after them.\n")
    with Path("a.csv").open(newline="", encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert names == [f"album/{n}.png" for n in range(3)]
    assert pyarrow.parquet.read_table("a.parquet")["name"].to_pylist() == names
    assert [one["source"] for one in json.loads(result.stdout)] == names, "the array is closed"
    assert [json.loads(line)["source"] for line in Path("run.jsonl").read_text().splitlines()] == names


@pytest.mark.usefixtures("album")
def test_sigterm_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stops, "error", Terminated)
    assert run().exit_code == 143


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_sigterm_is_an_interruption_inside_a_block_and_nowhere_else() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_real_signal(tmp_path: Path, workers: str, number: signal.Signals, code: int) -> None:
    """Ctrl-C reaches the whole process group, as from a terminal."""
    (tmp_path / "album").mkdir()
    for n in range(200):
        (tmp_path / "album" / f"{n:03}.png").write_bytes(encoded(gradient(400, 300, n)))
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # background jobs ignore it
    arguments = ["check", "--jsonl", "--workers", workers, "--csv", "a.csv", "--resume", "run.jsonl", "album"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"{listen}; from kidsnanny.cli.app import main; main()", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    for _ in range(3):
        process.stdout.readline()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.startswith(b"Interrupted after ")
    assert errors.count(b"\n") == 1, errors.decode()
    done = 3 + rest.count(b"\n")
    assert 3 <= done < 200
    kept = (tmp_path / "run.jsonl").read_bytes()
    assert kept.endswith(b"\n")
    assert kept.count(b"\n") in (done, done + 1), "one may have been kept and not printed"
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) in (done - 1, done)
    end = time.monotonic() + 10
    while _running(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _running(process.pid)


def _running(group: int) -> bool:
    """Whether a process of the group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
