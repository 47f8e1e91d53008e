"""Some of a system's pictures, and what it made of them."""

from collections.abc import Callable, Iterable, Sequence

from kidsnanny.evaluation.metrics import ClassificationScores, ConfusionMatrix, predicts_unsafe
from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.records import Record


class Slice(Record):
    """Some of a system's pictures."""

    pictures: int
    unscored: int
    scores: ClassificationScores
    """Of those it scored."""


def scores_of(lines: Iterable[Prediction], says: Callable[[Prediction], bool | None]) -> ClassificationScores:
    """Of the pictures about which `says` says anything."""
    said = [(line.unsafe, decision) for line in lines if (decision := says(line)) is not None]
    return ClassificationScores.of(
        ConfusionMatrix.of([unsafe for unsafe, _ in said], [decision for _, decision in said])
    )


def slice_of(lines: Sequence[Prediction]) -> Slice:
    """Of the pictures of these lines, each by the system's score and threshold."""
    unscored = sum(line.score is None for line in lines)
    return Slice(pictures=len(lines), unscored=unscored, scores=scores_of(lines, predicts_unsafe))


def slices(lines: Sequence[Prediction], key: Callable[[Prediction], str]) -> dict[str, Slice]:
    """The pictures by what `key` says of them, in alphabetical order."""
    parts: dict[str, list[Prediction]] = {}
    for line in lines:
        parts.setdefault(key(line), []).append(line)
    return {name: slice_of(part) for name, part in sorted(parts.items())}
