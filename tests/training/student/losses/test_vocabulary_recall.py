"""Vocabulary-aware recall: which tokens are whose, what they count, and what missing them costs."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.errors import DataError
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.codec import Codec, Task
from kidsnanny.stage1.student.vocabulary import Tag, Vocabulary

pytestmark = pytest.mark.torch

PARK = Vocabulary(
    name="park",
    objects=("dog", "dog on a leash", "chien à poil"),
    attributes=("wet", "on a leash", "poil"),
    predicates=("chasing", "held by"),
    tags={"animals": Tag(group="park"), "at play": Tag(group="park")},
)
"""Words that begin and end like others, with spaces and accents."""
GRAPH = SceneGraph(
    objects=(
        SceneObject(label="dog on a leash", box=Box(0, 0, 9, 9), attributes=("wet", "on a leash")),
        SceneObject(label="chien à poil", box=Box(0, 0, 9, 9), attributes=("poil",)),
    ),
    relations=(
        Relation(subject=0, predicate="held by", object=1),
        Relation(subject=1, predicate="chasing", object=0),
    ),
    tags={"animals": 1.0, "at play": 0.5},
    caption="A wet dog, held by a dog on a leash.",
)
MENTIONED: dict[Task, list[tuple[str, str]]] = {
    "objects": [("label", "dog on a leash"), ("label", "chien à poil")],
    "attributes": [
        ("label", "dog on a leash"),
        ("attribute", "wet"),
        ("attribute", "on a leash"),
        ("label", "chien à poil"),
        ("attribute", "poil"),
    ],
    "relations": [
        ("label", "dog on a leash"),
        ("predicate", "held by"),
        ("label", "chien à poil"),
        ("label", "chien à poil"),
        ("predicate", "chasing"),
        ("label", "dog on a leash"),
    ],
    "caption": [],
    "tags": [("tag", "animals"), ("tag", "at play")],
}
TEXTS = Codec(PARK).encode(GRAPH, 10, 10)


def frequencies(**counts: int) -> Any:
    from kidsnanny.training.student.losses.vocabulary_recall import EntryFrequencies

    return EntryFrequencies({("label", word): count for word, count in counts.items()})


def test_the_frequencies_of_the_entries() -> None:
    from kidsnanny.training.student.losses.vocabulary_recall import EntryFrequencies

    thing = SceneObject(label="dog", box=Box(0, 0, 1, 1), attributes=("wet",))
    more = SceneGraph(objects=(thing, thing), tags={"animals": 0.9, "at play": 0.4})
    assert EntryFrequencies.of([GRAPH, more, SceneGraph()]).counts == {
        ("label", "dog"): 2,
        ("label", "dog on a leash"): 1,
        ("label", "chien à poil"): 1,
        ("attribute", "wet"): 3,
        ("attribute", "on a leash"): 1,
        ("attribute", "poil"): 1,
        ("predicate", "held by"): 1,
        ("predicate", "chasing"): 1,
        ("tag", "animals"): 2,
        ("tag", "at play"): 1,
    }
    with pytest.raises(DataError, match="the training graphs have no object and no tag"):
        EntryFrequencies.of([SceneGraph()])


@pytest.mark.parametrize(
    ("word", "gamma", "most", "weight"),
    [  # the mean of 1, 4, 16 and 379 is 100
        ("umbrella", 0.5, 20.0, 10.0),
        ("umbrella", 0.5, 5.0, 5.0),
        ("sword", 0.5, 20.0, 5.0),
        ("car", 0.5, 20.0, 2.5),
        ("man", 0.5, 20.0, math.sqrt(100 / 379)),
        ("man", 1.0, 2.0, 0.5),
        ("umbrella", 0.0, 5.0, 1.0),
        ("man", 0.0, 5.0, 1.0),
        ("unicorn", 0.5, 20.0, 10.0),
    ],
)
def test_what_an_entry_counts(word: str, gamma: float, most: float, weight: float) -> None:
    found = frequencies(umbrella=1, sword=4, car=16, man=379).weight(("label", word), gamma=gamma, most=most)
    assert found == pytest.approx(weight)


@pytest.mark.parametrize("task", MENTIONED)
@pytest.mark.parametrize("numbered", [True, False])
def test_where_the_entries_stand(task: Task, numbered: bool) -> None:
    from kidsnanny.training.student.losses.vocabulary_recall import mentions

    text = TEXTS[task] if numbered else TEXTS[task].replace(":0", "").replace(":1", "")
    found = mentions(task, text, PARK)
    assert [mention.entry for mention in found] == MENTIONED[task]
    assert all(text[mention.start : mention.end] == mention.entry[1] for mention in found)
    assert mentions(task, "", PARK) == []


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("attributes", "dog:0 wet\ncat:1 wet"),
        ("attributes", "dog:0 dry"),
        ("attributes", "dog:0"),
        ("relations", "(dog:0, chasing, dog:1)\n(dog:0, chasing)"),
    ],
)
def test_a_line_that_the_vocabulary_cannot_make_up_is_refused(task: Task, text: str) -> None:
    from kidsnanny.training.student.losses.vocabulary_recall import mentions

    with pytest.raises(DataError, match="vocabulary park cannot make up"):
        mentions(task, text, PARK)


def test_worked_example() -> None:
    """A text with a frequent label of two tokens and a rare one of one token, between location tokens."""
    import torch

    from kidsnanny.training.student.losses.vocabulary_recall import (
        Mention,
        align,
        mentions,
        missed_recall,
        token_weights,
    )

    words = Vocabulary(name="two", objects=("man", "sword"))
    text = "man<loc_1>sword<loc_2>"
    #           <s>     m       an      loc_1    sword     loc_2     </s>
    offsets = [(0, 0), (0, 1), (1, 3), (3, 10), (10, 15), (15, 22), (0, 0)]
    found = mentions("objects", text, words)
    assert found == [Mention(("label", "man"), 0, 3), Mention(("label", "sword"), 10, 15)]
    # the mean of 8 and 32 is 20; (20 / 32)^1 and (20 / 8)^1
    aligned = align([found], torch.tensor([offsets]), frequencies(man=32, sword=8), gamma=1.0)
    assert aligned.of_token.tolist() == [[-1, 0, 0, -1, 1, -1, -1]]
    assert token_weights(aligned).tolist() == [[1.0, 0.625, 0.625, 1.0, 2.5, 1.0, 1.0]]
    # p(man) = 1/2 * 1/2, p(sword) = 1/10: 1 - (0.625 / 4 + 2.5 / 10) / 3.125
    losses = torch.tensor([[9.0, math.log(2), math.log(2), 9.0, math.log(10), 9.0, 9.0]])
    assert missed_recall(losses, aligned).item() == pytest.approx(0.87)


def test_tokens_of_a_real_tokenizer() -> None:
    """Byte-level BPE: tokens that begin with the space before a word, and several tokens to a letter with an accent."""
    import torch
    from tokenizers import ByteLevelBPETokenizer

    from kidsnanny.training.student.losses.vocabulary_recall import EntryFrequencies, align, mentions

    tokenizer = ByteLevelBPETokenizer(trim_offsets=False)
    tokenizer.train_from_iterator(TEXTS.values(), vocab_size=280, show_progress=False)
    tokenizer.add_special_tokens([f"<loc_{n}>" for n in range(1000)])
    tokenizer.add_special_tokens(["<pad>"])
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("<pad>"), pad_token="<pad>")
    encoded = tokenizer.encode_batch(list(TEXTS.values()))
    found = [mentions(task, text, PARK) for task, text in TEXTS.items()]
    aligned = align(found, torch.tensor([one.offsets for one in encoded]), EntryFrequencies.of([GRAPH]))
    written: dict[int, list[int]] = {}
    for row, one in zip(aligned.of_token.tolist(), encoded, strict=True):
        for mention, token in zip(row, one.ids, strict=True):
            written.setdefault(mention, []).append(token)
    outside = tokenizer.decode(written.pop(-1), skip_special_tokens=True)
    entries = [mention.entry[1] for in_text in found for mention in in_text]
    assert [tokenizer.decode(written[n]).strip() for n in range(len(entries))] == entries
    assert GRAPH.caption in outside
    assert "leash" not in outside.replace(GRAPH.caption, "")


def test_a_batch_without_mentions_has_nothing_to_recall() -> None:
    import torch

    from kidsnanny.training.student.losses.vocabulary_recall import align, missed_recall, token_weights

    aligned = align([[]], torch.zeros(1, 3, 2, dtype=torch.int64), frequencies(man=1))
    losses = torch.ones(1, 3, requires_grad=True)
    missed_recall(losses, aligned).backward()
    assert missed_recall(losses, aligned).item() == 0
    assert token_weights(aligned).tolist() == [[1.0, 1.0, 1.0]]


COUNTS = st.lists(st.integers(1, 500), min_size=2, max_size=6, unique=True)


def batch(counts: list[int]) -> Any:
    """A text of one token for each entry, which the training graphs have so often."""
    import torch

    from kidsnanny.training.student.losses.vocabulary_recall import Mention, align

    of = frequencies(**{f"word{n}": count for n, count in enumerate(counts)})
    found = [Mention(("label", f"word{n}"), n, n + 1) for n in range(len(counts))]
    return align([found], torch.tensor([[(n, n + 1) for n in range(len(counts))]]), of)


@given(counts=COUNTS)
def test_missing_a_rare_entry_costs_more_than_missing_a_frequent_one(counts: list[int]) -> None:
    import torch

    from kidsnanny.training.student.losses.vocabulary_recall import MOST, missed_recall, token_weights

    aligned, rare, frequent = batch(counts), counts.index(min(counts)), counts.index(max(counts))

    def missing(place: int) -> tuple[float, float]:
        losses = torch.full((1, len(counts)), 0.1)
        losses[0, place] = 5.0
        weights = token_weights(aligned)
        return ((weights * losses).sum() / weights.sum()).item(), missed_recall(losses, aligned).item()

    weights = aligned.weights.tolist()
    assert 1 / MOST <= weights[frequent] < weights[rare] <= MOST + 1e-6
    for rarer, more_frequent in zip(missing(rare), missing(frequent), strict=True):
        assert rarer > more_frequent


@given(counts=COUNTS, seed=st.integers(0, 2**32), data=st.data())
def test_the_order_of_the_texts_does_not_matter(counts: list[int], seed: int, data: st.DataObject) -> None:
    import torch

    from kidsnanny.training.student.losses.vocabulary_recall import missed_recall

    losses = torch.rand(1, len(counts), generator=torch.Generator().manual_seed(seed))
    order = data.draw(st.permutations(range(len(counts))))
    assert missed_recall(losses, batch(counts)).item() == pytest.approx(
        missed_recall(losses[:, order], batch([counts[n] for n in order])).item(), abs=1e-6
    )


def test_its_gradients() -> None:
    import torch

    from kidsnanny.training.student.losses.label_smoothing import token_losses
    from kidsnanny.training.student.losses.vocabulary_recall import (
        Mention,
        Mentions,
        align,
        missed_recall,
        token_weights,
    )

    torch.manual_seed(0)
    offsets = torch.tensor([[(0, 1), (1, 2), (2, 3), (0, 0)], [(0, 1), (1, 2), (0, 0), (0, 0)]])
    found = [[Mention(("label", "man"), 0, 2)], [Mention(("label", "sword"), 0, 1)]]
    aligned: Mentions = align(found, offsets, frequencies(man=32, sword=8))
    wanted = torch.tensor([[0, 2, 3, 4], [3, 2, 4, 1]])
    logits = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)

    def losses(given: Any) -> Any:
        return token_losses(given, wanted, 0.0, padding=1)

    weights = token_weights(aligned).double()
    assert torch.autograd.gradcheck(lambda given: missed_recall(losses(given), aligned), logits)
    assert torch.autograd.gradcheck(lambda given: (weights * losses(given)).sum() / weights.sum(), logits)
