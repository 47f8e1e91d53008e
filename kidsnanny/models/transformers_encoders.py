"""The towers of CLIP, SigLIP and ViT in transformers' own form: a folder with config.json and model.safetensors."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.models.cards import ImageEncoderCard

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
"""The name that transformers looks for."""
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
"""Files that a text tower's sentences are split by."""


class _Tower(NamedTuple):
    """A class of transformers, its options, and what of its output is the embedding."""

    kind: str
    pick: Callable[[Any], "torch.Tensor"]
    options: Mapping[str, Any] = MappingProxyType({})
    padding: str | bool = True
    """Of a text: how its tokens are filled up."""


_IMAGE = {
    "clip": _Tower("CLIPVisionModelWithProjection", lambda out: out.image_embeds),
    "siglip": _Tower("SiglipVisionModel", lambda out: out.pooler_output),
    "vit": _Tower("ViTModel", lambda out: out.last_hidden_state[:, 0], {"add_pooling_layer": False}),
}
_TEXT = {
    "clip": _Tower("CLIPTextModelWithProjection", lambda out: out.text_embeds),
    "siglip": _Tower("SiglipTextModel", lambda out: out.pooler_output, padding="max_length"),
}


def image_tower(card: ImageEncoderCard, folder: Path) -> "torch.nn.Module":
    """A module that turns (N, 3, side, side) pixels into (N, width) embeddings, in evaluation mode.

    Args:
        card: its architecture is `transformers:clip`, `:siglip` or `:vit`.
        folder: holds config.json and the weights.

    Raises:
        ComponentError: there is no such architecture, or transformers is missing.
        WeightsError: the weights do not fit, or lack some.
    """
    import torch

    tower = _tower(card, _IMAGE)
    if Path(card.weights).name != WEIGHTS:
        raise WeightsError(
            f"{card.name}: its weights are {card.weights}; rename them to {WEIGHTS}, as transformers does."
        )
    inner = _opened(card, tower, folder)
    if (side := inner.config.image_size) != card.input:
        raise WeightsError(
            f"{card.name}: its config.json says that it sees pictures of {side} pixels, and its card {card.input}; "
            f"write input = {side} in the card."
        )

    class ImageTower(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return tower.pick(self.inner(pixel_values=pixels))

    return ImageTower().eval()


def has_text_tower(card: ImageEncoderCard) -> bool:
    """Whether sentences can be embedded as well: it is a CLIP or SigLIP, and lists its tokenizer's files."""
    library, _, name = (card.architecture or "").partition(":")
    return library == "transformers" and name in _TEXT and all(file in card.files for file in TOKENIZER)


def embed_sentences(card: ImageEncoderCard, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
    """(N, width) float32, not normalised: what the text tower beside the image tower makes of N sentences.

    Args:
        card: of CLIP or SigLIP, with `tokenizer.json` and `tokenizer_config.json` among its files.
        sentences: in the language that it was trained on, which is English.

    Raises:
        ComponentError: it has no text tower or no tokenizer, or transformers is missing.
        WeightsError: the weights are not those of the card, do not fit, or lack some.
    """
    tower = _tower(card, _TEXT)
    module, tokenizer = text_tower(card)
    tokens = tokenizer(
        list(sentences),
        padding=tower.padding,
        truncation=True,
        return_tensors="pt",
        max_length=module.config.max_position_embeddings,
    )
    import torch

    with torch.inference_mode():
        # SigLIP was trained without a mask: what fills a sentence up is part of it
        mask = {"attention_mask": tokens["attention_mask"]} if tower.padding is True else {}
        found = tower.pick(module(input_ids=tokens["input_ids"], **mask))
    return np.asarray(found.float().numpy(), np.float32)


def text_tower(card: ImageEncoderCard) -> tuple[Any, Any]:
    """The text tower beside the image tower, in float32 and evaluation mode, and its tokenizer.

    Args:
        card: of CLIP or SigLIP, with `tokenizer.json` and `tokenizer_config.json` among its files.

    Raises:
        ComponentError: it has no text tower or no tokenizer, or torch or transformers is missing.
        WeightsError: the weights are not those of the card, do not fit, or lack some.
    """
    try:
        import torch  # noqa: F401
        from transformers import AutoTokenizer
    except ImportError as error:
        raise _needs(card, error) from error
    tower = _tower(card, _TEXT)
    if missing := [name for name in TOKENIZER if name not in card.files]:
        names = " and ".join(missing)
        raise ComponentError(f"{card.name}: its card lists no {names}, so sentences cannot be read; add them to files.")
    folder = card.locate().parent
    return _opened(card, tower, folder).eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _tower(card: ImageEncoderCard, towers: dict[str, _Tower]) -> _Tower:
    library, _, name = (card.architecture or "").partition(":")
    if library != "transformers" or name not in towers:
        what = "text tower" if towers is _TEXT else "image tower"
        expected = ", ".join(f"transformers:{known}" for known in towers)
        raise ComponentError(f"{card.name}: {card.architecture or 'ONNX'} has no {what}; expected {expected}.")
    return towers[name]


def _opened(card: ImageEncoderCard, tower: _Tower, folder: Path) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise _needs(card, error) from error
    logging = transformers.utils.logging
    said, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # it warns of the other tower
    logging.disable_progress_bar()
    try:
        kind = getattr(transformers, tower.kind)
        about = json.loads((folder / "config.json").read_bytes())
        shared = {"projection_dim": about["projection_dim"]} if "projection_dim" in about else {}  # of both towers
        module, found = kind.from_pretrained(
            folder,
            config=kind.config_class.from_pretrained(folder, local_files_only=True, **shared),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **tower.options,
        )
    except Exception as error:  # the library raises its own, and what a config.json that is none leads to
        why = " ".join(str(error).split())[:200]
        raise WeightsError(
            f"{card.name}: {folder} does not open as {card.architecture} ({why}); fix the card."
        ) from error
    finally:
        logging.set_verbosity(said)
        if bars:
            logging.enable_progress_bar()
    if lacking := sorted(map(str, found["missing_keys"])):
        raise WeightsError(
            f"{card.name}: {folder / WEIGHTS} lacks {len(lacking)} weights ({', '.join(lacking[:3])}…); "
            "fix the card's architecture."
        )
    return module.float()


def _needs(card: ImageEncoderCard, error: ImportError) -> ComponentError:
    return ComponentError(f"{card.name}: its weights need {error.name}; run `pip install 'kidsnanny[vit]'`.")
