"""The published classifiers over CLIP ViT-L/14's embedding that UnsafeBench evaluates (arXiv 2405.03486), layer for
layer: Q16, MultiHeaded, Stable Diffusion's safety checker, and LAION's NSFW detector. Their weights are the user's.

A head gives a margin, which has a gradient and is above 0 where a picture is unsafe, and a score in 0..1, from which
it decides. UnsafeBench's attacks use the one and its tables the other.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from kidsnanny.errors import WeightsError
from kidsnanny.models.cards import Card, HeadCard, ProbeCard
from kidsnanny.probes.q16 import TEMPERATURE

WIDTH = 768
"""Numbers of an embedding."""
CONCEPTS, SPECIAL_CARE = 17, 3
"""Of the safety checker: embeddings that make a picture unsafe, and such that make it stricter."""
STRICTER = 0.01
"""How much."""
DECIMALS = 3
"""To which it rounds before it decides."""


class PublishedHead(nn.Module):  # type: ignore[misc]
    """What they have in common."""

    threshold: float = 0.5
    """The score from which a picture is unsafe, 0..1."""
    projection: torch.Tensor | None = None
    """The last layer of the image tower in the head's own file, (768, width), if it holds one."""

    def margin(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(N, 768), not normalised -> (N,), with a gradient; above 0: unsafe."""
        return self.scores(embeddings) - self.threshold

    def scores(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(N, 768), not normalised -> (N,) in 0..1."""
        raise NotImplementedError


class MultiHeaded(PublishedHead):
    """Five heads; the score is the largest."""

    names = ("sexual", "violent", "disturbing", "hateful", "political")

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(WIDTH, 384), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(384), nn.Linear(384, 1)
                )
                for name in self.names
            }
        )

    def scores(self, embeddings: torch.Tensor) -> torch.Tensor:
        """See `PublishedHead`."""
        return torch.cat([head(embeddings) for head in self.heads.values()], dim=1).sigmoid().amax(dim=1)


class NsfwDetector(PublishedHead):
    """LAION's: the normalised embedding, scaled by fixed means and variances, through four layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Module()
        self.norm.register_buffer("mean", torch.zeros(WIDTH))
        self.norm.register_buffer("variance", torch.ones(WIDTH))
        self.linear_1 = nn.Linear(WIDTH, 64)
        self.linear_2 = nn.Linear(64, 512)
        self.linear_3 = nn.Linear(512, 256)
        self.linear_4 = nn.Linear(256, 1)

    def scores(self, embeddings: torch.Tensor) -> torch.Tensor:
        """See `PublishedHead`."""
        found = (functional.normalize(embeddings) - self.norm.mean) / self.norm.variance.sqrt()
        for layer in (self.linear_1, self.linear_2, self.linear_3):
            found = layer(found).relu()
        return self.linear_4(found).sigmoid()[:, 0]


class SafetyChecker(PublishedHead):
    """Stable Diffusion's: cosines with 17 concepts, each above a threshold of its own; 0.01 sooner after a match with
    one of three others. The score is a half and the largest excess, rounded to three decimals."""

    threshold = 0.5 + 0.5 * 10**-DECIMALS
    """Halfway to the least excess above 0 that it knows."""

    def __init__(self) -> None:
        super().__init__()
        self.concept_embeds = nn.Parameter(torch.zeros(CONCEPTS, WIDTH))
        self.concept_embeds_weights = nn.Parameter(torch.zeros(CONCEPTS))
        self.special_care_embeds = nn.Parameter(torch.zeros(SPECIAL_CARE, WIDTH))
        self.special_care_embeds_weights = nn.Parameter(torch.zeros(SPECIAL_CARE))

    def margin(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(N, 768), not normalised -> (N,): the largest excess, not rounded, as the attacks see it."""
        special = self._excess(embeddings, self.special_care_embeds, self.special_care_embeds_weights)
        excess = self._excess(embeddings, self.concept_embeds, self.concept_embeds_weights)
        return excess.amax(dim=1) + STRICTER * (special > 0).any(dim=1)

    def scores(self, embeddings: torch.Tensor) -> torch.Tensor:
        """See `PublishedHead`."""
        special = self._excess(embeddings, self.special_care_embeds, self.special_care_embeds_weights)
        stricter = STRICTER * (special.round(decimals=DECIMALS) > 0).any(dim=1, keepdim=True)
        excess = self._excess(embeddings, self.concept_embeds, self.concept_embeds_weights) + stricter
        return (0.5 + excess.round(decimals=DECIMALS).amax(dim=1)).clamp(0, 1)

    @staticmethod
    def _excess(embeddings: torch.Tensor, concepts: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
        return functional.normalize(embeddings) @ functional.normalize(concepts).T - thresholds


class Q16Head(PublishedHead):
    """Q16, as `kidsnanny.probes.q16` computes it without a gradient: the softmax of 100 times two cosines."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts = nn.Parameter(torch.zeros(2, WIDTH))

    def margin(self, embeddings: torch.Tensor) -> torch.Tensor:
        """See `PublishedHead`: half of what is between the two logits."""
        fine, bad = TEMPERATURE * (functional.normalize(self.prompts) @ functional.normalize(embeddings).T)
        return (bad - fine) / 2

    def scores(self, embeddings: torch.Tensor) -> torch.Tensor:
        """See `PublishedHead`."""
        return (2 * self.margin(embeddings)).sigmoid()


HEADS: dict[str, type[PublishedHead]] = {
    "q16": Q16Head,
    "multiheaded": MultiHeaded,
    "sd-filter": SafetyChecker,
    "nsfw-detector": NsfwDetector,
}
"""By the kind of a card."""


def load_head(card: HeadCard | ProbeCard) -> tuple[PublishedHead, tuple[Path, ...]]:
    """The head of a card, in evaluation mode, and its files. MultiHeaded has a file for each head, named like it.

    Raises:
        WeightsError: the weights are missing, are not those of the card, or do not fit its kind; or it is a linear
            probe, which is no published classifier.
    """
    if card.kind not in HEADS:
        raise WeightsError(f"{card.name}: it is a {card.kind} probe; name one of the kinds {', '.join(HEADS)}.")
    path = card.locate()
    files = {name: path if name == card.weights else path.with_name(Path(name).name) for name in card.files}
    state: dict[str, torch.Tensor] = {}
    for name, file in files.items():
        prefix = f"heads.{Path(name).stem}." if card.kind == "multiheaded" else ""
        state |= {prefix + key: tensor for key, tensor in _tensors(card, file).items()}
    head = HEADS[card.kind]()
    if card.kind == "sd-filter":  # its file holds the image tower, too
        head.projection = state.get("visual_projection.weight")
        state = {key: tensor for key, tensor in state.items() if key in head.state_dict()}
    try:
        head.load_state_dict({key: tensor.float() for key, tensor in state.items()})
    except RuntimeError as error:
        why = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{card.name}: {path} does not fit a {card.kind} head ({why}); get the file again."
        ) from error
    return head.eval().requires_grad_(False), tuple(files.values())


def _tensors(card: Card, file: Path) -> Mapping[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, torch.Tensor] = load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"{card.name}: {file} is not safetensors ({error}); get the file again.") from error
    return found
