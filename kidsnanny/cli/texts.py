"""Text for `kidsnanny check --text`: a message a line, or JSON lines."""

import json
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kidsnanny.cli.console import Exit, fail
from kidsnanny.cli.sources import Item
from kidsnanny.inspection import Inspection
from kidsnanny.messages import Text, turns
from kidsnanny.records import NotInspected

if TYPE_CHECKING:
    from kidsnanny.pipeline import Pipeline, Verdicts
    from kidsnanny.policy import Policy


_JSON = re.compile(rb"\s*([{[]\s*($|[\"{[]))")
"""The beginning of JSON, and not of a chat's "[12:05] hello"."""


def read(path: str) -> list[Item]:
    """The messages of a file, or of standard input for -; blank lines are none.

    A line is a message, or a JSON object with `text`, or with `turns` (a list of objects with `speaker` and `text`). A
    whole file may be JSON as well: such an object, the turns of one conversation, or a list of messages. In a file
    that is JSON by its name (.json, .jsonl, .ndjson) or its beginning, nothing else is a message.
    """
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except (OSError, AttributeError) as error:
        why = getattr(error, "strerror", None) or "it is closed"
        fail(Exit.USAGE, f"{path}: the text cannot be read ({why}); check the path and its permissions.")
    data = data.removeprefix(b"\xef\xbb\xbf")
    numbered = [(n, line) for n, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not numbered:
        fail(Exit.USAGE, f"{path}: there is no text in it; give a file with a message a line.")
    as_json = path.endswith((".json", ".jsonl", ".ndjson")) or bool(_JSON.match(numbered[0][1]))
    if as_json and len(numbered) > 1:
        try:
            whole = json.loads(data, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            pass
        else:
            return _of_json(path, whole)
    return [one for n, line in numbered for one in _of_line(f"{path}:{n}", line, as_json)]


def check(pipeline: "Pipeline", items: Iterable[Item], policies: "Sequence[Policy]") -> "Iterator[Verdicts]":
    """A verdict for each policy on each, under the name of its line; a line that is no text gets one that says why."""
    from kidsnanny.decision import decide

    waiting: deque[Item] = deque()

    def texts() -> Iterator[Item]:
        for item in items:
            waiting.append(item)
            if not item.problem:
                yield item

    given, named = tee(texts())
    verdicts = pipeline.stream_texts(
        (item.text for item in given), policy=policies, names=(item.name for item in named)
    )
    judged = zip(*[verdicts] * len(policies), strict=True)
    while True:
        found = next(judged, None)
        while waiting and (waiting[0].problem or found):
            item = waiting.popleft()
            if not item.problem:
                break
            missed = NotInspected(part="text", reason=item.problem, cause="no text")
            yield tuple(decide(Inspection(source=item.name, not_inspected=(missed,)), policy) for policy in policies)
        if found is None:
            return
        yield found


def _of_line(name: str, line: bytes, as_json: bool) -> list[Item]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return [Item(name, problem="it is not UTF-8; save the file as UTF-8")]
    try:
        given = json.loads(text, object_pairs_hook=_once) if as_json or text.lstrip()[:1] in ("{", "[") else text
    except (ValueError, RecursionError) as error:
        given, why = text, str(error)
        if as_json:
            return [Item(name, problem=f"it is not JSON ({why}); give an object a line")]
    parts = given if isinstance(given, list) else [given]
    if as_json or any(isinstance(one, dict) and {"text", "turns"} & set(one) for one in parts):
        return _of_json(name, given)
    return [Item(name, text=text)]


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys are all different: of two equal ones JSON's reader would drop the first unseen."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _of_json(name: str, given: object) -> list[Item]:
    """A message, a conversation, or the messages of a list, whose names then have a second number."""
    if isinstance(given, list) and given and not all(isinstance(one, dict) and "speaker" in one for one in given):
        return [_message(f"{name}:{n}", one) for n, one in enumerate(given, 1)]
    return [_message(name, given)]


def _message(name: str, given: object) -> Item:
    if isinstance(given, dict):
        keys = [key for key in ("text", "turns") if key in given]
        if len(keys) != 1:
            return Item(name, problem=f"it has {'both' if keys else 'neither'} text and turns; give one of them")
        given = given[keys[0]]
    try:
        turns(given)
    except TypeError as error:
        return Item(name, problem=str(error).rstrip("."))
    return Item(name, text=cast("Text", given))
