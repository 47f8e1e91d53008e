"""Encoders of timm and transformers, with random weights at small sizes: each against its own library."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import gradient
from PIL import Image
from small_towers import card_of, made

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.models.onnx_export import export, save_random
from kidsnanny.models.transformers_encoders import embed_sentences
from kidsnanny.probes.encoders import load_encoder
from kidsnanny.probes.q16 import zero_shot
from kidsnanny.probes.random_clip import ARCHITECTURES, random_clip

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_home")]
torch = pytest.importorskip("torch")

FRAMES = [np.asarray(gradient(50 + n, 40, seed=n)) for n in range(3)]


def prepared(mean: float = 0.5) -> "torch.Tensor":
    squares = [np.asarray(Image.fromarray(one).resize((32, 32), 3)) for one in FRAMES]
    return torch.from_numpy(((np.stack(squares) / 255 - mean) / 0.5).transpose(0, 3, 1, 2).astype(np.float32))


def features(kind: str, model: object) -> np.ndarray:
    """What the library's own code makes of the frames."""
    with torch.inference_mode():
        if kind == "vit":
            return model.vit(prepared()).last_hidden_state[:, 0].numpy()
        found = model.get_image_features(pixel_values=prepared())
        return getattr(found, "pooler_output", found).numpy()


@pytest.mark.parametrize("kind", ["clip", "siglip", "vit"])
def test_a_tower_gives_what_its_library_gives(tmp_path: Path, kind: str) -> None:
    model = made(tmp_path, kind)
    encoder = load_encoder(card_of(tmp_path, architecture=f"transformers:{kind}"), device="cpu")
    expected = features(kind, model)
    assert encoder.width == expected.shape[1]
    assert encoder(FRAMES) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_sentences_are_read_by_the_tower_beside_it(tmp_path: Path, kind: str) -> None:
    from transformers import AutoTokenizer

    model, card = made(tmp_path, kind), card_of(tmp_path, architecture=f"transformers:{kind}")
    sentences = ["this image is fine", "bad"]
    padding = {"clip": True, "siglip": "max_length"}[kind]
    tokens = AutoTokenizer.from_pretrained(tmp_path)(
        sentences, padding=padding, truncation=True, max_length=8, return_tensors="pt"
    )
    with torch.inference_mode():
        mask = {"attention_mask": tokens["attention_mask"]} if kind == "clip" else {}
        found = model.get_text_features(input_ids=tokens["input_ids"], **mask)
    expected = getattr(found, "pooler_output", found).numpy()
    assert embed_sentences(card, sentences) == pytest.approx(expected, abs=1e-4)
    probe = zero_shot(card, sentences)
    assert probe.prompts == pytest.approx(expected, abs=1e-4)
    rows = load_encoder(card, device="cpu")(FRAMES)
    normal = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (rows, expected)]
    assert probe.logits(rows) == pytest.approx(100 * normal[0] @ normal[1].T, abs=1e-3)


def test_what_has_no_text_tower_or_no_tokenizer_is_said(tmp_path: Path) -> None:
    made(tmp_path / "vit", "vit")
    with pytest.raises(ComponentError, match="transformers:vit has no text tower; expected transformers:clip"):
        zero_shot(card_of(tmp_path / "vit", architecture="transformers:vit"))
    made(tmp_path / "clip", "clip")
    (tmp_path / "clip" / "tokenizer.json").unlink()
    with pytest.raises(
        ComponentError, match=r"its card lists no tokenizer\.json, so sentences cannot be read; add them"
    ):
        zero_shot(card_of(tmp_path / "clip", architecture="transformers:clip"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"architecture": "transformers:bert"}, "transformers:bert has no image tower; expected transformers:clip"),
        ({"architecture": "transformers:siglip"}, "lacks .* weights|does not open as"),
        (
            {"architecture": "transformers:clip", "input": 64},
            "sees pictures of 32 pixels, and its card 64; write input",
        ),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path: Path, change: dict, says: str) -> None:
    made(tmp_path, "clip")
    with pytest.raises((ComponentError, WeightsError), match=says):
        load_encoder(card_of(tmp_path, **change), device="cpu")


def test_weights_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    made(tmp_path, "clip")
    held = load_file(tmp_path / "model.safetensors")
    save_file({key: held[key] for key in held if "visual_projection" not in key}, tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=r"lacks 1 weights \(visual_projection\.weight…\); fix the card's architecture"
    ):
        load_encoder(card_of(tmp_path, architecture="transformers:clip"), device="cpu")


def test_a_network_of_timm_loses_its_head(tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    config = {"img_size": 32, "patch_size": 16}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=7, **config).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    card = card_of(tmp_path, architecture="timm:vit_tiny_patch16_224", config=config)
    encoder = load_encoder(card, device="cpu")
    with torch.inference_mode():
        expected = model.forward_head(model.forward_features(prepared()), pre_logits=True).numpy()
    assert encoder(FRAMES) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["timm", "clip"])
def test_an_onnx_twin_gives_the_same_rows_under_the_same_revision(tmp_path: Path, kind: str) -> None:
    if kind == "clip":
        made(tmp_path, "clip")
        card = card_of(tmp_path, architecture="transformers:clip")
    else:
        (tmp_path / "model.safetensors").touch()
        config = {"img_size": 32, "patch_size": 16}
        card = card_of(tmp_path, architecture="timm:vit_tiny_patch16_224", config=config)
        save_random(card, tmp_path / "model.safetensors")
        card.pin_local()
    before = load_encoder(card, device="cpu")
    export(card)
    after = load_encoder(card, device="cpu")
    assert type(after.network).__name__ == "Onnx"
    assert after(FRAMES) == pytest.approx(before(FRAMES), abs=1e-3)
    assert after.model_id == before.model_id
    assert after.model_id.caveat == ("random" if kind == "timm" else None)


def test_a_config_that_is_none_is_said(tmp_path: Path) -> None:
    made(tmp_path, "clip")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": 3}))
    with pytest.raises(WeightsError, match="does not open as transformers:clip"):
        load_encoder(card_of(tmp_path, architecture="transformers:clip"), device="cpu")


@pytest.mark.parametrize(
    ("architecture", "count"), [("ViT-B/32", 87_849_216), ("ViT-B/16", 86_192_640), ("ViT-L/14", 303_966_208)]
)
def test_a_random_clip_has_the_size_of_the_published_one(architecture: str, count: int) -> None:
    """Of CLIP's 151,277,313, 149,620,737 and 427,616,513 parameters those of the image tower and its projection."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = ARCHITECTURES[architecture]
    with torch.device("meta"):
        model = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes))
    assert sum(weight.numel() for weight in model.parameters()) == count


def test_a_random_clip_is_opened_as_a_users_own_and_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {
        "patch_size": 32,
        "projection_dim": 24,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    monkeypatch.setitem(ARCHITECTURES, "ViT-B/32", small | {"intermediate_size": 64})
    card = random_clip(tmp_path / "clip", "ViT-B/32")
    encoder = load_encoder(card, device="cpu")
    assert str(encoder.model_id).startswith("random-clip-vit-b-32@")
    assert encoder.model_id.caveat == "random"
    rows = encoder(FRAMES)
    assert rows.shape == (3, 24)
    assert np.array_equal(load_encoder(random_clip(tmp_path / "again", "ViT-B/32"), device="cpu")(FRAMES), rows)
    assert not np.array_equal(
        load_encoder(random_clip(tmp_path / "other", "ViT-B/32", seed=1), device="cpu")(FRAMES), rows
    )
