"""A server that does not answer is left alone for a while, so that it costs one timeout and not one per picture."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kidsnanny.errors import JudgeError


class ServerDownError(JudgeError):
    """The server does not answer."""


class CircuitBreaker:
    """Lets calls through until one finds the server down; then none for a while, then one, then all again.

    Args:
        pause: seconds for which a server that is down is left alone.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._down = False

    @contextmanager
    def guard(self, called: str) -> Iterator[None]:
        """Around each call. A ServerDownError means that the server is down, any other end that it is up.

        Raises:
            JudgeError: at once, while the server is left alone.
        """
        with self._lock:
            now = time.monotonic()
            if self._down:
                if now < self._closed_until:
                    raise JudgeError(f"{called} did not answer a moment ago; it is asked again shortly.")
                self._closed_until = now + self._pause  # this call tries, the others wait for what it finds
        down = False
        try:
            yield
        except ServerDownError:
            down = True
            raise
        finally:
            with self._lock:
                self._down = down
                self._closed_until = time.monotonic() + self._pause
