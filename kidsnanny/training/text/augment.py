"""What happens to a text between its author and the text model: reading errors, evasion, and what an app adds."""

import random
import re
from collections.abc import Callable, Sequence

CONFUSED = {
    "0": "o", "1": "l", "b": "8", "c": "e", "e": "c", "g": "9", "h": "b", "i": "l", "l": "1", "m": "rn", "n": "ri",
    "o": "0", "s": "5", "t": "f", "w": "vv",
}  # fmt: skip
"""What OCR takes a letter for."""
LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"})
LOOK_ALIKES = str.maketrans("aeopcxiys", "аеорсхіуѕ")
"""Latin letters and Cyrillic ones."""
EMOJI = {
    "beer": "🍺", "blood": "🩸", "bomb": "💣", "call": "📞", "car": "🚗", "clown": "🤡", "cry": "😭",
    "dead": "💀", "dog": "🐶", "drink": "🍻", "eyes": "👀", "fight": "🥊", "fire": "🔥", "gift": "🎁",
    "gun": "🔫", "guns": "🔫", "happy": "😊", "home": "🏠", "kill": "🔪", "kiss": "💋", "knife": "🔪",
    "laugh": "😂", "love": "❤️", "money": "💰", "no": "🚫", "ok": "👌", "phone": "📱", "pig": "🐷",
    "pills": "💊", "rat": "🐀", "sad": "😢", "school": "🏫", "secret": "🤫", "sick": "🤢",
    "smoke": "🚬", "snake": "🐍", "weed": "🌿",
}  # fmt: skip
NAMES = (
    "Mia Ben Tom lena_x Alex Sam Nora user4812 Kim Omar Ivan Zoe Papa Mum Coach Miss_K Leo Ana Yusuf Priya Wei".split()
)
PLAIN = 0.42
"""Share of the texts that stay as they are."""
JOINED = 0.25
"""Share of the texts that stand among harmless ones, as in a chat or on a page."""
LONGEST_JOINED = 260
"""Characters of a text and those around it: about a window."""


def misread(text: str, rng: random.Random, errors: float, joined: float) -> str:
    """What OCR makes of it.

    Args:
        text: as written.
        rng: the source of chance.
        errors: share of the characters that are confused, lost, made up or split from the next.
        joined: share of the spaces that are lost.
    """
    read = []
    for c in text:
        if c == " ":
            read.append("" if rng.random() < joined else c)
            continue
        which = rng.random() / errors if errors else 1.0
        if which < 0.6:
            read.append(CONFUSED.get(c.lower(), c))
        elif which < 0.75:
            continue
        elif which < 0.9:
            read.append(rng.choice("abcdefghijklmnopqrstuvwxyz"))
        elif which < 1:
            read.append(f"{c} ")
        else:
            read.append(c)
    return "".join(read)


def mistyped(text: str, rng: random.Random) -> str:
    """A typing error every 25 characters, one at least: two letters swapped, one lost or one twice."""
    letters = list(text)
    for _ in range(max(1, len(letters) // 25) if len(letters) > 2 else 0):
        at, kind = rng.randrange(len(letters) - 1), rng.random()
        if kind < 0.4:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        else:
            letters[at] *= 0 if kind < 0.7 else 2
    return "".join(letters)


def _some_words(text: str, rng: random.Random, share: float, change: Callable[[str], str]) -> str:
    return " ".join(change(word) if rng.random() < share else word for word in text.split(" "))


def _spaced(text: str, rng: random.Random) -> str:
    return _some_words(text, rng, 0.25, lambda word: rng.choice((" ", ".", "-", "_")).join(word))


def _stretched(text: str, rng: random.Random) -> str:
    def stretch(word: str) -> str:
        return re.sub(r"[^\W\d_]", lambda match: match[0] * rng.randint(2, 4), word, count=1)

    return _some_words(text, rng, 0.2, stretch)


def _in_an_app(text: str, rng: random.Random) -> str:
    """With what a chat shows around a message: a name, a clock time, a button."""
    name, clock = rng.choice(NAMES), f"{rng.randrange(24)}:{rng.randrange(60):02d}"
    before = rng.choice((f"{clock} ", f"{name}: ", f"{name} {clock} PM\n", f"[{clock}] {name}: ", "• ", "# "))
    after = rng.choice(("", "", f" {clock}", " ✓✓", " Reply", " 12 likes"))
    return f"{before}{text}{after}"


def _misread(text: str, rng: random.Random) -> str:
    return misread(text, rng, rng.choice((0, 0.02, 0.05, 0.1, 0.15)), rng.choice((0, 0, 0.1, 0.3, 1)))


WAYS: tuple[tuple[float, Callable[[str, random.Random], str]], ...] = (
    (0.16, _misread),
    (0.07, mistyped),
    (0.04, lambda text, rng: _some_words(text, rng, 0.4, lambda word: word.lower().translate(LEET))),
    (0.02, _spaced),
    (0.03, _stretched),
    (0.02, lambda text, rng: _some_words(text, rng, 0.5, lambda word: word.translate(LOOK_ALIKES))),
    (0.04, lambda text, rng: _some_words(text, rng, 0.8, lambda word: EMOJI.get(word.lower().strip(".,!?"), word))),
    (0.10, lambda text, _: re.sub(r"[^\w\s]", "", text)),
    (0.05, _in_an_app),
    (0.05, lambda text, _: text.replace("\n", " ")),
)
"""Share of the texts, and what becomes of them."""


def augmented(text: str, rng: random.Random) -> str:
    """The text, changed in one way or in none."""
    kind = rng.random() - PLAIN
    for share, change in WAYS:
        if 0 <= kind < share:
            return change(text, rng)
        kind -= share
    return text


def among(text: str, others: Sequence[str], rng: random.Random) -> str:
    """The text among one to five others, in any order, as many as leave it within LONGEST_JOINED characters."""
    lines = [text]
    for other in rng.sample(others, min(len(others), rng.randint(1, 5))):
        if sum(map(len, lines)) + len(other) <= LONGEST_JOINED:
            lines.insert(rng.randint(0, len(lines)), other)
    return rng.choice("\n ").join(lines)
