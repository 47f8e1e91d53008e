"""Why verdicts are not `safe`, in a few kinds that can be counted, filtered by and acted upon."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from kidsnanny.errors import Cause as NotInspectedCause
from kidsnanny.records import NotInspected
from kidsnanny.verdict import Verdict

CauseKind = Literal["found", "not inspected", "noted"]


class Cause(NamedTuple):
    """Something that was found, not inspected or noted, without what is particular to one picture."""

    kind: CauseKind
    name: str

    @property
    def advice(self) -> str:
        """What a person can do about it."""
        if self.kind == "found":
            return "Open them, decide, and mark what is a false alarm."
        return _ADVICE[self.name]


_KINDS: dict[NotInspectedCause, tuple[str, str]] = {
    "file": ("a file that could not be opened", "Check its path and its permissions."),
    "format": ("a format that is not read", "Convert it to JPEG or PNG."),
    "film": ("a film", "Watch it yourself."),
    "raw photo": ("a raw photo", "Export it as JPEG and check that."),
    "document": ("a document", "Export its pages as PNG and check those."),
    "archive": ("an archive", "Unpack it and check the folder."),
    "size": ("a picture beyond the limits", "Save a smaller copy and check that."),
    "damage": ("a damaged file", "Get it again from where it comes from."),
    "frames": ("frames or parts beyond the first ones", "Look at the rest of the file yourself."),
    "time": ("no time left", "Check it again by itself, while nothing else runs."),
    "unread": ("text that could not be read", "Read it in the picture itself or a larger copy."),
    "language": ("text in a language that is not judged", "Ask somebody who reads the language."),
    "link": ("a code or link that leads elsewhere", "Find out who put it there before using it."),
    "length": ("too much text", "Read the rest of it, or check it in parts."),
    "empty": ("an empty message", "Nothing, if it was meant to be empty."),
    "no text": ("something that is no text", "Correct what was handed over."),
    "failure": ("a component that failed", "Run kidsnanny doctor."),
    "untrained": ("weights that know nothing of real pictures", "Use a profile with trained weights."),
    "judge": ("no answer of the judge", "See whether its server runs: kidsnanny llm check."),
    "steering": ("text that speaks to the judge", "Read it: somebody may be trying to deceive it."),
}
"""Cause -> name and advice."""
_OTHER = ("something else", "Read the reason, and look at it yourself.")
_ADVICE = dict([*_KINDS.values(), _OTHER])


def causes(verdict: Verdict) -> Iterator[Cause]:
    """Each once, in the verdict's order: its reasons by category and channel, what was not inspected and was noted."""
    scored = (
        Cause("found", f"{reason.category.replace('_', ' ')}, {_WHERE[reason.channel]}")
        for reason in verdict.reasons
        if reason.lowered is None
    )
    missed = (Cause("not inspected", _name(one)) for one in verdict.not_inspected)
    noted = (Cause("noted", _name(one)) for one in verdict.noted)
    yield from dict.fromkeys((*scored, *missed, *noted))


_WHERE = {"image": "seen in the picture", "text": "read in text", "judge": "said by the judge"}


def _name(missed: NotInspected) -> str:
    return _KINDS[missed.cause][0] if missed.cause else _OTHER[0]
