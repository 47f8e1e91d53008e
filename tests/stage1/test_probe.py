"""A probe as Stage 1: the contract, on the hidden layer of image-safety-s, and what a card must say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage
from conftest import gradient, page
from networks import colour_classifier
from stage1_contract import Stage1Contract, findings

from kidsnanny import Pipeline
from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import ProbeCard, make_card
from kidsnanny.models.store import digest
from kidsnanny.probes.encoders import CardEncoder, load_encoder
from kidsnanny.probes.linear_probe import LinearProbe
from kidsnanny.probes.probe_files import Weights, write_probe
from kidsnanny.probes.q16 import Q16
from kidsnanny.profiles.profile import Profile
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.ensemble import Ensemble
from kidsnanny.stage1.probe import Probe

HIDDEN = "image-safety-s-hidden"
DRAWINGS = {"fine": {}, "inappropriate": {"violence": 1.0}}
LABELS = {"Violence": {"violence": 1.0}, "any weapon": {"weapons": 0.5, "violence": 0.2}, "Spam": {}}
Maker = Callable[..., ProbeCard]


def frames_seen() -> list[RGB]:
    return [np.asarray(page("nobody")), skimage.data.astronaut(), np.asarray(gradient(90, 60))]


@pytest.fixture(scope="module")
def frames() -> list[RGB]:
    return frames_seen()


@pytest.fixture(scope="module")
def card_of(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Makes the card of a probe."""

    def make(weights: Weights, labels: dict, **facts: object) -> ProbeCard:
        path = tmp_path_factory.mktemp("probe") / "probe.safetensors"
        write_probe(weights, path)
        fields = {"role": "probe", "what": "x", "licence": "ours", "path": path.parent, "labels": labels}
        fields |= {"files": {path.name: {"sha256": digest(path)}}, "encoder": HIDDEN}
        fields["kind"] = "q16" if isinstance(weights, Q16) else "linear"
        card = make_card("my-probe", fields | facts)
        assert isinstance(card, ProbeCard)
        return card

    return make


@pytest.fixture(scope="module")
def hidden() -> CardEncoder:
    return load_encoder(HIDDEN)


class TestLinear(Stage1Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def stage1(cls, card_of: Maker, hidden: CardEncoder) -> Probe:
        weight = np.random.default_rng(0).standard_normal((3, hidden.width)) / 10
        return Probe(card_of(LinearProbe(weight, [0.1, 0.2, 0.3]), LABELS))


class TestQ16(Stage1Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def stage1(cls, card_of: Maker, hidden: CardEncoder) -> Probe:
        rows = hidden(frames_seen())
        return Probe(card_of(Q16(rows[:2]), DRAWINGS))


def test_it_says_what_its_weights_say_of_the_encoders_rows(card_of: Maker, hidden: CardEncoder) -> None:
    weights = LinearProbe(np.random.default_rng(0).standard_normal((3, hidden.width)) / 10, [0, 0, 0])
    model, frames = Probe(card_of(weights, LABELS), encoder=hidden), frames_seen()
    expected = weights.probabilities(hidden(frames))
    for seen, row in zip(model.screen(frames), expected, strict=True):
        found = {one.label: one.score for one in seen}
        assert found == pytest.approx(dict(zip(("Violence", "any_weapon", "Spam"), row.tolist(), strict=True)))
        assert [one.score for one in seen] == sorted(found.values(), reverse=True)
        signals = {(s.what, s.category): s.score for s in model.signals(findings(model, frames[:1], [seen]))}
        assert signals == pytest.approx(
            {
                ("Violence", "violence"): row[0],
                ("any_weapon", "weapons"): row[1] / 2,
                ("any_weapon", "violence"): row[1] / 5,
            }
        )


def test_q16_is_one_signal_for_each_category(card_of: Maker, hidden: CardEncoder) -> None:
    frames = frames_seen()
    rows = hidden(frames)
    model = Probe(card_of(Q16(rows[:2]), DRAWINGS), encoder=hidden)
    signals = model.signals(findings(model, frames, model.screen(frames)))
    assert [(one.category, one.frame) for one in signals] == [("violence", n) for n in range(3)]
    assert [one.score for one in signals] == pytest.approx(Q16(rows[:2]).inappropriate(rows).tolist())
    assert signals[0].score < 0.5 < signals[1].score


def test_it_looks_in_any_profile_beside_others(card_of: Maker, hidden: CardEncoder, tmp_path: Path) -> None:
    card = card_of(LinearProbe(np.zeros((1, hidden.width)), [4.0]), {"fight": {"violence": 1.0}})
    fields = card.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    stage1 = ({"model": "my-probe", "card": fields}, {"model": "nudenet-320n"})
    import tomli_w

    (tmp_path / "mine.toml").write_text(tomli_w.dumps({"name": "mine", "stage1": list(stage1)}))
    built = Profile.load(tmp_path / "mine.toml").build_stage1()
    assert isinstance(built, Ensemble)
    with Pipeline(tmp_path / "mine.toml") as pipeline:
        verdict = pipeline(gradient(100, 80))
    assert verdict.scores["violence"] == pytest.approx(0.982, abs=1e-3)
    assert verdict.label == "unsafe"
    assert {"violence", "nudity"} <= verdict.coverage.keys()
    assert any(reason.model == "my-probe" for reason in verdict.reasons)


def test_what_a_probe_on_random_weights_says_is_never_safe(card_of: Maker, tmp_path: Path) -> None:
    colour_classifier(tmp_path / "n.onnx", (0, 1), side=32, random=True)
    fields = {"role": "encoder", "what": "x", "licence": "x", "path": tmp_path, "output": "means", "input": 32}
    fields |= {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear"}
    encoder = load_encoder(
        make_card("colours", fields | {"files": {"n.onnx": {"sha256": digest(tmp_path / "n.onnx")}}})
    )
    model = Probe(card_of(LinearProbe([[0, 0, 0]], [-9]), {"fight": {"violence": 1.0}}), encoder=encoder)
    assert {one.caveat for one in model.models} == {"random"}
    with Pipeline(stage1=model, stage2=None) as pipeline:
        assert pipeline(gradient()).label == "review"


def test_it_stands_beside_a_detector(card_of: Maker, hidden: CardEncoder) -> None:
    card = card_of(LinearProbe(np.zeros((1, hidden.width)), [0.0]), {"fight": {"violence": 1.0}})
    both = Ensemble(Probe(card, encoder=hidden), Yolo("nudenet-320n"))
    (seen,) = both.screen([skimage.data.astronaut()])
    assert {"my-probe", "nudenet-320n"} == {one.model for one in seen}


@pytest.mark.parametrize(
    ("weights", "labels", "facts", "says"),
    [
        (
            np.zeros((1, 7)),
            {"a": {"gore": 1}},
            {},
            "it reads 7 numbers a frame, and image-safety-s-hidden@.* gives 224",
        ),
        (
            np.zeros((1, 224)),
            {"a": {"gore": 1}},
            {"encoder_revision": "0" * 12},
            "trained on .*@000000000000, and here is",
        ),
        (np.zeros((1, 224)), {"a": {}}, {}, "none of its labels means a category, so nothing would count; write which"),
        (
            np.zeros((1, 224)),
            {"a": {"gore": 1}, "b": {}},
            {},
            "is a linear probe of 1 labels, and its card is of a linear",
        ),
        (np.zeros((1, 224)), {"a": {"gore": 1}}, {"encoder": "nowhere"}, "nowhere: there is no card of that name"),
        (np.zeros((1, 224)), {"a": {"gore": 1}}, {"encoder": "image-safety-s"}, "of a classifier, not of an encoder"),
    ],
)
def test_what_does_not_fit_is_refused(
    card_of: Maker, weights: np.ndarray, labels: dict, facts: dict, says: str
) -> None:
    card = card_of(LinearProbe(weights, np.zeros(len(weights))), labels, **facts)
    with pytest.raises((WeightsError, ComponentError), match=says):
        Probe(card)


def test_weights_that_are_another_probes_are_refused(card_of: Maker) -> None:
    with pytest.raises(
        WeightsError, match="is a q16 probe of 2 labels, and its card is of a linear probe of 2; fix the"
    ):
        Probe(card_of(Q16(np.eye(2, 224)), DRAWINGS, kind="linear"))
    with pytest.raises(WeightsError, match="nudenet-320n: its card is of a detector, not of a probe"):
        Probe("nudenet-320n")
