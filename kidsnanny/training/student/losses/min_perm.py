"""Cross-entropy minimised over the orders of the objects: a picture's objects have no order, only their text has one.

SenBen's formula is not public; this one is ours. With x a picture, G its true graph, pi an order of the n objects,
T(pi) the texts of G with the objects in this order (the numbers in the other texts follow), and t its tokens:

    MinPermCE(x, G) = min over pi of  sum over t in T(pi) of -log p(t | tokens before t, x)

It is the same whatever order G comes in. Up to a cap of objects all n! orders are tried. Above it, n are: the rotations
of the given order, in which each object stands once at each place. What object o cost at place i fills a matrix C, and

    pi = argmin over pi of  sum over places i of C[i, pi(i)]

is a linear assignment (scipy). That is approximate, because what an object costs also depends on those before it. To
have it independent of the order that G comes in as well, begin with `Codec.canonical(G)`.

Choosing takes no gradients. The training step evaluates the chosen order again, with gradients: where one order is
strictly the cheapest, the gradient of the minimum is the gradient of that order's loss.
"""

import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from kidsnanny.errors import ComponentError
from kidsnanny.records import SceneGraph

Order = tuple[int, ...]
"""For each place the object that stands there, by its place in the given order."""

_LOCATIONS = re.compile(r"(?:<loc_\d+>)+")


def orders(count: int, cap: int) -> list[Order]:
    """The orders to try, the given one first.

    Args:
        count: of objects.
        cap: up to so many objects all orders are tried, above it the rotations. All orders of 4 are 24, of 6 720.
    """
    if count <= cap:
        return list(itertools.permutations(range(count)))
    return [(*range(first, count), *range(first)) for first in range(count)]


def reordered(graph: SceneGraph, order: Order) -> SceneGraph:
    """The same graph with its objects in another order. Relations are sorted by the new places of their objects.

    Raises:
        ComponentError: the order does not have each object once.
    """
    if sorted(order) != list(range(len(graph.objects))):
        raise ComponentError(
            f"{order} is no order of {len(graph.objects)} objects; name the place of each exactly once."
        )
    place = {old: new for new, old in enumerate(order)}
    relations = (r.model_copy(update={"subject": place[r.subject], "object": place[r.object]}) for r in graph.relations)
    return graph.model_copy(
        update={
            "objects": tuple(graph.objects[old] for old in order),
            "relations": tuple(sorted(relations, key=lambda r: (r.subject, r.object))),
        }
    )


def token_places(texts: Sequence[str], offsets: torch.Tensor) -> torch.Tensor:
    """To which object each token of an objects text belongs.

    Args:
        texts: as the codec writes them: each object ends in location tokens.
        offsets: (N, L, 2) of the tokens, as a fast tokenizer's `offset_mapping` has them: first character and end.

    Returns:
        (N, L) int64, the object's place; -1 for what stands around the text.
    """
    places = torch.full(offsets.shape[:2], -1)
    for row, text in enumerate(texts):
        first, end = offsets[row].unbind(-1)
        begins = 0
        for place, run in enumerate(_LOCATIONS.finditer(text)):
            places[row, (first < run.end()) & (end > begins) & (end > first)] = place
            begins = run.end()
    return places


def object_losses(losses: torch.Tensor, places: torch.Tensor, count: int) -> torch.Tensor:
    """The summed loss of each object's tokens.

    Args:
        losses: (N, L) of the tokens, in nats.
        places: (N, L), see `token_places`.
        count: of objects in each of the texts.

    Returns:
        (N, count) in nats.
    """
    sums = losses.new_zeros(len(losses), count + 1)  # the last is for what belongs to no object
    return sums.scatter_add(1, places.remainder(count + 1).to(losses.device), losses)[:, :count]


def best_order(tried: Sequence[Order], costs: NDArray[np.floating]) -> Order:
    """The cheapest order: of all, if all were tried (the first of several equally cheap ones), else by assignment.

    Args:
        tried: what `orders` gave.
        costs: (tried, places) in nats: what the object at each place cost in each order. Whatever else the order costs
            can be spread evenly over its places.

    Raises:
        ComponentError: a cost is NaN or infinite.
    """
    if not np.isfinite(costs).all():
        raise ComponentError("the loss of an order of objects is NaN or infinite; lower the learning rate.")
    count = len(tried[0])
    if len(tried) == math.factorial(count):
        return tried[int(costs.sum(1).argmin())]
    matrix = np.empty((count, count))
    for order, row in zip(tried, costs, strict=True):
        matrix[range(count), order] = row
    return tuple(linear_sum_assignment(matrix)[1].tolist())
