"""A line of untrusted text as it may be quoted to a person: visible characters only, short, and with no address that
somebody could follow."""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from kidsnanny.stage2.untrusted import clean

LONGEST = 100
"""Characters of a quotation; one longer line is cut at a word."""
BEFORE = 30
"""Characters that stand before the words that a quotation is about, where it does not begin with the line."""

Hidden = Literal["number", "link", "address", "user name"]
"""What is not quoted."""
_MARKS: dict[Hidden, str] = {kind: chr(n) for n, kind in enumerate(get_args(Hidden))}
"""Each stands for one of these until the line is cut; `clean` leaves no such character."""
_AT = re.compile(r"\s*\(\s*(?:at|ät|arroba|arobase)\s*\)\s*", re.IGNORECASE)
_DOT = re.compile(
    r"\s*\(\s*(?:dot|punkt|point|punto|\.)\s*\)\s*"
    r"|(?<=\w)\s+(?:dot|punkt|point|punto|\.)\s*(?=(?:com|net|org|info|app|me|gg|io|tv|xyz|ru|de|fr|es|co|uk|ly)\b)"
    r"|(?<=\w)\.\s+(?=(?:com|net|org|info|xyz|gg|io)\b)",
    re.IGNORECASE,
)
"""Ways to write @ and a dot so that programs overlook them."""
_NUMBER = re.compile(r"\+?\(?\d(?:[\s.,/()-]{0,3}\d){5,}")
"""Of a phone, a card or a chat: six digits or more."""
_LINK = re.compile(
    r"://|\b(?:mailto|tel|sms|smsto|callto|whatsapp|wifi|geo|skype|bitcoin|data|javascript):"
    r"|\w\.[^\W\d_]{2}|[A-Za-z\d]。[A-Za-z]{2}|[\da-f]{1,4}(?::[\da-f]{0,4}){3,}",
    re.IGNORECASE,
)
_USER = re.compile(r"^[^\w@]*@[\w.]*\W*$|\w{2,}#\d{4}\b")
_QUOTES = str.maketrans('“”„«»"‹›', "''''''''")


def quotation(line: str, words: Sequence[str] = (), names: dict[Hidden, str] | None = None) -> str:
    """The line as it may be quoted; empty if nothing in it can be seen.

    Args:
        line: untrusted text.
        words: of the line, those that a cut one should show.
        names: what stands in place of what is not quoted, such as "[link]".
    """
    text = _DOT.sub(".", _AT.sub("@", " ".join(clean([line]).lines)))
    text = re.sub(r"(@)\s+(?=\w)", r"\1", _NUMBER.sub(_MARKS["number"], text))
    text = _cut(" ".join(map(_hidden, text.split())), words).translate(_QUOTES)
    for kind, mark in _MARKS.items():
        text = text.replace(mark, (names or {}).get(kind, f"[{kind}]"))
    return text


def _hidden(word: str) -> str:
    """A word, or the mark of what it is."""
    if _MARKS["number"] in word:
        return _MARKS["number"]
    if _USER.search(word):
        return _MARKS["user name"]
    if "@" in word:
        return _MARKS["address"]
    return _MARKS["link"] if _LINK.search(word) else word


def _cut(text: str, words: Sequence[str]) -> str:
    """At most about LONGEST characters, whole words if there are any."""
    at = text.find(words[0]) if words and len(text) > LONGEST else 0
    start = text.rfind(" ", 0, at - BEFORE) + 1 if at > LONGEST - BEFORE else 0
    rest = text[start:]
    if len(rest) > LONGEST:
        whole, space, _ = rest[: LONGEST + 1].rpartition(" ")
        rest = f"{whole} …" if space else f"{rest[:LONGEST]}…"
    return f"… {rest}" if start else rest
