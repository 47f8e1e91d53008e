"""Attacks on networks by their cards: UnsafeBench's classifiers and a ViT, with random weights."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, gradient
from PIL import Image

torch = pytest.importorskip("torch")
from networks import colour_classifier  # noqa: E402
from published_weights import pin_tiny_clip, write_head  # noqa: E402

from kidsnanny.errors import ComponentError, WeightsError  # noqa: E402
from kidsnanny.evaluation.datasets import Dataset  # noqa: E402
from kidsnanny.evaluation.predictions import Example, SystemDescription  # noqa: E402
from kidsnanny.evaluation.robustness.gradient_attacks import ATTACKS  # noqa: E402
from kidsnanny.evaluation.robustness.robust_accuracy import RobustAccuracy  # noqa: E402
from kidsnanny.evaluation.robustness.white_box import ClassifierNetwork, attack_robustness  # noqa: E402
from kidsnanny.evaluation.systems.card_models import classifier as classifier_by_card  # noqa: E402
from kidsnanny.evaluation.systems.registry import SYSTEMS  # noqa: E402
from kidsnanny.evaluation.systems.system import Answer, Baseline, Options, Shown  # noqa: E402
from kidsnanny.evaluation.systems.unsafebench_classifiers import PublishedClassifier, as_system  # noqa: E402
from kidsnanny.models.cards import ClassifierCard, ImageEncoderCard, cards, make_card  # noqa: E402
from kidsnanny.models.onnx_export import save_random  # noqa: E402
from kidsnanny.models.store import digest  # noqa: E402
from kidsnanny.taxonomy import UNSAFEBENCH  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_home")]
KINDS = ("q16", "multiheaded", "sd-filter", "nsfw-detector")


class Linear:
    """A white box whose margin is the mean of red above a quarter of 1, times `steep`."""

    device = "cpu"

    class preparation:
        input, crop, interpolation, layout = 8, None, "bilinear", "rgb"
        mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self, steep: float = 1.0) -> None:
        self.steep = steep

    def pixels(self, frames: Sequence[np.ndarray]) -> torch.Tensor:
        small = [np.asarray(Image.fromarray(one).resize((8, 8)), np.float32) / 255 for one in frames]
        return torch.from_numpy((np.stack(small).transpose(0, 3, 1, 2) - 0.5) / 0.25)

    def margin(self, pixels: torch.Tensor) -> torch.Tensor:
        return ((pixels[:, 0] * 0.25 + 0.5).mean(dim=(1, 2)) - 0.25) * self.steep

    def unsafe(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.margin(pixels) >= 0

    def system(self) -> Baseline:
        def look(shown: Sequence[Shown]) -> list[Answer]:
            flags = self.unsafe(self.pixels([one.frame for one in shown])).tolist()
            return [Answer(float(flag)) for flag in flags]

        return Baseline(
            SystemDescription(
                name="linear",
                regime="vision-only",
                categories=("nudity",),
                rule="red",
                licence="none",
                threshold=0.5,
                origin="test",
                models={},
            ),
            look,
        )


def reds(*levels: int) -> Dataset:
    """Pictures of so much red, those from a quarter of 255 on unsafe, in turn of two sources."""
    examples = [
        Example(str(level), encoded(Image.new("RGB", (16, 16), (level, 0, 0))), level >= 64, "nudity", source, "")
        for level, source in zip(levels, "ab" * 10, strict=False)
    ]
    return Dataset("reds", lambda: iter(examples))


def attacked(network: Linear, data: Dataset, **how: object) -> dict[str, RobustAccuracy]:
    return {one.change: one for one in attack_robustness(network.system(), network, data, **how)}


def test_pictures_within_reach_are_lost_and_others_are_not() -> None:
    """0.01 after division by .25 is 0.6 of 255 levels."""
    found = attacked(Linear(), reds(10, 63, 66, 250))
    assert list(found) == ["unchanged", *ATTACKS]
    assert {one.right.successes for one in found.values()} == {4}
    wider = attacked(Linear(), reds(10, 63, 66, 250), eps=0.02)
    assert wider["fgsm"].right.successes == wider["pgd"].right.successes == wider["deepfool"].right.successes == 3


@pytest.mark.parametrize(("levels", "lost"), [(1, {"63"}), (4, {"63", "66", "67"}), (60, {"10", "63", "66", "67"})])
def test_in_levels_a_picture_that_a_file_can_hold_is_found(levels: int, lost: set[str]) -> None:
    found = attacked(Linear(), reds(10, 63, 66, 67, 250), levels=levels)
    for name in ("fgsm", "pgd"):
        assert found[name].right.n - found[name].right.successes == len(lost)
        assert found[name].what == f"at most {levels} of 255 levels of each value"
    assert 0 < found["gaussian-noise"].mse <= (levels / 255) ** 2 * 1.1


def test_the_result_says_of_which_source_and_label_the_lost_ones_are() -> None:
    fgsm = attacked(Linear(), reds(10, 66, 63, 250), levels=4)["fgsm"]
    assert {source: one.successes for source, one in fgsm.by_source.items()} == {"a": 1, "b": 1}
    assert {label: one.successes for label, one in fgsm.by_label.items()} == {"unsafe": 1, "safe": 1}
    assert fgsm.mse == pytest.approx((4 / 255) ** 2 / 3)  # only red has a gradient


def test_pictures_that_attacks_cannot_see_through_are_counted() -> None:
    found = attacked(Linear(steep=1e6), reds(10, 63, 66, 250), levels=60)
    assert {name: one.without_gradient for name, one in found.items()} == dict.fromkeys(found, 4)
    assert attacked(Linear(), reds(63, 66), levels=4)["pgd"].without_gradient == 0


def test_only_pictures_that_the_system_got_right_are_attacked() -> None:
    wrong = Example("wrong", encoded(Image.new("RGB", (16, 16), (255, 0, 0))), False, "nudity", "a", "")
    data = Dataset("x", lambda: iter([*reds(10, 250), wrong]))
    assert attacked(Linear(), data)["unchanged"].right.n == 2


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> ImageEncoderCard:
    """A tiny CLIP in the place of clip-vit-l-14, as a user brings weights."""
    assert not own_home.exists()
    return pin_tiny_clip(tmp_path / "clip", monkeypatch)


def album(model: PublishedClassifier) -> Dataset:
    """Drawings labelled as the classifier sees them."""
    frames = [np.asarray(gradient(40, 40, seed=n)) for n in range(12)]
    flags = model.unsafe(model.pixels(frames)).tolist()
    examples = [
        Example(
            str(n),
            encoded(Image.fromarray(frame)),
            flag,
            "Harassment" if model.card.kind == "q16" else "Sexual",
            "web",
            "",
        )
        for n, (frame, flag) in enumerate(zip(frames, flags, strict=True))
    ]
    return Dataset("album", lambda: iter(examples))


def margin_of(kind: str, scores: np.ndarray) -> np.ndarray:
    return np.log(scores / (1 - scores)) / 2 if kind == "q16" else scores - 0.5


@pytest.mark.usefixtures("clip")
@pytest.mark.parametrize("kind", KINDS)
def test_unsafebenchs_classifiers_are_attacked_through_their_image_tower(kind: str, tmp_path: Path) -> None:
    cards()[kind].pin_local(write_head(tmp_path / kind, kind))
    model = PublishedClassifier(kind, device="cpu")
    system = as_system(kind, model, Options())
    found = {one.change: one for one in attack_robustness(system, model, album(model), ("fgsm", "pgd"), levels=12)}
    assert found["unchanged"].right.value == 1
    assert found["pgd"].without_gradient == 0
    assert 0 < found["fgsm"].mse <= (12 / 255) ** 2
    frames = [np.asarray(gradient(40, 40, seed=n)) for n in range(12)]
    given = model.pixels(frames)
    assert model.margin(given).detach().numpy() == pytest.approx(margin_of(kind, model.scores(given).numpy()), abs=6e-4)


@pytest.mark.usefixtures("clip")
@pytest.mark.parametrize(
    ("kind", "spoken", "silent"),
    [
        (
            "q16",
            tuple(name for name in UNSAFEBENCH if name not in ("Sexual", "Spam")),
            ("Sexual", "Spam"),
        ),
        ("multiheaded", ("Sexual", "Violence", "Shocking", "Hate", "Political"), ("Harassment", "Spam", "Deception")),
        ("sd-filter", ("Sexual",), ("Violence", "Political", "Harassment")),
        ("nsfw-detector", ("Sexual", "Harassment"), ("Violence", "Political")),
    ],
)
def test_each_speaks_about_the_categories_that_the_paper_evaluates_it_on(
    kind: str, spoken: tuple[str, ...], silent: tuple[str, ...], tmp_path: Path
) -> None:
    cards()[kind].pin_local(write_head(tmp_path / kind, kind))
    system = SYSTEMS[kind](Options())
    assert system.rows[0].caveats == ("random",)
    examples = [Example(name, encoded(gradient()), True, name, "web", "") for name in (*spoken, *silent)]
    found = {line.id: line for (line,) in system.predict(examples)}
    scores = [found[name].score for name in spoken]
    assert None not in scores
    assert scores == pytest.approx([scores[0]] * len(spoken), abs=1e-5)
    assert all("does not speak about" in str(found[name].unscored) for name in silent)


@pytest.mark.parametrize(("differs", "refused"), [(0.0, False), (1e-4, False), (0.1, True)])
def test_a_safety_checker_with_another_image_tower_is_refused(
    differs: float, refused: bool, tmp_path: Path, clip: ImageEncoderCard
) -> None:
    from safetensors.torch import load_file

    own = load_file(clip.locate())["visual_projection.weight"] + differs
    path = write_head(tmp_path / "sd", "sd-filter", **{"visual_projection.weight": own, "logit_scale": torch.zeros(1)})
    cards()["sd-filter"].pin_local(path)
    if not refused:
        assert PublishedClassifier("sd-filter", device="cpu").threshold == 0.5005
        return
    with pytest.raises(WeightsError, match="holds another image tower than clip-vit-l-14; make a card"):
        PublishedClassifier("sd-filter", device="cpu")


def test_a_head_over_a_narrower_encoder_is_refused(tmp_path: Path, clip: ImageEncoderCard) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import CLIPVisionConfig

    path = clip.locate()
    held = load_file(path)
    held["visual_projection.weight"] = held["visual_projection.weight"][:512].contiguous()
    save_file(held, path)
    config = CLIPVisionConfig.from_pretrained(path.parent)
    config.projection_dim = 512
    config.save_pretrained(path.parent)
    clip.pin_local(path)
    cards()["sd-filter"].pin_local(write_head(tmp_path / "sd", "sd-filter"))
    with pytest.raises(WeightsError, match="it reads 768 numbers, and its encoder clip-vit-l-14 gives 512; name CLIP"):
        PublishedClassifier("sd-filter", device="cpu")


@pytest.mark.parametrize("score_of", ["sexual", "all"])
def test_a_classifiers_card_is_a_white_box(score_of: str, tmp_path: Path) -> None:
    card = cards()["falconsai-nsfw"]
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small = card.model_copy(update={"config": tiny})
    small.pin_local(save_random(small, tmp_path / "model.safetensors"))
    network = ClassifierNetwork(small, ("sexual",) if score_of == "sexual" else (), 0.4, device="cpu")
    from kidsnanny.stage1.classifier import Classifier

    frames = [np.asarray(gradient(40, 40, seed=n)) for n in range(4)]
    expected = Classifier(small, device="cpu").probabilities(frames)[:, 1]
    margin = network.margin(network.pixels(frames)).numpy()
    assert margin == pytest.approx(expected - 0.4, abs=1e-5)
    assert network.unsafe(network.pixels(frames)).tolist() == (margin >= 0).tolist()
    with pytest.raises(ComponentError, match="its labels do not speak about"):
        ClassifierNetwork(small, ("scam",), device="cpu")


def test_a_network_that_sees_values_far_from_unsafebenchs_is_attacked_in_levels_only() -> None:
    class Raw(Linear):
        class preparation(Linear.preparation):
            mean, std = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)

    with pytest.raises(ComponentError, match="sees values from 0 to 255, and UnsafeBench's attacks keep to -3 to 3"):
        attacked(Raw(), reds(10, 63, 66, 250))


@pytest.mark.parametrize("layout", ["rgb", "rgb_last", "bgr_last"])
def test_gradients_go_through_an_onnx_file_that_was_turned_into_torch(layout: str, tmp_path: Path) -> None:
    """Its logits are ten times red and ten times blue."""
    pytest.importorskip("onnx2pytorch")
    card = colours(tmp_path, layout)
    network = ClassifierNetwork(card, ("nudity",), device="cpu")
    shades = [(128, 0, 127), (127, 0, 128), (200, 0, 20)]
    given = network.pixels([np.full((20, 20, 3), shade, np.uint8) for shade in shades])
    expected = [1 / (1 + np.exp((blue - red) / 25.5)) - 0.5 for red, _, blue in shades]
    assert network.margin(given).tolist() == pytest.approx(expected, abs=1e-4)
    system = classifier_by_card("mine", card, Options())
    examples = [
        Example(str(n), encoded(Image.new("RGB", (20, 20), shade)), shade[0] > shade[2], "nudity", "", "")
        for n, shade in enumerate(shades)
    ]
    data = Dataset("shades", lambda: iter(examples))
    found = {one.change: one.right for one in attack_robustness(system, network, data, ("fgsm", "pgd"), levels=2)}
    assert {name: one.successes for name, one in found.items()} == {"unchanged": 3, "fgsm": 1, "pgd": 1}


def test_an_onnx_file_that_torch_computes_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx2pytorch = pytest.importorskip("onnx2pytorch")
    monkeypatch.setattr(
        onnx2pytorch, "ConvertModel", lambda *_, **__: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
    )
    with pytest.raises(ComponentError, match=r"turned into torch \(its outputs differ from ONNX Runtime's by"):
        ClassifierNetwork(colours(tmp_path, "rgb"), device="cpu")


def test_without_the_converter_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx2pytorch", None)
    with pytest.raises(ComponentError, match=r"no gradient goes through n\.onnx .*run `pip install onnx2pytorch`"):
        ClassifierNetwork(colours(tmp_path, "rgb"), device="cpu")


def colours(folder: Path, layout: str) -> ClassifierCard:
    """A card of an ONNX file that looks at red and blue, and whose values are UnsafeBench's kind."""
    colour_classifier(folder / "n.onnx", (0, 2), side=16, last=layout != "rgb", ends_in="Softmax")
    if layout == "bgr_last":
        colour_classifier(folder / "n.onnx", (2, 0), side=16, last=True, ends_in="Softmax")
    facts = {"role": "classifier", "what": "x", "licence": "ours", "path": str(folder / "n.onnx"), "layout": layout}
    facts |= {
        "files": {"n.onnx": {"sha256": digest(folder / "n.onnx")}},
        "input": 16,
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
        "interpolation": "bilinear",
        "probabilities": True,
    }
    card = make_card("mine", {**facts, "labels": {"red": {"nudity": 1.0}, "blue": {}}})
    assert isinstance(card, ClassifierCard)
    return card
