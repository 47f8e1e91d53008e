"""Prompts learned through a frozen text tower: on a small CLIP whose random weights are marked as such."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded
from PIL import Image
from small_towers import card_of, made, marked_random
from typer.testing import CliRunner, Result

from kidsnanny.cli.app import app
from kidsnanny.errors import ComponentError, DataError
from kidsnanny.models.cards import ImageEncoderCard
from kidsnanny.models.transformers_encoders import embed_sentences
from kidsnanny.probes.encoders import load_encoder
from kidsnanny.probes.perspective import perspective
from kidsnanny.probes.probe_files import load_probe, read_probe, write_probe
from kidsnanny.probes.prompt_probe import PromptProbe
from kidsnanny.training.probe.learn_prompts import PromptLearning, PromptTower, learn_prompts

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_home")]
torch = pytest.importorskip("torch")

LABELS = ("Violence", "my_weapons")
FEW = PromptLearning(steps=200, context=4)


@pytest.fixture
def card(tmp_path: Path, own_home: Path) -> ImageEncoderCard:  # noqa: ARG001
    made(tmp_path / "clip", "clip", reads=24)
    return card_of(marked_random(tmp_path / "clip"), architecture="transformers:clip")


@pytest.fixture
def tower(card: ImageEncoderCard) -> PromptTower:
    return PromptTower(card, "cpu")


def learnable(tower: PromptTower, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Rows around what the tower makes of prompts with vectors that nobody knows: a third each is harmless, of the one
    label and of the other."""
    draw, noise = torch.Generator().manual_seed(5), np.random.default_rng(0)
    hidden = 0.02 * torch.randn(FEW.context, tower.width, generator=draw)
    features = tower.features(tower.tokens(LABELS, FEW.context), hidden).numpy()
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    which = np.arange(count) % 3
    rows = features[which] + 0.02 * noise.standard_normal((count, features.shape[1]))
    return rows.astype(np.float32), np.stack([which == 1, which == 2], axis=1)


def checksum(tower: PromptTower) -> str:
    state = tower.module.state_dict()
    return hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest()


def test_the_loss_falls_and_the_labels_are_told_apart(tower: PromptTower) -> None:
    rows, has = learnable(tower)
    before = learn_prompts(rows, has, LABELS, tower, FEW.model_copy(update={"steps": 1}))
    after = learn_prompts(rows, has, LABELS, tower, FEW.model_copy(update={"steps": 400}))
    assert np.mean(after.losses[-20:]) < 0.1 * after.losses[0]
    right = [((one.probe.probabilities(rows) >= 0.5) == has).mean() for one in (before, after)]
    assert right[0] < 0.8
    assert right[1] > 0.95


def test_the_tower_stays_and_only_the_vectors_are_learned(tower: PromptTower) -> None:
    rows, has = learnable(tower)
    was = checksum(tower)
    one, two = (
        learn_prompts(rows, has, LABELS, tower, FEW.model_copy(update={"steps": steps})).probe for steps in (1, 5)
    )
    assert checksum(tower) == was
    assert not any(weight.requires_grad or weight.grad is not None for weight in tower.module.parameters())
    assert not np.allclose(one.context, two.context)
    context = torch.zeros(FEW.context, tower.width, requires_grad=True)
    tower.features(tower.tokens(LABELS, FEW.context), context).sum().backward()
    assert (context.grad != 0).all(), "every vector is reached"


def test_the_same_seed_gives_the_same_prompts(tower: PromptTower) -> None:
    rows, has = learnable(tower)
    short = FEW.model_copy(update={"steps": 3})
    one, again = (learn_prompts(rows, has, LABELS, tower, short).probe for _ in range(2))
    other = learn_prompts(rows, has, LABELS, tower, short.model_copy(update={"seed": 1})).probe
    assert np.array_equal(one.features, again.features)
    assert not np.allclose(one.features, other.features)


def test_vectors_that_are_words_make_the_sentence_of_these_words(card: ImageEncoderCard, tower: PromptTower) -> None:
    """Whatever the places before the names hold, and however much longer other names are."""
    words = tower.module.get_input_embeddings().weight
    spoken = tower._tokenizer("this image is", add_special_tokens=False)["input_ids"]
    found = tower.features(tower.tokens(LABELS, 3), words[spoken])
    sentences = [f"this image is {name}" for name in ("safe", "Violence", "my weapons")]
    assert tower.tokens(LABELS, 3).shape == (3, 7)
    assert found.numpy() == pytest.approx(embed_sentences(card, sentences), abs=1e-5)


def test_what_is_saved_can_be_made_again_of_the_vectors(tower: PromptTower, tmp_path: Path) -> None:
    rows, has = learnable(tower)
    learned = learn_prompts(rows, has, LABELS, tower, FEW.model_copy(update={"steps": 9}))
    write_probe(learned.probe, tmp_path / "p.safetensors", random=True)
    held = read_probe(tmp_path / "p.safetensors")
    assert isinstance(held, PromptProbe)
    again = tower.features(tower.tokens(LABELS, FEW.context), torch.from_numpy(held.context))
    assert held.features == pytest.approx(again.numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "has", "context", "says"),
    [
        (("Violence",), [[1], [1]], 4, "Violence: 2 of 2 pictures have this label, and some must and some must not"),
        (("Violence",), [[0], [0]], 4, "Violence: 0 of 2 pictures have this label"),
        (("my weapons",), [[1], [0]], 21, "takes 25 tokens with its 21 vectors, and its text tower reads 24; give"),
        (("_",), [[1], [0]], 4, "its tokenizer reads nothing in the label '_'; rename it"),
    ],
)
def test_what_cannot_be_learned_is_said(
    tower: PromptTower, labels: tuple[str, ...], has: list[list[int]], context: int, says: str
) -> None:
    with pytest.raises(DataError, match=says) as told:
        learn_prompts(np.ones((2, 24), np.float32), np.array(has, bool), labels, tower, PromptLearning(context=context))
    assert str(told.value).endswith(".")


@pytest.mark.parametrize("kind", ["siglip", "vit"])
def test_an_encoder_without_clips_text_tower_is_refused(tmp_path: Path, kind: str) -> None:
    made(tmp_path, kind)
    with pytest.raises(ComponentError, match=f"and transformers:{kind} has none; name an encoder whose card says"):
        PromptTower(card_of(tmp_path, architecture=f"transformers:{kind}"))


# ------------------------------------------------------------------ the command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_one_command_learns_prompts_and_makes_a_card(
    card: ImageEncoderCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tomli_w

    from kidsnanny import Pipeline

    monkeypatch.chdir(tmp_path)
    fields = card.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    (tmp_path / "card.toml").write_text(tomli_w.dumps({"small-clip": fields}))
    assert run("weights", "add", "card.toml").exit_code == 0
    draw = np.random.default_rng(0)
    for label, colour in (("safe", (128,) * 3), ("Violence", (230, 60, 60)), ("my weapons", (60, 60, 230))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for n in range(12):
            near = tuple(np.clip(np.array(colour) + draw.integers(-60, 60, 3), 0, 255).tolist())
            (tmp_path / "data" / label / f"{n}.png").write_bytes(encoded(Image.new("RGB", (20, 10), near)))
    done = run(
        *("train", "probe", "--data", "data", "--encoder", "small-clip", "--kind", "prompts", "--means", "weapons"),
        *("--device", "cpu", "--out", "my-probe"),
    )
    assert done.exit_code == 0, done.output
    assert "over 3 hold-outs" in done.stderr
    record = json.loads((tmp_path / "my-probe" / "training.json").read_text())
    assert (record["kind"], len(record["losses"]), record["settings"]["context"]) == ("prompts", 500, 16)
    assert record["losses"][-1] < record["losses"][0]
    assert set(record["hold_outs"]) == {"Violence", "my weapons"}
    assert "weights are random" in (tmp_path / "my-probe" / "card.toml").read_text()
    assert run("weights", "add", "my-probe/card.toml").exit_code == 0
    probe = load_probe("my-probe")
    assert (probe.card.kind, probe.model_id.caveat) == ("prompts", "random")
    grey = np.full((10, 20, 3), 128, np.uint8)
    rows = load_encoder("small-clip", device="cpu")([grey])
    (found,) = perspective(probe, rows, ["my weapons"])
    assert (found.label, found.category) == (None, None), "on random weights nothing is known"
    assert found.scores["my weapons"] == pytest.approx(probe.weights.probabilities(rows)[0, 1])
    with Pipeline("my-probe", stage2=None) as pipeline:
        assert pipeline(grey).label in ("review", "unsafe")


def test_without_a_text_tower_nothing_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "data" / "safe").mkdir(parents=True)
    asked = ("--data", tmp_path / "data", "--encoder", "image-safety-s-hidden", "--out", tmp_path / "out")
    refused = run("train", "probe", "--kind", "prompts", *asked)
    assert refused.exit_code == 3
    assert "prompts are learned through CLIP's text tower, and an ONNX file has none" in " ".join(
        refused.stderr.split()
    )
    assert not (tmp_path / "out").exists()
