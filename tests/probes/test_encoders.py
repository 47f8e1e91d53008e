"""Encoders by their cards: a tensor inside an ONNX network, and in the torch environment timm, CLIP, SigLIP and ViT."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import gradient
from networks import colour_classifier
from onnx import numpy_helper

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import CARD, ImageEncoderCard, make_card, shipped
from kidsnanny.models.store import digest
from kidsnanny.probes.encoders import load_encoder
from kidsnanny.stage1.classifier import Classifier

HIDDEN = "image-safety-s-hidden"
PREPARED = {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear", "input": 32}


def card_of(path: Path, **facts: object) -> ImageEncoderCard:
    files = {"files": {path.name: {"sha256": digest(path)}}, "path": path.parent}
    card = make_card("colours", {"role": "encoder", "what": "x", "licence": "ours", **files, **PREPARED, **facts})
    assert isinstance(card, ImageEncoderCard)
    return card


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A network that averages the colours, multiplies red and green by ten, and ends in a softmax."""
    colour_classifier(tmp_path / "colours.onnx", (0, 1), side=32, ends_in="Softmax")
    return tmp_path / "colours.onnx"


def frames(count: int) -> list[RGB]:
    return [np.asarray(gradient(40 + n, 30, seed=n)) for n in range(count)]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("means", lambda rows: rows),
        ("sums", lambda rows: 10 * rows[:, :2]),
        (None, lambda rows: softmax(10 * rows[:, :2])),
    ],
)
def test_the_tensor_that_the_card_names_is_taken(colours: Path, output: str | None, expected: object) -> None:
    encoder = load_encoder(card_of(colours, output=output))
    flat = [np.full((8, 8, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 51, 102))]
    means = np.array([[1, 0, 0], [0, 0.2, 0.4]], np.float32)
    found = encoder(flat)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected(means), abs=1e-5)
    assert encoder.width == found.shape[1]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_each_frame_has_its_row_among_any_number_of_others(colours: Path) -> None:
    encoder, given = load_encoder(card_of(colours, output="means")), frames(70)
    found = encoder(given)
    assert found.shape == (70, 3)
    assert np.array_equal(found[[0, 31, 32, 69]], np.concatenate([encoder([given[n]]) for n in (0, 31, 32, 69)]))
    assert encoder([]).shape == (0, 3)
    with pytest.raises(TypeError, match="expected frames as"):
        encoder([np.zeros((4, 4))])


def test_an_axis_of_one_is_no_axis(tmp_path: Path) -> None:
    """As networks have before their last layer: (N, width, 1, 1)."""
    colour_classifier(tmp_path / "n.onnx", (0, 1), side=32)
    model = onnx.load(tmp_path / "n.onnx")
    model.graph.node.insert(0, onnx.helper.make_node("ReduceMean", ["pixels"], ["kept"], axes=[2, 3], keepdims=1))
    onnx.save(model, tmp_path / "n.onnx")
    assert load_encoder(card_of(tmp_path / "n.onnx", output="kept"))(frames(2)).shape == (2, 3)
    with pytest.raises(
        ComponentError, match=r"returns \('N', 3, 32, 32\) where an embedding has \(N, width\); name an"
    ):
        load_encoder(card_of(tmp_path / "n.onnx", output="pixels_as_they_are")) if add_identity(tmp_path) else None


def add_identity(folder: Path) -> bool:
    model = onnx.load(folder / "n.onnx")
    model.graph.node.insert(0, onnx.helper.make_node("Identity", ["pixels"], ["pixels_as_they_are"]))
    onnx.save(model, folder / "n.onnx")
    return True


def test_a_tensor_that_is_not_there_is_named(colours: Path) -> None:
    with pytest.raises(WeightsError, match=r"colours\.onnx: there is no tensor nowhere in its network; name a tensor"):
        load_encoder(card_of(colours, output="nowhere"))


@pytest.mark.parametrize(
    ("change", "same"),
    [({}, True), ({"what": "y", "notes": "z"}, True), ({"output": "sums"}, False), ({"crop": 1.0}, False),
     ({"std": [1, 1, 2]}, False), ({"interpolation": "bicubic"}, False)],
)  # fmt: skip
def test_its_revision_stands_for_all_that_changes_a_row(colours: Path, change: dict, same: bool) -> None:
    first = load_encoder(card_of(colours, output="means"))
    other = load_encoder(card_of(colours, **{"output": "means", **change}))
    assert (first.model_id == other.model_id) is same
    colour_classifier(colours, (1, 0), side=32, ends_in="Softmax")
    assert load_encoder(card_of(colours, output="means")).model_id != first.model_id


def test_random_weights_are_said_to_be(tmp_path: Path) -> None:
    colour_classifier(tmp_path / "n.onnx", (0, 1), side=32, random=True)
    assert load_encoder(card_of(tmp_path / "n.onnx", output="means")).model_id.caveat == "random"


def test_a_classifiers_card_is_no_encoders() -> None:
    with pytest.raises(WeightsError, match="image-safety-s: its card is of a classifier, not of an encoder; name"):
        load_encoder("image-safety-s")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"files": {"model.safetensors": {}}}, "needs its architecture"),
        ({"files": {"model.safetensors": {}}, "architecture": "timm:vit", "output": "x"}, "output is of ONNX files"),
        ({"files": {"model.safetensors": {}}, "architecture": "transformers:clip"}, "files lacks config.json"),
    ],
)
def test_what_makes_no_sense_in_a_card_is_refused(colours: Path, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CARD.validate_python(card_of(colours).model_dump(exclude_none=True) | change)


def test_the_hidden_layer_of_image_safety_s_is_what_its_answer_is_made_of() -> None:
    """The classifier's last layer, by hand, on the encoder's rows gives the classifier's probabilities."""
    encoder, classifier, given = load_encoder(HIDDEN), Classifier("image-safety-s"), frames(3)
    rows = encoder(given)
    assert (rows.shape, encoder.width) == ((3, 224), 224)
    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(encoder.card.locate()).graph.initializer}
    heads = [held[f"model.{name}.weight"] for name in ("head", "head_dist")]
    logits = rows @ sum(heads).T / 2 + held["model.head.bias"]
    assert softmax(logits) == pytest.approx(classifier.probabilities(given), abs=1e-5)


def test_the_card_of_the_hidden_layer_prepares_frames_as_the_classifiers_does() -> None:
    fields = ("package", "files", "input", "mean", "std", "interpolation", "crop", "fit", "jpeg", "layout", "licence")
    own, theirs = shipped()[HIDDEN], shipped()["image-safety-s"]
    assert own.model_dump(include=set(fields)) == theirs.model_dump(include=set(fields))
