"""The words that carry a score: those without which it falls (occlusion, Zeiler and Fergus, arXiv 1311.2901)."""

import numpy as np

from kidsnanny.stage2.stage2 import TextScorer

MOST_WORDS = 40
"""Of a text; of a longer one nothing is said."""
MOST_NAMED = 3
LEAST = 0.3
"""A word is named if the logit falls by this much without it, and by RELATIVE of what it falls without the first."""
RELATIVE = 0.4


def carrying_words(model: TextScorer, text: str, column: int) -> tuple[str, ...]:
    """The words, in their order in the text, without which the score falls most; none if no word matters alone.

    Args:
        model: scores the text once more for each of its words.
        text: of a few words.
        column: of the category.
    """
    words = text.split()
    if not 1 < len(words) <= MOST_WORDS:
        return tuple(words[:1]) if len(words) == 1 else ()
    without = [" ".join(words[:n] + words[n + 1 :]) for n in range(len(words))]
    scores = np.clip(model.score([text, *without])[:, column].astype(np.float64), 1e-6, 1 - 1e-6)
    logits = np.log(scores / (1 - scores))
    falls = logits[0] - logits[1:]
    enough = max(LEAST, RELATIVE * float(falls.max()))
    named = [n for n in np.argsort(-falls)[:MOST_NAMED] if falls[n] >= enough]
    return tuple(words[n] for n in sorted(named))
