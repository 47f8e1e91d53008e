"""Recall of the words that were rare in training."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_graph_metrics import FAR, LEFT, RIGHT, WORDS, graph, pairs, thing

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_metrics import KINDS, score
from kidsnanny.evaluation.graphs.rare_recall import rare_entries, rare_recall
from kidsnanny.records import SceneGraph
from kidsnanny.stage1.student.vocabulary import Entry, Vocabulary, count_entries

TRAINED: dict[Entry, int] = {
    ("label", "cat"): 90, ("label", "dog"): 5, ("label", "ball"): 20,
    ("attribute", "wet"): 3, ("attribute", "red"): 30,
    ("predicate", "chasing"): 4, ("predicate", "holding"): 4,
    ("tag", "storm"): 8, ("tag", "rain"): 50, ("tag", "toys"): 2,
}  # fmt: skip
RARE = {("label", "dog"), ("attribute", "wet"), ("predicate", "holding"), ("tag", "toys"), ("tag", "snow")}


def test_rare_is_the_third_of_each_kind_that_training_has_least_often() -> None:
    """Of 3 labels one is rare, of 2 attributes and predicates one, of 4 tags two; snow was never seen in training; of
    chasing and holding, which are as frequent, holding stands later in the vocabulary."""
    assert rare_entries(TRAINED, WORDS) == RARE


def test_frequencies_are_counted() -> None:
    both = graph(
        thing("dog", LEFT, "wet"), thing("dog", RIGHT), does=[(0, "chasing", 1)], tags={"rain": 0.5, "snow": 0.4}
    )
    assert count_entries([both, graph(thing("cat"))]) == {
        ("label", "dog"): 2,
        ("label", "cat"): 1,
        ("attribute", "wet"): 1,
        ("predicate", "chasing"): 1,
        ("tag", "rain"): 1,
    }


def test_two_frames_by_hand() -> None:
    first = graph(
        thing("dog", LEFT, "wet"),
        thing("dog", RIGHT, "red"),
        thing("cat", FAR, "wet"),
        does=[(0, "holding", 2), (1, "chasing", 0)],
        tags={"toys": 1.0, "rain": 1.0},
    )
    # both dogs are found, but the wrong one is wet and holds the cat; the cat is found, and wet; toys are too unsure
    guessed = graph(
        thing("cat", FAR, "wet"),
        thing("dog", RIGHT, "wet"),
        thing("dog", LEFT),
        does=[(1, "holding", 0), (1, "chasing", 2)],
        tags={"toys": 0.49, "rain": 0.5},
    )
    second = graph(thing("dog", LEFT), tags={"toys": 1.0})
    elsewhere = graph(thing("dog", FAR), tags={"toys": 1.0, "snow": 1.0})
    found = rare_recall([(first, guessed), (second, elsewhere)], TRAINED, WORDS)
    counted = {(each.kind, each.word): (each.hits, each.recall.n) for each in found.entries}
    # rare: dogs 2 of 3, wet 1 of 2 (the cat), holding 0 of 1, toys 1 of 2; that it snows was made up, and costs nothing
    rare = [counted[entry] for entry in [*sorted(RARE)]]
    assert rare == [(1, 2), (2, 3), (0, 1), (0, 0), (1, 2)]
    assert (found.rare.value, found.rare.n) == (4 / 8, 8)
    # others: the cat 1 of 1, red 0 of 1, chasing 1 of 1, rain 1 of 1
    assert (found.others.value, found.others.n) == (3 / 4, 4)
    assert {(each.kind, each.word) for each in found.entries if each.rare} == RARE
    assert {(each.kind, each.word): each.trained for each in found.entries} == TRAINED | {("tag", "snow"): 0}
    never = next(each for each in found.entries if each.word == "snow")
    assert str(never.recall) == "not measured: no occurrences in the truth"


def test_the_interval_is_that_of_resampled_frames() -> None:
    """Of 100 dogs, a frame each, 70 are found: the standard error is sqrt(.7 * .3 / 100) = .046."""
    frames = [(graph(thing("dog")), graph(thing("dog") if n < 70 else thing("cat"))) for n in range(100)]
    found = rare_recall(frames, TRAINED, WORDS)
    assert found.rare.value == 0.7
    assert found.rare.low == pytest.approx(0.7 - 1.96 * 0.046, abs=0.015)
    assert found.rare.high == pytest.approx(0.7 + 1.96 * 0.046, abs=0.015)
    assert rare_recall(frames, TRAINED, WORDS) == found
    assert str(found.others) == "not measured: no occurrences of other words in the truth"


@settings(max_examples=60)
@given(pairs, st.dictionaries(st.sampled_from(WORDS.entries()), st.integers(1, 9), min_size=1))
def test_rare_and_others_are_all_that_is_scored(
    given: Sequence[tuple[SceneGraph, SceneGraph]], trained: dict[Entry, int]
) -> None:
    found = rare_recall(given, trained, WORDS, resamples=20)
    whole = score(given, WORDS, resamples=20)
    kinds = [*(getattr(whole.graph, kind) for kind in KINDS), *whole.tags.values()]
    assert sum(each.hits for each in found.entries) == sum(kind.hits for kind in kinds)
    assert found.rare.n + found.others.n == sum(kind.hits + kind.missed for kind in kinds)
    for each in (found.rare, found.others, *(entry.recall for entry in found.entries)):
        assert (each.value is None) == (each.n == 0)
        if each.low is not None and each.value is not None and each.high is not None:
            assert 0 <= each.low <= each.value <= each.high <= 1


@pytest.mark.parametrize(
    ("truth", "trained", "said"),
    [
        (graph(thing("zebra")), TRAINED, "Frame 0 has the label 'zebra', which weather and toys lacks; give the vocab"),
        (graph(tags={"fog": 1.0}), TRAINED, "Frame 0 has the tag 'fog', which weather and toys lacks"),
        (graph(), {}, "No frequency of a word of weather and toys is given, so none is rare; count those of the train"),
        (graph(), {("label", "cat"): 0}, "No frequency of a word"),
    ],
)
def test_what_cannot_be_scored_is_refused(truth: SceneGraph, trained: dict[Entry, int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        rare_recall([(truth, graph())], trained, WORDS)


def test_there_may_be_no_words_of_a_kind() -> None:
    bare = Vocabulary(name="bare", objects=("cat", "dog"))
    assert rare_entries({("label", "cat"): 3}, bare) == {("label", "dog")}
