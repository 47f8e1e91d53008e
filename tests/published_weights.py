"""Weights of UnsafeBench's classifiers as a user would have them: heads at their full size over a tiny CLIP, random."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kidsnanny.models.cards import ImageEncoderCard, cards, find_card

RANDOM = {"format": "pt", "kidsnanny": "random"}
WIDTH = 768
SIDE = 32


def shapes(kind: str) -> dict[str, dict[str, tuple[int, ...]]]:
    """File -> tensor -> shape, as they are published; of the safety checker, its own tensors."""
    if kind == "multiheaded":
        layers = {"0.weight": (384, WIDTH), "0.bias": (384,), "4.weight": (1, 384), "4.bias": (1,)}
        layers |= {f"3.{name}": (384,) for name in ("weight", "bias", "running_mean", "running_var")}
        layers["3.num_batches_tracked"] = ()
        names = ("sexual", "violent", "disturbing", "hateful", "political")
        return {f"{name}.safetensors": layers for name in names}
    if kind == "sd-filter":
        return {
            "model.safetensors": {
                "concept_embeds": (17, WIDTH),
                "concept_embeds_weights": (17,),
                "special_care_embeds": (3, WIDTH),
                "special_care_embeds_weights": (3,),
            }
        }
    if kind == "q16":
        return {"prompts.safetensors": {"prompts": (2, WIDTH)}}
    sizes = (WIDTH, 64, 512, 256, 1)
    layers = {f"linear_{n}.weight": (sizes[n], sizes[n - 1]) for n in (1, 2, 3, 4)}
    layers |= {f"linear_{n}.bias": (sizes[n],) for n in (1, 2, 3, 4)}
    return {"clip_autokeras_binary_nsfw.safetensors": layers | {"norm.mean": (WIDTH,), "norm.variance": (WIDTH,)}}


def write_head(folder: Path, kind: str, **further: torch.Tensor) -> Path:
    """The files of a head; the path of the first. Variances are positive, thresholds those of a plausible cosine."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = torch.Generator().manual_seed(1)
    first = None
    for name, layers in shapes(kind).items():
        tensors = {
            key: torch.randn(shape, generator=chance) / (shape or (1,))[-1] ** 0.5 for key, shape in layers.items()
        }
        for key in tensors:
            if "var" in key:
                tensors[key] = tensors[key].abs() + 0.5
            elif key.endswith("num_batches_tracked"):
                tensors[key] = torch.tensor(7)
            elif key.endswith("embeds_weights"):
                tensors[key] = tensors[key].abs() / 10
        save_file(tensors | further, folder / name, RANDOM)
        first = first or folder / name
    assert first
    return first


def write_clip(folder: Path) -> Path:
    """The image tower of a tiny CLIP whose embedding is as wide as ViT-L/14's, and its config.json."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(**sizes, image_size=SIDE, patch_size=8, projection_dim=WIDTH)
    )
    for weight in model.parameters():  # a fresh network finds every picture alike
        weight.data += torch.randn_like(weight) * 0.2
    model.eval().save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", RANDOM)
    return folder / "model.safetensors"


def pin_tiny_clip(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ImageEncoderCard:
    """That CLIP in the place of clip-vit-l-14, as a user brings weights."""
    card = find_card("clip-vit-l-14", ImageEncoderCard)
    files = {name: file for name, file in card.files.items() if name in ("model.safetensors", "config.json")}
    small = card.model_copy(update={"input": SIDE, "files": files})
    monkeypatch.setitem(cards(), card.name, small)
    small.pin_local(write_clip(folder))
    return small
