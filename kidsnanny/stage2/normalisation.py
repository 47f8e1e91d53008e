"""One spelling for many of a text, and which script and how much of it there is."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

MAX_CHARS = 20_000
"""Characters of one text that are scored, more than any picture legibly holds."""
FOREIGN_SHARE, FOREIGN_LETTERS, FOREIGN_ALWAYS = 0.2, 2, 12
"""Another script counts from this share *and* this many letters of it, or from FOREIGN_ALWAYS letters at any share."""
LANGUAGE_WORDS, LANGUAGE_LETTERS = 4, 20
"""Latin text below either floor is too short to tell its language and counts as known."""
PAGE, NUMBERS = 40, 0.2
"""So many words, of which so many are numbers, are a receipt or a table; times of day, as in a chat, do not count."""

_STRAIGHT = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухԁԛԝһӏ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινορυχ",
    "ABESIJKMHOPCTYXaesijopcyxdqwhl" + "ABEZHIKMNOPTYXaivopux",
)
"""Cyrillic and Greek letters that a reader takes for Latin ones; folded only in a word that has Latin letters too."""
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+|[\[<](?:e-?mail)[\]>]")
_URL = re.compile(
    r"(?:https?://|www\.)\S+|[\[<](?:url|link)[\]>]|\b[\w-]{1,64}\.(?:com|net|org|info|xyz|top|ru|io|co)\b\S*"
)
_HANDLE = re.compile(r"(?<!\w)@\w+|[\[<]user(?:name)?[\]>]")
_DIGITS = re.compile(r"\d{5,}")
_RUN = re.compile(r"([^\W\d_])\1{2,}")
_TIME = re.compile(r"\d\d?:\d\d")
_WORD = re.compile(r"[\w']+")


def _fold_word(match: re.Match[str]) -> str:
    word = match[0]
    folded = word.translate(_LOOK_ALIKES)
    mixed = any(c.isalpha() for c in word if c.isascii())
    # "сор" alone may be Cyrillic, and a word with a letter that only looks Cyrillic is no Latin word
    return folded if mixed and folded.isascii() else word


def _fold_look_alikes(text: str) -> str:
    return text if text.isascii() else _WORD.sub(_fold_word, text)


def _normalise_once(text: str) -> str:
    text = _fold_look_alikes(unicodedata.normalize("NFKC", text.translate(_STRAIGHT))).casefold()
    text = unicodedata.normalize("NFKC", text)
    if not text.isascii():
        # format (zero width, BiDi), surrogate, private, unassigned; emoji variation selectors; accents on nothing stay
        text = "".join(
            c for c in text if unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn") and not "\ufe00" <= c <= "\ufe0f"
        )
    text = "".join(c if c.isprintable() else " " for c in text)
    text = _EMAIL.sub(" xxmail ", text)
    text = _URL.sub(" xxurl ", text)
    text = _HANDLE.sub(" ", text)
    text = _DIGITS.sub("00000", text)
    text = _RUN.sub(r"\1\1", text)
    return " ".join(text.split())


def spelt_out(text: str) -> str:
    """NFKC of the text, up to MAX_CHARS + 1 characters: one character may stand for eighteen. A result of more than
    MAX_CHARS is of a text that is not scored to its end."""
    limit = MAX_CHARS + 1
    return unicodedata.normalize("NFKC", text[:limit].translate(_STRAIGHT))[:limit]


def normalise(text: str) -> str:
    """One spelling for many: NFKC, casefold, no invisible characters, single spaces, masks as in the training data.

    URLs become `xxurl`, e-mail addresses `xxmail`, handles vanish, digit runs of five and more become `00000`, runs of
    three and more equal letters become two, Cyrillic and Greek look-alikes inside a Latin word become Latin.
    `normalise(normalise(t)) == normalise(t)`; an empty text stays empty. What is past MAX_CHARS characters of
    `spelt_out` is cut off.
    """
    text = spelt_out(text)[:MAX_CHARS]
    for _ in range(8):  # the steps can feed each other on odd input; two rounds are the rule
        once = _normalise_once(text)
        if once == text:
            break
        text = once
    return text


def foreign_script(text: str, scripts: Sequence[str]) -> str | None:
    """The script, such as `Thai`, of enough letters of the text that is none of `scripts`; None if there are few."""
    found = _scripts(text)
    known = {script.upper() for script in scripts}
    foreign = Counter({script: n for script, n in found.items() if script not in known})
    share = foreign.total() / max(1, found.total())
    if foreign.total() >= FOREIGN_ALWAYS or (foreign.total() >= FOREIGN_LETTERS and share >= FOREIGN_SHARE):
        return _script_name(foreign)
    return None


def too_short_to_tell(clean: str) -> bool:
    """Whether a normalised text has too few words or letters to tell its language."""
    words = [word for word in _WORD.findall(clean) if any(c.isalpha() for c in word)]
    return len(words) < LANGUAGE_WORDS or sum(c.isalpha() for c in clean) < LANGUAGE_LETTERS


def latin(letter: str) -> bool:
    """Whether a letter is of the Latin script."""
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN")


def is_record(text: str) -> bool:
    """Whether so much of it is numbers as on a receipt or in a table, whose names and addresses are of no language."""
    words = text.split()
    numbers = sum(any(map(str.isdigit, word)) and not _TIME.fullmatch(word) for word in words)
    return len(words) >= PAGE and numbers >= NUMBERS * len(words)


def _scripts(text: str) -> Counter[str]:
    """How many letters of each script, by the first word of the character's Unicode name; modifiers count for none."""
    found: Counter[str] = Counter()
    for letter, count in Counter(_fold_look_alikes(spelt_out(text)[:MAX_CHARS])).items():
        if letter.isalpha():
            script = unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0]
            if script not in ("MODIFIER", "FEMININE", "MASCULINE"):
                found[script] += count
    return found


def _script_name(foreign: Counter[str]) -> str:
    script = foreign.most_common(1)[0][0]
    return "Chinese" if script == "CJK" else script.title()
