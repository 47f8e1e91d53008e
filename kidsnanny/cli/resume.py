"""`kidsnanny check --resume`: verdicts as JSON lines, in a file with which an interrupted run is continued."""

import json
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from kidsnanny import __version__
from kidsnanny.cli.sources import Item
from kidsnanny.errors import DataError
from kidsnanny.files import alone_in, atomic_writer, private
from kidsnanny.pipeline import Verdicts
from kidsnanny.policy import Policy
from kidsnanny.records import ModelId
from kidsnanny.verdict import Verdict

SYNC_SECONDS = 1.0
"""What a power failure may cost. A kill costs nothing: each line is the system's as soon as it is written."""
FIRST = b'{"source":"'
"""How a line begins."""


class _Place(NamedTuple):
    """Where the lines of one item are, a line for each policy."""

    offset: int
    size: int


class SavedRun:
    """A file of verdicts, which grows with each item, and what is in it of an earlier run. Use it in a `with` block.

    Args:
        path: the file. It need not exist. Only its owner may read a file that is made.
        policies: those of this run.

    Raises:
        DataError: it cannot be read or written, another command writes to it, it holds something else, or another
            policy or version has made it.
    """

    def __init__(self, path: Path, policies: Sequence[Policy]) -> None:
        self._path = path
        self._policies = [policy.version for policy in policies]
        self._known: dict[tuple[str, str], list[_Place]] = defaultdict(list)
        """Name and checksum -> its places that were not taken yet."""
        self._stale: list[tuple[str, _Place]] = []
        """Those of what could not be read, with its name: it is looked at again."""
        self._models: dict[str, tuple[Any, int]] = {}
        self._order: list[_Place] = []
        self._names: set[str] = set()
        self._synced = time.monotonic()
        with self._writing(), ExitStack() as stack:
            stack.enter_context(alone_in(path))
            self._file = stack.enter_context(open(path, "ab", opener=private))
            self._end = self._read()
            self._file.truncate(self._end)  # what a kill has torn
            self._stack = stack.pop_all()

    def check_models(self, models: Mapping[str, tuple[ModelId, ...]]) -> None:
        """Refuse to continue what other models have seen. The judge's model is known only when it has answered.

        Args:
            models: part of the pipeline -> its models, for the kind of items that are checked.

        Raises:
            DataError: they differ.
        """
        now = _comparable({part: [model.model_dump() for model in of_part] for part, of_part in models.items()})
        for before, number in self._models.values():
            if before != now:
                parts = sorted(part for part in {*before, *now} if before.get(part) != now.get(part))
                raise DataError(
                    f"{self._path}: line {number} was made with {_named(before, parts)}, and this run has "
                    f"{_named(now, parts)}; give the same --profile and options as then, or name another file."
                )

    def find(self, item: Item) -> _Place | None:
        """Where the verdicts on it are, if they are there and it is what it was then. Each place is found once."""
        self._names.add(item.name)
        digest = item.sha256()
        places = self._known.get((item.name, digest)) if digest else None
        return places.pop(0) if places else None

    def read(self, place: _Place) -> Verdicts:
        """The verdicts there.

        Raises:
            DataError: a line is no verdict.
        """
        self._order.append(place)
        try:
            return tuple(map(Verdict.from_json, self._lines(place).splitlines()))
        except ValueError as error:
            raise DataError(f"{self._path}: {error} Name another file.") from error

    def add(self, verdicts: Verdicts) -> None:
        """Append the verdicts on one item, all of them or none."""
        data = b"".join(verdict.model_dump_json().encode() + b"\n" for verdict in verdicts)
        with self._writing():
            self._file.write(data)
            self._file.flush()
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        self._order.append(_Place(self._end, len(data)))
        self._end += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._writing(), self._stack:
            if kind is None:
                self._put_in_order()
            os.fsync(self._file.fileno())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise DataError(
                f"{self._path}: verdicts cannot be kept there ({why}); make room, or name another file."
            ) from error

    def _read(self) -> int:
        """Note what is there; where the last item that is whole ends."""
        end = number = 0
        lines: list[bytes] = []
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1 and not (line.startswith(FIRST) or FIRST.startswith(line)):
                    raise DataError(f"{self._path}: it is there and is no file of verdicts; name another file.")
                if not line.endswith(b"\n"):
                    break
                lines.append(line)
                if len(lines) == len(self._policies):
                    size = sum(map(len, lines))
                    self._note(lines, number, _Place(end, size))
                    end += size
                    lines = []
        return end

    def _note(self, lines: Sequence[bytes], number: int, place: _Place) -> None:
        """Note the verdicts on one item, the last of which is in line `number`."""
        found = [self._facts(line, number - len(lines) + n) for n, line in enumerate(lines, 1)]
        versions = [made["policy"] for _, made in found]
        if versions != self._policies:
            raise DataError(
                f"{self._path}: line {number} was made under {', '.join(versions)}, and this run is under "
                f"{', '.join(self._policies)}; give the same --policy as then, or name another file."
            )
        (name, made) = found[0]
        if any(other != name for other, _ in found):
            raise DataError(
                f"{self._path}: line {number} is on another picture than the one before; name another file."
            )
        if not (digest := made["sha256"]):
            self._stale.append((name, place))
            return
        if made["kidsnanny"] != __version__:
            raise DataError(
                f"{self._path}: line {number} was made with kidsnanny {made['kidsnanny']}, and this is {__version__}; "
                "name another file."
            )
        self._known[name, digest].append(place)
        self._models.setdefault(json.dumps(made["models"]), (_comparable(made["models"]), number))

    def _facts(self, line: bytes, number: int) -> tuple[str, dict[str, Any]]:
        try:
            verdict = json.loads(line)
            made = verdict["provenance"]
            made["policy"], made["kidsnanny"], made["sha256"], dict(made["models"])
            return str(verdict["source"]), made
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"{self._path}: line {number} is no verdict; name another file.") from error

    def _lines(self, place: _Place) -> bytes:
        with self._path.open("rb") as file:
            file.seek(place.offset)
            return file.read(place.size)

    def _put_in_order(self) -> None:
        """Have the lines in the order of the items, and without those that newer ones replace. Lines on what was not
        named this time stay: where they are, or before all others if the order was another."""
        left = [*self._stale, *((name, place) for (name, _), places in self._known.items() for place in places)]
        kept = sorted(place for name, place in left if name not in self._names)
        if self._order == sorted(self._order) and len(kept) == len(left):
            return
        with atomic_writer(self._path, private=True) as file:
            for place in (*kept, *self._order):
                file.write(self._lines(place))


def continued(
    saved: SavedRun, items: Iterable[Item], look: Callable[[Iterable[Item]], Iterator[Verdicts]]
) -> Iterator[tuple[Verdicts, bool]]:
    """Verdicts on all items in their order, and whether they are from the file: what it lacks is looked at, and added.

    Args:
        saved: the file.
        items: what to check.
        look: the verdicts on items, in their order.
    """
    rest = iter(items)
    for first in rest:  # what an interrupted run has done is at the beginning
        if (place := saved.find(first)) is None:
            break
        yield saved.read(place), True
    else:
        return
    plan: deque[_Place | None] = deque()

    def unknown() -> Iterator[Item]:
        plan.append(None)
        yield first
        for item in rest:
            plan.append(saved.find(item))
            if plan[-1] is None:
                yield item

    for verdicts in look(unknown()):
        while place := plan.popleft():
            yield saved.read(place), True
        saved.add(verdicts)
        yield verdicts, False
    for place in filter(None, plan):
        yield saved.read(place), True


def _comparable(models: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[str]]:
    """Part -> its models, without which the judge is."""
    return {
        part: [] if part == "judge" else [f"{model['name']}@{model['revision']}" for model in of_part]
        for part, of_part in models.items()
    }


def _named(models: Mapping[str, Sequence[str]], parts: Iterable[str]) -> str:
    return ", ".join(
        f"{part} {' and '.join(models[part])}".rstrip() if part in models else f"no {part}" for part in parts
    )
