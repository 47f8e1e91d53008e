"""How many megapixels of large frames the process decodes and holds at once, however many threads it has."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kidsnanny.budget import waiting
from kidsnanny.engines import renew_after_fork

SMALL = 4_000_000
"""Pixels of a frame that never waits."""
CAPACITY = 96_000_000
"""Pixels of the larger frames that are held at once: one as large as the default limit allows, or eight photographs."""


class Gate:
    """Lets frames through while those that are held leave room.

    A frame larger than the capacity goes alone. Waiting costs a picture's budget nothing, and it ends in any case: a
    thread that holds a frame does not wait for itself, and where nothing has moved for `patience` seconds, whoever
    holds the frames has stopped asking for more, so the next one goes ahead.
    """

    def __init__(self, capacity: int = CAPACITY, small: int = SMALL) -> None:
        self._capacity, self._small = capacity, small
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """The parent's threads do not exist here, and their frames are nobody's."""
        self._moved = threading.Condition()
        self._held: dict[object, tuple[int, int]] = {}
        self._last = time.monotonic()

    @contextmanager
    def holding(self, pixels: int, patience: float) -> Iterator[None]:
        """Decode and hand out a frame inside this block.

        Args:
            pixels: of the frame.
            patience: seconds without any frame coming or going after which it goes ahead.
        """
        if pixels <= self._small:
            yield
            return
        key, moved, held = object(), self._moved, self._held
        with moved:
            if not self._room(pixels):
                with waiting():
                    while not self._room(pixels) and (left := self._last + patience - time.monotonic()) > 0:
                        moved.wait(left)
            held[key] = pixels, threading.get_ident()
            self._last = time.monotonic()
        try:
            yield
        finally:
            with moved:
                del held[key]
                self._last = time.monotonic()
                moved.notify_all()

    def _room(self, pixels: int) -> bool:
        held = list(self._held.values())
        mine = any(thread == threading.get_ident() for _, thread in held)
        return mine or not held or sum(size for size, _ in held) + pixels <= self._capacity


gate = Gate()
"""The process's one."""
