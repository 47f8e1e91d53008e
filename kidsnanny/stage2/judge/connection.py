"""The connection to the judge's server: each question within one deadline and a bound of bytes, and no secret told.

The URL may hold a password or a key. What is said about the server (verdicts, messages, logs) holds the URL without
them, and what the server or the HTTP client says is shown only after every secret in it has been replaced.
"""

import base64
import json
import logging
import math
import random
import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote

from kidsnanny.engines import renew_after_fork
from kidsnanny.errors import ComponentError, JudgeError
from kidsnanny.stage2.judge.circuit_breaker import CircuitBreaker, ServerDownError

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 2
CONNECT = 2.0
"""Seconds of the deadline that connecting may take."""
MAX_BYTES = 2**20
"""Of an answer, after decompression. A verdict has a few thousand, and a list of models as well."""

SAY_ENOUGH = (401, 403, 404, 429)
"""Refusals whose text is not read."""


class Reply(NamedTuple):
    """What the server answered; `content` is empty for a status that says enough."""

    status: int
    content: bytes


class Wording(NamedTuple):
    """What messages call a server, and what they advise."""

    name: str = "judge"
    variable: str = "KIDSNANNY_JUDGE_KEY"
    """The environment variable that its key is set in."""
    start: str = "start it, for instance with `kidsnanny llm serve`"
    """What to do if it cannot be reached."""
    check: str = "try `kidsnanny llm check`"
    """What to do about an answer that does not count."""


JUDGE = Wording()


class Address(NamedTuple):
    """Where the server is, what may be said of that, and what may not."""

    url: "httpx.URL | None"
    """The API's root, without user name and password; None if the URL cannot be used."""
    shown: str
    """Without user name, password, query and fragment."""
    login: str
    """`user:password`, or empty."""
    secrets: tuple[str, ...]
    why: str = ""
    """Why the URL cannot be used."""


class Connection:
    """Asks one server. It may be used from several threads, and in a forked child.

    Args:
        url: the API's root.
        key: sent as a bearer token, unless the URL has a user name or a password.
        timeout: seconds for one question.
        in_flight: how many connections there may be.
        pause: seconds for which a server that does not answer is left alone.
        transport: another way to the server than TCP; a forked child shares it with its parent.
        wording: of messages.

    Raises:
        ComponentError: the key cannot be sent.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        timeout: float,
        in_flight: int,
        pause: float,
        transport: "httpx.BaseTransport | None" = None,
        wording: Wording = JUDGE,
    ) -> None:
        key = (key or "").strip()
        if not (key.isascii() and key.isprintable()):  # httpx would quote it, and the verdict would hold what it quotes
            raise ComponentError(
                f"The {wording.name}'s key is not printable ASCII; set {wording.variable} to the server's own."
            )
        self.wording = wording
        """What messages call the server, and what they advise."""
        address = read_address(url)
        self.url = address.shown
        self.called = f"The {wording.name} at {self.url}"
        """How a message about the server begins."""
        self._address = address
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "kidsnanny"}
        if address.login:
            self._headers["Authorization"] = f"Basic {base64.b64encode(address.login.encode()).decode()}"
        elif key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._secrets = _spellings(*address.secrets, key, self._headers.get("Authorization", "").partition(" ")[2])
        self._timeout, self._in_flight, self._pause = timeout, in_flight, pause
        self._given = transport
        self._transport: httpx.BaseTransport | None = None
        self._connecting = threading.Lock()
        self._breaker = CircuitBreaker(pause)
        self._closed = False
        for name in ("httpcore.http11", "httpcore.connection"):
            logging.getLogger(name).addFilter(_is_not_ours)
        renew_after_fork(self)

    def close(self) -> None:
        """Close what is open; nothing can be asked any more. It may be repeated."""
        with self._connecting:
            self._closed = True
            if self._transport:
                self._transport.close()

    def after_fork(self) -> None:
        """Leave the parent's connections alone: the next call opens others."""
        self._transport = None
        self._connecting = threading.Lock()
        self._breaker = CircuitBreaker(self._pause)

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        """The server's answer to one request; `path` stands below the root, or beside it if it begins with `../`.

        Errors of the connection and of the server are tried once more while there is time; a timeout is not. All of it
        is within the deadline of the thread, or else within the timeout.

        Raises:
            JudgeError: there is no answer, or it is too long.
        """
        import httpx

        from kidsnanny.stage2.judge.deadline import deadline, remaining

        if not self._address.url:
            raise JudgeError(f"The {self.wording.name}'s URL {self.url!r} cannot be used: {self._address.why}.")
        with deadline(self._timeout), self._breaker.guard(self.called):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    reply = self._send(method, path, body)
                except httpx.TimeoutException as error:
                    raise ServerDownError(f"{self.called} took over {self._timeout:g} s; see its log.") from error
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    why = self.without_secrets(str(error)) or type(error).__name__
                    down = ServerDownError(f"{self.called} cannot be reached ({why}); {self.wording.start}.")
                else:
                    if reply.status < 500 and reply.status != 429:
                        return reply
                    down = ServerDownError(f"{self.called} fails (HTTP {reply.status}); see its log.")
                wait = random.uniform(0.05, 0.2) * attempt
                if attempt == ATTEMPTS or remaining() <= wait:
                    break
                time.sleep(wait)
            raise down from None

    def without_secrets(self, text: str, length: int = 200) -> str:
        """What somebody else wrote, in one line of that length at most, fit to be shown."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text[: 10 * length])).strip()
        return line[:length]

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Reply:
        import httpx

        from kidsnanny.stage2.judge.deadline import time_left

        root = self._address.url
        assert root, "checked by the caller"
        stem = root.raw_path.partition(b"?")[0].rstrip(b"/")
        if path.startswith("../"):
            stem, path = stem.removesuffix(b"/v1"), path.removeprefix("..")
        target = stem + path.encode() + (b"?" + root.query if root.query else b"")
        left = time_left()
        timeout = httpx.Timeout(left, connect=min(CONNECT, left)).as_dict()
        request = httpx.Request(
            method, root.copy_with(raw_path=target), headers=self._headers, json=body, extensions={"timeout": timeout}
        )
        # Not through a Client, which would log the URL, follow cookies, and decompress without a bound.
        with closing(self._connected().handle_request(request)) as response:
            time_left()
            status = response.status_code
            told = status < 300 or (400 <= status < 500 and status not in SAY_ENOUGH)
            return Reply(status, self._read(response) if told else b"")

    def _read(self, response: "httpx.Response") -> bytes:
        from kidsnanny.stage2.judge.deadline import time_left

        content = bytearray()
        try:
            for chunk in _decoded(response):
                content += chunk[: MAX_BYTES + 1 - len(content)]
                if len(content) > MAX_BYTES:
                    limit = f"{MAX_BYTES:,} bytes"
                    raise JudgeError(f"{self.called} answers with more than {limit}; see what serves it.")
                time_left()
        except zlib.error as error:
            raise JudgeError(f"{self.called} sends what cannot be decompressed; see what serves it.") from error
        return bytes(content)

    def _connected(self) -> "httpx.BaseTransport":
        from kidsnanny.stage2.judge.deadline import DeadlineTransport

        with self._connecting:
            if self._closed:
                raise JudgeError(f"{self.called} was closed; make a new client.")
            if self._transport is None:
                self._transport = self._given or DeadlineTransport(self._in_flight)
            return self._transport


def read_address(url: str) -> Address:
    """The parts of a URL. Nothing is raised: what is wrong with it is said when the server is asked."""
    import httpx

    unreadable = url if not re.search("[@?#]", url) else "…"
    if not re.match("https?://", url, re.IGNORECASE):
        example = url if unreadable == url and re.match("[^/]", url) and "://" not in url else "127.0.0.1:8000/v1"
        return Address(
            None, unreadable, "", (), f"it does not begin with http:// or https://; add http://, as in http://{example}"
        )
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return Address(None, unreadable, "", (), "it is no URL; percent-encode what is in its user name and password")
    if b"@" in found.raw_path or "@" in found.fragment:  # a password with a slash: the rest of it is read as a path
        return Address(None, unreadable, "", (), "it has an @ in its path; write it as %40")
    query = found.query.decode("ascii")
    values = [value for _, value in parse_qsl(query) if len(value) > 3] + re.findall(r"=([^&;]{4,})", query)
    user, password = found.username, found.password
    login = f"{user}:{password}" if user or password else ""
    given = found.userinfo.decode("ascii").partition(":")
    secrets = (password or user, given[2] or given[0], *values)
    bare = found.copy_with(username="", password="", fragment=None) if login else found.copy_with(fragment=None)
    shown = str(bare.copy_with(query=None)).rstrip("/").replace("//@", "//")
    if not found.host:
        return Address(None, shown, "", secrets, "it names no host; write it as in http://127.0.0.1:8000/v1")
    return Address(bare, shown, login, secrets)


def _spellings(*secrets: str) -> tuple[str, ...]:
    """As they may be quoted by others, the longest first."""
    found = {how for s in secrets if s for how in (s, quote(s, safe=""), quote(s), json.dumps(s)[1:-1])}
    return tuple(sorted(found, key=len, reverse=True))


def _decoded(response: "httpx.Response") -> Iterator[bytes]:
    """The body in pieces, none longer than what may be read in all and one byte."""
    if response.is_stream_consumed:  # a transport that is none has made it of something in memory
        yield response.content
        return
    pieces: Any = response.stream
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("identity", ""):
        yield from pieces
    elif coding in ("gzip", "x-gzip", "deflate"):
        inflate = zlib.decompressobj(32 + zlib.MAX_WBITS)
        for piece in pieces:
            yield inflate.decompress(piece, MAX_BYTES + 1)
    else:
        raise zlib.error("neither gzip nor deflate")


def _is_not_ours(record: logging.LogRecord) -> bool:
    """At the level DEBUG, httpcore logs headers, in which the server may repeat what is secret."""
    from kidsnanny.stage2.judge.deadline import remaining

    return record.levelno > logging.DEBUG or remaining() == math.inf
