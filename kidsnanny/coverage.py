"""What was looked for and where, and what was not, in words: of one verdict, and of a whole run at once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from kidsnanny.records import Channel
from kidsnanny.taxonomy import CATEGORIES, Category

if TYPE_CHECKING:
    from kidsnanny.verdict import Verdict

Coverage = Mapping[Category, Mapping[Channel, float | None]]
"""See `Verdict.coverage`."""
WEAK = 0.75
"""A recall below this is told."""
NAMED = 3
"""Categories that one printed verdict names at most."""
_ONE: dict[Channel, str] = {"image": "the picture", "text": "its text"}
_MANY: dict[Channel, str] = {"image": "the pictures", "text": "their text"}
_NO_TEXT = {"had no text": "found none", "had text that could not be read": "could read none of it"}
"""What a run says of such a picture, and what the picture's own verdict says of text."""
_WITHOUT: dict[Channel, str] = {
    "image": "could not be looked at as a picture",
    "text": "could not be read",
    "judge": "went without the judge",
}
_NOTHING = "Looked for nothing, because no part of it could be looked at."


def not_looked_for(coverage: Coverage, *, in_picture: bool = False) -> tuple[Category, ...]:
    """Categories that nothing looked for at all, or in what the picture shows."""
    channels: set[Channel] = {"image", "judge"} if in_picture else {"image", "text", "judge"}
    return tuple(c for c in CATEGORIES if not channels & set(coverage.get(c, ())))


def in_full(verdict: "Verdict") -> str:
    """One sentence: what was looked for in this very picture or text, where, and what was not."""
    text = _no_text(verdict)
    if not (verdict.coverage or text):
        return _NOTHING
    return _sentence(_minded(verdict), _ONE, f"for text, and {_NO_TEXT[text]}" if text else "")


def in_short(verdict: "Verdict") -> str:
    """One short sentence: the first of what nothing looked for; empty if everything was looked for, or if the verdict
    says already why nothing could be."""
    if not (verdict.coverage or _no_text(verdict)):
        return "" if verdict.not_inspected else _NOTHING
    in_picture = "image" in _by_channel(verdict.coverage)
    missing = not_looked_for(verdict.coverage, in_picture=in_picture)
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    where = " in the picture" if in_picture else ""
    return f"Not looked for{where}: {', '.join(missing[:NAMED])}{more}.".replace("_", " ") if missing else ""


class RunCoverage:
    """What was looked for in each verdict of a run, and how many lack a part of it."""

    def __init__(self) -> None:
        self._count = 0
        self._only = ""
        self._common: dict[Channel, dict[Category, float | None]] = {}
        self._lacks: Counter[str] = Counter()
        self._channels: Counter[Channel] = Counter()

    def add(self, verdict: "Verdict") -> None:
        """Count a verdict."""
        self._count += 1
        self._only = in_full(verdict)
        found, text = _by_channel(_minded(verdict)), _no_text(verdict)
        for channel, recalls in found.items():
            known = self._common.get(channel, recalls)
            self._common[channel] = {c: _lower(known[c], recalls[c]) for c in known if c in recalls}
        self._channels.update(list(found))
        if text or not found:
            self._lacks[text or "could not be looked at"] += 1
        if text:
            self._channels["text"] += 1  # it was looked for, and there is a word on it
        elif not found:
            self._channels.update(list(_WITHOUT))

    def __str__(self) -> str:
        """What every verdict's models looked for, and in how many a part was missing; as `in_full` if there is one
        verdict, and empty if there is none."""
        if self._count < 2:
            return self._only
        coverage: dict[Category, dict[Channel, float | None]] = {
            category: by
            for category in CATEGORIES
            if (by := {channel: found[category] for channel, found in self._common.items() if category in found})
        }
        lacks = self._lacks | Counter({_WITHOUT[c]: self._count - self._channels[c] for c in self._common})
        said = ", ".join(f"{count} {what}" for what, count in lacks.items() if count)
        looked = _sentence(coverage, _MANY) if coverage else "Looked for nothing."
        return " ".join(filter(None, (looked, said and f"Of the {self._count}, {said}.")))


def _sentence(coverage: Coverage, places: Mapping[Channel, str], text: str = "") -> str:
    found = _by_channel(coverage)
    everything = " and ".join(place for channel, place in places.items() if channel in found) or places["image"]
    looked = [
        f"for {', '.join(found[channel])} in {place}"
        for channel, place in (*places.items(), ("judge", f"{everything}, by the judge"))
        if found.get(channel)
    ]
    looked += [text] if text else []
    if "image" in found and (missing := not_looked_for(coverage, in_picture=True)):
        looked.append(f"not in {places['image']} for {', '.join(missing)}")
    elif missing := not_looked_for(coverage):
        looked.append(f"not for {', '.join(missing)}")
    return f"Looked {'; '.join([*looked, *_weak(found.get('text', {}))])}.".replace("_", " ")


def _weak(recalls: Mapping[Category, float | None]) -> Iterator[str]:
    """Where much of what is harmful in the text is missed."""
    weak: dict[int, list[str]] = {}
    for category, recall in recalls.items():
        if recall is not None and recall < WEAK:
            weak.setdefault(round(10 * recall), []).append(category)
    if weak:
        shares = (f"{tenths} in 10 of {', '.join(categories)}" for tenths, categories in sorted(weak.items()))
        yield f"of harmful texts it finds about {'; '.join(shares)}"


def _minded(verdict: "Verdict") -> Coverage:
    """The coverage without the recall of categories that the policy ignores, which nobody needs to know."""
    ignored = set(verdict.ignored)
    return {c: dict.fromkeys(by) if c in ignored else by for c, by in verdict.coverage.items()}


def _by_channel(coverage: Coverage) -> dict[Channel, dict[Category, float | None]]:
    """Channel -> the categories that it looked for -> the recall."""
    found: dict[Channel, dict[Category, float | None]] = {}
    for category, by in coverage.items():
        for channel, recall in by.items():
            found.setdefault(channel, {})[category] = recall
    return found


def _no_text(verdict: "Verdict") -> str:
    """What a run says of a picture in which text was looked for and none was read; empty for any other."""
    read = verdict.inspection.text_signals
    if not (read and read.looked_for) or verdict.inspection.lines or "text" in _by_channel(verdict.coverage):
        return ""
    unread = any(line.confirmed for line in verdict.inspection.text)
    return "had text that could not be read" if unread else "had no text"


def _lower(first: float | None, second: float | None) -> float | None:
    return min((one for one in (first, second) if one is not None), default=None)
