"""A second teacher for the image encoder while it learns, thrown away afterwards.

Each cell of the image features is asked what covers it: which object, how it is, what it does and what is done to it,
and how far it reaches. With the decoder's cross-entropy alone the features had learnt nothing of the kind after 32,000
scenes: until they know where things are, no token's gradient says so.
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


class Cells(NamedTuple):
    """What covers each of the cells, row by row."""

    kind: torch.Tensor
    """(N, cells): 0 for nothing, else 1 + the object's number in the vocabulary."""
    words: torch.Tensor
    """(N, cells, attributes + 2 predicates): how it is, what it does, what is done to it; 0 or 1."""
    reach: torch.Tensor
    """(N, cells, 4): from the cell's middle to the box's left, top, right and bottom, in parts of the picture."""


class Grid(nn.Module):  # type: ignore[misc]
    """One linear layer over the last `side` x `side` positions of the image features.

    Args:
        vocabulary: of the scenes.
        width: of the features.
        side: of the grid.
    """

    def __init__(self, vocabulary: Vocabulary, width: int, side: int) -> None:
        super().__init__()
        self._words, self._side = vocabulary, side
        said = len(vocabulary.attributes) + 2 * len(vocabulary.predicates)
        self._parts = [1 + len(vocabulary.objects), said, 4]
        self.linear = nn.Linear(width, sum(self._parts))

    def loss(self, features: torch.Tensor, scenes: Sequence[Scene]) -> torch.Tensor:
        """Cross-entropy of the kinds and words, and the distance of the boxes' edges, where there is something."""
        true = self.cells(scenes)
        given = self.linear(features[:, -(self._side**2) :]).float()
        kind, words, reach = given.split(self._parts, -1)
        covered = true.kind > 0
        loss: torch.Tensor = functional.cross_entropy(kind.flatten(0, 1), true.kind.flatten())
        loss = loss + functional.binary_cross_entropy_with_logits(words[covered], true.words[covered])
        return loss + BOX_WEIGHT * functional.smooth_l1_loss(reach[covered], true.reach[covered], beta=0.05)

    def cells(self, scenes: Sequence[Scene]) -> Cells:
        """What is true of each cell; where two things cover it, of the smaller one."""
        rows = [self._cells(drawn) for drawn in scenes]
        return Cells(*(torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True)))

    def _cells(self, drawn: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        side, words, graph = self._side, self._words, drawn.graph
        attributes, predicates = len(words.attributes), len(words.predicates)
        kind = np.zeros((side, side), np.int64)
        said = np.zeros((side, side, self._parts[1]), np.float32)
        reach = np.zeros((side, side, 4), np.float32)
        middle = (np.arange(side) + 0.5) / side
        for place in sorted(range(len(graph.objects)), key=lambda n: -graph.objects[n].box.area):
            thing = graph.objects[place]
            x0, y0, x1, y1 = (edge / drawn.image.shape[0] for edge in thing.box)
            inside = ((middle >= y0) & (middle < y1))[:, None] & ((middle >= x0) & (middle < x1))
            mine = np.zeros(self._parts[1], np.float32)
            mine[[words.attributes.index(word) for word in thing.attributes]] = 1
            for relation in graph.relations:
                predicate = attributes + words.predicates.index(relation.predicate)
                mine[predicate] = max(mine[predicate], relation.subject == place)
                mine[predicate + predicates] = max(mine[predicate + predicates], relation.object == place)
            y, x = np.nonzero(inside)
            kind[inside], said[inside] = 1 + words.objects.index(thing.label), mine
            reach[inside] = np.stack([middle[x] - x0, middle[y] - y0, x1 - middle[x], y1 - middle[y]], 1)
        return kind.reshape(-1), said.reshape(side * side, -1), reach.reshape(side * side, 4)
