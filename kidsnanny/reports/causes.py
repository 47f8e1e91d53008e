"""Why verdicts are not `safe`, in a few kinds that can be counted, filtered by and acted upon."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

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


_KINDS: tuple[tuple[str, str, str, str], ...] = (
    ("text", r"could not be read$", "text that could not be read", "Read it in the picture itself or a larger copy."),
    ("text", r"language|script$", "text in a language that is not judged", "Ask somebody who reads the language."),
    ("text", r"^where a QR code leads", "a QR code that leads elsewhere", "Find out who put it there before using it."),
    ("text", r"QR code", "a QR code that could not be read", "Treat it as unknown, and do not scan it for a child."),
    ("text", r"^more than", "too much text", "Read the rest of it, or check it in parts."),
    ("text", r"^it is empty$", "an empty message", "Nothing, if it was meant to be empty."),
    ("frames", r"", "frames or pictures beyond the first ones", "Look at the rest of the file yourself."),
    ("image", r"^the weights of", "weights that know nothing of real pictures", "Use a profile with trained weights."),
    ("image", r"scene graph", "a scene that was understood in part", "Look at it yourself."),
    ("judge", r"meant for a model$", "text that speaks to the judge", "Read it: somebody may be trying to deceive it."),
    ("judge", r"", "no answer of the judge", "See whether its server runs: kidsnanny llm check."),
    ("picture", r": its content is none of|: it is an? ", "a format that is not read", "Convert or unpack it."),
    ("picture", r"cannot be read|never fetched|: it is not a ", "a file that could not be opened", "Check its path."),
    ("picture", r"more than|bytes to decode", "a picture beyond the limits", "Save a smaller copy and check that."),
    ("picture", r"", "a damaged file", "Get it again from where it comes from."),
)
"""Part, pattern of the reason, name and advice; the first that fits counts."""
_ANY_PART: tuple[tuple[str, str, str], ...] = (
    (r"^the component failed", "a component that failed", "Run kidsnanny doctor."),
    (r"s are used up$", "no time left", "Check it again by itself, while nothing else runs."),
)
_OTHER = {
    "text": ("other text that was not judged", "Read it yourself."),
    "image": ("what the picture shows, for another reason", "Look at it yourself."),
}
_ADVICE = {
    **{name: advice for *_, name, advice in _KINDS},
    **{name: advice for _, name, advice in _ANY_PART},
    **dict(_OTHER.values()),
}


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
    for pattern, name, _ in _ANY_PART:
        if re.search(pattern, missed.reason):
            return name
    for part, pattern, name, _ in _KINDS:
        if part == missed.part and re.search(pattern, missed.reason):
            return name
    return _OTHER[missed.part][0]
