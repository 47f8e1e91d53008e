"""Text that comes as text and not in a picture: one message, or the turns of a conversation."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from textwrap import wrap

from pydantic import ValidationError

from kidsnanny.faults import first_fault
from kidsnanny.inspection import ChannelSignals, Media
from kidsnanny.records import Box, Record, TextLine


class Turn(Record):
    """One message of a conversation."""

    text: str
    speaker: str = ""
    """Who says it, as the conversation calls them."""


Text = str | Sequence[Turn | Mapping[str, str]]
"""One message, or a conversation: turns, or mappings with `text` and maybe `speaker`."""
_NOWHERE = Box(0, 0, 0, 0)
LONGEST = 2_000
"""Characters of a line; a longer one becomes several."""
FORMAT = "TEXT"
"""Of a text's `Media`."""


def is_conversation(text: object) -> bool:
    """Whether it is meant as one conversation, and not as a list of texts."""
    return isinstance(text, list | tuple) and bool(text) and all(isinstance(turn, Turn | Mapping) for turn in text)


def turns(text: object) -> tuple[Turn, ...]:
    """The turns of a conversation; a message is one turn.

    Raises:
        TypeError: it is neither, or a turn lacks its `text`.
    """
    if isinstance(text, str):
        return (Turn(text=text),)
    if not is_conversation(text):
        raise TypeError(f"text is a {type(text).__name__}; expected a str, or a list of {{speaker, text}}.")
    assert isinstance(text, list | tuple)
    try:
        return tuple(turn if isinstance(turn, Turn) else Turn.model_validate(dict(turn)) for turn in text)
    except ValidationError as error:
        fix = "each turn of a conversation has text and speaker, both str."
        raise TypeError(f"{first_fault(error)}; {fix}") from error


def lines(said: Sequence[Turn]) -> Iterator[TextLine]:
    """The lines of all turns that are not blank; the `frame` of a line is its turn."""
    for n, turn in enumerate(said):
        for line in (piece for written in turn.text.splitlines() for piece in wrap(written, LONGEST)):
            if line.strip():
                yield TextLine(
                    text=line,
                    confidence=1.0,
                    box=_NOWHERE,
                    frame=n,
                    kind="message",
                    speaker=turn.speaker,
                    aspect=1.0,
                )


def by_turn(found: ChannelSignals | None, said: Sequence[Turn]) -> ChannelSignals | None:
    """What could not be judged, with its turn in place of a picture's frame."""
    missed = tuple(one.in_turn(len(said) > 1) for one in found.not_inspected) if found else ()
    return found and found.model_copy(update={"not_inspected": missed})


def media(said: Sequence[Turn]) -> Media:
    """Facts about a text; its frames are its turns."""
    whole = json.dumps([(turn.speaker, turn.text) for turn in said])
    digest = sha256((said[0].text if len(said) == 1 else whole).encode("utf-8", "backslashreplace")).hexdigest()
    return Media(sha256=digest, format=FORMAT, width=0, height=0, frames=len(said))
