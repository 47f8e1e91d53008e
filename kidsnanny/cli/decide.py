"""`kidsnanny decide`: a saved run, decided again."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from kidsnanny.cli.check import FAIL_ON, FOR_PARENT, JSON, JSONL, LANGUAGE, POLICY, chosen_form
from kidsnanny.cli.console import Exit, exit_on_error, fail
from kidsnanny.cli.outputs import FailOn, Printer, Tally, language_for, policies
from kidsnanny.decision import decide
from kidsnanny.faults import first_fault
from kidsnanny.inspection import Inspection
from kidsnanny.verdict import Verdict

FILE = typer.Argument(
    metavar="FILE",
    help="What `kidsnanny check --jsonl` or `--json` printed, or inspections/NAME.jsonl of an evaluation; - for stdin.",
)


def decide_again(
    file: Annotated[str, FILE],
    policy: Annotated[str, POLICY] = "preteen",
    as_json: Annotated[bool, JSON] = False,
    as_jsonl: Annotated[bool, JSONL] = False,
    fail_on: Annotated[FailOn, FAIL_ON] = "review",
    for_parent: Annotated[bool, FOR_PARENT] = False,
    language: Annotated[str | None, LANGUAGE] = None,
) -> None:
    """Decide a saved run again under another policy, without any model and without the pictures.

    The judge is not asked again: a picture about which it was not asked for this policy's ages is `review`.

    Example: kidsnanny check --jsonl holiday-photos/ > run.jsonl; kidsnanny decide run.jsonl --policy teen
    """
    form = chosen_form(as_json, as_jsonl)
    told_in = language_for(for_parent, language, form)
    with exit_on_error():
        rules, tally = policies(policy), Tally(fail_on=fail_on)
        with Printer(form, several=len(rules) > 1, told_in=told_in) as printer:
            for inspection in _inspections(file):
                verdicts = tuple(decide(inspection, one) for one in rules)
                printer.add(verdicts)
                tally.add(verdicts)
    raise typer.Exit(tally.exit_code)


def _inspections(file: str) -> Iterator[Inspection]:
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as lines:
            found, array = 0, False
            for number, line in enumerate(lines, 1):
                if number == 1 and line.strip() == b"[":  # of `--json`, which has a verdict a line as well
                    array = True
                elif not (array and line.strip() == b"]"):
                    found += 1
                    yield _inspection(file, number, line.strip().removesuffix(b",") if array else line)
            if not found:
                fail(Exit.USAGE, f"{file}: it is empty, so there is nothing to decide; name a run with pictures in it.")
    except OSError as error:
        fail(Exit.USAGE, f"{file}: it cannot be read ({error.strerror}); name a file of JSON lines.")


def _inspection(file: str, number: int, line: bytes) -> Inspection:
    try:
        found = json.loads(line)
        if isinstance(found, dict) and "label" in found:
            return Verdict.from_json(line).inspection
        return Inspection.model_validate(found.get("inspection", found))
    except (ValueError, AttributeError, RecursionError) as error:
        why = first_fault(error) if isinstance(error, ValidationError) else error
        fail(
            Exit.USAGE,
            f"{file}: line {number} is neither a verdict nor an inspection ({why}); name a file that "
            "`kidsnanny check --jsonl` printed.",
        )
