"""The caller says which categories are unsafe to them, as in PerspectiveVision (arXiv 2405.03486): only these count."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from kidsnanny.errors import DataError
from kidsnanny.probes.probe_files import LoadedProbe
from kidsnanny.records import Record


class Perspective(Record):
    """What a probe makes of one picture when only some of its categories count."""

    label: Literal["Safe", "Unsafe"] | None
    """Unsafe: a chosen category reaches the threshold. None: the weights are random, so that nothing is known."""
    category: str | None
    """Of an unsafe picture, the likeliest of the chosen categories."""
    scores: dict[str, Annotated[float, Field(ge=0, le=1)]]
    """Probability of each chosen category, 0..1, in the order of the choice, and the same whatever else is chosen."""


def perspective(
    probe: LoadedProbe, embeddings: npt.NDArray[np.float32], categories: Sequence[str], threshold: float = 0.5
) -> list[Perspective]:
    """What a probe says of each row when only some categories are unsafe.

    Args:
        probe: of the kind `linear` or `prompts`, as `load_probe` gives it.
        embeddings: (N, d) rows of its encoder; `check_fit` says whether an encoder is that one.
        categories: those that are unsafe to the caller: labels of the probe's card.
        threshold: 0..1, from which on a category counts.

    Raises:
        DataError: no category is chosen, the probe does not know one, or it knows only fine and inappropriate.
        ValueError: the rows have another width, or are not finite, or the threshold lies outside 0..1.
    """
    card = probe.card
    if card.kind == "q16":
        raise DataError(f"{card.name}: a q16 probe tells no categories apart; name a linear or a prompts probe.")
    labels, chosen = list(card.labels), list(dict.fromkeys(categories))
    if not chosen or (unknown := [name for name in chosen if name not in labels]):
        asked = f"it knows no category {', '.join(unknown)}" if chosen else "no category is chosen"
        raise DataError(f"{card.name}: {asked}; choose of {', '.join(labels)}.")
    if not np.isfinite(embeddings).all():
        raise ValueError("expected finite numbers")
    if not 0 <= threshold <= 1:
        raise ValueError(f"expected a threshold in 0..1, got {threshold}")
    columns = [labels.index(name) for name in chosen]
    known = probe.model_id.caveat is None
    found = []
    for row in probe.weights.probabilities(embeddings)[:, columns].tolist():
        best, likeliest = max(zip(row, chosen, strict=True), key=lambda pair: pair[0])
        unsafe = known and best >= threshold
        label: Literal["Safe", "Unsafe"] | None = "Unsafe" if unsafe else "Safe" if known else None
        scores = dict(zip(chosen, row, strict=True))
        found.append(Perspective(label=label, category=likeliest if unsafe else None, scores=scores))
    return found
