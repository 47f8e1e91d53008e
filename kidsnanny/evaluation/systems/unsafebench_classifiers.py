"""UnsafeBench's classifiers (arXiv 2405.03486, 3.3): a published head over CLIP's embedding, by weight cards.

The weights are the user's, one card for the image tower and one for the head, which of Q16 is a probe. NudeNet's old
classifier, the fifth, is an ordinary classifier's card.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.registry import EVALUATED_ON
from kidsnanny.evaluation.systems.system import Answer, Baseline, Options, Shown
from kidsnanny.models.cards import Card, HeadCard, ImageEncoderCard, ProbeCard, cards, find_card
from kidsnanny.models.runtime import Device, device_and_dtype, load
from kidsnanny.models.store import digest, is_random
from kidsnanny.records import ModelId
from kidsnanny.stage1.preparation import pixels
from kidsnanny.taxonomy import UNSAFEBENCH, ordered

if TYPE_CHECKING:
    import torch

RULES = {
    "q16": "the softmax of 100 times the cosines of CLIP's embedding with two vectors",
    "multiheaded": "the largest sigmoid of five heads over CLIP's embedding, which is not normalised",
    "sd-filter": "a half and the largest excess of a cosine over its concept's threshold, rounded to three decimals",
    "nsfw-detector": "the sigmoid of a network over CLIP's normalised embedding",
}
SAME = 1e-3
"""How far weights may differ that were stored in half precision."""
ORIGIN = "UnsafeBench's: the classifier's own"


class PublishedClassifier:
    """A published head over its encoder, in float32.

    Args:
        card: a head's card, a Q16's, or its name.
        device: "auto" (CUDA where torch finds it), "cpu" or "cuda".

    Raises:
        WeightsError: there is no such card of that name, or weights are missing, are not those of the cards, or do
            not fit each other.
        ComponentError: torch, a package of the encoder's or the device is missing.
        TypeError: `card` is neither a card nor a name.
    """

    def __init__(self, card: Card | str, *, device: Device = "auto") -> None:
        self.card = find_head(card)
        try:
            from kidsnanny.probes.published_heads import WIDTH, load_head
        except ImportError as error:
            self.card.locate()  # weights that are missing are named first
            fix = "run `pip install 'kidsnanny[vit]'`"
            raise ComponentError(f"{self.card.name}: it needs torch ({error}); {fix}.") from error
        head, files = load_head(self.card)
        self.preparation = find_card(self.card.encoder, ImageEncoderCard)
        """How a frame is prepared: the encoder's card."""
        path = self.preparation.locate()
        if path.suffix != ".safetensors":
            raise WeightsError(f"{self.preparation.name}: {path} is not safetensors; name such an encoder.")
        self.device, _ = device_and_dtype(self.card.name, device, "float32")
        self._head, self._tower = head.to(self.device), load(self.preparation, path).to(self.device)
        self._tower.requires_grad_(False)
        self._compare_towers(head.projection)
        self.models = (
            ModelId(
                name=self.preparation.name, revision=digest(path)[:12], caveat="random" if is_random(path) else None
            ),
            ModelId(
                name=self.card.name,
                revision="+".join(digest(file)[:12] for file in files),
                caveat="random" if any(map(is_random, files)) else None,
            ),
        )
        """The encoder's and the head's."""
        self.threshold = head.threshold
        """The score from which a picture is unsafe, 0..1."""
        width = self._tower(self.pixels([np.zeros((8, 8, 3), np.uint8)])).shape[1]
        if width != WIDTH:
            raise WeightsError(
                f"{self.card.name}: it reads {WIDTH} numbers, and its encoder {self.preparation.name} gives {width}; "
                "name CLIP ViT-L/14's card as its encoder."
            )

    def _compare_towers(self, own: "torch.Tensor | None") -> None:
        """Refuse a head whose file holds another image tower than the encoder's, by its last layer."""
        known = [
            weights for name, weights in self._tower.named_parameters() if name.endswith("visual_projection.weight")
        ]
        same = own is None or any(
            one.shape == own.shape and float((one - own.to(one)).abs().max()) < SAME for one in known
        )
        if not same:
            raise WeightsError(
                f"{self.card.name}: its file holds another image tower than {self.preparation.name}; make a card of "
                "the role encoder for that one, and name it as the head's encoder."
            )

    def pixels(self, frames: Sequence[np.ndarray]) -> "torch.Tensor":
        """(N, 3, side, side), as the encoder's card says."""
        import torch

        return torch.from_numpy(np.stack([pixels(frame, self.preparation) for frame in frames])).to(self.device)

    def margin(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(N,), with a gradient; above 0: unsafe."""
        return self._head.margin(self._tower(pixels))

    def scores(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(N,) in 0..1."""
        import torch

        with torch.inference_mode():
            return self._head.scores(self._tower(pixels))

    def unsafe(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(N,) bool: what it decides."""
        return self.scores(pixels) >= self.threshold


def find_head(card: Card | str) -> HeadCard | ProbeCard:
    """The card of a head, or of a probe, by its name or itself.

    Raises:
        WeightsError: there is no card of that name, or it is of another role.
        TypeError: it is neither a card nor a name.
    """
    found = cards().get(card) if isinstance(card, str) else card
    return found if isinstance(found, ProbeCard) else find_card(card, HeadCard)


def unsafebench_classifier(name: str, card: str, options: Options) -> Baseline:
    """A head by its card, as a system.

    Raises:
        ComponentError: weights or a package are missing.
    """
    return as_system(name, PublishedClassifier(card), options)


def as_system(name: str, model: PublishedClassifier, options: Options) -> Baseline:
    """A classifier as a system. As in the paper, its one score stands for every category that it is evaluated on."""

    def look(shown: Sequence[Shown]) -> list[Answer]:
        found = model.scores(model.pixels([one.frame for one in shown])).tolist()
        if not all(map(math.isfinite, found)):
            raise ComponentError("its network gives numbers that are none")
        return [Answer(score) for score in found]

    names = EVALUATED_ON[model.card.kind]
    categories = ordered({ours for one in names for ours in UNSAFEBENCH[one] or ()})
    threshold, origin = options.threshold(name, model.threshold, ORIGIN)
    about = SystemDescription(
        name=name,
        regime="vision-only",
        categories=categories,
        rule=f"{RULES[model.card.kind]}; unsafe from the threshold on",
        licence=f"{model.preparation.licence}; {model.card.licence}",
        threshold=threshold,
        origin=origin,
        models={"encoder": model.models[:1], "head": model.models[1:]},
    )
    return Baseline(about, look, beyond=[one for one in names if not UNSAFEBENCH[one]])
