"""Text that whoever made the picture wrote, made fit to be shown to a language model. Nothing else may be.

What comes out of `clean` holds no invisible character and none of the brackets that chat templates and our own prompt
use as delimiters. That removes a free way out; it does not make the text trustworthy. `suspicion` names text that
speaks to a model rather than to a person. Neither is what the verdict's safety rests on: that is the policy's rule on
what a judge may lower.
"""

import base64
import binascii
import codecs
import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kidsnanny.stage2.normalisation import normalise

MAX_LINE = 400
MAX_LINES = 120
MAX_CHARACTERS = 6_000
"""Of all lines together: some 2,000 tokens."""

ORDER = "an order to whoever judges it"
_BRACKETS = str.maketrans("<>[]{}|`", "‹›()()¦'")
_INVISIBLE = ("Cc", "Cf", "Co", "Cs", "Cn")


@dataclass(frozen=True, slots=True)
class UntrustedText:
    """Cleaned lines, fit to be quoted in a prompt as data. Only `clean` makes them."""

    lines: tuple[str, ...]
    cut: str | None
    """What was left out because of the caps, in words; None if nothing was."""


def clean(lines: Iterable[str]) -> UntrustedText:
    """Lines without invisible characters and delimiters, each once, within the caps; cleaning again changes nothing.

    NFKC first, so that nothing can turn into a delimiter afterwards.
    """
    kept: list[str] = []
    room = MAX_CHARACTERS
    shortened = dropped = 0
    seen: set[str] = set()
    for raw in dict.fromkeys(lines):
        if dropped:  # what is past the caps is not worth cleaning
            dropped += 1
            continue
        line = _visible(raw)
        if not line or line in seen:
            continue
        if len(kept) == MAX_LINES or not room:
            dropped += 1
            continue
        seen.add(line)
        short = line[: min(MAX_LINE, room)].rstrip()
        shortened += short != line
        room -= len(short)
        kept.append(short)
    cut = [f"lines {what}: {count}" for what, count in (("shortened", shortened), ("left out", dropped)) if count]
    return UntrustedText(tuple(kept), ", ".join(cut) or None)


def _visible(line: str) -> str:
    line = unicodedata.normalize("NFKC", line).translate(_BRACKETS)
    # emoji variation selectors are marks, and invisible as well
    seen = (c for c in line if c == " " or (unicodedata.category(c) not in _INVISIBLE and not "︀" <= c <= "️"))
    return " ".join("".join(seen if line.isprintable() else _spaced(line)).split())


def _spaced(line: str) -> Iterable[str]:
    """The visible characters, with a space for each line break or tab."""
    for c in line:
        if c.isspace():
            yield " "
        elif unicodedata.category(c) not in _INVISIBLE and not "︀" <= c <= "️":
            yield c


_BLOB = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-f]{2}[\s:]?){12,}", re.IGNORECASE)
_LEET = tuple(str.maketrans("0134578@$!", f"o{one}eastbasi") for one in "il")
"""Digits for letters; 1 is an i or an l."""


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    table = tomllib.loads((Path(__file__).parent / "suspicious.toml").read_text("utf-8"))
    return {what: re.compile("|".join(f"(?:{pattern})" for pattern in found)) for what, found in table.items()}


def suspicion(lines: Iterable[str]) -> str | None:
    """What in the text speaks to a model, or disclaims itself, in words; None if nothing does.

    What `clean` keeps of the lines is read one by one and joined, as it stands, without spaces, with digits for
    letters, turned by 13 letters, backwards, and decoded from base64 and hexadecimal. It is a tripwire: wording it does
    not know passes, and what it catches may be innocent.
    """
    shown = clean(lines).lines
    joined = " ".join(shown)
    for text in (*shown, joined, " ".join(reversed(shown))):
        if found := _match(text):
            return found
    for text in _decoded(joined):
        if found := _match(text):
            return f"{found}, encoded"
    return None


def _match(text: str) -> str | None:
    patterns, text = _patterns(), normalise(text.translate(_BRACKETS))
    for what, pattern in patterns.items():
        if what != "squeezed" and pattern.search(text):
            return what
    for spelling in (text, *(text.translate(letters) for letters in _LEET)):
        squeezed = re.sub(r"[\W_]+", "", spelling)
        if patterns["squeezed"].search(squeezed) or patterns[ORDER].search(spelling):
            return ORDER
    return None


def _decoded(text: str) -> Iterable[str]:
    yield codecs.decode(text, "rot13")
    yield text[::-1]
    for blob in _BLOB.findall(text):
        padded = blob.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            yield base64.b64decode(padded + "=" * (-len(padded) % 4)).decode("utf-8", "strict")
        except (binascii.Error, ValueError):
            continue
    for digits in _HEX.findall(text):
        yield bytes.fromhex(re.sub(r"[\s:]", "", digits)).decode("utf-8", "ignore")
