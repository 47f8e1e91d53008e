"""The auxiliary grid head: the targets of a cell are what the picture has there."""

import numpy as np
import pytest

from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.training.student.scenes import VOCABULARY, Scene

pytestmark = pytest.mark.torch

WORDS = VOCABULARY
GRAPH = SceneGraph(
    objects=(
        SceneObject(label="man", box=Box(0, 0, 64, 128), attributes=("hat",)),
        SceneObject(label="ball", box=Box(32, 0, 64, 32)),
    ),
    relations=(Relation(subject=0, predicate="throwing", object=1),),
)


def test_a_cell_has_the_targets_of_the_smallest_object_that_covers_its_centre() -> None:
    from kidsnanny.training.student.grid_head import GridHead

    cells = GridHead(WORDS, width=8, side=4).cells([Scene(np.zeros((128, 128, 3), np.uint8), GRAPH)])
    man, ball = 1 + WORDS.objects.index("man"), 1 + WORDS.objects.index("ball")
    assert cells.kind.view(4, 4).tolist() == [[man, ball, 0, 0], [man, man, 0, 0], [man, man, 0, 0], [man, man, 0, 0]]
    throws = len(WORDS.attributes) + WORDS.predicates.index("throwing")
    thrown = throws + len(WORDS.predicates)
    said = [set(row.nonzero().flatten().tolist()) for row in cells.words[0]]
    assert said[0] == {WORDS.attributes.index("hat"), throws}
    assert said[1] == {thrown}
    assert said[2] == set()
    assert cells.reach[0, 1].tolist() == [0.125, 0.125, 0.125, 0.125]  # the ball's cell is the ball
    assert cells.reach[0, 4].tolist() == [0.125, 0.375, 0.375, 0.625]


def test_its_loss_reaches_zero_only_for_the_true_graph() -> None:
    import torch

    from kidsnanny.training.student.grid_head import GridHead

    torch.manual_seed(0)
    grid = GridHead(WORDS, width=16, side=4)
    drawn = [Scene(np.zeros((128, 128, 3), np.uint8), GRAPH)]
    features = torch.nn.Parameter(torch.randn(1, 17, 16))
    optimizer = torch.optim.Adam([features, *grid.parameters()], lr=0.05)
    for _ in range(300):
        loss = grid.loss(features, drawn)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01
    elsewhere = [drawn[0]._replace(graph=GRAPH.model_copy(update={"objects": GRAPH.objects[::-1], "relations": ()}))]
    swapped = SceneGraph(objects=(GRAPH.objects[0].model_copy(update={"label": "woman"}), GRAPH.objects[1]))
    assert grid.loss(features, [drawn[0]._replace(graph=swapped)]).item() > 1
    assert grid.loss(features, elsewhere).item() > 0.1
