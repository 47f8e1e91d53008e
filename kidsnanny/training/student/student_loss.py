"""What a student is trained to lower: the losses of a recipe on all tasks together, as one module."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutput

from kidsnanny.records import SceneGraph
from kidsnanny.stage1.student.codec import Task
from kidsnanny.stage1.student.student import Student
from kidsnanny.training.student.grid_head import GridHead
from kidsnanny.training.student.losses.asymmetric import AGGRESSIVE, BALANCED, asymmetric_loss
from kidsnanny.training.student.losses.label_smoothing import token_losses
from kidsnanny.training.student.losses.min_perm import best_order, object_losses, orders, reordered, token_places
from kidsnanny.training.student.losses.scheduled_sampling import mixed_inputs
from kidsnanny.training.student.losses.vocabulary_recall import (
    EntryFrequencies,
    align,
    mentions,
    missed_recall,
    token_weights,
)
from kidsnanny.training.student.recipe import Recipe
from kidsnanny.training.student.scenes import Scene

CAP = 3
"""Objects whose orders are all tried. Those of four are 24."""
RECALL = 1.0
"""What missed recall weighs beside the cross-entropy."""
ASYMMETRIES = {"balanced": BALANCED, "aggressive": AGGRESSIVE}


class Written(NamedTuple):
    """Texts as tokens."""

    wanted: torch.Tensor
    """(texts, longest) int64, each with its end, padded; on the model's device."""
    offsets: torch.Tensor
    """(texts, longest, 2): first character and end of each token; on the CPU."""


class Heard(NamedTuple):
    """The encoder's output, a row for each task of each picture."""

    states: torch.Tensor
    """(rows, positions, width)."""
    mask: torch.Tensor
    """(rows, positions), 0 where a prompt is padded."""


class StudentLoss(nn.Module):  # type: ignore[misc]
    """The student's network, the grid head if there is one, and the loss of a batch.

    Args:
        student: whose network is trained; its settings are those of the recipe.
        recipe: which losses.
        frequencies: of the training graphs; the vocabulary-aware recall asks them.
        grid: supervises an image encoder that begins with random weights.
    """

    def __init__(
        self, student: Student, recipe: Recipe, frequencies: EntryFrequencies, grid: GridHead | None = None
    ) -> None:
        super().__init__()
        self.model, self.grid = student.model, grid
        self._student, self._recipe, self._frequencies = student, recipe, frequencies

    def forward(
        self,
        pictures: Sequence[Scene],
        features: torch.Tensor | None = None,
        sampling: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> dict[str, torch.Tensor]:
        """The loss and its parts, scalars: `loss` is the sum of the others.

        Args:
            pictures: the batch.
            features: of its pictures, if they are known; the image encoder then has no part in it.
            sampling: the probability of scheduled sampling at this step, 0..1.
            generator: draws the tokens of scheduled sampling.

        Raises:
            DataError: a graph has a word that the vocabulary lacks.
        """
        student = self._student
        if features is None:
            features = self.model.features(student.pixels([drawn.image for drawn in pictures]))
        encoded, mask = self.model.encoded(features, student.prompts, student.prompts_mask)
        heard = Heard(encoded.last_hidden_state, mask)
        graphs = [student.codec.canonical(drawn.graph) for drawn in pictures]
        if self._recipe.min_perm:
            graphs = self._cheapest(pictures, graphs, heard)
        texts = [text for drawn, graph in zip(pictures, graphs, strict=True) for text in self._texts(drawn, graph)]
        parts = self._spoken(texts, heard, sampling, generator)
        if self._recipe.tags != "text":
            parts["tags"] = self._tags(features, graphs)
        if self.grid is not None:
            parts["grid"] = self.grid.loss(features, pictures)
        return {"loss": sum(parts.values(), torch.zeros((), device=mask.device)), **parts}

    def _texts(self, drawn: Scene, graph: SceneGraph, tasks: Sequence[Task] | None = None) -> list[str]:
        height, width = drawn.image.shape[:2]
        texts = self._student.codec.encode(graph, width, height)
        return [texts[task] for task in tasks or self._student.tasks]

    def _written(self, texts: Sequence[str]) -> Written:
        found = self._student.tokenizer(list(texts), padding=True, return_tensors="pt", return_offsets_mapping=True)
        return Written(found.input_ids.to(self.model.device), found.offset_mapping)

    def _inputs(self, wanted: torch.Tensor) -> torch.Tensor:
        """What the decoder reads: the wanted tokens, each one place later."""
        begin = self.model.config.text_config.decoder_start_token_id
        return torch.cat([torch.full_like(wanted[:, :1], begin), wanted[:, :-1]], 1)

    def _logits(self, heard: Heard, inputs: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """(kept, tokens): only where `kept` (N, L) is true, since most of a batch is padding and most of a step's work
        is done here."""
        states = self.model.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=heard.states),
            attention_mask=heard.mask,
            decoder_input_ids=inputs,
            use_cache=False,
        ).last_hidden_state
        logits: torch.Tensor = self.model.lm_head(states[kept])
        return logits

    def _losses(self, logits: torch.Tensor, wanted: torch.Tensor, kept: torch.Tensor, smoothing: float) -> torch.Tensor:
        """(N, L) in nats, 0 where nothing is kept."""
        padding = self._student.tokenizer.pad_token_id
        found = token_losses(logits[None], wanted[kept][None], smoothing, padding=padding)[0]
        return found.new_zeros(wanted.shape).masked_scatter(kept, found)

    def _spoken(
        self, texts: Sequence[str], heard: Heard, sampling: float, generator: torch.Generator | None
    ) -> dict[str, torch.Tensor]:
        """The losses of the decoder's texts."""
        student = self._student
        written = self._written(texts)
        wanted, inputs = written.wanted, self._inputs(written.wanted)
        kept = wanted != student.tokenizer.pad_token_id
        if sampling and generator is not None:
            with torch.no_grad():
                guessed = self._logits(heard, inputs, kept).argmax(-1)
            likely = torch.zeros_like(wanted).masked_scatter(kept, guessed)
            inputs = mixed_inputs(inputs, likely, sampling, generator, keep=~kept)
        logits = self._logits(heard, inputs, kept)
        losses = self._losses(logits, wanted, kept, self._recipe.smoothing)
        weights = kept.float()
        if not self._recipe.var:
            return {"text": (losses * weights).sum() / weights.sum()}
        tasks = len(texts) // len(student.tasks) * student.tasks
        found = [mentions(task, text, student.vocabulary) for task, text in zip(tasks, texts, strict=True)]
        aligned = align(found, written.offsets, self._frequencies)
        weights = weights * token_weights(aligned).to(weights)
        plain = self._losses(logits, wanted, kept, 0.0) if self._recipe.smoothing else losses
        return {
            "text": (losses * weights).sum() / weights.sum(),
            "missed recall": RECALL * missed_recall(plain, aligned),
        }

    def _tags(self, features: torch.Tensor, graphs: Sequence[SceneGraph]) -> torch.Tensor:
        logits = self.model.tag_head(features).float()
        rows = [[float(graph.tags.get(tag, 0.0) >= 0.5) for tag in self._student.vocabulary.tags] for graph in graphs]
        present = torch.tensor(rows, device=logits.device)
        if asymmetry := ASYMMETRIES.get(self._recipe.tags):
            return asymmetric_loss(logits, present, asymmetry)
        loss: torch.Tensor = functional.binary_cross_entropy_with_logits(logits, present)
        return loss

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _cheapest(self, pictures: Sequence[Scene], graphs: Sequence[SceneGraph], heard: Heard) -> list[SceneGraph]:
        """The graphs in the order in which the decoder would write their objects at the least loss. The other texts
        follow it, and have no say: to read them, too, in every order would cost as much as the step itself."""
        tried = [orders(len(graph.objects), CAP) for graph in graphs]
        several = [(place, order) for place, found in enumerate(tried) if len(found) > 1 for order in found]
        if not several:
            return list(graphs)
        texts = [
            self._texts(pictures[place], reordered(graphs[place], order), ("objects",))[0] for place, order in several
        ]
        tasks = self._student.tasks
        rows = torch.tensor([place * len(tasks) + tasks.index("objects") for place, _ in several])
        rows = rows.to(heard.mask.device)
        written = self._written(texts)
        kept = written.wanted != self._student.tokenizer.pad_token_id
        logits = self._logits(Heard(heard.states[rows], heard.mask[rows]), self._inputs(written.wanted), kept)
        losses = self._losses(logits, written.wanted, kept, 0.0)
        most = max(len(graph.objects) for graph in graphs)
        costs = object_losses(losses, token_places(texts, written.offsets), most).cpu().numpy()
        best, start = list(graphs), 0
        for place, found in enumerate(tried):
            if len(found) > 1:
                count = len(graphs[place].objects)
                best[place] = reordered(graphs[place], best_order(found, costs[start : start + len(found), :count]))
                start += len(found)
        return best
