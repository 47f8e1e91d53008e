"""The nudenet package as its users call it: `NudeDetector.detect(path)`.

For a path it feeds the network swapped colour channels (it reads BGR with OpenCV and swaps twice); the same network fed
RGB is the system `nudenet`. Which of the two the paper's row is, is not public. It wants a file: a picture that is none
lies in a temporary folder of its owner's while it is looked at.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.system import HALF, NOT_FOUND, Answer, Baseline, Options, Shown
from kidsnanny.models.cards import DetectorCard, find_card
from kidsnanny.records import ModelId


def nudenet_path(options: Options) -> Baseline:
    """The package's own call.

    Raises:
        ComponentError: the package is missing.
    """
    card = find_card("nudenet-320n", DetectorCard)
    path = card.locate()
    try:
        from nudenet import NudeDetector
    except ImportError as error:
        raise ComponentError(f"nudenet-path: nudenet cannot be imported ({error}); reinstall it.") from error
    detector = NudeDetector()

    def look(shown: Sequence[Shown]) -> list[Answer]:
        with tempfile.TemporaryDirectory(prefix="kidsnanny-") as folder:
            return [Answer(score(one, detector.detect(str(_file(one, Path(folder)))))) for one in shown]

    def score(one: Shown, found: Sequence[dict[str, object]]) -> float:
        worth = [
            card.labels[str(seen["class"])].get(category, 0.0) * float(str(seen["score"]))
            for seen in found
            for category in one.mapped
        ]
        return min(1.0, max(worth, default=0.0))

    threshold, origin = options.threshold("nudenet-path", HALF, NOT_FOUND)
    about = SystemDescription(
        name="nudenet-path",
        regime="vision-only",
        categories=("nudity",),
        rule="the strongest detection of `detect(path)`, red and blue swapped, times its label's weight in our card",
        licence=card.licence,
        threshold=threshold,
        origin=origin,
        models={"detector": (ModelId(name=f"nudenet.detect(path) {path.name}", revision=(card.sha256 or "")[:12]),)},
    )
    return Baseline(about, look)


def _file(one: Shown, folder: Path) -> Path:
    """The picture as a file, which the package wants; one of the user's own is read where it lies."""
    if isinstance(one.example.image, Path):
        return one.example.image
    path = folder / "picture"
    path.write_bytes(one.example.image)
    return path
