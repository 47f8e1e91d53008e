"""How much words stand out in the captions of flagged pictures, as in Q16's documentation step, and clouds of words."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from kidsnanny.reports.pages import visible
from kidsnanny.reports.thumbnails import data_uri

WORD = re.compile(r"\w[\w'’-]*\w")
SIZE = (720, 360)
"""Of a cloud, in pixels."""
WORDS = 150
"""Of a cloud, at most."""
LETTERS = 40
"""Of a word in a cloud, at most: one that is longer than the cloud is wide cannot be drawn."""
COLLOCATIONS = 30
"""From this likelihood ratio on, two words that follow each other are one term; the papers' setting."""


def term_counts(captions: Iterable[str]) -> Counter[str]:
    """Word -> how often it stands in the captions, in small letters and without words that mean nothing alone. Two
    words that follow each other more often than by chance are one term, and count as this instead."""
    from wordcloud import STOPWORDS
    from wordcloud.tokenization import score

    counts, pairs = Counter[str](), Counter[tuple[str, str]]()
    for caption in captions:
        words = ["" if word in STOPWORDS or word.isdigit() else word for word in _words(caption)]
        counts.update(words)
        pairs.update(pairwise(words))
    del counts[""]
    single, total = Counter(counts), counts.total()
    for (first, second), count in pairs.items():
        if count > 1 and first and second and score(count, single[first], single[second], total) > COLLOCATIONS:
            counts[f"{first} {second}"] = count
            counts[first] -= count
            counts[second] -= count
    return +counts


def _words(caption: str) -> list[str]:
    return [word.removesuffix("'s").removesuffix("’s") for word in WORD.findall(caption.casefold())]


def relative_weights(captions: Iterable[str]) -> dict[str, float]:
    """Term -> how often it stands in the captions, as a share of the commonest, 0..1, as in the papers' code."""
    counts = term_counts(captions)
    most = max(counts.values(), default=1)
    return {word: count / most for word, count in counts.items()}


def chi_squared(observed: Mapping[str, float], expected: Mapping[str, float]) -> dict[str, float]:
    """Word -> (observed - expected)² / expected, of words that are observed more than they are expected.

    A word that is not expected at all counts as expected like the rarest one that is. (The papers' code has both this
    and, as its default, an expectation of 100, which no relative weight reaches: a word that stands only in captions of
    flagged pictures then weighs nothing.)

    Args:
        observed: relative weights in the captions of flagged pictures.
        expected: those in the captions of the others.
    """
    rarest = min(expected.values(), default=0.0)
    if not rarest:
        return {}
    weights = {
        word: (share - expected.get(word, rarest)) ** 2 / expected.get(word, rarest)
        for word, share in observed.items()
        if share > expected.get(word, rarest)
    }
    return dict(sorted(weights.items(), key=lambda pair: (-pair[1], pair[0])))


def cloud(weights: Mapping[str, float]) -> str:
    """The heaviest words as a picture in a `data:` URI, or nothing if there are none. The same words give the same
    cloud."""
    from wordcloud import WordCloud

    names = defaultdict[str, float](float)
    for word, weight in weights.items():
        text = visible(word)
        names[text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"] += weight
    if not names:
        return ""
    drawn = WordCloud(
        width=SIZE[0],
        height=SIZE[1],
        max_words=WORDS,
        background_color="white",
        color_func=lambda *_, **__: "#1f4e79",
        random_state=0,
        relative_scaling=0.25,
    ).generate_from_frequencies(names)
    return data_uri(drawn.to_image(), "PNG")
