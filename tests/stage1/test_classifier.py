"""Classifiers on ONNX files that stand in for real ones: they average colours, so the right answer is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import colour_classifier
from PIL import Image

from kidsnanny import ComponentError, Pipeline, WeightsError
from kidsnanny.models.cards import CARD, ClassifierCard, DetectorCard
from kidsnanny.models.runtime import Network, Output, network
from kidsnanny.models.store import digest
from kidsnanny.records import Box, Detection, ModelId, VisualFindings
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.ensemble import Ensemble
from kidsnanny.stage1.preparation import pixels

SIDE = 32
LEVELS = {"neutral": {}, "low": {"sexual": 0.34}, "medium": {"sexual": 0.67}, "high": {"sexual": 1.0}}
BINARY = {"NSFW": {"sexual": 1.0, "nudity": 1.0}, "SFW": {}}


Maker = Callable[..., ClassifierCard]


@pytest.fixture
def card_of(tmp_path: Path) -> Maker:
    """Makes the card of a network that averages colours: red is NSFW, green is SFW."""

    def make(channels: tuple[int, ...] = (0, 1), *, random: bool = False, **facts: object) -> ClassifierCard:
        path = tmp_path / "colours.onnx"
        colour_classifier(path, channels, random=random)
        card = {"name": "colours", "role": "classifier", "what": "colours", "licence": "ours", "path": path}
        prepared = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "crop": None, "interpolation": "bilinear"}
        given = {"labels": BINARY, "input": SIDE, "files": {path.name: {"sha256": digest(path)}}} | prepared | facts
        return CARD.validate_python(card | given)

    return make


def bands(width: int, height: int, *colours: tuple[int, int, int]) -> np.ndarray:
    """Upright bands of equal width."""
    frame = np.zeros((height, width, 3), np.uint8)
    for n, colour in enumerate(colours):
        frame[:, width * n // len(colours) : width * (n + 1) // len(colours)] = colour
    return frame


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("crop", "shape", "expected"),
    [
        (None, (300, 100), (1 / 3, 1 / 3, 1 / 3)),  # squashed: all of it
        (1.0, (300, 100), (0, 1, 0)),  # the middle square
        (0.5, (100, 100), (1 / 6, 2 / 3, 1 / 6)),  # the middle half of either side
    ],
)
def test_how_a_picture_reaches_the_network_is_data_of_the_card(
    card_of: Maker, crop: float | None, shape: tuple[int, int], expected: tuple[float, ...]
) -> None:
    given = pixels(bands(*shape, RED, GREEN, BLUE), card_of(crop=crop))
    assert given.shape == (3, SIDE, SIDE)
    assert given.dtype == np.float32
    assert np.abs(given.mean((1, 2)) - expected).max() < 0.03


def test_mean_and_deviation_are_taken_off(card_of: Maker) -> None:
    given = pixels(bands(8, 8, RED), card_of(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0)))
    assert given[:, 0, 0].tolist() == [1.0, -1.0, 0.0]


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (37, 41), (4000, 30)])
@pytest.mark.parametrize("crop", [None, 0.875, 1.0])
def test_any_shape_fits(card_of: Maker, size: tuple[int, int], crop: float | None) -> None:
    assert pixels(bands(*size, RED), card_of(crop=crop)).shape == (3, SIDE, SIDE)


def test_probabilities(card_of: Maker) -> None:
    model = Classifier(card_of())
    frames = [bands(64, 48, RED), bands(64, 48, GREEN), bands(64, 48, RED, GREEN)]
    found = model.probabilities(frames)
    assert np.allclose(found.sum(axis=1), 1)
    assert np.allclose(found[:, 0], [1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10)), 0.5], atol=1e-3)
    assert model.probabilities([]).size == 0
    for frame, together in zip(frames, found, strict=True):
        assert np.allclose(model.probabilities([frame])[0], together, atol=1e-6)
    assert [seen.label for seen in model.screen(frames)[1]] == ["SFW", "NSFW"]


@pytest.mark.parametrize(
    ("probabilities", "score"),
    [
        ({"neutral": 1.0}, 0.0),
        ({"high": 1.0}, 1.0),
        ({"low": 1.0}, 0.34),
        ({"low": 0.5, "high": 0.5}, 0.67),
        ({"neutral": 0.7, "medium": 0.3}, 0.201),
    ],
)
def test_levels_become_the_expected_level(card_of: Maker, probabilities: dict[str, float], score: float) -> None:
    model = Classifier(card_of((0, 1, 2, 0), labels=LEVELS))
    seen = tuple(Detection(label=k, score=p, model="colours", frame=3) for k, p in probabilities.items())
    (signal,) = model.signals(VisualFindings(width=1, height=1, frames=9, detections=seen))
    assert signal.score == pytest.approx(score)
    assert (signal.category, signal.source, signal.frame, signal.box) == ("sexual", "classifier", 3, None)


def test_another_models_detections_are_not_its_own(card_of: Maker) -> None:
    other = Detection(label="NSFW", score=1, model="another")
    assert Classifier(card_of()).signals(VisualFindings(width=1, height=1, frames=1, detections=(other,))) == []


def test_a_network_that_does_not_fit_the_labels_is_refused(card_of: Maker) -> None:
    with pytest.raises(ComponentError, match=r"returns \(2,\) where the card has 4 labels"):
        Classifier(card_of(labels=LEVELS))
    facts = card_of().model_dump(include=set(DetectorCard.model_fields) - {"role"})
    with pytest.raises(ComponentError, match=r"where a YOLO v8 or v11 returns \(6, anchors\); fix the card's labels"):
        Yolo(CARD.validate_python(facts | {"role": "detector"}))


def test_a_card_of_another_name_or_role_is_refused(card_of: Maker) -> None:
    with pytest.raises(WeightsError, match=r"no-such: there is no card of that name; `kidsnanny weights list`"):
        Classifier("no-such")
    with pytest.raises(WeightsError, match="nudenet-320n: its card is of a detector, not of a classifier"):
        Classifier("nudenet-320n")
    with pytest.raises(WeightsError, match="colours: its card is of a classifier, not of a detector"):
        Yolo(card_of())


@pytest.mark.parametrize("model", [Classifier, Yolo])
def test_what_is_neither_a_card_nor_a_name_is_a_type_error(model: type[Classifier | Yolo]) -> None:
    with pytest.raises(TypeError, match="expected a card or its name, got dict"):
        model({"name": "nudenet-320n"})


def test_a_device_that_does_not_exist_is_named(card_of: Maker, tmp_path: Path) -> None:
    file = tmp_path / "colours.safetensors"
    file.touch()
    facts = card_of().model_dump() | {"files": {file.name: {"sha256": digest(file)}}, "architecture": "timm:any"}
    with pytest.raises(ComponentError, match="colours: expected a device of auto, cpu, cuda, got 'gpu'"):
        network(CARD.validate_python(facts), device="gpu")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ("picture.png", "got str"),
        (Image.new("RGB", (8, 8)), "got Image"),
        (np.zeros((8, 8), np.uint8), r"got uint8 of shape \(8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), r"got uint8 of shape \(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float32), r"got float32 of shape \(8, 8, 3\)"),
    ],
)
def test_frames_that_are_no_arrays_are_a_type_error(card_of: Maker, frame: object, says: str) -> None:
    models = Classifier(card_of()), Yolo("nudenet-320n")
    for model in (*models, Ensemble(*models)):
        with pytest.raises(TypeError, match=rf"expected frames as \(H, W, 3\) uint8 arrays, {says}"):
            model.screen([bands(8, 8, RED), frame])


def test_the_default_profile_of_a_gpu_says_how_to_get_its_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KIDSNANNY_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"marqo-nsfw-384: .*`kidsnanny weights pull marqo-nsfw-384`"):
        Pipeline("standard", stage2=None)


class Broken:
    """A network whose outputs are all one number."""

    device = "cpu"

    def __init__(self, whole: Network, number: float) -> None:
        self.model_id, self._whole, self._number = whole.model_id, whole, number

    def __call__(self, inputs: np.ndarray) -> Output:
        shape = self._whole(inputs)().shape
        return lambda: np.full(shape, self._number, np.float32)


# ------------------------------------------------------------------ both at once


def test_a_picture_is_screened_by_both(card_of: Maker) -> None:
    both = Ensemble(Classifier(card_of()), Yolo("nudenet-320n"))
    verdict = Pipeline(stage1=both, stage2=None)(bands(64, 48, RED))
    assert verdict.label == "unsafe"
    assert verdict.coverage == {"sexual": {"image": None}, "nudity": {"image": None}}
    assert verdict.provenance.models["stage1"] == both.models
    assert {reason.category: reason.source for reason in verdict.reasons} == {
        "sexual": "classifier",
        "nudity": "classifier",
    }
    assert "from the whole picture (nsfw)" in str(verdict)
    assert Pipeline(stage1=both, stage2=None)(bands(64, 48, GREEN)).label == "safe"


def test_both_together_find_what_each_finds_alone(card_of: Maker) -> None:
    models = Classifier(card_of()), Yolo("nudenet-320n")
    frames = [bands(64, 48, RED), bands(640, 480, GREEN, BLUE)]
    together = Ensemble(*models).screen(frames)
    alone = [model.screen(frames) for model in models]
    assert together == [first + second for first, second in zip(*alone, strict=True)]


def test_the_classifier_looks_closer_where_the_detector_found_something(
    card_of: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a corner of a large frame it sees nothing when it looks at all of it."""
    frame = bands(1000, 800, GREEN)
    frame[600:, :200] = RED
    detector = Yolo("nudenet-320n")
    found = Detection(label="FEMALE_BREAST_EXPOSED", score=0.7, box=Box(20, 730, 60, 760), model="nudenet-320n")
    monkeypatch.setattr(detector, "screen", lambda frames: [(found,) for _ in frames])
    verdict = Pipeline(stage1=Ensemble(Classifier(card_of()), detector), stage2=None)(frame)
    closer = [one for one in verdict.findings.detections if one.model == "colours" and one.box]
    assert {one.box for one in closer} == {Box(0, 625, 160, 800)}
    assert max(closer, key=lambda one: one.score).label == "NSFW"
    assert verdict.label == "unsafe"
    frame[600:, :200] = GREEN
    assert Pipeline(stage1=Ensemble(Classifier(card_of()), detector), stage2=None)(frame).label == "safe"


def test_a_model_that_fails_is_not_passed_over(card_of: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Classifier(card_of())
    monkeypatch.setattr(failing, "screen", lambda _: 1 / 0)
    verdict = Pipeline(stage1=Ensemble(failing, Yolo("nudenet-320n")), stage2=None)(bands(64, 48, GREEN))
    assert verdict.label == "review"
    assert "ZeroDivisionError" in verdict.not_inspected[0].reason


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_network_that_returns_nan_or_infinity_is_not_inspected(
    card_of: Maker, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    """Half precision overflows; nothing is larger than a NaN, so it would read as "nothing found"."""
    for model in (Classifier(card_of()), Yolo("nudenet-320n")):
        monkeypatch.setattr(model, "network", Broken(model.network, number))
        verdict = Pipeline(stage1=model, stage2=None)(bands(64, 48, GREEN))
        assert verdict.label == "review"
        assert "its network returned NaN or infinity" in verdict.not_inspected[0].reason


def test_random_weights_are_named_and_never_say_safe(card_of: Maker) -> None:
    verdict = Pipeline(stage1=Classifier(card_of(random=True)), stage2=None)(bands(64, 48, GREEN))
    assert [model.caveat for model in verdict.provenance.models["stage1"]] == ["random"]
    assert verdict.label == "review"
    assert "are random, so what they say means nothing" in str(verdict)


def test_whether_a_network_ends_in_a_softmax_is_said_by_the_card(tmp_path: Path, card_of: Maker) -> None:
    """A second softmax over probabilities would dampen them: a certain 1.0 of two would become 0.73."""
    with pytest.raises(ComponentError, match="returns logits; set probabilities = false in the card"):
        Classifier(card_of(probabilities=True))
    logits = Classifier(card_of())
    path = tmp_path / "colours.onnx"
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Softmax", ["before"], ["logits"]))
    onnx.save(model, path)
    files = {path.name: {"sha256": digest(path)}}
    facts = logits.card.model_dump(exclude={"files"}) | {"files": files}
    with pytest.raises(ComponentError, match="returns probabilities; set probabilities = true in the card"):
        Classifier(CARD.validate_python(facts))
    ended = Classifier(CARD.validate_python(facts | {"probabilities": True}))
    frames = [bands(64, 48, RED, GREEN), bands(64, 48, RED)]
    assert np.allclose(ended.probabilities(frames), logits.probabilities(frames), atol=1e-6)


@pytest.mark.parametrize(
    ("facts", "shape", "expected"),
    [
        ({"fit": "squash", "crop": 0.5}, (300, 100), (1 / 6, 2 / 3, 1 / 6)),  # the middle half of what was stretched
        ({"fit": "blur"}, (100, 300), (1 / 3, 1 / 3, 1 / 3)),  # all of it
        ({"jpeg": True}, (300, 100), (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_other_ways_to_reach_the_network(
    card_of: Maker, facts: dict[str, object], shape: tuple[int, int], expected: tuple[float, ...]
) -> None:
    network = Seeing()
    Classifier(card_of(**facts), runs=network).probabilities([bands(*shape, RED, GREEN, BLUE)])
    assert np.abs(network.given.mean((0, 2, 3)) - expected).max() < 0.05


@pytest.mark.parametrize(("layout", "seen"), [("rgb_last", [0.5, 0.0, 0.0]), ("bgr_last", [0.0, 0.0, 0.5])])
def test_colours_as_the_last_axis(card_of: Maker, layout: str, seen: list[float]) -> None:
    network = Seeing()
    Classifier(card_of(layout=layout, mean=(0.5, 0.0, 0.0)), runs=network).probabilities([bands(9, 9, RED)])
    assert network.given.shape == (1, SIDE, SIDE, 3)
    assert network.given[0, 0, 0].tolist() == seen


@pytest.mark.parametrize(
    "facts",
    [{"fit": "blur", "crop": 1.0}, {"files": {"a.safetensors": {}}, "path": Path("a.safetensors"), "jpeg": True}],
)
def test_a_card_with_ways_that_exclude_each_other_is_refused(card_of: Maker, facts: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"exclude each other|are of ONNX files"):
        card_of(**facts)


class Seeing:
    """A network that keeps what it was given."""

    device = "cpu"
    model_id = ModelId(name="seeing")

    def __call__(self, inputs: np.ndarray) -> Output:
        self.given = inputs
        return lambda: np.zeros((len(inputs), 2), np.float32)
