"""A verdict in plain sentences for a parent, in English and in the languages of the catalogues in `locale/`."""

import os
import re
from collections.abc import Iterator
from gettext import NullTranslations, translation
from pathlib import Path
from typing import TYPE_CHECKING

from kidsnanny.messages import FORMAT
from kidsnanny.quotation import quotation
from kidsnanny.records import Reason
from kidsnanny.sentences import (
    ANIMATED,
    BANDS,
    BLOCK,
    EVERYWHERE,
    HIDDEN,
    IN_MESSAGES,
    JUDGED,
    KEEP,
    LARGE,
    LOOK,
    MISSED,
    PLACES,
    READ,
    SEEN,
    SEPARATE,
    SUPPORT,
    TOPICS,
    WHERE,
    WRITTEN,
)
from kidsnanny.taxonomy import Category

if TYPE_CHECKING:
    from kidsnanny.verdict import Verdict

DOMAIN = "kidsnanny"
LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", *sorted(path.parent.parent.name for path in LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")))
MOST = 4
"""Sentences."""


def known_language(language: str) -> str:
    """The language of LANGUAGES that a tag such as `de-AT` or a locale such as `de_AT.UTF-8` asks for.

    Raises:
        ValueError: there is none.
    """
    found = re.split(r"[-_.@]", language.strip().lower())[0]
    if found not in LANGUAGES:
        raise ValueError(f"{language!r}: there are no sentences in this language; give one of {', '.join(LANGUAGES)}.")
    return found


def preferred_language() -> str:
    """The machine's language as LC_ALL, LC_MESSAGES or LANG names it, or English where there are no sentences in it."""
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "en")
    try:
        return known_language(named)
    except ValueError:
        return "en"


def told(verdict: "Verdict", language: str = "en") -> list[str]:
    """The sentences of `Verdict.for_parent`: at least one, and at most MOST.

    Raises:
        ValueError: there are no sentences in this language.
    """
    language = known_language(language)
    words = _Words(verdict, NullTranslations() if language == "en" else translation(DOMAIN, LOCALE, [language]))
    if found := _strongest(verdict):
        return words.finding(found)
    return words.missed() if verdict.not_inspected else words.nothing()


class _Words:
    """What is told about one verdict in one language."""

    def __init__(self, verdict: "Verdict", catalogue: NullTranslations) -> None:
        self._verdict = verdict
        self._ = catalogue.gettext
        self._plural = catalogue.ngettext
        media = verdict.inspection.media
        self._format, self._frames = (media.format, media.frames) if media else (None, 1)
        self._is_message = self._format == FORMAT

    def finding(self, found: list[Reason]) -> list[str]:
        """What was found, most of what else there is to say, and what to do, which comes first if somebody may need
        help."""
        others = [self._others(found[1:])] if found[1:] else []
        missed = [what for what, _ in self._causes()]
        first, rest = self._found(found[0]), [*missed[:1], *others, *missed[1:2]]
        if self._verdict.action == "support":
            return [*map(self._, SUPPORT), first, *rest[: MOST - 3]]
        return [first, *rest[: MOST - 2], self._action(found[0])]

    def missed(self) -> list[str]:
        """What could not be looked at, where nothing was found in the rest, and what to do."""
        whats, advice = zip(*self._causes(), strict=True)
        first = [self._("Nothing was found in what could be looked at.")] if self._verdict.coverage else []
        if len(whats) > 2:
            whats = (whats[0], self._("Other parts of it could not be looked at either."))
        last = advice[0] if len(set(advice)) == 1 else self._(LOOK)
        if self._verdict.action == "block":
            last = self._("Do not show it to the child before you have looked at it yourself.")
        return [*first, *whats, last]

    def nothing(self) -> list[str]:
        """That nothing was found, what could not be read and does not count, and what was not looked for."""
        verdict, missing = self._verdict, list[Category]()
        if self._is_message:
            said = [self._("Nothing was found that should worry you.")]
            missing += (c for c in IN_MESSAGES if c in verdict.not_looked_for)
            not_for = self._("Some things are not looked for in messages, for example: {topics}.")
        else:
            said = [self._("Nothing was found that a child should not see.")]
            missing += (c for c in TOPICS if c in verdict.not_looked_for_in_picture)
            not_for = self._("Some things are not looked for in pictures, for example: {topics}.")
        if verdict.noted:
            said.append(self._("A little writing in it, such as a sign, could not be read or is in another language."))
        elif not self._is_message and verdict.inspection.text_signals is None:
            said.append(self._("The writing in it was not read."))
        return [*said, not_for.format(topics=self._topics(missing[:3]))] if missing else said

    def _found(self, reason: Reason) -> str:
        """What was found, how surely and where, with the line of text that led to it."""
        score = self._verdict.scores.get(reason.category, reason.score)
        said = {"image": SEEN, "text": WRITTEN}.get(reason.channel, {}).get(reason.category, JUDGED)
        found = self._(said).format(
            how_sure=self._(next(words for least, words in BANDS if score >= least)),
            where=self._where(reason),
            topic=self._topics([reason.category]),
        )
        found = found[:1].upper() + found[1:]
        names = {kind: self._(name) for kind, name in HIDDEN.items()}
        line = reason.what.removeprefix("QR code: ") if reason.channel == "text" else ""
        if quoted := quotation(line, reason.words, names).rstrip(" ."):
            return self._("{finding}: “{quotation}”.").format(finding=found, quotation=quoted)
        return f"{found}."

    def _where(self, reason: Reason) -> str:
        number, text = reason.frame + 1, reason.channel == "text"
        total = max(number, self._frames)
        if self._is_message:
            place = "chat" if total > 1 else "message"
        elif reason.channel == "judge":
            place = "anywhere"
        elif text and reason.what.startswith("QR code: "):
            place = "code"
        elif total == 1 and not text:
            return self._place(reason)
        elif total == 1:
            place = "text"
        else:
            place = "page" if self._format == "TIFF" else "animation" if self._format in ANIMATED else "file"
            place = f"text of {place}" if text else place
        return self._(WHERE[place]).format(number=number, total=total)

    def _place(self, reason: Reason) -> str:
        media, box = self._verdict.inspection.media, reason.box
        if not (media and box and 0 < box.area < LARGE * media.width * media.height):
            return self._(EVERYWHERE)
        across, down = (box.x0 + box.x1) / 2 / media.width, (box.y0 + box.y1) / 2 / media.height
        return self._(PLACES[min(2, int(3 * down))][min(2, int(3 * across))])

    def _others(self, reasons: list[Reason]) -> str:
        count = len(reasons)
        said = self._plural("There is another sign: {topics}.", "There are other signs: {topics}.", count)
        return said.format(topics=self._topics([reason.category for reason in reasons]))

    def _topics(self, categories: list[Category]) -> str:
        return ", ".join(self._(TOPICS[category]) for category in categories)

    def _action(self, reason: Reason) -> str:
        """What to do, where nobody needs help."""
        message = self._is_message
        said, written = (BLOCK, KEEP) if self._verdict.action == "block" else (LOOK, READ)
        if self._verdict.action == "block" and reason.channel == "text":
            said = written = SEPARATE.get(reason.category, KEEP if message else BLOCK)
        return self._(written if message else said)

    def _causes(self) -> Iterator[tuple[str, str]]:
        """What could not be looked at and what to do, each kind of reason once."""
        missed = self._verdict.not_inspected
        unread = len({one.frame for one in missed if one.cause == "unread"})
        for cause in dict.fromkeys(one.cause for one in missed):
            what, advice = MISSED[cause]
            if cause == "unread":
                said = self._plural(
                    "Some of the writing in it could not be read.",
                    "The writing in {count} of its pictures could not be read.",
                    unread,
                ).format(count=unread)
            else:
                said = self._(what)
            yield said, self._(advice)


def _strongest(verdict: "Verdict") -> list[Reason]:
    """The strongest reason of each category, one that shows a place before the judge's; the strongest category first,
    or self-harm where somebody may need help."""
    found: dict[Category, Reason] = {}
    for reason in sorted(verdict.reasons, key=lambda r: (r.channel != "judge", r.score)):
        if reason.lowered is None:
            found[reason.category] = reason
    urgent = verdict.action == "support"

    def weight(reason: Reason) -> tuple[bool, float]:
        return urgent and reason.category == "self_harm", verdict.scores.get(reason.category, reason.score)

    return sorted(found.values(), key=weight, reverse=True)
