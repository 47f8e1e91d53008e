"""What the harness asks of a system, and the part that is the same for every baseline that looks at one frame."""

import base64
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from os.path import isdir
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from kidsnanny.errors import ComponentError, InputError
from kidsnanny.evaluation.datasets import ANY_CATEGORY
from kidsnanny.evaluation.predictions import Authority, Example, Prediction, Regime, SystemDescription
from kidsnanny.faults import in_words
from kidsnanny.media.loader import RGB, Picture, open_picture
from kidsnanny.models.store import digest, is_random
from kidsnanny.policy import Policy
from kidsnanny.records import Caveat, ModelId, NotInspected
from kidsnanny.taxonomy import CATEGORIES, UNSAFEBENCH, Category

HALF = 0.5
NOT_FOUND = "ours: half of the scale; the paper's is not public"
"""Where a baseline's operating point comes from (arXiv 2603.16181, results tables)."""


class Options(NamedTuple):
    """What the user says about the systems."""

    categories: tuple[str, ...] = ()
    """The data set's own names of those that are evaluated; empty: all."""
    regimes: tuple[Regime, ...] = ("vision-only", "multimodal")
    authorities: tuple[Authority, ...] = ("asymmetric", "judge")
    policy: Policy = Policy.load("preteen")
    thresholds: Mapping[str, tuple[float, str]] = {}
    """A system's or a row's name -> operating point instead of its own, and where that comes from."""
    profiles: Mapping[str, str | Path] = {}
    """A profile's name -> what `Profile.load` takes."""
    folders: Mapping[str, Path] = {}
    """A system's name -> where its model lies."""

    def threshold(self, row: str, own: float, origin: str) -> tuple[float, str]:
        """A row's operating point and where it comes from."""
        return self.thresholds.get(row) or self.thresholds.get(row.partition(":")[0]) or (own, origin)

    def folder(self, name: str, fix: str) -> Path:
        """Where a system's model lies.

        Raises:
            ComponentError: the user did not say, or it is no folder.
        """
        found = self.folders.get(name)
        if found is None or not isdir(found):
            why = "nothing says where its model is" if found is None else f"{found} is no folder"
            raise ComponentError(f"{name}: {why}; {fix}, and give --folder {name}=FOLDER.")
        return found


class System(Protocol):
    """What the harness asks of a system. One that holds connections or processes also has a `close`."""

    rows: tuple[SystemDescription, ...]
    """What it says about itself, one for each prediction that it makes of an example."""

    def predict(self, examples: Iterable[Example]) -> Iterator[tuple[Prediction, ...]]:
        """A prediction per row for each example, in order; examples are read as they are wanted, worked on in batches.

        What cannot be scored gets a prediction without a score that says why. Nothing raises because of a picture.
        """
        ...

    def timed_calls(self) -> dict[str, Callable[[Example], object]]:
        """Row -> looks at one picture as that row alone would, and returns when its answer is there."""
        ...


class Shown(NamedTuple):
    """What a baseline gets to see of an example."""

    example: Example
    frame: RGB
    mapped: tuple[Category, ...]


class Answer(NamedTuple):
    """What it makes of it."""

    score: float | None
    """Of the mapped categories, the largest; None: it gave no answer that counts."""
    unscored: str | None = None
    words: str | None = None


class Baseline:
    """A system that looks at one frame, decoded by our loader: of an animation the first, and it says so.

    Args:
        about: its row.
        look: what it makes of some pictures at once.
        batch: how many at most.
        beyond: categories of the data set's that none of ours stands for, and that it speaks about as well.
    """

    def __init__(
        self,
        about: SystemDescription,
        look: Callable[[Sequence[Shown]], Sequence[Answer]],
        batch: int = 8,
        beyond: Collection[str] = (),
    ) -> None:
        self.rows: tuple[SystemDescription, ...] = (about,)
        self._about = about
        self._look = look
        self._batch = batch
        self._beyond = frozenset(beyond)

    def predict(self, examples: Iterable[Example]) -> Iterator[tuple[Prediction, ...]]:
        """See `System`."""
        examples = iter(examples)
        while batch := list(islice(examples, self._batch)):
            for prediction in self._predict(batch):
                yield (prediction,)

    def timed_calls(self) -> dict[str, Callable[[Example], object]]:
        """See `System`."""
        return {self._about.name: lambda example: list(self.predict([example]))}

    def _predict(self, batch: Sequence[Example]) -> list[Prediction]:
        shown: dict[int, Shown] = {}
        found: dict[int, dict[str, object]] = {}
        for place, example in enumerate(batch):
            start = time.perf_counter()
            stands_for = mapped(example.category, self._about.categories)
            try:
                picture = open_picture(example.image)
                frame, missed = first_frame(picture)
            except InputError as error:
                unread = NotInspected(part="picture", reason=error.reason, cause=error.cause)
                found[place] = {"unscored": str(error), "not_inspected": (unread,)}
                continue
            spent = {"decode": _since(start)}
            given = {"sha256": picture.sha256, "mapped": stands_for}
            found[place] = {**given, "not_inspected": missed, "timings": spent}
            if stands_for or example.category in self._beyond:
                shown[place] = Shown(example, frame, stands_for)
            else:
                found[place]["unscored"] = unmapped(self._about.name, example.category)
        start = time.perf_counter()
        answers = self._ask(list(shown.values()))
        share = _since(start) / max(1, len(shown))
        for place, answer in zip(shown, answers, strict=True):
            spent = {**found[place]["timings"], "look": share}  # type: ignore[dict-item]
            found[place] |= {"score": answer.score, "unscored": answer.unscored, "answer": answer.words}
            found[place]["timings"] = spent
        return [predicted(example, self._about, **found[place]) for place, example in enumerate(batch)]

    def _ask(self, shown: Sequence[Shown]) -> Sequence[Answer]:
        """The answers; where a batch fails, each picture alone, so that a bad one does not cost the others."""
        try:
            return self._look(shown) if shown else []
        except Exception as error:
            if len(shown) > 1:
                return [answer for one in shown for answer in self._ask([one])]
            return [Answer(None, f"the system failed ({in_words(error)})")]


def predicted(example: Example, about: SystemDescription, **found: object) -> Prediction:
    """The line of an example and a row."""
    return Prediction(
        id=example.id,
        system=about.name,
        unsafe=example.unsafe,
        category=example.category,
        source=example.source,
        threshold=about.threshold,
        **({"models": about.models} | found),  # type: ignore[arg-type]
    )


def mapped(category: str, speaks: Iterable[Category]) -> tuple[Category, ...]:
    """The categories of ours that a data set's one stands for, as far as a system speaks about them.

    A data set may use UnsafeBench's names or ours; any other has no mapping. ANY_CATEGORY stands for all of them.
    """
    ours: tuple[Category, ...] = tuple(one for one in CATEGORIES if category in (one, ANY_CATEGORY))
    speaks = frozenset(speaks)
    return tuple(one for one in ours or UNSAFEBENCH.get(category) or () if one in speaks)


def unmapped(name: str, category: str) -> str:
    """Why a system has no score for a category."""
    return f"{name} does not speak about {category or 'a category that the data set does not name'}"


def data_url(frame: RGB) -> str:
    """A frame as a PNG in a `data:` URL, without name or metadata, to be sent to a server."""
    buffer = BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def was_asked(line: Prediction) -> bool:
    """Whether the system speaks about the category of the line's picture, as far as the line tells: one of a file that
    could not be opened may not."""
    refused = line.sha256 is None or line.unscored == unmapped(line.system, line.category)
    return bool(line.mapped) or line.score is not None or not refused


def weights_of(name: str, folder: Path) -> dict[str, tuple[ModelId, ...]]:
    """The name and checksums of the safetensors in a model's folder, with a caveat if any of them is random.

    Raises:
        ComponentError: there are none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ComponentError(f"{name}: there are no .safetensors in {folder}; download the whole repository.")
    caveat: Caveat | None = "random" if any(is_random(file) for file in files) else None
    return {name: (ModelId(name=name, revision="+".join(digest(file)[:12] for file in files), caveat=caveat),)}


def first_frame(picture: Picture) -> tuple[RGB, tuple[NotInspected, ...]]:
    """The first frame (a transparent one on white), and what of the picture that leaves out.

    Raises:
        InputError: it cannot be looked at.
    """
    frame = next(picture.frames())
    more = getattr(picture.image, "n_frames", 1) - 1
    rest = NotInspected(part="frames", reason=f"{more} frames after the first one", cause="frames")
    missed = (rest,) if more else ()
    rgb = frame.rgb if frame.rgb.flags.writeable else frame.rgb.copy()  # torch warns of the others
    return rgb, (*picture.skipped, *missed)


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1e3, 3)
