"""Where the verdicts of a run go: stdout, reports and tables, and the counts that close it."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

from kidsnanny.cli.console import Exit, fail, printable, stdout, utf8_output, warn
from kidsnanny.cli.sources import Item
from kidsnanny.coverage import RunCoverage
from kidsnanny.for_parents import known_language, preferred_language
from kidsnanny.pipeline import Verdicts
from kidsnanny.policy import Policy
from kidsnanny.records import Label
from kidsnanny.verdict import Verdict

FailOn = Literal["review", "unsafe"]
Form = Literal["lines", "json", "jsonl"]
COLOURS = {"safe": "green", "review": "yellow", "unsafe": "red"}


class Printer:
    """Prints verdicts on stdout as they come, in a `with` block.

    Args:
        form: a line for a person and what was looked for once after them, one JSON array, or JSON lines.
        several: whether there are several policies, so that a line says which it is of.
        told_in: the language of the sentences for parents that are printed in place of a line, if they are wanted.
    """

    def __init__(self, form: Form, *, several: bool = False, told_in: str | None = None) -> None:
        self._form, self._several, self._told_in = form, several, told_in
        self._count = 0
        self._coverage: dict[str, RunCoverage] = {}

    def add(self, verdicts: Verdicts) -> None:
        """Print them."""
        for verdict in verdicts:
            if self._form == "json":
                print("," * bool(self._count), verdict.model_dump_json(), sep="\n", end="")
            elif self._form == "jsonl":
                print(verdict.model_dump_json(), flush=True)
            else:
                head, _, rest = str(verdict).partition(": ")
                if self._told_in:
                    head, rest = verdict.source, verdict.for_parent(self._told_in)
                else:
                    self._coverage.setdefault(policy_name(verdict), RunCoverage()).add(verdict)
                stdout.print(printable(head), style=f"bold {COLOURS[verdict.label]}", markup=False, end="")
                whom = f" for {policy_name(verdict)}" if self._several else ""
                stdout.print(printable(f"{whom}: {rest}"), markup=False)
            self._count += 1

    def __enter__(self) -> Self:
        if self._form != "lines":
            utf8_output()
        if self._form == "json":
            print("[", end="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            return
        if self._form == "json":  # an interrupted array is whole, too
            print("\n]")
        for policy, coverage in self._coverage.items():
            stdout.print(printable(f"For {policy}: {coverage}" if self._several else str(coverage)), markup=False)


class FileOutput:
    """A report or a table in a file: what cannot be written ends the command with a sentence.

    Args:
        path: the file.
        what: it is, in a word.
        make: from the path, what takes sources and verdicts.
    """

    def __init__(self, path: Path, what: str, make: Callable[[Path], Any]) -> None:
        self._path, self._what = path, what
        with self._named():
            self._writer = make(path)

    def add(self, item: Item, verdicts: Verdicts) -> None:
        """Write them."""
        with self._named():
            for verdict in verdicts:
                self._writer.add(item.picture, verdict)

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        with self._named():
            self._writer.__exit__(*error)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or type(error).__name__
            fail(Exit.USAGE, f"{self._path}: the {self._what} cannot be written ({why}); choose another file.")


class Tally:
    """Counts verdicts: the exit code they amount to, and the line that closes a run.

    Args:
        what: is checked, a `picture` or a `message`.
        fail_on: the lowest label that counts as flagged.
    """

    def __init__(self, what: str = "picture", fail_on: FailOn = "review") -> None:
        self._what, self._fail_on = what, fail_on
        self._labels: dict[str, Counter[Label]] = {}
        self._flagged = False
        self._begun = time.monotonic()
        self._fresh = self._missed = 0
        self.count = 0

    @property
    def doing(self) -> str:
        """What happens to them, for a progress bar."""
        return "Looking at pictures" if self._what == "picture" else "Reading messages"

    def add(self, verdicts: Verdicts, *, known: bool = False) -> None:
        """Count one item, which is known if it was not looked at in this run."""
        self.count += 1
        self._fresh += not known
        self._missed += any(verdict.not_inspected or not verdict.coverage for verdict in verdicts)
        for verdict in verdicts:
            self._labels.setdefault(policy_name(verdict), Counter())[verdict.label] += 1
            found = any(reason.lowered is None for reason in verdict.reasons)
            self._flagged |= verdict.label == "unsafe" or (found and self._fail_on == "review")

    @property
    def exit_code(self) -> Exit:
        """Of what was counted."""
        return Exit.FLAGGED if self._flagged else Exit.NOT_INSPECTED if self._missed else Exit.CLEAR

    def close(self, *also: str, of: int | None = None, rate: bool = True) -> None:
        """Print the counts on stderr.

        Args:
            also: sentences to add.
            of: how many items there are, if the run was interrupted.
            rate: say how many it were in a second.
        """
        labels = "; ".join(
            (f"for {policy} " if len(self._labels) > 1 else "")
            + ", ".join(f"{counts[label]:,} {label}" for label in reversed(get_args(Label)))
            for policy, counts in self._labels.items()
        )
        seconds = time.monotonic() - self._begun
        begin = plural(self.count if of is None else of, self._what)
        if of is not None:
            begin = f"Interrupted after {self.count:,} of {begin}"
        parts = [f"{labels}; {self._missed:,} not inspected in full"] if labels else []
        took = (
            f"{_duration(seconds)}, {self._fresh / seconds:.1f} a second"
            if rate and self._fresh
            else _duration(seconds)
        )
        before = self.count - self._fresh
        parts.append(f"{took}{f', {before:,} from an earlier run' if before else ''}")
        warn(" ".join(filter(None, [f"{begin}: {'; '.join(parts)}.", *also])))


def policy_name(verdict: Verdict) -> str:
    """The name of its policy, without the version."""
    return verdict.provenance.policy.rpartition("@")[0]


def policies(given: str) -> tuple[Policy, ...]:
    """The policies of `--policy`, separated by commas.

    Raises:
        PolicyError: one of them cannot be loaded.
    """
    names = [given] if os.path.isfile(given) else [name.strip() for name in given.split(",")]
    found = tuple(map(Policy.load, names))
    twice = [name for name, count in Counter(policy.name for policy in found).items() if count > 1]
    if twice:
        fail(Exit.USAGE, f"--policy has two policies with the name {twice[0]}; name each once.")
    return found


def plural(count: int, what: str) -> str:
    """`1 picture`, `1,000 pictures`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def language_for(for_parent: bool, language: str | None, form: Form) -> str | None:
    """The language of the sentences for parents; None if they are not wanted."""
    if language and not for_parent:
        fail(Exit.USAGE, "--language is that of the sentences for parents; give --for-parent as well.")
    if for_parent and form != "lines":
        fail(Exit.USAGE, "--for-parent prints sentences and no JSON; leave out --json and --jsonl.")
    try:
        return (known_language(language) if language else preferred_language()) if for_parent else None
    except ValueError as error:
        fail(Exit.USAGE, f"--language {error}")


def may_replace(path: Path, begins: bytes) -> bool:
    """Whether an output may be written there: over nothing, or over an earlier one, never over somebody's picture."""
    if not path.is_file():  # writing will say what is wrong with it, if anything
        return True
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(begins)).lower() in (b"", begins)
    return True


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
