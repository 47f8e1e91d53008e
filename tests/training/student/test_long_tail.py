"""Long-tailed scenes: a few words are rare, and whoever mixes up objects of one label is wrong."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from kidsnanny.errors import ComponentError
from kidsnanny.records import SceneGraph
from kidsnanny.training.student import scenes
from kidsnanny.training.student.long_tail import MAX_OBJECTS, SCENES, long_tailed_scene, sample_long_tailed_graph
from kidsnanny.training.student.scenes import INTERACTIONS, KINDS, VOCABULARY, scene

MANY = 3_000
GRAPHS = [sample_long_tailed_graph(seed) for seed in range(MANY)]


def most_of_one_label(graph: SceneGraph) -> int:
    return max(Counter(thing.label for thing in graph.objects).values())


def test_a_seed_is_a_scene_of_its_style() -> None:
    for seed in range(20):
        one, same = long_tailed_scene(seed, 96), SCENES["long-tailed"](seed, 96)
        assert np.array_equal(one.image, same.image)
        assert one.graph == same.graph
        assert np.array_equal(SCENES["plain"](seed, 96).image, scene(seed, 96).image)
    assert len({long_tailed_scene(seed, 64).image.tobytes() for seed in range(50)}) == 50
    with pytest.raises(ComponentError, match="at least 64"):
        long_tailed_scene(0, 63)


def test_most_pictures_have_two_to_four_objects_of_one_label() -> None:
    counts = Counter(map(most_of_one_label, GRAPHS))
    assert set(counts) == {1, 2, 3, 4}
    assert counts[1] < 0.25 * MANY
    assert min(counts.values()) > 0.05 * MANY
    assert {len(graph.objects) for graph in GRAPHS} == set(range(1, MAX_OBJECTS + 1))


def test_objects_of_one_label_can_be_told_apart() -> None:
    for graph in GRAPHS:
        main = [thing for thing in graph.objects if thing.label == graph.objects[0].label]
        assert all(one.attributes != other.attributes for one, other in combinations(main, 2))
        does = [(graph.objects[r.subject].label, r.predicate, graph.objects[r.object].label) for r in graph.relations]
        assert len(does) == len(set(does))


def test_some_of_several_have_relations_and_some_have_none() -> None:
    busy = Counter(
        len({end for r in graph.relations for end in (r.subject, r.object)} & set(range(most_of_one_label(graph)))) > 0
        for graph in GRAPHS
        if most_of_one_label(graph) > 1
    )
    assert min(busy[True], busy[False]) > 0.1 * MANY
    assert sum(len(graph.relations) > 1 for graph in GRAPHS) > 0.2 * MANY


def test_nothing_is_said_that_cannot_be_drawn() -> None:
    for graph in GRAPHS:
        for thing in graph.objects:
            for kind, labels in KINDS:
                assert len(set(kind) & set(thing.attributes)) <= (thing.label in labels)
        for relation in graph.relations:
            assert graph.objects[relation.subject].label in INTERACTIONS[relation.predicate].subjects
            assert graph.objects[relation.object].label in INTERACTIONS[relation.predicate].objects
        ends = [end for relation in graph.relations for end in (relation.subject, relation.object)]
        assert len(ends) == len(set(ends))  # each has a place in one group
        assert (graph.tags, graph.caption) == (scenes.tags(graph), scenes.caption(graph))


def test_the_tail_is_longer_than_that_of_plain_scenes_and_no_word_is_missing() -> None:
    plain = [scenes.sample_graph(seed) for seed in range(MANY)]
    for words, said in (
        (VOCABULARY.objects, lambda graph: [thing.label for thing in graph.objects]),
        (VOCABULARY.attributes, lambda graph: [word for thing in graph.objects for word in thing.attributes]),
        (VOCABULARY.predicates, lambda graph: [relation.predicate for relation in graph.relations]),
        (VOCABULARY.tags, lambda graph: list(graph.tags)),
    ):
        tails, rarest = [], []
        for graphs in (plain, GRAPHS):
            counts = Counter(word for graph in graphs for word in said(graph))
            assert set(counts) == set(words)
            tails.append(max(counts.values()) / min(counts.values()))
            rarest.append(min(counts.values()))
        assert tails[1] > max(10, 1.4 * tails[0])
        assert 0.015 * MANY < rarest[1] < 0.1 * MANY  # rare, and yet a test of a thousand pictures has some of it


@pytest.mark.parametrize("side", [96, 192])
def test_the_picture_has_what_the_graph_says(side: int) -> None:
    longest = []
    for seed, said in enumerate(GRAPHS[:200]):
        drawn = long_tailed_scene(seed, side)
        boxes = [thing.box for thing in drawn.graph.objects]
        assert sorted((t.label, t.attributes) for t in drawn.graph.objects) == sorted(
            (t.label, t.attributes) for t in said.objects
        )
        assert (drawn.image.shape, drawn.graph.tags) == ((side, side, 3), said.tags)
        assert all(0 <= box.x0 < box.x1 <= side and 0 <= box.y0 < box.y1 <= side for box in boxes)
        assert boxes == sorted(boxes, key=lambda box: (box.y0, box.x0))
        longest += [max(box.x1 - box.x0, box.y1 - box.y0) / side for box in boxes]
    assert min(longest) > 0.12
    assert np.quantile(longest, 0.05) > 0.18
