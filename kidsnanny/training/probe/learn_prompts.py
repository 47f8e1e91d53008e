"""Prompt learning as CoOp's (arXiv 2109.01134): vectors before a category's name, learned through CLIP's text tower.

PerspectiveVision has a "prompt learning" too, whose settings are not published: these are our reading. The tower stays
as it is. What is learned are a few context vectors, which stand in every prompt between its beginning and the name.

A category is told from "safe" and from nothing else, and a picture of another category is an example against it: so
that its score is the same whichever categories somebody chooses.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from kidsnanny.errors import ComponentError, DataError
from kidsnanny.models.cards import ImageEncoderCard
from kidsnanny.models.transformers_encoders import text_tower
from kidsnanny.probes.prompt_probe import PromptProbe
from kidsnanny.probes.q16 import TEMPERATURE
from kidsnanny.records import Record

if TYPE_CHECKING:
    import torch

SAFE = "safe"
"""What the prompt of harmless pictures says."""
SPREAD = 0.02
"""Standard deviation of the vectors before any learning, as in CoOp's code."""


class PromptLearning(Record):
    """Settings: CoOp's, but for the number of steps, since a step costs the same for many pictures as for few."""

    context: int = Field(default=16, ge=1)
    """How many vectors are learned."""
    rate: float = Field(default=0.002, gt=0)
    """Step size at the start, a share of the gradient; it falls to 0 as a cosine does."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of the last step that is taken again, 0 to 1."""
    decay: float = Field(default=5e-4, ge=0)
    """Share of the vectors that is added to the gradient, 0 or more."""
    steps: int = Field(default=500, ge=1)
    """How many steps are taken."""
    batch: int = Field(default=256, ge=1)
    """How many pictures a step sees, at most."""
    seed: int = 0
    """Of the vectors at the start, and of the order of the pictures."""


class Learned(NamedTuple):
    """Prompts, and how learning them went."""

    probe: PromptProbe
    losses: tuple[float, ...]
    """Of each step: the mean cross-entropy, weighted; 0 or more."""


class PromptTower:
    """CLIP's text tower, frozen, with room for context vectors in its prompts.

    Args:
        card: of a CLIP of transformers.
        device: that the tower computes on; None: CUDA where torch finds it.

    Raises:
        ComponentError: it has no such text tower or no tokenizer, or torch or transformers is missing.
        WeightsError: the weights are not those of the card, or do not fit.
    """

    def __init__(self, card: ImageEncoderCard, device: str | None = None) -> None:
        if card.architecture != "transformers:clip":
            kind = card.architecture or "an ONNX file"
            raise ComponentError(
                f"{card.name}: prompts are learned through CLIP's text tower, and {kind} has none; name an encoder "
                "whose card says transformers:clip, or train another kind of probe."
            )
        self._name = card.name
        module, self._tokenizer = text_tower(card)
        import torch

        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        """That the tower computes on."""
        self.module: Any = module.requires_grad_(False).to(self.device)
        """The tower, of which nothing is trained."""

    @property
    def width(self) -> int:
        """How many numbers a context vector has."""
        return int(self.module.config.hidden_size)

    def tokens(self, labels: Sequence[str], context: int) -> "torch.Tensor":
        """(1 + labels, length) token numbers of the prompts, that of "safe" first: the beginning, `context` places to
        be filled, the name, and the end as often as it takes. The tower reads from left to right, so that what comes
        after the first end changes nothing.

        Raises:
            DataError: a prompt is longer than the tower reads, or a name says nothing to its tokenizer.
        """
        import torch

        rows = []
        for label in (SAFE, *labels):
            found = self._tokenizer(label.replace("_", " "))["input_ids"]
            if len(found) < 3:
                raise DataError(f"{self._name}: its tokenizer reads nothing in the label {label!r}; rename it.")
            first, *name, last = found
            rows.append([first, *[first] * context, *name, last])
        longest, most = max(map(len, rows)), self.module.config.max_position_embeddings
        if longest > most:
            raise DataError(
                f"{self._name}: the longest label takes {longest} tokens with its {context} vectors, and its text "
                f"tower reads {most}; give shorter names."
            )
        return torch.tensor([row + [row[-1]] * (longest - len(row)) for row in rows], device=self.device)

    def features(self, tokens: "torch.Tensor", context: "torch.Tensor") -> "torch.Tensor":
        """(prompts, d): what the tower makes of prompts, with vectors in the places that `tokens` left.

        Args:
            tokens: as `self.tokens` gives them.
            context: (length, width).
        """
        import torch

        def fill(_: object, __: object, words: "torch.Tensor") -> "torch.Tensor":
            vectors = context.expand(len(words), -1, -1)
            return torch.cat([words[:, :1], vectors, words[:, 1 + len(context) :]], dim=1)

        # transformers takes token numbers alone, by which it finds the end: the vectors come in behind its first layer
        hook = self.module.get_input_embeddings().register_forward_hook(fill)
        try:
            return self.module(input_ids=tokens).text_embeds
        finally:
            hook.remove()


def learn_prompts(
    rows: npt.NDArray[np.float32],
    has: npt.NDArray[np.bool_],
    labels: Sequence[str],
    tower: PromptTower,
    settings: PromptLearning | None = None,
) -> Learned:
    """Context vectors, and the text features of "safe" and of each label that follow from them.

    Args:
        rows: (N, d) of the image tower beside the text tower.
        has: (N, labels), whether a picture has a label; it may have several or none. Pictures that have a label weigh
            as much together as those that do not.
        labels: their names, which the prompts say.
        tower: of the same CLIP.
        settings: by default `PromptLearning()`.

    Raises:
        DataError: no picture has a label, or all have it, or a name is too long, or the loss is no number.
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    how = settings or PromptLearning()
    weights = torch.from_numpy(_weights(has, labels)).to(tower.device)
    seen = normalize(torch.from_numpy(np.asarray(rows, np.float32)).to(tower.device), dim=1)
    wanted = torch.from_numpy(has.astype(np.float32)).to(tower.device)
    draw = torch.Generator().manual_seed(how.seed)
    tokens = tower.tokens(labels, how.context)
    start = SPREAD * torch.randn(how.context, tower.width, generator=draw)
    context = start.to(tower.device).requires_grad_()
    optimiser = torch.optim.SGD([context], how.rate, how.momentum, weight_decay=how.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, how.steps)
    order, losses = torch.empty(0, dtype=torch.long), list[float]()
    for _ in range(how.steps):
        if not len(order):
            order = torch.randperm(len(seen), generator=draw)
        chosen, order = order[: how.batch].to(tower.device), order[how.batch :]
        directions = normalize(tower.features(tokens, context), dim=1)
        logits = TEMPERATURE * seen[chosen] @ (directions[1:] - directions[0]).T
        loss = binary_cross_entropy_with_logits(logits, wanted[chosen], weights[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    if not np.isfinite(losses).all():
        raise DataError(
            "The prompts cannot be learned: the loss is no number any more; see whether the weights are whole."
        )
    with torch.no_grad():
        features = tower.features(tokens, context)
    return Learned(PromptProbe(features.cpu().numpy(), context.detach().cpu().numpy()), tuple(losses))


def _weights(has: npt.NDArray[np.bool_], labels: Sequence[str]) -> npt.NDArray[np.float32]:
    """(N, labels): of each label, those that have it weigh as much together as those that do not; 1 on average.

    Raises:
        DataError: one of the two is empty.
    """
    counts = has.sum(axis=0)
    for label, count in zip(labels, counts.tolist(), strict=True):
        if count in (0, len(has)):
            raise DataError(
                f"{label}: {count} of {len(has)} pictures have this label, and some must and some must not; give more."
            )
    each = np.where(has, len(has) / (2 * counts), len(has) / (2 * (len(has) - counts)))
    return np.asarray(each, np.float32)
