"""Text for `kidsnanny check --text`: a message a line, or JSON lines."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kidsnanny.cli.console import Exit, fail
from kidsnanny.inspection import Inspection
from kidsnanny.messages import Text, turns
from kidsnanny.records import NotInspected

if TYPE_CHECKING:
    from kidsnanny.pipeline import Pipeline
    from kidsnanny.verdict import Verdict


class Written(NamedTuple):
    """A message or conversation of a file, or why the line is none."""

    name: str
    """File and line."""
    text: Text
    problem: str = ""


def read(path: str) -> list[Written]:
    """The messages of a file, or of standard input for -; blank lines are none.

    A file whose name ends with .jsonl, or whose first line is a JSON object, has an object a line, with `text`, or with
    `turns` (a list of objects with `speaker` and `text`).
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except (OSError, AttributeError) as error:
        why = getattr(error, "strerror", None) or "it is closed"
        fail(Exit.USAGE, f"{path}: the text cannot be read ({why}); check the path and its permissions.")
    numbered = [(n, line) for n, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1) if line.strip()]
    if not numbered:
        fail(Exit.USAGE, f"{path}: there is no text in it; give a file with a message a line.")
    as_json = path.endswith((".jsonl", ".ndjson")) or numbered[0][1].lstrip().startswith(b'{"')
    return [_written(f"{path}:{n}", line, as_json) for n, line in numbered]


def check(pipeline: "Pipeline", written: Sequence[Written]) -> "Iterator[Verdict]":
    """A verdict for each, under the name of its line; a line that is no text gets one that says why."""
    from kidsnanny.decision import decide

    judged = pipeline.stream_texts(one.text for one in written if not one.problem)
    for one in written:
        if one.problem:
            missed = NotInspected(part="text", reason=one.problem)
            yield decide(Inspection(source=one.name, not_inspected=(missed,)), pipeline.policy)
        else:
            verdict = next(judged)
            inspection = verdict.inspection.model_copy(update={"source": one.name})
            yield verdict.model_copy(update={"source": one.name, "inspection": inspection})


def _written(name: str, line: bytes, as_json: bool) -> Written:
    try:
        text = line.decode()
        if not as_json:
            return Written(name, text)
        given = json.loads(text)
        found = given["turns"] if "turns" in given else given["text"]
        turns(found)
    except UnicodeDecodeError:
        return Written(name, "", "it is not UTF-8; save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return Written(name, "", f"it is not JSON ({error}); give an object a line")
    except (KeyError, TypeError):
        return Written(name, "", "it is no object with text, or with turns of speaker and text; give one of them")
    return Written(name, found)
