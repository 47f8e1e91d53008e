"""The programs in examples/, run as their first lines say; the Dart file, which is not compiled here, is compared with
the server that it asks."""

import asyncio
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ROOT, ScriptedStage1, encoded, gradient

from kidsnanny import Pipeline, Verdict

EXAMPLES = ROOT / "examples"
GROOMING = EXAMPLES / "chat_grooming.png"
SAYS = "easier to talk to"
"""What is written in it."""
PATIENCE = 120
"""Seconds that a busy machine may take for what takes a few."""


def example(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


class Running:
    """A program in the background, and what it has printed."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process, self._output = process, output

    @property
    def printed(self) -> str:
        return self._output.read_text("utf-8")

    def until(self, found: Callable[[], Any]) -> Any:
        """What `found` returns, once it is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            if value := found():
                return value
            time.sleep(0.1)
        pytest.fail(f"it did not come to that: {self.printed}")


@contextmanager
def running(output: Path, *command: object) -> Iterator[Running]:
    """The program, until the block ends; it must end then as well."""
    with output.open("wb") as file:
        process = subprocess.Popen(list(map(str, command)), stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        try:
            yield Running(process, output)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()


# ------------------------------------------------------------------ programs that end by themselves


@pytest.mark.parametrize(
    ("name", "arguments", "code", "says"),
    [
        ("quickstart.py", [GROOMING, "teen"], 1, "UNSAFE: chat_grooming.png. Found grooming"),
        ("quickstart.py", [], 2, "usage: "),
        (
            "upload_gate.py",
            [EXAMPLES / "note_crisis.png", EXAMPLES / "card_birthday.png"],
            0,
            "png hide\ncard_birthday.png show",
        ),
        ("folder_watcher.py", [EXAMPLES], 2, "usage: "),
        ("folder_watcher.py", [EXAMPLES, EXAMPLES / "held"], 2, "usage: "),
    ],
)
def test_it_ends_and_says(name: str, arguments: list[object], code: int, says: str) -> None:
    result = example(name, *arguments)
    assert result.returncode == code, result.stderr
    assert says in result.stdout + result.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_it_is_short_and_says_how_to_run_it(path: Path) -> None:
    source = path.read_text("utf-8")
    assert path.name == "make_examples.py" or len(source.splitlines()) < 80
    assert re.search(rf"^ *(python examples/{path.name}|\w+ .*examples .*{path.stem}\b)", source, re.M)


# ------------------------------------------------------------------ uploads


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Running]]:
    """The address of the FastAPI example in a uvicorn, and its process."""
    output = tmp_path_factory.mktemp("uvicorn") / "output.txt"
    command = [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "--port", "0", "fastapi_upload:app"]
    with running(output, *command) as process:
        address = process.until(lambda: re.search(r"running on (http://[\d.:]+)", process.printed))
        yield address[1], process


@pytest.mark.parametrize(
    ("content", "form", "label", "action"),
    [
        ((EXAMPLES / "card_birthday.png").read_bytes(), {}, "safe", "show"),
        (GROOMING.read_bytes(), {"age": "child"}, "unsafe", "block"),
        ((EXAMPLES / "note_crisis.png").read_bytes(), {"age": "teen"}, "review", "support"),
        (GROOMING.read_bytes()[:9_000], {}, "review", "warn"),
        (b"no picture", {}, "review", "warn"),
        (b"", {}, "review", "warn"),
    ],
    ids=["harmless", "grooming", "self-harm", "half a file", "no picture", "nothing"],
)
def test_an_upload_gets_label_action_and_reason(
    server: tuple[str, Running], content: bytes, form: dict[str, str], label: str, action: str
) -> None:
    address, process = server
    answer = httpx.post(f"{address}/check", data=form, files={"picture": ("Zoe.png", content)}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["label"], told["action"]) == (label, action)
    assert told["why"].startswith(f"{label.upper()}: Zoe.png")
    assert f": {label}" in process.printed
    for private in ("Zoe", SAYS):
        assert private not in process.printed


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"files": {"file": ("a.png", b"x")}},
        {"data": {"picture": "text"}},
        {"files": {"picture": ("a.png", b"x")}, "data": {"age": "toddler"}},
        {"content": b"half a form", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    ],
)
def test_a_request_that_is_wrong_gets_no_label(server: tuple[str, Running], request_: dict[str, Any]) -> None:
    answer = httpx.post(f"{server[0]}/check", timeout=PATIENCE, **request_)
    assert answer.status_code in {400, 422}
    assert "label" not in answer.json()


def test_what_is_too_large_is_not_read_to_its_end_and_nothing_is_written_to_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = runpy.run_path(str(EXAMPLES / "fastapi_upload.py"))
    app, largest = module["app"], module["LARGEST"]
    app.state.pipeline = Pipeline(stage1=ScriptedStage1(), stage2=None)
    monkeypatch.setattr("tempfile.TemporaryFile", None)
    read = 0

    async def body(size: int) -> Any:
        nonlocal read
        yield b'--x\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'
        for _ in range(size // 2**20):
            read += 2**20
            yield bytes(2**20)
        yield b"\r\n--x--\r\n"

    async def posted(size: int) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            return await client.post("/check", content=body(size), headers=headers)

    assert asyncio.run(posted(largest - 2**20)).json()["label"] == "review"
    read = 0
    answer = asyncio.run(posted(10 * largest))
    assert answer.status_code == 413
    assert "label" not in answer.json()
    assert read <= largest + 2**20


def test_the_dart_file_asks_what_the_server_answers(server: tuple[str, Running]) -> None:
    """Path, fields and keys are taken from the file, compared with the server's own description, and sent."""
    dart = (EXAMPLES / "flutter_client" / "check_picture.dart").read_text("utf-8")
    method, path = re.search(r"MultipartRequest\('(\w+)', server\.resolve\('([^']+)'\)\)", dart).groups()
    (file,) = re.findall(r"MultipartFile\.fromBytes\('(\w+)'", dart)
    fields = set(re.findall(r"fields\['(\w+)'\]", dart))
    keys = re.findall(r"answer\['(\w+)'\]", dart)
    answer_of = re.search(r"const Answer\((.*?)\);", dart)[1].replace("this.", "").split(", ")
    assert keys == answer_of

    described = httpx.get(f"{server[0]}/openapi.json").json()
    schemas = described["components"]["schemas"]
    operation = described["paths"][path][method.lower()]

    def schema(of: dict[str, Any], kind: str) -> dict[str, Any]:
        return schemas[of["content"][kind]["schema"]["$ref"].rpartition("/")[2]]

    assert {file, *fields} == set(schema(operation["requestBody"], "multipart/form-data")["properties"])
    properties = schema(operation["responses"]["200"], "application/json")["properties"]
    assert set(keys) == set(properties)
    ages = schema(operation["requestBody"], "multipart/form-data")["properties"]["age"]["enum"]
    for words, where in [
        (ages, r"\[age\] is (.*)\."),
        (properties["label"]["enum"], r"/// (.*)\n  final String label"),
    ]:
        assert set(re.findall(r'"(\w+)"', re.search(where, dart)[1])) == set(words)
    assert set(re.findall(r'"(\w+)"', re.search(r"/// (.*)\n  final String action", dart)[1])) == set(
        properties["action"]["enum"]
    )
    sent = httpx.request(
        method,
        f"{server[0]}{path}",
        data=dict.fromkeys(fields, "child"),
        files={file: ("a.png", encoded(gradient()))},
        timeout=PATIENCE,
    )
    assert {key: sent.json()[key] for key in keys[:2]} == {"label": "safe", "action": "show"}


# ------------------------------------------------------------------ a folder


def test_the_watcher_moves_what_is_not_safe(tmp_path: Path) -> None:
    inbox, held = tmp_path / "inbox", tmp_path / "held"
    (inbox / "album").mkdir(parents=True)
    (inbox / "before.png").write_bytes(GROOMING.read_bytes())
    command = [sys.executable, EXAMPLES / "folder_watcher.py", inbox, held]
    with running(tmp_path / "output.txt", *command) as program:
        program.until(lambda: "unsafe, block: before.png" in program.printed)
        (inbox / "download.png.part").write_bytes(GROOMING.read_bytes()[:9_000])
        (inbox / "album" / "good.png").write_bytes((EXAMPLES / "card_birthday.png").read_bytes())
        (tmp_path / "moved").mkdir()
        (tmp_path / "moved" / "notes.txt").write_text("no picture")
        (tmp_path / "moved").rename(inbox / "moved")
        program.until(lambda: "safe, show: album/good.png" in program.printed)
        program.until(lambda: "review, warn: moved/notes.txt" in program.printed)
        assert "download" not in program.printed
        (inbox / "download.png.part").write_bytes(GROOMING.read_bytes())
        (inbox / "download.png.part").rename(inbox / "download.png")
        program.until(lambda: "unsafe, block: download.png" in program.printed)
    assert [path.name for path in inbox.rglob("*") if path.is_file()] == ["good.png"]
    assert sorted(path.name.partition("-")[2] for path in held.iterdir()) == ["before.png", "download.png", "notes.txt"]


def test_the_watcher_waits_until_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there.png").touch()
    module = runpy.run_path(str(EXAMPLES / "folder_watcher.py"))
    complete, added = module["complete"], module["Change"].added
    now = 0.0
    slow = {(added, str(tmp_path / "slow.png"))}

    def scripted(*_: object, **__: object) -> Iterator[set[tuple[Any, str]]]:
        nonlocal now
        for at, changes in [(0, set()), (1, slow), (2, slow), (3, slow), (4.5, set()), (5, set()), (9, set())]:
            now = at
            (tmp_path / "slow.png").touch()
            yield changes

    monkeypatch.setitem(complete.__globals__, "watch", scripted)
    monkeypatch.setattr("time.monotonic", lambda: now)
    assert [(now, file.name) for file in complete(tmp_path)] == [(2, "there.png"), (5, "slow.png")]


# ------------------------------------------------------------------ a queue


def test_a_worker_process_answers_with_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real worker with a process of its own; files stand in for the broker."""
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    options = {option: str(tmp_path / folder) for option, folder in folders.items()}
    (tmp_path / "queue_of_files.py").write_text(
        f"broker_url = 'filesystem://'\nresult_backend = 'file://{tmp_path}/results'\n"
        f"broker_transport_options = {options!r}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "queue_of_files")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    celery = [sys.executable, "-m", "celery", "--workdir", EXAMPLES, "-A", "celery_worker", "worker"]
    with running(tmp_path / "output.txt", *celery, "--concurrency", "1", "--loglevel", "INFO") as worker:
        check = runpy.run_path(str(EXAMPLES / "celery_worker.py"), run_name="celery_worker")["check"]
        verdict = Verdict.from_json(check.delay(str(GROOMING), age="child").get(timeout=PATIENCE))
        assert (verdict.label, verdict.action) == ("unsafe", "block")
        assert verdict.provenance.policy.startswith("child@")
        missing = Verdict.from_json(check.delay(str(tmp_path / "missing.png")).get(timeout=PATIENCE))
        assert missing.label == "review"
        with pytest.raises(Exception, match="there is no such policy"):
            check.delay(str(GROOMING), age="toddler").get(timeout=PATIENCE)
        worker.until(lambda: "succeeded" in worker.printed)
        for private in (SAYS, "chat_grooming", "missing.png"):
            assert private not in worker.printed


# ------------------------------------------------------------------ processes


def test_the_pool_of_processes_in_the_documentation(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "apps.md").read_text("utf-8")
    (program,) = re.findall(r"^```python\n(from concurrent\.futures.*?)^```$", page, re.M | re.S)
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "a.png").write_bytes(encoded(gradient()))
    command = [sys.executable, "program.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert result.stdout.splitlines() == ["a.png safe", "b.gif review"]
