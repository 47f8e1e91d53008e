"""How much memory for large frames the process takes at once, however many threads it has."""

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kidsnanny.budget import waiting
from kidsnanny.engines import renew_after_fork

SMALL = 28_000_000
"""Bytes of a frame that never waits: a JPEG of 4 megapixels."""
CAPACITY = 500_000_000
"""Bytes of the larger frames that are held at once: five photographs, or one that is larger."""


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
    def holding(self, size: int, patience: float) -> Iterator[None]:
        """Decode and hand out a frame inside this block.

        Args:
            size: bytes that the frame takes while it is decoded and looked at.
            patience: seconds without any frame coming or going after which it goes ahead.
        """
        if size <= self._small:
            yield
            return
        key, moved, held = object(), self._moved, self._held
        with moved:
            if not self._room(size):
                with waiting():
                    while not self._room(size) and (left := self._last + patience - time.monotonic()) > 0:
                        moved.wait(left)
            held[key] = size, threading.get_ident()
            self._last = time.monotonic()
        try:
            yield
        finally:
            _give_back()
            with moved:
                del held[key]
                self._last = time.monotonic()
                moved.notify_all()

    def _room(self, size: int) -> bool:
        held = list(self._held.values())
        mine = any(thread == threading.get_ident() for _, thread in held)
        return mine or not held or sum(one for one, _ in held) + size <= self._capacity


def _give_back() -> None:
    """Have the C library return what was freed: glibc keeps megabytes for each thread that once had a large frame."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


class Slots:
    """How many threads do something at once.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """The parent's threads do not exist here, and hold nothing."""
        self._free = threading.BoundedSemaphore(self._count)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Work inside this block; waiting for its turn costs a picture's budget nothing."""
        free = self._free
        if not free.acquire(blocking=False):
            with waiting():
                free.acquire()
        try:
            yield
        finally:
            free.release()


slots = Slots(max(2, os.cpu_count() or 2))
"""Pictures that are looked at and read at once: more than there are processors would only take memory."""
gate = Gate()
"""The process's one."""
