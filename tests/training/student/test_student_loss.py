"""What each part of a recipe changes in the loss of a batch."""

from typing import Any

import pytest

from kidsnanny.errors import DataError
from kidsnanny.records import ModelId, SceneGraph
from kidsnanny.training.student.long_tail import long_tailed_scene
from kidsnanny.training.student.recipe import LADDER, PLAIN, Recipe
from kidsnanny.training.student.scenes import VOCABULARY, Scene

pytestmark = pytest.mark.torch

SIDE = 128
PICTURES = [long_tailed_scene(number, SIDE) for number in range(6)]


def loss_of(recipe: Recipe) -> Any:
    """Of a student of random weights, the same for every recipe of the same targets."""
    import torch

    from kidsnanny.stage1.student.codec import Codec
    from kidsnanny.stage1.student.student import Student
    from kidsnanny.training.student.losses.vocabulary_recall import EntryFrequencies
    from kidsnanny.training.student.student_loss import StudentLoss
    from kidsnanny.training.student.tiny_student import tiny, tokenizer
    from kidsnanny.training.student.training_pictures import targets

    torch.manual_seed(0)
    words = tokenizer(text for one in PICTURES for text in targets(one, Codec(VOCABULARY)))
    tags_from = "text" if recipe.tags == "text" else "head"
    model = tiny(words, VOCABULARY, suffix=recipe.suffix, tags_from=tags_from)
    for weight in model.parameters():  # a fresh decoder finds every order as likely
        weight.data += torch.randn_like(weight) * 0.05
    student = Student(model.eval(), words, VOCABULARY, ModelId(name="x"), beams=1, constrained=False)
    counts = EntryFrequencies.of(one.graph for one in PICTURES)
    return StudentLoss(student, recipe, counts).eval()


def shuffled(one: Scene) -> Scene:
    """The same picture, with its objects told in the opposite order."""
    from kidsnanny.training.student.losses.min_perm import reordered

    return Scene(one.image, reordered(one.graph, tuple(reversed(range(len(one.graph.objects))))))


@pytest.mark.parametrize("row", LADDER)
def test_the_loss_is_the_sum_of_its_parts_and_teaches_all_that_is_used(row: str) -> None:
    recipe, loss = LADDER[row], loss_of(LADDER[row])
    parts = loss(PICTURES)
    expected = {"loss", "text"} | ({"missed recall"} if recipe.var else set())
    assert set(parts) == expected | ({"tags"} if recipe.tags != "text" else set())
    assert parts["loss"].item() == pytest.approx(sum(part.item() for name, part in parts.items() if name != "loss"))
    parts["loss"].backward()
    taught = {name.split(".")[1] for name, weight in loss.named_parameters() if weight.grad is not None}
    assert taught == ({"model", "tag_head"} if recipe.tags != "text" else {"model"})


@pytest.mark.parametrize("row", LADDER)
def test_the_order_in_which_the_truth_lists_its_objects_does_not_matter(row: str) -> None:
    loss = loss_of(LADDER[row])
    assert loss(PICTURES)["loss"].item() == pytest.approx(loss([*map(shuffled, PICTURES)])["loss"].item(), rel=1e-5)


def test_min_perm_writes_the_objects_in_the_order_that_costs_least() -> None:
    import torch

    given = [one for one in PICTURES if 1 < len(one.graph.objects) <= 3]
    assert given
    loss = loss_of(PLAIN.model_copy(update={"min_perm": True}))
    features = loss.model.features(loss._student.pixels([one.image for one in given]))
    hidden, mask = loss.model.encoded(features, loss._student.prompts, loss._student.prompts_mask)
    from kidsnanny.training.student.losses.min_perm import orders, reordered
    from kidsnanny.training.student.student_loss import Heard

    heard = Heard(hidden.last_hidden_state, mask)
    graphs = [loss._student.codec.canonical(one.graph) for one in given]

    def objects_cost(place: int, graph: SceneGraph) -> float:
        written = loss._written(loss._texts(given[place], graph, ("objects",)))
        row = place * len(loss._student.tasks)
        alone = Heard(heard.states[row : row + 1], heard.mask[row : row + 1])
        everywhere = torch.ones_like(written.wanted, dtype=torch.bool)
        logits = loss._logits(alone, loss._inputs(written.wanted), everywhere)
        every = torch.nn.functional.cross_entropy(logits, written.wanted[0], reduction="none")
        return float(every[1:-1].sum())  # without what stands around the objects

    with torch.no_grad():
        for place, chosen in enumerate(loss._cheapest(given, graphs, heard)):
            costs = [objects_cost(place, reordered(graphs[place], o)) for o in orders(len(chosen.objects), 3)]
            assert objects_cost(place, chosen) == pytest.approx(min(costs), abs=1e-3)


def test_scheduled_sampling_reads_other_tokens_and_wants_the_same() -> None:
    import torch

    loss = loss_of(PLAIN)
    drawn = [loss(PICTURES, None, p, torch.Generator().manual_seed(1))["text"].item() for p in (0.0, 0.5, 0.5, 1.0)]
    assert drawn[1] == drawn[2]
    assert len({round(one, 6) for one in drawn}) == 3


def test_a_word_that_the_vocabulary_lacks_is_named() -> None:
    thing = PICTURES[0].graph.objects[0].model_copy(update={"label": "unicorn"})
    graph = PICTURES[0].graph.model_copy(update={"objects": (thing, *PICTURES[0].graph.objects[1:])})
    with pytest.raises(DataError, match="unicorn"):
        loss_of(PLAIN)([Scene(PICTURES[0].image, graph)])
