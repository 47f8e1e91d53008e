"""How often a system that was right about a picture is still right after the picture was changed.

As in UnsafeBench (arXiv 2405.03486), pictures are drawn from those that the system got right, the same ones for every
change, so that robust accuracy starts at 1. It is given by the data set's label, too: harmful pictures that are no
longer found are another thing than harmless ones that are now held back.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Literal, NamedTuple

from PIL import Image
from pydantic import Field

from kidsnanny.errors import DataError, InputError
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.metrics import Proportion, predicts_unsafe
from kidsnanny.evaluation.predictions import Example, Prediction
from kidsnanny.evaluation.robustness.everyday_changes import Apply, Change
from kidsnanny.evaluation.systems.system import System, first_frame
from kidsnanny.media.loader import RGB, open_picture
from kidsnanny.records import Record

PER_SOURCE = 500
SEED = 2023
"""Both UnsafeBench's."""


class Outcome(NamedTuple):
    """One picture after a change."""

    unsafe: bool
    """The label of the data set."""
    source: str
    right: bool
    """Whether the system is still right; False of a picture that it could not score."""
    scored: bool = True
    hurried: bool = False
    """Whether its time was used up before all of it was inspected."""


class RobustAccuracy(Record):
    """A system under one change."""

    system: str
    """The name of its row."""
    change: str
    what: str
    """The change in words, with its strength."""
    right: Proportion
    """Of the pictures drawn, those that it is still right about. Unscored ones count as wrong."""
    unscored: int = Field(ge=0)
    """How many pictures it could not score."""
    hurried: int = Field(ge=0)
    """How many pictures were not inspected to the end because their time was used up. Above 0, the machine was too
    busy, and the result says nothing about the system."""
    by_source: dict[str, Proportion]
    """The same."""
    by_label: dict[Literal["unsafe", "safe"], Proportion]
    """The same by the data set's label: harmful pictures that are still found, harmless ones that still pass."""
    mse: float | None = None
    """Of an attack: the mean squared change, in the units of the pixels that were attacked."""
    without_gradient: int | None = Field(default=None, ge=0)
    """Of an attack: how many pictures have a gradient of 0 everywhere, as behind a sigmoid that is exactly 0 or 1 in
    float32. No attack by gradients can see where to go there, so that they may look more robust than they are."""

    @classmethod
    def of(
        cls,
        system: str,
        change: str,
        what: str,
        outcomes: Sequence[Outcome],
        *,
        mse: float | None = None,
        without_gradient: int | None = None,
    ) -> "RobustAccuracy":
        """Count.

        Args:
            system, change, what, mse, without_gradient: as the fields.
            outcomes: one for each picture drawn.
        """

        sources = sorted({one.source for one in outcomes})
        return cls(
            system=system,
            change=change,
            what=what,
            right=_share(outcomes),
            unscored=sum(not one.scored for one in outcomes),
            hurried=sum(one.hurried for one in outcomes),
            by_source={source: _share([one for one in outcomes if one.source == source]) for source in sources},
            by_label={
                "unsafe": _share([one for one in outcomes if one.unsafe]),
                "safe": _share([one for one in outcomes if not one.unsafe]),
            },
            mse=mse,
            without_gradient=without_gradient,
        )


def _share(outcomes: Sequence[Outcome]) -> Proportion:
    return Proportion.of(sum(one.right for one in outcomes), len(outcomes))


def is_right(prediction: Prediction) -> bool:
    """Whether a system's decision is the data set's label; False of an unscored picture."""
    return predicts_unsafe(prediction) == prediction.unsafe


def draw(predictions: Iterable[Prediction], per_source: int = PER_SOURCE, seed: int = SEED) -> frozenset[str]:
    """The ids of pictures that one row got right.

    Args:
        predictions: the row's, of every picture.
        per_source: how many of each source, at most.
        seed: of the drawing; the same predictions and the same seed give the same pictures.
    """
    right: dict[str, list[str]] = {}
    for prediction in predictions:
        if is_right(prediction):
            right.setdefault(prediction.source, []).append(prediction.id)
    chosen = (random.Random(seed).sample(ids, min(len(ids), per_source)) for ids in right.values())
    return frozenset(one for ids in chosen for one in ids)


def drawn_by_row(
    system: System, dataset: Dataset, per_source: int = PER_SOURCE, seed: int = SEED
) -> dict[str, frozenset[str]]:
    """Row -> the pictures drawn for it, after the system looked at every picture once.

    Raises:
        DataError: no row got a single picture right, or the data cannot be read.
    """
    found: dict[str, list[Prediction]] = {row.name: [] for row in system.rows}
    for predictions in system.predict(dataset):
        for prediction in predictions:
            found[prediction.system].append(prediction)
    drawn = {row: draw(predictions, per_source, seed) for row, predictions in found.items()}
    if not any(drawn.values()):
        names = ", ".join(drawn)
        reason = next((one.unscored for row in found.values() for one in row if one.unscored), "its labels differ")
        raise DataError(
            f"{dataset.name}: {names} got no picture of it right ({reason}), so there is nothing to change; give it "
            "pictures that it can judge."
        )
    return drawn


def everyday_robustness(
    system: System,
    dataset: Dataset,
    changes: Mapping[str, Change],
    *,
    per_source: int = PER_SOURCE,
    seed: int = SEED,
    told: Callable[[str], None] = lambda _: None,
) -> list[RobustAccuracy]:
    """Each row of a system under each change.

    Args:
        system: any system; it gets the changed pictures as PNG files.
        dataset: labelled pictures. Of an animation, the first frame is changed and shown.
        changes: what to do with them, by name.
        per_source, seed: see `draw`.
        told: is told the name of each change before it is measured.

    Raises:
        DataError: no row got a single picture right, or the data cannot be read.
    """
    drawn = drawn_by_row(system, dataset, per_source, seed)
    wanted = frozenset().union(*drawn.values())
    found = []
    for name, change in changes.items():
        told(name)
        outcomes: dict[str, list[Outcome]] = {row: [] for row in drawn}
        for predictions in system.predict(_changed(dataset, wanted, change.apply)):
            for one in predictions:
                if one.id in drawn[one.system]:
                    hurried = any(missed.cause == "time" for missed in one.not_inspected)
                    outcome = Outcome(one.unsafe, one.source, is_right(one), one.score is not None, hurried)
                    outcomes[one.system].append(outcome)
        found += [RobustAccuracy.of(row, name, change.what, outcomes[row]) for row in drawn if drawn[row]]
    return found


def _changed(dataset: Dataset, wanted: frozenset[str], apply: Apply) -> Iterator[Example]:
    for example in dataset:
        if example.id in wanted:
            yield example._replace(image=changed_file(example, apply))


def changed_file(example: Example, apply: Apply) -> bytes:
    """The first frame of a picture, changed, as PNG.

    Raises:
        DataError: the picture can no longer be read.
    """
    file = BytesIO()
    apply(Image.fromarray(read_frame(example))).save(file, "PNG", compress_level=1)
    return file.getvalue()


def read_frame(example: Example) -> RGB:
    """The first frame of a picture.

    Raises:
        DataError: the picture can no longer be read.
    """
    try:
        return first_frame(open_picture(example.image))[0]
    except InputError as error:
        raise DataError(
            f"{example.id}: it could be read a moment ago ({error}); leave the data as they are."
        ) from error
