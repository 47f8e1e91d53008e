"""Encoders: what turns a frame into a row of numbers, which a probe reads.

An encoder is data, a weight card of the role `encoder`: an ONNX file, of which a tensor inside the network may be
taken, a network of timm without its head, or the image tower of CLIP, SigLIP or ViT as transformers stores it.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.models import store
from kidsnanny.models.cards import Card, ImageEncoderCard, find_card
from kidsnanny.models.runtime import Device, Network, Output, Precision, network
from kidsnanny.records import ModelId
from kidsnanny.stage1.preparation import start_network

Rows = npt.NDArray[np.float32]
"""(N, width): a row for each frame, not normalised."""
SETTINGS = (
    "architecture",
    "config",
    "output",
    "input",
    "mean",
    "std",
    "interpolation",
    "crop",
    "fit",
    "jpeg",
    "layout",
)
"""Fields of a card that change what comes out."""


class Encoder(Protocol):
    """What probes, the cache of embeddings and attacks ask of an encoder."""

    model_id: ModelId
    """Its revision stands for the weights and for how frames are prepared: equal revisions give equal rows."""
    width: int
    """How many numbers a row has."""

    def __call__(self, frames: Sequence[RGB]) -> Rows:
        """A row of `width` numbers for each (H, W, 3) uint8 RGB frame, not normalised."""
        ...


class CardEncoder:
    """An encoder by its card.

    Args:
        card: a card or its name.
        device: "auto" (CUDA where torch finds it), "cpu" or "cuda".
        precision: see `network`.

    Raises:
        WeightsError: there is no encoder's card of that name, or the weights are missing, are not those of the card,
            or do not fit its architecture.
        ComponentError: a package or the device is missing, or the network does not return one row per frame.
        TypeError: `card` is neither a card nor a name.
    """

    reentrant = True

    def __init__(self, card: Card | str, *, device: Device = "auto", precision: Precision = "auto") -> None:
        self.card = find_card(card, ImageEncoderCard)
        self.network: Network = network(self.card, device, precision)
        self.model_id = ModelId(name=self.card.name, revision=_revision(self.card), caveat=self.network.model_id.caveat)
        self.width = self([np.zeros((8, 8, 3), np.uint8)]).shape[1]

    def __call__(self, frames: Sequence[RGB]) -> Rows:
        """A row for each (H, W, 3) uint8 RGB frame, not normalised.

        Raises:
            ComponentError: the network returned NaN or infinity, or something else than a row per frame.
            TypeError: a frame is not such an array.
        """
        return self.start(frames)()

    def start(self, frames: Sequence[Any]) -> Callable[[], Rows]:
        """Start the network on frames (on CUDA: tensors of the same shape and type); the function that it returns waits
        for the rows."""
        started = start_network(self.network, self.card, frames)
        return lambda: self._rows(started)

    def _rows(self, started: Sequence[Output]) -> Rows:
        outputs = [wait() for wait in started]
        if not outputs:
            return np.zeros((0, self.width), np.float32)
        found = np.concatenate(outputs)
        if found.ndim < 2 or found.size != len(found) * max(found.shape[1:]):
            raise ComponentError(
                f"{self.card.name}: its network returns {('N', *found.shape[1:])} where an embedding has (N, width); "
                "name another tensor as the card's output."
            )
        if not np.isfinite(found).all():
            raise ComponentError(f"{self.card.name}: its network returned NaN or infinity; use float32.")
        return np.ascontiguousarray(found.reshape(len(found), -1), np.float32)


def load_encoder(card: Card | str, *, device: Device = "auto", precision: Precision = "auto") -> CardEncoder:
    """The encoder of a card or of its name; arguments and errors are those of `CardEncoder`."""
    return CardEncoder(card, device=device, precision=precision)


def _revision(card: ImageEncoderCard) -> str:
    """The same for torch and for the ONNX file that `kidsnanny export` made of the weights."""
    sha256 = card.sha256 or store.pinned(card.name).files[card.weights].sha256
    settings = card.model_dump_json(include=set(SETTINGS))
    return hashlib.sha256(f"{sha256} {settings}".encode()).hexdigest()[:12]
