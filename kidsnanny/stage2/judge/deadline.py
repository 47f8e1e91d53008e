"""One deadline for everything that a question needs, whatever the server does: it holds at the socket.

The timeouts of an HTTP client are those of a single read, and a server that sends a byte now and then stays within them
for ever. Here each read, write and connection attempt gets what is left of the thread's deadline.
"""

import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

PIECE = 1 << 16
"""Bytes that are written under one timeout."""
_until: ContextVar[float] = ContextVar("until", default=math.inf)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """What the block asks of a server must be done within that time; an outer deadline that ends sooner holds."""
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def remaining() -> float:
    """Seconds until the deadline, less than 0 after it; infinite for a thread without one, which asks no server."""
    return _until.get() - time.monotonic()


def time_left(error: type[Exception] = httpx.ReadTimeout) -> float:
    """Seconds until the deadline, more than 0.

    Raises:
        error: none are left.
    """
    if (left := remaining()) <= 0:
        raise error("the deadline has passed")
    return left


class DeadlineTransport(httpx.BaseTransport):
    """The way to a server over TCP, on connections that are kept.

    Args:
        connections: how many there may be at once.
    """

    def __init__(self, connections: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=60,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, whose body is still to be read."""
        url = request.url
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _errors_of_httpx():
            answer = self._pool.handle_request(asked)
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._stream

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        until = time.monotonic() + min(timeout or math.inf, time_left(httpcore.ConnectTimeout))
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in _addresses(host, port, until - time.monotonic()):
            if (left := until - time.monotonic()) <= 0:
                break
            try:
                return _Stream(super().connect_tcp(address, port, left, local_address, socket_options))
            except httpcore.ConnectError as error:
                failure = error
        else:
            raise failure
        raise httpcore.ConnectTimeout("connecting took too long")


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, time_left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        for start in range(0, len(buffer), PIECE):
            self._stream.write(buffer[start : start + PIECE], time_left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = min(timeout or math.inf, time_left(httpcore.ConnectTimeout))
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """Those of a host. The system's resolver knows no timeout, so that it works in a thread that is not waited for."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))

    if all(c in "0123456789." for c in host) or ":" in host:  # it is an address
        return [host]
    threading.Thread(target=resolve, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=max(seconds, 0.0))
    except queue.Empty:
        raise httpcore.ConnectTimeout("the name of the host was not resolved in time") from None
    if isinstance(answer, OSError):
        raise httpcore.ConnectError(str(answer)) from answer
    return answer


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from error
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        httpcore.ConnectionNotAvailable,
    ) as error:
        raise httpx.NetworkError(str(error)) from error
