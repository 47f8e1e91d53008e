"""Drawn scenes: what a picture shows is what its graph says."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from kidsnanny.errors import ComponentError
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.training.student import scenes
from kidsnanny.training.student.scenes import INTERACTIONS, RULES, VOCABULARY, sample_graph, scene
from kidsnanny.training.student.sprites import DRAWINGS

MANY = 2_000
GRAPHS = [sample_graph(seed) for seed in range(MANY)]
PLANTS = [
    ("man", "holding", "cigarette"),
    ("cat", "watching", "umbrella"),
    ("man", "hitting", "woman"),
    ("bird", "chasing", "ball"),
    ("woman", "throwing", "cake"),
    ("dog", "hugging", "dog"),
    ("robot", "riding", "car"),
    ("woman", "feeding", "bird"),
]


def graph(*things: str, relations: tuple[tuple[int, str, int], ...] = ()) -> SceneGraph:
    """`man crying` is a man that cries."""
    return SceneGraph(
        objects=tuple(SceneObject(label=t.split()[0], box=Box(0, 0, 1, 1), attributes=t.split()[1:]) for t in things),
        relations=tuple(Relation(subject=s, predicate=p, object=o) for s, p, o in relations),
    )


def triples(found: SceneGraph) -> list[tuple[str, str, str]]:
    return [(found.objects[r.subject].label, r.predicate, found.objects[r.object].label) for r in found.relations]


def test_a_seed_is_a_scene() -> None:
    for seed in range(20):
        one, same = scene(seed, 128), scene(seed, 128)
        assert np.array_equal(one.image, same.image)
        assert one.graph == same.graph
        assert (one.image.shape, one.image.dtype, one.image.flags.writeable) == ((128, 128, 3), np.uint8, True)
    assert len({scene(seed, 64).image.tobytes() for seed in range(50)}) == 50


@pytest.mark.parametrize("side", [128, 192])
def test_boxes_are_around_what_is_drawn(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """On a plain ground, each thing alone changes pixels up to each edge of its box and none outside."""
    monkeypatch.setattr(scenes, "mark", lambda *_: None)
    monkeypatch.setattr(scenes, "_ground", lambda _, side: Image.new("RGB", (side, side), (1, 2, 3)))
    lay_out = scenes.lay_out
    for seed in range(60):
        count = len(sample_graph(seed).objects)
        for index in range(count):
            whole = scene(seed, side).graph
            boxes: dict[int, Box] = {}

            def alone(*args: object, boxes: dict[int, Box] = boxes, index: int = index) -> object:
                placed, marks = lay_out(*args)
                boxes.update({i: Box(x, y, x + p.image.width, y + p.image.height) for i, p, x, y in placed})
                empty = Image.new("RGBA", (1, 1))
                return [(i, p if i == index else p._replace(image=empty), x, y) for i, p, x, y in placed], marks

            with monkeypatch.context() as patch:
                patch.setattr(scenes, "lay_out", alone)
                changed = (scene(seed, side).image != (1, 2, 3)).any(axis=2)
            rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
            assert Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == boxes[index]
            assert boxes[index] in [thing.box for thing in whole.objects]


@pytest.mark.parametrize("side", [96, 192])
def test_things_are_inside_large_and_in_order(side: int) -> None:
    longest = []
    for drawn in (scene(seed, side) for seed in range(200)):
        boxes = [thing.box for thing in drawn.graph.objects]
        assert all(0 <= box.x0 < box.x1 <= side and 0 <= box.y0 < box.y1 <= side for box in boxes)
        assert boxes == sorted(boxes, key=lambda box: (box.y0, box.x0))
        longest += [max(box.x1 - box.x0, box.y1 - box.y0) / side for box in boxes]
    assert min(longest) > 0.15
    assert np.quantile(longest, 0.01) >= 0.18
    assert max(longest) < 0.6


def test_drawing_changes_no_word() -> None:
    for seed in range(100):
        said, drawn = sample_graph(seed), scene(seed, 96).graph
        assert (drawn.tags, drawn.caption) == (said.tags, said.caption)
        assert sorted((t.label, t.attributes) for t in drawn.objects) == sorted(
            (t.label, t.attributes) for t in said.objects
        )
        assert sorted(triples(drawn)) == sorted(triples(said))


@pytest.mark.parametrize("plant", PLANTS, ids=" ".join)
def test_a_relation_can_be_planted(plant: tuple[str, str, str]) -> None:
    for seed in range(30):
        assert plant in triples(scene(seed, 96, plant).graph)


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (("man", "juggling", "ball"), "juggling.*holding"),
        (("ball", "hitting", "man"), "'ball'.*man, woman"),
        (("man", "holding", "car"), "'car'.*ball, book"),
    ],
)
def test_what_is_never_drawn_cannot_be_planted(plant: tuple[str, str, str], message: str) -> None:
    with pytest.raises(ComponentError, match=message):
        sample_graph(0, plant)


def test_a_scene_has_room() -> None:
    with pytest.raises(ComponentError, match="at least 64"):
        scene(0, 63)


def test_the_vocabulary_is_what_is_drawn() -> None:
    assert set(VOCABULARY.objects) == set(DRAWINGS) == {t.label for g in GRAPHS for t in g.objects}
    assert set(VOCABULARY.attributes) == {a for g in GRAPHS for t in g.objects for a in t.attributes}
    assert set(VOCABULARY.predicates) == set(INTERACTIONS) == {r.predicate for g in GRAPHS for r in g.relations}
    assert set(VOCABULARY.tags) == set(RULES)
    assert len({tag.group for tag in VOCABULARY.tags.values()}) == 5


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (graph("man"), set()),
        (graph("umbrella striped", "flower", "book"), set()),
        (graph("woman smiling", "dog"), {"animals"}),
        (graph("man", "ball"), set()),
        (graph("man", "ball", relations=((0, "throwing", 1),)), {"play"}),
        (graph("man", "ball", relations=((0, "watching", 1),)), set()),
        (graph("balloon"), {"play", "party"}),
        (graph("cake"), {"party"}),
        (graph("robot crown"), {"party"}),
        (graph("man crying"), {"sadness"}),
        (graph("car burning"), {"traffic", "fire"}),
        (graph("sword"), {"weapon"}),
        (graph("man bandaged"), {"hurt"}),
        (graph("man", "robot", relations=((0, "hitting", 1),)), {"fight"}),
        (graph("man", "robot crying", relations=((0, "hitting", 1),)), {"fight", "hurt", "sadness"}),
        (graph("man crying", "robot", relations=((0, "hitting", 1),)), {"fight", "sadness"}),
        (graph("man", "woman", relations=((0, "hugging", 1),)), {"affection"}),
        (graph("man", "cat", relations=((0, "feeding", 1),)), {"affection", "animals"}),
        (graph("man", "bottle"), set()),
        (graph("man", "bottle", relations=((0, "holding", 1),)), {"drinking"}),
        (graph("man", "bottle", relations=((0, "throwing", 1),)), set()),
        (graph("man", "cigarette"), set()),
        (graph("man", "cigarette", relations=((0, "holding", 1),)), {"smoking"}),
    ],
)
def test_tags_follow_from_the_graph(found: SceneGraph, expected: set[str]) -> None:
    assert set(scenes.tags(found)) == expected


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (graph("umbrella"), "There is an umbrella."),
        (graph("dog", "cat", "car"), "There is a car, a cat and a dog."),
        (graph("man", "dog", "car", relations=((0, "riding", 2),)), "A man rides on a car, near a dog."),
        (
            graph("man", "dog", "sword", "cat", relations=((0, "hitting", 1), (0, "holding", 2))),
            "A man hits a dog and a man holds a sword, near a cat.",
        ),
    ],
)
def test_a_caption_is_one_sentence(found: SceneGraph, sentence: str) -> None:
    assert scenes.caption(found) == sentence


def test_words_have_a_long_tail_and_every_tag_can_be_learnt() -> None:
    tags = Counter(tag for g in GRAPHS for tag in g.tags)
    assert set(tags) == set(RULES)
    assert min(tags.values()) >= 0.03 * MANY
    for kind in (
        Counter(t.label for g in GRAPHS for t in g.objects),
        Counter(a for g in GRAPHS for t in g.objects for a in t.attributes),
        Counter(r.predicate for g in GRAPHS for r in g.relations),
    ):
        counts = sorted(kind.values(), reverse=True)
        half = len(counts) // 2
        assert counts[0] >= 5 * counts[-1]
        assert sum(counts[:half]) >= 2 * sum(counts[half:])
        assert counts[-1] >= 0.03 * MANY
    assert set(map(len, (g.objects for g in GRAPHS))) == {1, 2, 3, 4}


def test_nothing_is_in_two_states_at_once() -> None:
    for kind in (("smiling", "angry", "crying"), ("hat", "crown", "bandaged"), ("striped", "dotted")):
        assert all(len(set(kind) & set(t.attributes)) <= 1 for g in GRAPHS for t in g.objects)
