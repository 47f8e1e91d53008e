"""What the judge's server may do to us: be slow in every way, send without end, repeat secrets, refuse for a while."""

import base64
import gzip
import json
import logging
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel
from PIL import Image
from test_openai_judge import GOOD, JSON, JSON_TOKENS, QUESTION, TWO, chat, explained, judge
from typer.testing import CliRunner

from kidsnanny import Pipeline, Stage2
from kidsnanny.cli.app import app
from kidsnanny.errors import JudgeError
from kidsnanny.profiles.profile import Profile
from kidsnanny.stage2.judge.connection import MAX_BYTES, read_address
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge

Behave = Callable[[socket.socket], None]
GOOD_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(GOOD.content)


@contextmanager
def served(behave: Behave) -> Iterator[str]:
    """A server that does that with each connection once it has read a request; its URL."""

    def handle(client: socket.socket) -> None:
        with client, suppress(OSError), client.makefile("rb") as requests:
            while head := b"".join(takewhile(lambda line: line.strip(), requests)):
                length = re.search(rb"(?i)^content-length: (\d+)", head, re.M)
                requests.read(int(length[1]) if length else 0)
                behave(client)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def drip(data: bytes, pause: float = 0.1) -> Behave:
    def behave(client: socket.socket) -> None:
        for n in range(len(data)):
            client.sendall(data[n : n + 1])
            time.sleep(pause)

    return behave


def then_drip(head: bytes, data: bytes = b" " * 1000) -> Behave:
    def behave(client: socket.socket) -> None:
        client.sendall(head)
        drip(data)(client)

    return behave


def reply(status: bytes, body: bytes, *more: bytes) -> Behave:
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *more]
    return lambda client: client.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)


# ------------------------------------------------------------------ time

SLOW: dict[str, Behave] = {
    "says nothing": lambda _: time.sleep(10),
    "drips its head": drip(GOOD_HEAD + GOOD.content),
    "drips header after header": then_drip(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 200),
    "drips hints before the answer": then_drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50),
    "drips its body": then_drip(GOOD_HEAD, GOOD.content),
    "drips chunks": then_drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 200),
    "drips a refusal": then_drip(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n"),
    "drips a compressed answer": then_drip(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n", gzip.compress(b" " * 100)
    ),
}


ASKING: dict[str, Callable[[OpenAIJudge], object]] = {
    "ask": lambda ours: ours.ask(QUESTION),
    "explain": lambda ours: ours.explain(QUESTION, TWO[:1]),
    "models": lambda ours: ours.models(),
}


@pytest.mark.parametrize(
    ("behave", "what"),
    [*((behave, "ask") for behave in SLOW.values()), *((SLOW["drips its body"], what) for what in ASKING)],
    ids=[*SLOW, *ASKING],
)
@pytest.mark.parametrize("model", ["tiny", None])
def test_no_server_is_waited_for_longer_than_the_timeout(behave: Behave, what: str, model: str | None) -> None:
    with served(behave) as url, closing(OpenAIJudge(url, model, categories=TWO, timeout=0.6)) as ours:
        start = time.monotonic()
        with pytest.raises(JudgeError, match=r"took over 0\.6 s; see its log\.$"):
            ASKING[what](ours)
        assert 0.5 < time.monotonic() - start < 1.1


def test_all_attempts_and_forms_are_within_one_timeout() -> None:
    """Each answer comes in time; all of them together do not."""
    for status in (400, 503, 200):

        def late(_: httpx.Request, status: int = status) -> httpx.Response:
            time.sleep(0.4)
            return chat("Sure.") if status == 200 else httpx.Response(status)

        ours, _ = judge(late, timeout=0.6)
        start = time.monotonic()
        with pytest.raises(JudgeError):
            ours.ask(QUESTION)
        assert time.monotonic() - start < 1.1


def test_a_server_that_does_not_read_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # which accepts nothing, either
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        ours = OpenAIJudge(url, "x" * 8_000_000, categories=TWO, timeout=0.6)
        start = time.monotonic()
        with pytest.raises(JudgeError, match="took over"):
            ours.ask(QUESTION)
        assert time.monotonic() - start < 1.1


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1.5) or [])
    with closing(OpenAIJudge("http://judge.example/v1", "tiny", categories=TWO, timeout=0.6)) as ours:
        start = time.monotonic()
        with pytest.raises(JudgeError, match="took over"):
            ours.ask(QUESTION)
        assert time.monotonic() - start < 1.1


def test_a_name_is_resolved_and_connections_are_kept() -> None:
    connections = set()

    def behave(client: socket.socket) -> None:
        connections.add(client.getpeername())
        client.sendall(GOOD_HEAD + GOOD.content)

    with served(behave) as url:
        ours = OpenAIJudge(url.replace("127.0.0.1", "localhost"), "tiny", categories=TWO)
        with closing(ours):
            assert [ours.ask(QUESTION).scores["nudity"] for _ in range(3)] == [pytest.approx(0.7)] * 3
    assert len(connections) == 1


# ------------------------------------------------------------------ bytes


def endless(head: bytes, piece: bytes) -> Behave:
    def behave(client: socket.socket) -> None:
        client.sendall(head)
        while True:
            client.sendall(piece)

    return behave


def bomb(wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()


def packed(coding: bytes, body: bytes) -> Behave:
    return reply(b"200 OK", body, b"Content-Encoding: " + coding)


LONG: dict[str, Behave] = {
    "a body without end": endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
    "chunks without end": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4000\r\n%b\r\n" % (b" " * 0x4000)
    ),
    "a refusal without end": endless(b"HTTP/1.1 400 Bad Request\r\n\r\n", b" " * 65536),
    "headers without end": endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
    "one header without end": endless(b"HTTP/1.1 200 OK\r\na: ", b"b" * 65536),
    "a gzip bomb": packed(b"gzip", bomb(31)),
    "a deflate bomb": packed(b"deflate", bomb(15)),
    "another compression": packed(b"br", bytes(100)),
    "broken compression": packed(b"gzip", bytes(100)),
    "nested lists": reply(b"200 OK", b"[" * 500_000),
}


@pytest.mark.parametrize("behave", LONG.values(), ids=LONG)
def test_what_is_too_long_is_no_answer_and_not_held(behave: Behave) -> None:
    import tracemalloc

    with served(behave) as url, closing(OpenAIJudge(url, "tiny", categories=TWO, timeout=10)) as ours:
        tracemalloc.start()
        try:
            start = time.monotonic()
            with pytest.raises(JudgeError, match=r"^The judge at http[^\n]*\.$"):
                ours.ask(QUESTION)
            assert time.monotonic() - start < 5
            assert tracemalloc.get_traced_memory()[1] < 16 * MAX_BYTES
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(("coding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_a_compressed_answer_counts_although_none_was_asked_for(coding: bytes, pack: Callable[[bytes], bytes]) -> None:
    with served(packed(coding, pack(GOOD.content))) as url, closing(OpenAIJudge(url, "tiny", categories=TWO)) as ours:
        assert ours.ask(QUESTION).scores["nudity"] == pytest.approx(0.7)


def test_what_a_server_puts_into_a_message_is_short_and_printable() -> None:
    for answer in (httpx.Response(400, text="no\x1b[31m\n" * 9999), chat("x", ended="\x1b[2J" * 9999)):
        with pytest.raises(JudgeError) as caught:
            judge(answer)[0].ask(QUESTION)
        assert len(str(caught.value)) < 500
        assert str(caught.value).isprintable()


# ------------------------------------------------------------------ secrets

SECRETS = ("hunter2-password", "q-secret", "hunter%402", "hunter@2", "bearer-key")
URLS = {
    "password": "{}user:hunter2-password@{}/v1",
    "quoted password": "{}user:hunter%402@{}/v1/",
    "only a user": "{}q-secret@{}/v1",
    "query": "{}{}/v1?api_key=q-secret&v=1",
    "all": "{}user:hunter2-password@{}/v1?api_key=q-secret#q-secret",
    "a slash in the password": "{}user:12/hunter2-password@{}/v1",
    "a hash in the password": "{}user:12#hunter2-password@{}/v1",
    "a question mark in the password": "{}user:12?hunter2-password@{}/v1",
    "no number for a port": "{}{}:hunter2-password/v1?api_key=q-secret",
    "another scheme": "ftp://user:hunter2-password@example.org/v1?api_key=q-secret",
    "no scheme": "user:hunter2-password@example.org/v1",
}


def echoes(template: str) -> dict[str, Behave]:
    """Servers, most of which repeat what they were sent."""
    sent = template.replace("hunter%402", "hunter%402 hunter@2")
    words = [*(word for word in SECRETS if word in sent), "bearer-key", BASIC if "hunter2-password@{}" in sent else ""]
    echo = json.dumps({"error": words}).encode()
    return {
        "an answer": reply(b"200 OK", GOOD.content),
        "a refusal": reply(b"400 Bad Request", echo),
        "a wrong key": reply(b"401 Unauthorized", echo),
        "not found": reply(b"404 Not Found", echo),
        "a failure": reply(b"500 Oops", echo),
        "a redirect": reply(b"302 Found", b"", b"Location: http://user:hunter2-password@elsewhere/?api_key=q-secret"),
        "no HTTP": lambda client: client.sendall(echo + b"\r\n\r\n"),
        "an odd end": reply(b"200 OK", chat("x", ended=" ".join(words)).content),
        "a hang up": lambda client: client.shutdown(socket.SHUT_RDWR),
    }


BASIC = base64.b64encode(b"user:hunter2-password").decode()


@pytest.mark.parametrize(
    ("template", "answer"),
    [*((URLS["all"], answer) for answer in echoes("")), *((template, "a refusal") for template in URLS.values())],
    ids=[*echoes(""), *URLS],
)
def test_nothing_secret_is_told(template: str, answer: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with served(echoes(template)[answer]) as url:
        address = template.format("http://", url.removeprefix("http://").removesuffix("/v1"))
        ours = OpenAIJudge(address, "tiny", api_key="bearer-key", categories=TWO, timeout=5, pause=0)
        stage2 = Stage2(ScriptedOcr("hello"), ScriptedTextModel(), ours)
        with Pipeline(stage1=ScriptedStage1(), stage2=stage2) as pipeline:
            verdict = pipeline(Image.new("RGB", (16, 16)))
        arguments = ["llm", "check", address, "--json", "--repeats", "1", "--api-key", "bearer-key"]
        run = CliRunner().invoke(app, arguments)
    told = [str(verdict), repr(verdict), verdict.model_dump_json(), repr(ours), str(ours.model_id), ours.url]
    for one in (*told, run.output, repr(run.exception), caplog.text):
        assert not [word for word in (*SECRETS, BASIC, "user:") if word in one], one


def test_a_password_is_sent_and_a_query_as_well() -> None:
    for template, header, query in (
        ("http://user:hunter%402@host/v1", f"Basic {base64.b64encode(b'user:hunter@2').decode()}", b""),
        ("http://host/v1/?api_key=a%20b&v=1", "Bearer key", b"api_key=a%20b&v=1"),
    ):
        seen: list[httpx.Request] = []

        def answer(request: httpx.Request, seen: list[httpx.Request] = seen) -> httpx.Response:
            seen.append(request)
            return GOOD if request.method == "POST" else httpx.Response(200, json={"data": [{"id": "tiny"}]})

        transport = httpx.MockTransport(answer)
        ours = OpenAIJudge(template, api_key="key", categories=TWO, transport=transport)
        ours.ask(QUESTION)
        assert ours.url == "http://host/v1"
        assert [request.url.path for request in seen] == ["/v1/models", "/v1/chat/completions"]
        assert {request.headers["Authorization"] for request in seen} == {header}
        assert {request.url.query for request in seen} == {query}


def test_an_explanation_repeats_no_secret() -> None:
    ours, _ = judge(explained(sentence="Somebody typed hunter2-password."), url="http://user:hunter2-password@host/v1")
    assert ours.explain(QUESTION, ["nudity"]).sentence == "Somebody typed …."


def test_a_profile_does_not_show_its_judge(tmp_path: Path) -> None:
    lines = ['name = "mine"', "[[stage1]]", 'model = "nudenet-320n"', "[ocr]", 'engine = "ppocr"', "[judge]"]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([*lines, 'engine = "openai"', 'url = "http://user:hunter2-password@host/v1"']), "utf-8")
    profile = Profile.load(path)
    assert profile.judge
    assert "hunter2" not in repr(profile) + str(profile)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("https://judge.example/v1/", "https://judge.example/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://user@judge.example/v1", "http://judge.example/v1"),
        ("nonsense", "nonsense"),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert read_address(url).shown == shown


# ------------------------------------------------------------------ the form of the answer

TOO_LONG = httpx.Response(400, json={"error": "maximum context length"})
COSTLY = chat(JSON, JSON_TOKENS)


def forms(request: httpx.Request, *, letters: bool = True, schema: bool = True) -> httpx.Response:
    """A server that has these forms, and refuses others."""
    body = json.loads(request.content)
    if "structured_outputs" in body:
        return GOOD if letters else httpx.Response(400)
    return COSTLY if schema else httpx.Response(400)


@pytest.mark.parametrize("refusals", range(1, 7))
def test_early_refusals_do_not_change_the_form(refusals: int) -> None:
    ours, server = judge(*[httpx.Response(400)] * refusals, forms)
    for _ in range(3):
        with suppress(JudgeError):
            ours.ask(QUESTION)
    assert "letters with probabilities" in str(ours.model_id)
    asked = len(server.asked)
    assert ours.ask(QUESTION).scores["sexual"] == pytest.approx(0.1)
    assert len(server.asked) == asked + 1


def test_a_refused_question_says_why_and_changes_nothing() -> None:
    """At the first question, and at a later one."""
    ours, server = judge(TOO_LONG)
    for settled in (False, True):
        server.answers = [TOO_LONG]
        with pytest.raises(JudgeError, match=r"refuses the request \(HTTP 400: .*maximum context length"):
            ours.ask(QUESTION)
        assert ("letters" in str(ours.model_id)) == settled
        server.answers = [forms]
        assert ours.ask(QUESTION).scores["sexual"] == pytest.approx(0.1)
        assert "letters with probabilities" in str(ours.model_id)


def test_a_question_that_one_form_refuses_does_not_settle_another() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        return TOO_LONG if "hello" in str(body["messages"]) and "structured_outputs" in body else forms(request)

    ours, _ = judge(answer)
    for _ in range(2):
        assert ours.ask(QUESTION).scores["nudity"] == pytest.approx(0.8)
        assert "letters with probabilities" in str(ours.model_id)


def test_a_server_that_loses_a_form_is_asked_in_another_and_the_first_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, server = judge(forms)
    ours.ask(QUESTION)
    server.answers = [lambda request: forms(request, letters=False)]
    assert ours.ask(QUESTION).scores["nudity"] == pytest.approx(0.8)
    assert "JSON with probabilities" in str(ours.model_id)
    asked = len(server.asked)
    ours.ask(QUESTION)
    assert len(server.asked) == asked + 1
    server.answers = [forms]
    monkeypatch.setattr("kidsnanny.stage2.judge.openai_judge.RECHECK", 0.0)
    ours.ask(QUESTION)
    assert "letters with probabilities" in str(ours.model_id)


def test_another_model_is_found_when_the_first_is_gone() -> None:
    names: list[Any] = ["small", "large"]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/models"):
            return httpx.Response(200, json={"data": [{"id": names[0]}]})
        return GOOD if json.loads(request.content)["model"] == names[0] else httpx.Response(404)

    ours = OpenAIJudge(categories=TWO, transport=httpx.MockTransport(answer))
    ours.ask(QUESTION)
    del names[0]
    with pytest.raises(JudgeError, match="has no model small"):
        ours.ask(QUESTION)
    ours.ask(QUESTION)
    assert ours.model_id.name == "large"
