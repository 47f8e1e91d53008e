"""The pictures a student is trained on, in an order that is a function of the seed alone, and those it is watched on.

The n-th picture does not depend on what was asked for before, so a run that goes on from a checkpoint, and each of
several processes, gets the pictures that an uninterrupted single one would get.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_data import (
    DEFAULT_COLUMNS,
    ColumnMap,
    GraphExample,
    assert_disjoint,
    movies,
    read,
)
from kidsnanny.media.loader import open_picture
from kidsnanny.records import SceneGraph
from kidsnanny.stage1.student.codec import Codec, Task
from kidsnanny.stage1.student.student import TASKS
from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.training.student.scenes import VOCABULARY, Scene, scene

FIRST_UNSEEN = 1_000_000_000
"""Seeds of scenes from here on are never trained on; the learning curve's are the first of them."""
UNSEEN = 200
"""Pictures of the learning curve, at most."""
SAMPLE = 2_000
"""Pictures whose words are counted, and whose texts a tokenizer is made from, at most."""


class TrainingPictures(Protocol):
    """Where the pictures of a training come from."""

    name: str
    """Of the data, for people; a run goes on only with pictures of the same name."""
    vocabulary: Vocabulary
    generated: bool
    """Whether they are drawn scenes: no picture is `safe` on the word of a student that knows only those."""
    unseen: Sequence[Scene]
    """Pictures that are never trained on, for the learning curve."""

    def picture(self, number: int) -> Scene:
        """The picture that is trained on as the `number`-th, counted from 0, without end."""

    def features(self, number: int) -> torch.Tensor | None:
        """What the image encoder makes of it, (positions, width), if that is known: the encoder is not trained then."""

    def sample(self) -> Iterable[Scene]:
        """Pictures that show which words are frequent: all there are, or some thousands."""


class GeneratedPictures:
    """Drawn scenes, none of them twice.

    Args:
        side: of a picture, in pixels.
    """

    generated = True
    vocabulary = VOCABULARY

    def __init__(self, side: int) -> None:
        self.name = f"generated scenes of {side} pixels"
        self.unseen: Sequence[Scene] = [scene(FIRST_UNSEEN + number, side) for number in range(UNSEEN)]
        self._side = side

    def picture(self, number: int) -> Scene:
        """Drawn when it is asked for."""
        return scene(number, self._side)

    def features(self, number: int) -> None:
        """They are not known."""

    def sample(self) -> Iterable[Scene]:
        """The first of them."""
        return (scene(number, self._side) for number in range(SAMPLE))


class Stored(NamedTuple):
    """A picture's file and what is true of it."""

    file: bytes
    graph: SceneGraph


class FixedPictures:
    """A data set that is gone through again and again, shuffled anew each time.

    Args:
        name, vocabulary, generated, unseen: see TrainingPictures.
        pictures: the data set, drawn or as files.
        seed: of the order.
        features: (pictures, positions, width), what the image encoder makes of each picture of the data set.
    """

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        pictures: Sequence[Scene | Stored],
        unseen: Sequence[Scene],
        *,
        seed: int,
        generated: bool = False,
        features: torch.Tensor | None = None,
    ) -> None:
        self.name, self.vocabulary, self.generated, self.unseen = name, vocabulary, generated, unseen
        self._pictures, self._features = pictures, features
        self._order = cache(lambda again: np.random.default_rng((seed, again)).permutation(len(pictures)))

    def _place(self, number: int) -> int:
        """In the data set."""
        again, place = divmod(number, len(self._pictures))
        return int(self._order(again)[place])

    def picture(self, number: int) -> Scene:
        """Decoded when it is asked for."""
        return _opened(self._pictures[self._place(number)])

    def features(self, number: int) -> torch.Tensor | None:
        """In float32."""
        return None if self._features is None else self._features[self._place(number)].float()

    def sample(self) -> Iterable[Scene]:
        """The first of the data set."""
        return map(_opened, self._pictures[:SAMPLE])


def stored_pictures(
    path: Path,
    *,
    columns: ColumnMap = DEFAULT_COLUMNS,
    split: str = "train",
    unseen: str = "val",
    vocabulary: Vocabulary | None = None,
    seed: int = 0,
) -> FixedPictures:
    """SenBen's parquet files, or others in their form. The files of all pictures are kept in memory, undecoded.

    Args:
        path: a file, or a folder of them.
        columns: where in them what is.
        split: what is trained on.
        unseen: the split whose first pictures the learning curve is drawn from.
        vocabulary: by default the words that occur in both, and none of the tags means one of our categories.
        seed: of the order.

    Raises:
        DataError: there is no such file, a row is broken, a split is empty, a film is in both, or there are no tags.
    """
    found = movies(path, columns)
    for name in (split, unseen):
        if not found.get(name):
            there = ", ".join(sorted(found)) or "none"
            raise DataError(f"{path}: there is no picture of the split {name!r}, but of {there}; name one of these.")
    assert_disjoint({name: found[name] for name in (split, unseen)})
    trained = list(read(path, columns, split=split))
    watched = [item for item, _ in zip(read(path, columns, split=unseen), range(UNSEEN), strict=False)]
    if vocabulary is None:
        vocabulary = Vocabulary.derive(path.name, (item.graph for item in [*trained, *watched]))
    if not vocabulary.tags:
        raise DataError(f"{path}: no picture has a tag, and a student's head needs one; name their column in the map.")
    return FixedPictures(
        f"{path.name}, split {split}, {len(trained):,} pictures",
        vocabulary,
        [Stored(item.image, item.graph) for item in trained],
        [_scene(item) for item in watched],
        seed=seed,
    )


def targets(drawn: Scene, codec: Codec, tasks: Sequence[Task] = TASKS) -> list[str]:
    """What the decoder should write of a picture for each of `tasks`.

    Raises:
        DataError: its graph has a word that the vocabulary of `codec` lacks.
    """
    height, width = drawn.image.shape[:2]
    texts = codec.encode(codec.canonical(drawn.graph), width, height)
    return [texts[task] for task in tasks]


def _scene(item: GraphExample) -> Scene:
    return _opened(Stored(item.image, item.graph))


def _opened(picture: Scene | Stored) -> Scene:
    if isinstance(picture, Scene):
        return picture
    return Scene(next(iter(open_picture(picture.file).frames())).rgb, picture.graph)
