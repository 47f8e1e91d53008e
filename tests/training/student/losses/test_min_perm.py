"""Cross-entropy over the orders of the objects."""

import itertools
import math
import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidsnanny.errors import ComponentError
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.codec import Codec
from kidsnanny.training.student.scenes import VOCABULARY

pytestmark = pytest.mark.torch

CODEC = Codec(VOCABULARY)
SIDE = 1000
GRAPH = SceneGraph(
    objects=(
        SceneObject(label="man", box=Box(1, 0, 9, 9), attributes=("hat",)),
        SceneObject(label="man", box=Box(2, 0, 9, 9)),
        SceneObject(label="ball", box=Box(3, 0, 9, 9)),
    ),
    relations=(
        Relation(subject=0, predicate="throwing", object=2),
        Relation(subject=1, predicate="watching", object=0),
        Relation(subject=1, predicate="hitting", object=0),
    ),
)


@pytest.mark.parametrize(
    ("count", "cap", "tried"),
    [
        (0, 3, [()]),
        (1, 0, [(0,)]),
        (2, 0, [(0, 1), (1, 0)]),
        (3, 3, [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]),
        (3, 2, [(0, 1, 2), (1, 2, 0), (2, 0, 1)]),
        (4, 3, [(0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2)]),
    ],
)
def test_the_orders_that_are_tried(count: int, cap: int, tried: list[tuple[int, ...]]) -> None:
    from kidsnanny.training.student.losses.min_perm import orders

    assert orders(count, cap) == tried


@given(count=st.integers(1, 9))
def test_above_the_cap_each_object_stands_once_at_each_place(count: int) -> None:
    from kidsnanny.training.student.losses.min_perm import orders

    tried = orders(count, 0)
    assert tried[0] == tuple(range(count))
    assert all(set(at_place) == set(range(count)) for at_place in zip(*tried, strict=True))
    assert all(set(order) == set(range(count)) for order in tried)


def test_the_numbers_of_the_other_texts_follow_the_objects() -> None:
    from kidsnanny.training.student.losses.min_perm import reordered

    texts = CODEC.encode(reordered(GRAPH, (2, 0, 1)), SIDE, SIDE)
    assert texts["objects"] == (
        "ball<loc_0><loc_3><loc_9><loc_9>man<loc_0><loc_1><loc_9><loc_9>man<loc_0><loc_2><loc_9><loc_9>"
    )
    assert texts["attributes"] == "man:1 hat"
    assert texts["relations"] == "(man:1, throwing, ball:0)\n(man:2, watching, man:1)\n(man:2, hitting, man:1)"


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 1), (1, 2, 3), (0, 1, 2, 3)])
def test_what_is_no_order_is_refused(order: tuple[int, ...]) -> None:
    from kidsnanny.training.student.losses.min_perm import reordered

    with pytest.raises(ComponentError, match="no order of 3 objects"):
        reordered(GRAPH, order)


def test_which_tokens_belong_to_which_object() -> None:
    import torch

    from kidsnanny.training.student.losses.min_perm import object_losses, token_places

    texts = ["man<loc_1><loc_2>ball<loc_3>", ""]
    #            <s>     m       an      loc_1    loc_2     ball      loc_3     </s>    padding
    offsets = [[(0, 0), (0, 1), (1, 3), (3, 10), (10, 17), (17, 21), (21, 28), (0, 0), (0, 0)], [(0, 0)] * 9]
    places = token_places(texts, torch.tensor(offsets))
    assert places.tolist() == [[-1, 0, 0, 0, 0, 1, 1, -1, -1], [-1] * 9]
    losses = torch.tensor([[0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.5, 0.0], [0.5] * 9])
    assert object_losses(losses, places, 2).tolist() == [[10.0, 11.0], [0.0, 0.0]]


def test_worked_example_of_all_orders() -> None:
    """The decoder expects the ball first: where it is, both objects are cheaper."""
    from kidsnanny.training.student.losses.min_perm import best_order, orders

    man_then_ball, ball_then_man = [3.0, 2.0], [0.5, 1.0]
    assert best_order(orders(2, 2), np.array([man_then_ball, ball_then_man])) == (1, 0)
    assert best_order(orders(2, 2), np.array([ball_then_man, man_then_ball])) == (0, 1)
    assert best_order(orders(2, 2), np.array([ball_then_man, ball_then_man])) == (0, 1)


def test_worked_example_of_the_assignment() -> None:
    """Of three objects above the cap, the rotations tell what each costs at each place:

        place 0: object 0 costs 9, object 1 costs 9, object 2 costs 1
        place 1: object 0 costs 9, object 1 costs 1, object 2 costs 9
        place 2: object 0 costs 1, object 1 costs 9, object 2 costs 9

    The cheapest order, 2 1 0, is none of the rotations.
    """
    from kidsnanny.training.student.losses.min_perm import best_order, orders

    tried = orders(3, 2)  # 0 1 2, 1 2 0, 2 0 1
    assert best_order(tried, np.array([[9.0, 1.0, 9.0], [9.0, 9.0, 1.0], [1.0, 9.0, 9.0]])) == (2, 1, 0)


def test_a_loss_that_is_no_number_is_refused() -> None:
    from kidsnanny.training.student.losses.min_perm import best_order, orders

    with pytest.raises(ComponentError, match="NaN or infinite"):
        best_order(orders(2, 2), np.array([[1.0, 2.0], [math.nan, 1.0]]))


class Decoder:
    """Stands in for a decoder: each character of an objects text costs what the two before it make it cost."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def costs(self, graph: SceneGraph) -> list[float]:
        """Of each object, nats."""
        text = CODEC.encode(graph, SIDE, SIDE)["objects"]
        ends = [0, *(run.end() for run in re.finditer(r"(<loc_\d+>)+", text))]
        pieces = [[text[max(0, n - 2) : n + 1] for n in range(*part)] for part in itertools.pairwise(ends)]
        return [sum(random.Random(f"{self._seed} {piece}").random() for piece in part) for part in pieces]

    def min_perm_loss(self, graph: SceneGraph, cap: int) -> float:
        from kidsnanny.training.student.losses.min_perm import best_order, orders, reordered

        graph = CODEC.canonical(graph)
        tried = orders(len(graph.objects), cap)
        costs = np.array([self.costs(reordered(graph, order)) for order in tried])
        return sum(self.costs(reordered(graph, best_order(tried, costs))))


@st.composite
def graphs(draw: st.DrawFn) -> SceneGraph:
    """Of two to four objects in different places."""
    corners = draw(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=2, max_size=4, unique=True))
    things = tuple(
        SceneObject(label=draw(st.sampled_from(["man", "ball"])), box=Box(x, y, x + 50, y + 50)) for x, y in corners
    )
    return SceneGraph(objects=things)


@settings(max_examples=30, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 100), cap=st.sampled_from([1, 2, 4]), data=st.data())
def test_the_order_of_the_truth_does_not_matter(graph: SceneGraph, seed: int, cap: int, data: st.DataObject) -> None:
    from kidsnanny.training.student.losses.min_perm import reordered

    order = data.draw(st.permutations(range(len(graph.objects))))
    decoder = Decoder(seed)
    assert decoder.min_perm_loss(reordered(graph, tuple(order)), cap) == decoder.min_perm_loss(graph, cap)


@settings(max_examples=30, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 100))
def test_up_to_the_cap_no_order_is_cheaper(graph: SceneGraph, seed: int) -> None:
    from kidsnanny.training.student.losses.min_perm import reordered

    decoder = Decoder(seed)
    every = itertools.permutations(range(len(graph.objects)))
    assert decoder.min_perm_loss(graph, 4) == pytest.approx(min(sum(decoder.costs(reordered(graph, o))) for o in every))


@given(count=st.integers(3, 7), seed=st.integers(0, 2**32 - 1))
def test_where_what_stands_before_does_not_matter_the_assignment_is_the_minimum(count: int, seed: int) -> None:
    from kidsnanny.training.student.losses.min_perm import best_order, orders

    cost = np.random.default_rng(seed).random((count, count))
    places = np.arange(count)
    found = best_order(tried := orders(count, 2), np.array([cost[places, order] for order in tried]))
    cheapest = min(cost[places, order].sum() for order in itertools.permutations(range(count)))
    assert cost[places, found].sum() == pytest.approx(cheapest)


def test_the_gradient_is_that_of_the_chosen_order() -> None:
    """The minimum over the orders, differentiated as a whole, has the gradients that the training step computes."""
    import torch

    from kidsnanny.training.student.losses.label_smoothing import token_losses
    from kidsnanny.training.student.losses.min_perm import best_order, object_losses, orders

    torch.manual_seed(0)
    logits = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)  # of the two orders of two objects
    wanted, places = torch.tensor([[0, 2, 3, 4], [3, 4, 0, 2]]), torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1]])

    def costs(given: Any) -> Any:
        return object_losses(token_losses(given, wanted, 0.0, padding=1), places, 2)

    assert torch.autograd.gradcheck(costs, logits)
    assert torch.autograd.gradcheck(lambda given: costs(given).sum(1).min(), logits)
    tried = orders(2, 2)
    chosen = tried.index(best_order(tried, costs(logits).detach().numpy()))
    (whole,) = torch.autograd.grad(costs(logits).sum(1).min(), logits)
    (step,) = torch.autograd.grad(costs(logits)[chosen].sum(), logits)
    assert torch.equal(whole, step)
