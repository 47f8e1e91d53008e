"""An auxiliary head that supervises the image encoder densely during training and is discarded afterwards.

For each cell of the image features it predicts which object covers it, the object's attributes and predicates, and the
distances to the edges of its box. With the decoder's cross-entropy alone the features had learnt none of this after
32,000 scenes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.training.student.scenes import Scene

BOX_WEIGHT = 4.0


class CellTargets(NamedTuple):
    """The targets of every cell, in row-major order."""

    kind: torch.Tensor
    """(N, cells): 0 for background, else 1 + the index of the label in the vocabulary."""
    words: torch.Tensor
    """(N, cells, attributes + 2 predicates): attributes, predicates as subject, predicates as object; 0 or 1."""
    reach: torch.Tensor
    """(N, cells, 4): from the cell's centre to the box's left, top, right and bottom, as shares of the picture."""


class GridHead(nn.Module):  # type: ignore[misc]
    """One linear layer over the last `side` x `side` positions of the image features.

    Args:
        vocabulary: of the scenes.
        width: of the features.
        side: of the grid.
    """

    def __init__(self, vocabulary: Vocabulary, width: int, side: int) -> None:
        super().__init__()
        self._words, self._side = vocabulary, side
        word_count = len(vocabulary.attributes) + 2 * len(vocabulary.predicates)
        self._parts = [1 + len(vocabulary.objects), word_count, 4]
        self.linear = nn.Linear(width, sum(self._parts))

    def loss(self, features: torch.Tensor, scenes: Sequence[Scene]) -> torch.Tensor:
        """Cross-entropy of the kinds plus, on covered cells, that of the words and the smooth L1 loss of `reach`."""
        true = self.cells(scenes)
        given = self.linear(features[:, -(self._side**2) :]).float()
        kind, words, reach = given.split(self._parts, -1)
        covered = true.kind > 0
        loss: torch.Tensor = functional.cross_entropy(kind.flatten(0, 1), true.kind.flatten())
        loss = loss + functional.binary_cross_entropy_with_logits(words[covered], true.words[covered])
        return loss + BOX_WEIGHT * functional.smooth_l1_loss(reach[covered], true.reach[covered], beta=0.05)

    def cells(self, scenes: Sequence[Scene]) -> CellTargets:
        """The targets of each cell; where two objects cover it, those of the smaller one."""
        rows = [self._cells(drawn) for drawn in scenes]
        return CellTargets(*(torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True)))

    def _cells(self, drawn: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        side, words, graph = self._side, self._words, drawn.graph
        attributes, predicates = len(words.attributes), len(words.predicates)
        kind = np.zeros((side, side), np.int64)
        cell_words = np.zeros((side, side, self._parts[1]), np.float32)
        reach = np.zeros((side, side, 4), np.float32)
        middle = (np.arange(side) + 0.5) / side
        for place in sorted(range(len(graph.objects)), key=lambda n: -graph.objects[n].box.area):
            thing = graph.objects[place]
            x0, y0, x1, y1 = (edge / size for edge, size in zip(thing.box, 2 * drawn.image.shape[1::-1], strict=True))
            inside = ((middle >= y0) & (middle < y1))[:, None] & ((middle >= x0) & (middle < x1))
            object_words = np.zeros(self._parts[1], np.float32)
            object_words[[words.attributes.index(word) for word in thing.attributes]] = 1
            for relation in graph.relations:
                predicate = attributes + words.predicates.index(relation.predicate)
                object_words[predicate] = max(object_words[predicate], relation.subject == place)
                object_words[predicate + predicates] = max(
                    object_words[predicate + predicates], relation.object == place
                )
            y, x = np.nonzero(inside)
            kind[inside], cell_words[inside] = 1 + words.objects.index(thing.label), object_words
            reach[inside] = np.stack([middle[x] - x0, middle[y] - y0, x1 - middle[x], y1 - middle[y]], 1)
        return kind.reshape(-1), cell_words.reshape(side * side, -1), reach.reshape(side * side, 4)
