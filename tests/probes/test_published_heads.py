"""The published heads: their layers at full size, their formulas, and what is said of files that do not fit."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from published_weights import WIDTH, shapes, write_head  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from kidsnanny.errors import WeightsError  # noqa: E402
from kidsnanny.models.cards import HeadCard, ProbeCard, cards, make_card, shipped  # noqa: E402
from kidsnanny.models.store import digest  # noqa: E402
from kidsnanny.probes.published_heads import HEADS, NsfwDetector, SafetyChecker, load_head  # noqa: E402
from kidsnanny.probes.q16 import Q16  # noqa: E402

pytestmark = pytest.mark.torch
KINDS = tuple(HEADS)


def rows(count: int = 5) -> torch.Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(3))


def card_of(folder: Path, kind: str) -> HeadCard | ProbeCard:
    files = {name: {"sha256": digest(folder / name)} for name in shapes(kind)}
    facts = {"role": "head", "what": "x", "licence": "ours", "encoder": "clip-vit-l-14", "kind": kind}
    if kind == "q16":
        facts |= {"role": "probe", "labels": {"fine": {}, "inappropriate": {}}}
    card = make_card("mine", {**facts, "path": folder, "files": files})
    assert isinstance(card, HeadCard | ProbeCard)
    return card


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_the_published_shapes_load_by_the_shipped_card(kind: str, tmp_path: Path, own_home: Path) -> None:
    assert not own_home.exists()
    card = cards()[kind]
    assert isinstance(card, HeadCard | ProbeCard)
    card.pin_local(write_head(tmp_path, kind))
    head, files = load_head(card)
    assert [file.name for file in files] == list(shapes(kind)) == list(card.files)
    assert not head.training
    scores = head.scores(rows())
    assert scores.shape == (5,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(set(scores.tolist())) == 5


def test_q16_is_that_of_the_probes_and_its_margin_gives_the_attacks_their_softmax(tmp_path: Path) -> None:
    """UnsafeBench's attacks see softmax(logits); ours see softmax(-margin, margin)."""
    write_head(tmp_path, "q16")
    head, _ = load_head(card_of(tmp_path, "q16"))
    prompts = load_file(tmp_path / "prompts.safetensors")["prompts"].double()
    lengths = prompts.norm(dim=1) * rows().double().norm(dim=1, keepdim=True)
    logits = 100 * (rows().double() @ prompts.T) / lengths
    expected = logits.softmax(dim=1)[:, 1]
    assert head.scores(rows()).tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert head.scores(rows()).numpy() == pytest.approx(Q16(prompts.numpy()).inappropriate(rows().numpy()), abs=1e-5)
    margin = head.margin(rows())
    softmax = torch.stack([-margin, margin], dim=1).softmax(dim=1)
    assert softmax.flatten().tolist() == pytest.approx(logits.softmax(dim=1).flatten().tolist(), abs=1e-5)
    assert (head.scores(rows() * 9) >= head.threshold).tolist() == (logits.argmax(dim=1) == 1).tolist()


def test_a_linear_probe_is_no_published_classifier(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1, WIDTH), "bias": torch.zeros(1)}, tmp_path / "p.safetensors")
    facts = {"role": "probe", "what": "x", "licence": "ours", "encoder": "clip-vit-l-14", "kind": "linear"}
    card = make_card("mine", {**facts, "path": str(tmp_path / "p.safetensors"), "labels": {"violence": {}}})
    assert isinstance(card, ProbeCard)
    with pytest.raises(WeightsError, match="mine: it is a linear probe; name one of the kinds q16, multiheaded"):
        load_head(card)


def test_multiheaded_is_the_loudest_of_five_perceptrons(tmp_path: Path) -> None:
    write_head(tmp_path, "multiheaded")
    head, _ = load_head(card_of(tmp_path, "multiheaded"))
    said = []
    for name in shapes("multiheaded"):
        one = {key: value.double() for key, value in load_file(tmp_path / name).items()}
        hidden = (rows().double() @ one["0.weight"].T + one["0.bias"]).clamp(min=0)
        hidden = (hidden - one["3.running_mean"]) / (one["3.running_var"] + 1e-5).sqrt()
        hidden = hidden * one["3.weight"] + one["3.bias"]
        said.append(1 / (1 + torch.exp(-(hidden @ one["4.weight"].T + one["4.bias"])[:, 0])))
    expected = torch.stack(said).amax(dim=0)
    assert head.scores(rows()).tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert head.margin(rows()).tolist() == pytest.approx((expected - 0.5).tolist(), abs=1e-5)


def test_the_nsfw_detector_scales_the_normalised_embedding(tmp_path: Path) -> None:
    head, _ = load_head(card_of(write_head(tmp_path, "nsfw-detector").parent, "nsfw-detector"))
    one = {k: v.double() for k, v in load_file(tmp_path / "clip_autokeras_binary_nsfw.safetensors").items()}
    found = rows().double() / rows().double().norm(dim=1, keepdim=True)
    found = (found - one["norm.mean"]) / one["norm.variance"].sqrt()
    for n in (1, 2, 3):
        found = (found @ one[f"linear_{n}.weight"].T + one[f"linear_{n}.bias"]).clamp(min=0)
    expected = 1 / (1 + torch.exp(-(found @ one["linear_4.weight"].T + one["linear_4.bias"])[:, 0]))
    assert isinstance(head, NsfwDetector)
    assert head.scores(rows()).tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert head.scores(rows() * 9).tolist() == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("concept", "special", "unsafe"),
    [
        (0.30, -0.5, False),
        (-0.0004, -0.5, False),  # rounded to 0
        (0.0006, -0.5, True),
        (-0.0092, 0.0007, True),  # 0.01 stricter
        (-0.0092, 0.0004, False),  # the special match is rounded to 0
        (-0.0108, 0.5, False),
    ],
)
def test_the_safety_checker_decides_by_rounded_excesses(concept: float, special: float, unsafe: bool) -> None:
    """`concept` and `special` are how far a cosine is above its threshold."""
    head = SafetyChecker()
    row = torch.zeros(1, WIDTH)
    row[0, 0] = 5
    head.concept_embeds.data[:, 1] = 1
    head.special_care_embeds.data[:, 1] = 1
    head.concept_embeds_weights.data[:] = 0.6
    head.special_care_embeds_weights.data[:] = 0.6
    if concept != 0.30:
        cosine = 0.6
        head.concept_embeds.data[4] = torch.zeros(WIDTH)
        head.concept_embeds.data[4, :2] = torch.tensor([cosine, (1 - cosine**2) ** 0.5]) * 3
        head.concept_embeds_weights.data[4] = cosine - concept
        head.special_care_embeds.data[1] = head.concept_embeds.data[4]
        head.special_care_embeds_weights.data[1] = cosine - special
    (score,) = head.scores(row).tolist()
    assert (score >= head.threshold) == unsafe
    assert head.margin(row).item() == pytest.approx(
        -0.6 if concept == 0.30 else concept + 0.01 * (special > 0), abs=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_margin_has_a_gradient_and_its_sign_is_the_decision(kind: str, tmp_path: Path) -> None:
    head, _ = load_head(card_of(write_head(tmp_path, kind).parent, kind))
    given = rows(40).requires_grad_()
    margin = head.margin(given)
    (slope,) = torch.autograd.grad(margin.sum(), given)
    assert (slope.abs().sum(dim=1) > 0).all()
    clear = margin.abs() > 1e-3
    assert clear.any()
    assert ((margin > 0) == (head.scores(given) >= head.threshold))[clear].all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda held: held.popitem(), "does not fit a .* head"),
        (lambda held: held.update({next(k for k in held if held[k].ndim): torch.zeros(3)}), "does not fit a .* head"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(kind: str, change: object, says: str, tmp_path: Path) -> None:
    path = write_head(tmp_path, kind)
    held = load_file(path)
    change(held)
    save_file(held, path)
    with pytest.raises(WeightsError, match=says) as told:
        load_head(card_of(tmp_path, kind))
    assert str(told.value).endswith("get the file again.")


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    path = write_head(tmp_path, "nsfw-detector")
    path.write_bytes(b"not safetensors")
    with pytest.raises(WeightsError, match="is not safetensors"):
        load_head(card_of(tmp_path, "nsfw-detector"))


def test_every_kind_has_a_shipped_card_over_clip_vit_l_14() -> None:
    found = {card.kind: card for card in shipped().values() if isinstance(card, HeadCard | ProbeCard)}
    assert found.keys() == set(KINDS)
    assert {card.encoder for card in found.values()} == {"clip-vit-l-14"}
