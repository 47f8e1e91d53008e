"""CLIP's image towers at their exact sizes with random weights, for numerics, speed and plumbing. What they say means
nothing, and everything that comes of them says so."""

import json
from pathlib import Path

from kidsnanny.errors import ComponentError
from kidsnanny.models.cards import ImageEncoderCard, make_card
from kidsnanny.models.transformers_encoders import WEIGHTS

ARCHITECTURES: dict[str, dict[str, int]] = {
    "ViT-B/32": {"patch_size": 32, "projection_dim": 512},
    "ViT-B/16": {"patch_size": 16, "projection_dim": 512},
    "ViT-L/14": {
        "patch_size": 14,
        "projection_dim": 768,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
}
"""Those that Q16 was published for, as transformers' CLIPVisionConfig; what is not named is its default."""


def random_clip(folder: Path, architecture: str, seed: int = 0) -> ImageEncoderCard:
    """Write an image tower into a folder as transformers does, and pin it.

    Args:
        folder: it is made; a model there is replaced.
        architecture: one of ARCHITECTURES.
        seed: of the weights.

    Returns:
        Its card, which `load_encoder` opens as it opens CLIP's own.

    Raises:
        ComponentError: torch or transformers is missing.
        KeyError: there is no such architecture.
        WeightsError: the weights cannot be pinned.
        OSError: the folder cannot be written.
    """
    try:
        import torch
        from safetensors.torch import save_file
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    except ImportError as error:
        fix = "run `pip install 'kidsnanny[vit]'`"
        raise ComponentError(f"{architecture}: {error.name} cannot be imported; {fix}.") from error
    config = CLIPVisionConfig(**ARCHITECTURES[architecture])
    torch.manual_seed(seed)
    model = CLIPVisionModelWithProjection(config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()), "utf-8")
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / WEIGHTS, {"format": "pt", "kidsnanny": "random"})
    fields = {
        "role": "encoder",
        "what": f"CLIP's {architecture} with random weights",
        "licence": "none",
        "path": folder.absolute(),
        "files": {WEIGHTS: {}, "config.json": {}},
        "architecture": "transformers:clip",
        "input": config.image_size,
        "mean": (0.48145466, 0.4578275, 0.40821073),
        "std": (0.26862954, 0.26130258, 0.27577711),
        "interpolation": "bicubic",
        "crop": 1.0,
    }
    card = make_card(f"random-clip-{architecture.lower().replace('/', '-')}", fields)
    card.pin_local()
    assert isinstance(card, ImageEncoderCard)
    return card
