"""Pictures looked at by several processes, each with models of its own.

    sources ─ Workers ─┬─ process: Pipeline ─┬─ verdicts, in the order of the sources
                       └─ process: Pipeline ─┘

A process that is killed, as for lack of memory, costs no more than its picture, and that only when it happens again
while no other process works.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import NamedTuple, Self

from kidsnanny import __version__
from kidsnanny.decision import decide
from kidsnanny.engines import limit_threads
from kidsnanny.errors import ComponentError
from kidsnanny.inspection import Inspection
from kidsnanny.media.loader import Source
from kidsnanny.pipeline import Pipeline, Verdicts
from kidsnanny.policy import Policy
from kidsnanny.records import ModelId, NotInspected

AHEAD = 8
"""Pictures for each process that may be done while one before them is not."""
IN_HAND = 2
"""Pictures that a process is given at once: the next is there when it has done one."""
PATIENCE = 10.0
"""Seconds in which a process that has nothing left to do must end."""
Models = dict[str, tuple[ModelId, ...]]


class _Task(NamedTuple):
    number: int
    source: Source
    name: str
    died: bool = False
    """Whether a process has died of it."""


class _Worker:
    """A process, and what it has in hand; the first of it is what it looks at."""

    def __init__(self, build: Callable[[], Pipeline], policies: Sequence[Policy], threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would share the models' threads
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, build, tuple(policies), threads), daemon=True)
        with _signals_held():
            self.process.start()
        theirs.close()  # so that the connection ends when the process does
        self.ready = False
        self.tasks: deque[_Task] = deque()

    def give(self, task: _Task) -> None:
        self.tasks.append(task)
        with suppress(OSError):  # it is dead, which receiving from it will tell
            self.connection.send((task.source, task.name))

    def end(self, *, now: bool) -> None:
        """Let it end by itself, or kill it: it holds nothing that could be lost."""
        if not now:
            with suppress(OSError):
                self.connection.send(None)
            self.process.join(PATIENCE)
        self.process.kill()
        self.process.join()
        self.connection.close()


class Workers:
    """Processes that look at pictures, the processor's cores shared out among them.

    Use it in a `with` block. The processes end with it, at once if the block raises, and with the program.

    Args:
        build: makes the pipeline in each process, such as `partial(Pipeline, "embedded")`; it must be picklable.
        policies: those that each picture has a verdict of.
        count: of processes, 1 or more. Each has its own models in memory.
    """

    def __init__(self, build: Callable[[], Pipeline], policies: Sequence[Policy], count: int) -> None:
        self._recipe = build, policies, max(1, cores() // count)
        self._policies = policies
        self._models: Models | None = None
        self._workers = [_Worker(*self._recipe) for _ in range(count)]

    @property
    def models(self) -> Models:
        """Part of the pipeline -> its models; waits until a process has loaded them.

        Raises:
            ComponentError: they cannot be loaded.
        """
        while self._models is None:
            self._receive()
        return self._models

    def stream(self, sources: Iterable[tuple[Source, str]]) -> Iterator[Verdicts]:
        """Of each source and its name, a verdict for each policy, in the order of the sources.

        Raises:
            ComponentError: the models cannot be loaded, or no process lives long enough to load them.
        """
        coming = (_Task(number, *source) for number, source in enumerate(sources))
        again: deque[_Task] = deque()
        done: dict[int, Verdicts] = {}
        following = begun = 0

        def fresh() -> _Task | None:
            nonlocal begun
            task = next(coming, None) if begun - following < AHEAD * len(self._workers) else None
            begun += task is not None
            return task

        while True:
            while following in done:
                yield done.pop(following)
                following += 1
            while ready := [worker for worker in self._workers if worker.ready]:
                worker = min(ready, key=lambda one: len(one.tasks))
                if (task := self._next_for(worker, again, fresh)) is None:
                    break
                worker.give(task)
            if ready and not self._busy():
                return
            for task, verdicts in self._receive():
                if verdicts is None:
                    again.append(task)
                else:
                    done[task.number] = verdicts

    def _next_for(self, worker: _Worker, again: deque[_Task], fresh: Callable[[], _Task | None]) -> _Task | None:
        """What the worker should do next. What a process has died of is done while no other works."""
        in_hand = [task for one in self._workers for task in one.tasks]
        if any(task.died for task in (*again, *in_hand)):
            if in_hand:
                return None
            task = next(one for one in again if one.died)
            again.remove(task)
            return task
        if len(worker.tasks) == IN_HAND:
            return None
        return again.popleft() if again else fresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end(now=kind is not None)

    def _busy(self) -> bool:
        return any(worker.tasks for worker in self._workers)

    def _receive(self) -> Iterator[tuple[_Task, Verdicts | None]]:
        """What has been done since, when something has; None for what is to be done again."""
        by_connection = {worker.connection: worker for worker in self._workers}
        found: list[tuple[_Task, Verdicts | None]] = []
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                answer = worker.connection.recv()
            except (EOFError, OSError):
                found += self._bury(worker)
                continue
            if isinstance(answer, BaseException):
                raise answer
            if worker.ready:
                found.append((worker.tasks.popleft(), answer))
            else:
                worker.ready, self._models = True, answer
        return iter(found)

    def _bury(self, worker: _Worker) -> Iterator[tuple[_Task, Verdicts | None]]:
        """Put another in a dead one's place, unless it died before it had loaded its models."""
        worker.end(now=True)
        how = _how(worker.process.exitcode)
        self._workers.remove(worker)
        if worker.ready:
            self._workers.append(_Worker(*self._recipe))
        elif not self._workers:
            raise ComponentError(
                f"No process could load the models (the last was ended {how}); free memory, or give fewer --workers."
            )
        if worker.tasks:
            task = worker.tasks.popleft()
            if task.died:
                yield task, self._lost(task, how)
            else:
                yield task._replace(died=True), None
        yield from ((task, None) for task in worker.tasks)

    def _lost(self, task: _Task, how: str) -> Verdicts:
        reason = f"the process that looked at it was ended {how}, twice; it may need more memory than there is"
        missed = NotInspected(part="picture", reason=reason, cause="failure")
        seen = Inspection(source=task.name, not_inspected=(missed,), models=self.models, kidsnanny=__version__)
        return tuple(decide(seen, policy) for policy in self._policies)


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _how(exitcode: int | None) -> str:
    return f"by signal {-exitcode}" if exitcode and exitcode < 0 else f"with exit code {exitcode}"


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block ends, and never reach a process that is started in it: it is for the
    parent to say when its workers end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(parent: Connection, build: Callable[[], Pipeline], policies: Sequence[Policy], threads: int) -> None:
    """A worker's life: the models, then the verdicts of whatever comes, until None or the parent's end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be held
    with suppress(EOFError, OSError):
        try:
            limit_threads(threads)
            pipeline = build()
        except Exception as error:
            parent.send(error)
            return
        with pipeline:
            parent.send(pipeline.inspector.models)
            while (task := parent.recv()) is not None:
                source, name = task
                parent.send(tuple(pipeline.stream([source], policy=policies, names=[name])))
