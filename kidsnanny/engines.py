"""What engines share, whichever pipeline uses them: one lock for each, threads, and how they survive a fork.

A forked child inherits the memory of its parent but none of its threads. A lock that another thread held stays locked,
a thread pool has no threads, and two processes would write to one socket. Whatever holds such a thing replaces it in
the child: see `renew_after_fork`.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, Protocol, TypeVar

from kidsnanny.errors import ComponentError

THREADS = "KIDSNANNY_THREADS"
"""Environment variable: on how many threads a network computes."""
P = ParamSpec("P")
T = TypeVar("T")


class Engine(Protocol):
    """Anything that says whether several threads may call it at once."""

    @property
    def reentrant(self) -> bool: ...


class Renewable(Protocol):
    """Anything that holds locks, threads or connections, which a forked child must not share."""

    def after_fork(self) -> None:
        """Replace them. It is called in the child, before anything else runs there; it must not block."""
        ...


_renewables: "weakref.WeakSet[Renewable]" = weakref.WeakSet()
_locks: dict[int, tuple[Callable[[], object], threading.Lock]] = {}
_guard = threading.Lock()


def threads() -> int:
    """How many threads a network may compute on; 0, unless `KIDSNANNY_THREADS` says something else, is one a core.

    Raises:
        ComponentError: the variable is no whole number.
    """
    said = os.environ.get(THREADS, "0")
    if not said.isdecimal():
        raise ComponentError(f"{THREADS} is {said!r}; set it to a whole number of threads, or unset it.")
    return int(said)


def limit_threads(count: int) -> None:
    """Have everything that this process loads from here on compute on so many threads: ONNX Runtime, OpenCV, torch."""
    import cv2

    os.environ[THREADS] = os.environ["OMP_NUM_THREADS"] = str(count)
    cv2.setNumThreads(count)


def renew_after_fork(holder: Renewable) -> None:
    """Have `holder.after_fork()` called in every forked child, for as long as the holder lives."""
    _renewables.add(holder)


def exclusive(engine: Engine) -> AbstractContextManager[object]:
    """The context in which an engine may be called: its one lock, or nothing for an engine that is re-entrant.

    Every caller in the process gets the same lock for the same object; engines that are equal but not identical have
    a lock each. Ask for it at every call and do not keep it: a forked child has other locks than its parent. The lock
    may not be taken twice by one thread.
    """
    if engine.reentrant:
        return nullcontext()
    with _guard:
        known = _locks.get(id(engine))
        if known and known[0]() is engine:
            return known[1]
        key, lock = id(engine), threading.Lock()
        reference: Callable[[], object]
        try:
            reference = weakref.ref(engine, lambda _: _locks.pop(key, None))
        except TypeError:  # it has __slots__ and none for weak references: its lock keeps it alive
            reference = _Kept(engine)
        _locks[key] = reference, lock
        return lock


class _Kept:
    """A reference like `weakref.ref`, but a strong one."""

    def __init__(self, engine: object) -> None:
        self._engine = engine

    def __call__(self) -> object:
        return self._engine


class ForkSafeExecutor:
    """A `ThreadPoolExecutor` whose threads start when they are first needed, and anew in every forked child.

    Args:
        max_workers: how many threads work at once.
        thread_name_prefix: what their names begin with.
    """

    def __init__(self, max_workers: int, thread_name_prefix: str = "") -> None:
        self._options = max_workers, thread_name_prefix
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False
        self._lock = threading.Lock()
        renew_after_fork(self)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As `ThreadPoolExecutor.submit`.

        Raises:
            RuntimeError: the executor was shut down.
        """
        return self._running().submit(function, *args, **kwargs)

    def map(self, function: Callable[..., T], *iterables: Iterable[Any]) -> Iterator[T]:
        """As `ThreadPoolExecutor.map`.

        Raises:
            RuntimeError: the executor was shut down.
        """
        return self._running().map(function, *iterables)

    def shutdown(self, wait: bool = True) -> None:
        """End the threads once they have done what they were given, and wait for that if asked. It may be repeated."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown(wait=wait)

    def after_fork(self) -> None:
        """The parent's threads do not exist here."""
        self._lock = threading.Lock()
        self._pool = None

    def _running(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._closed:
                raise RuntimeError("The executor was shut down; make a new one.")
            if self._pool is None:
                self._pool = ThreadPoolExecutor(*self._options)
            return self._pool


def _after_fork() -> None:
    global _guard
    _guard = threading.Lock()
    _locks.clear()
    for holder in list(_renewables):
        holder.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
