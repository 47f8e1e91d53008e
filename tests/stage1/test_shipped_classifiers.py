"""The classifiers whose weights come in other packages: the same scores as the recipe that each package documents.

The references read those packages' weights and none of their code: one resizes with libvips, as `image-safety-s` was
used, the other with Pillow and a JPEG round trip, as Yahoo's open_nsfw was.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from kidsnanny.stage1.classifier import Classifier

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.[jp][pn]g"))
SIZES = [(640, 480), (480, 640), (224, 224), (1920, 1080), (37, 900), (3, 5)]


def pictures() -> list[npt.NDArray[np.uint8]]:
    """The examples, and smooth colours of many shapes."""
    random = np.random.default_rng(0)
    found = [np.asarray(Image.open(path).convert("RGB")) for path in EXAMPLES]
    for size in SIZES:
        colours = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        found.append(np.asarray(colours.resize(size, Image.Resampling.BICUBIC)))
    return found


def with_libvips(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Fitted with Lanczos' filter in front of itself, stretched and blurred by 10 px; 0..255, channels first."""
    pyvips = pytest.importorskip("pyvips")
    side, image = 224, pyvips.Image.new_from_array(frame)

    def resized(width: int, height: int):  # type: ignore[no-untyped-def]
        return image.thumbnail_image(width, height=height, size="force", no_rotate=True)

    scale = min(side / image.width, side / image.height)
    width, height = (max(1, round(length * scale)) for length in (image.width, image.height))
    whole = (
        resized(side, side).gaussblur(10.0).insert(resized(width, height), (side - width) // 2, (side - height) // 2)
    )
    given = np.frombuffer(whole.cast("uchar").write_to_memory(), np.uint8).reshape(side, side, 3)
    return given.astype(np.float32).transpose(2, 0, 1)


def with_jpeg(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Stretched to 256, the middle 224 through JPEG, blue first, less the training set's mean."""
    square = Image.fromarray(frame).resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    file = BytesIO()
    square.save(file, "JPEG")
    return np.asarray(Image.open(file), np.float32)[..., ::-1] - np.array([104, 117, 123], np.float32)


@pytest.mark.parametrize(
    ("name", "reference", "typical", "most"),
    [("image-safety-s", with_libvips, 0.005, 0.05), ("open-nsfw", with_jpeg, 1e-5, 1e-4)],
)
def test_scores_are_those_of_the_documented_recipe(name: str, reference, typical: float, most: float) -> None:  # type: ignore[no-untyped-def]
    model = Classifier(name, device="cpu")
    differences = []
    for frame in pictures():
        given = np.ascontiguousarray(reference(frame))[None]
        differences.append(np.abs(model.probabilities([frame])[0] - model.network(given)()[0]).max())
    assert np.median(differences) < typical
    assert max(differences) < most


@pytest.mark.parametrize("name", ["image-safety-s", "open-nsfw"])
def test_the_examples_are_nothing_to_it(name: str) -> None:
    """What is harmful in them is what is written there."""
    model = Classifier(name, device="cpu")
    found = model.probabilities(pictures()[: len(EXAMPLES)])
    labels = list(model.card.labels)
    assert found[:, labels.index("SFW")].min() > 0.5
