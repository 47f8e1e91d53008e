"""How much time one picture may take: whoever made it must not decide how long the machine is busy.

The Inspector gives each picture a `Budget` and charges it for decoding, Stage 1, the OCR and the text model. An engine
whose work grows with what is in the picture asks `out_of_time()` between its steps; when that is true it stops, names
what it leaves with `leave_out`, and returns what it has. What was left is in the inspection's `not_inspected`, so that
the picture is never `safe`. The judge has a timeout of its own.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SECONDS = 10.0
"""The default of a profile."""


class Budget:
    """The time of one picture.

    Args:
        seconds: how long the picture may be worked on, waiting for other pictures not counted.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._spent = 0.0
        self._since: float | None = None
        self._left: list[str] = []

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return self._spent + (time.perf_counter() - self._since if self._since else 0.0)

    @property
    def over(self) -> bool:
        """Whether all of it is spent."""
        return self.spent >= self.seconds

    def charge(self, seconds: float) -> None:
        """Count time that was spent outside `spending`; less than nothing gives some back."""
        self._spent += seconds

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Charge the block, and make this the budget that `out_of_time` and `leave_out` speak of inside it."""
        token = _current.set(self)
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._spent, self._since = self.spent, None
            _current.reset(token)

    def left_out(self) -> list[str]:
        """What was left since the last call, in words that name the budget."""
        left, self._left = self._left, []
        return [f"{what}: the picture's {self.seconds:g} s are used up" for what in left]


_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


def out_of_time() -> bool:
    """Whether the picture that is being worked on has used up its budget. False where there is no budget."""
    budget = _current.get()
    return budget is not None and budget.over


def leave_out(what: str) -> None:
    """Name something that was not looked at because the budget is used up, such as "12 of 40 lines were not read".

    Raises:
        RuntimeError: no picture with a budget is being worked on, so nobody would learn of it.
    """
    budget = _current.get()
    if budget is None:
        raise RuntimeError(f"{what}, and there is no budget to blame; ask out_of_time() first.")
    budget._left.append(what)


@contextmanager
def waiting() -> Iterator[None]:
    """Give the block's time back: it was spent waiting for another picture."""
    budget, start = _current.get(), time.perf_counter()
    try:
        yield
    finally:
        if budget:
            budget.charge(start - time.perf_counter())
