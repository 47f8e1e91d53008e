"""Harmless comic-like pictures with their true scene graphs: data to train and test a student on where SenBen's gated
frames are not available.

A picture shows one to four of sixteen objects on a plain ground, some of them in a relation; the arm, eye or speed
lines of an object show that it is the relation's subject. The words, their frequencies (a long tail, as in SenBen) and
the rules that derive tags from a graph are this library's; `scenes.toml` is the vocabulary. None of the objects is a
child, because some of them hit and smoke.

A scene is made in two steps, both functions of the seed alone: `sample_graph` chooses its content, `scene` draws it.
`kidsnanny.evaluation.graphs.graph_data` documents how scenes are stored.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.training.student.layout import lay_out
from kidsnanny.training.student.sprites import mark

VOCABULARY = Vocabulary.load(Path(__file__).with_name("scenes.toml"))
MAX_OBJECTS = 4
"""Objects in a picture."""
MIN_SIDE = 64
"""Pixels."""

PEOPLE = ("man", "woman", "robot")
ANIMALS = ("dog", "cat", "bird")
ACTORS = (*PEOPLE, *ANIMALS)
HELD = ("ball", "book", "balloon", "bottle", "flower", "cake", "sword", "cigarette", "umbrella")
THINGS = ("ball", "car", "book", "balloon", "bottle", "cake", "flower", "sword", "cigarette", "umbrella")
WEIGHTS: dict[str, float] = {
    "man": 10, "woman": 7, "dog": 5, "ball": 4, "cat": 3.5, "car": 3, "robot": 3, "book": 2.5, "balloon": 2.2,
    "bird": 2.2, "bottle": 2, "cake": 1.8, "flower": 1.7, "sword": 1.6, "cigarette": 2, "umbrella": 1.2,
}  # fmt: skip
"""Relative frequency of each label among those that can be chosen."""


class Interaction(NamedTuple):
    """Relative frequency of a predicate, and the labels of its subjects and objects."""

    weight: float
    subjects: Sequence[str]
    objects: Sequence[str]


INTERACTIONS: dict[str, Interaction] = {
    "holding": Interaction(1.0, PEOPLE, HELD),
    "watching": Interaction(0.55, ACTORS, (*ACTORS, *THINGS)),
    "hitting": Interaction(0.40, ACTORS, ACTORS),
    "chasing": Interaction(0.30, ACTORS, (*ACTORS, "ball", "car")),
    "throwing": Interaction(0.26, PEOPLE, ("ball", "book", "bottle", "cake", "flower")),
    "hugging": Interaction(0.22, ACTORS, ACTORS),
    "riding": Interaction(0.19, ("man", "woman", "robot", "cat", "bird"), ("car", "dog")),
    "feeding": Interaction(0.17, PEOPLE, ACTORS),
}
MOODS = {"": 0.46, "smiling": 0.28, "angry": 0.13, "crying": 0.13}
MOODS_OF = {  # True: of the one who hits; False: of the one who is hit
    True: {"": 0.3, "smiling": 0.05, "angry": 0.6, "crying": 0.05},
    False: {"": 0.3, "smiling": 0.05, "angry": 0.1, "crying": 0.55},
}
HEADS = {"": 0.72, "hat": 0.14, "bandaged": 0.08, "crown": 0.06}
EYES = {"": 0.89, "glasses": 0.11}
PATTERNS = {"": 0.74, "striped": 0.17, "dotted": 0.09}
FIRE = {"": 0.87, "burning": 0.13}
PATTERNED = (*ACTORS, "ball", "car", "balloon", "bottle", "umbrella")
BURNING = ("ball", "car", "book", "flower", "umbrella")
KINDS = (*((kind, ACTORS) for kind in (MOODS, HEADS, EYES)), (PATTERNS, PATTERNED), (FIRE, BURNING))
"""Attributes that exclude each other, with their frequencies, and the labels that can have them."""

VERBS = {
    "holding": "holds", "watching": "watches", "hitting": "hits", "chasing": "chases", "throwing": "throws",
    "hugging": "hugs", "riding": "rides on", "feeding": "feeds",
}  # fmt: skip


class Scene(NamedTuple):
    """A drawn picture and its true scene graph."""

    image: RGB
    """(side, side, 3) uint8."""
    graph: SceneGraph
    """Pixel boxes, tight around the object's pixels (hat and flames included); objects sorted by (y0, x0)."""


def _any(graph: SceneGraph, *labels: str) -> bool:
    return any(thing.label in labels for thing in graph.objects)


def _is(graph: SceneGraph, attribute: str) -> bool:
    return any(attribute in thing.attributes for thing in graph.objects)


def _does(graph: SceneGraph, predicates: Sequence[str], objects: Sequence[str] = tuple(WEIGHTS)) -> bool:
    return any(r.predicate in predicates and graph.objects[r.object].label in objects for r in graph.relations)


def _hurt(graph: SceneGraph) -> bool:
    hit = {relation.object for relation in graph.relations if relation.predicate == "hitting"}
    return _is(graph, "bandaged") or any("crying" in graph.objects[index].attributes for index in hit)


RULES: Mapping[str, Callable[[SceneGraph], bool]] = {
    "animals": lambda graph: _any(graph, *ANIMALS),
    "play": lambda graph: _any(graph, "balloon") or _does(graph, ("holding", "throwing", "chasing"), ("ball",)),
    "sadness": lambda graph: _is(graph, "crying"),
    "traffic": lambda graph: _any(graph, "car"),
    "party": lambda graph: _any(graph, "cake", "balloon") or _is(graph, "crown"),
    "fight": lambda graph: _does(graph, ("hitting",)),
    "weapon": lambda graph: _any(graph, "sword"),
    "affection": lambda graph: _does(graph, ("hugging", "feeding")),
    "hurt": _hurt,
    "drinking": lambda graph: _does(graph, ("holding",), ("bottle",)),
    "fire": lambda graph: _is(graph, "burning"),
    "smoking": lambda graph: _does(graph, ("holding",), ("cigarette",)),
}
"""Tag -> whether a graph has it; a function of the graph alone."""


def tags(graph: SceneGraph) -> dict[str, float]:
    """The tags that follow from objects, attributes and relations, each with 1.0."""
    return {tag: 1.0 for tag, holds in RULES.items() if holds(graph)}


def caption(graph: SceneGraph) -> str:
    """One sentence that names every object: `A man hits a dog and a cat watches a ball, near a car.`"""
    labels = [thing.label for thing in graph.objects]
    clauses = sorted(f"{_a(labels[r.subject])} {VERBS[r.predicate]} {_a(labels[r.object])}" for r in graph.relations)
    busy = {index for relation in graph.relations for index in (relation.subject, relation.object)}
    rest = _listed(sorted(_a(label) for index, label in enumerate(labels) if index not in busy))
    if not clauses:
        return f"There is {rest}."
    sentence = _listed(clauses) + (f", near {rest}" if rest else "")
    return f"{sentence[0].upper()}{sentence[1:]}."


def sample_graph(seed: int, relation: tuple[str, str, str] | None = None) -> SceneGraph:
    """The content of a scene, without drawing it: a graph with empty boxes and objects in no particular order.

    Args:
        seed: the same gives the same graph.
        relation: (subject, predicate, object) that the scene must contain.

    Raises:
        ComponentError: no drawing exists for the relation.
    """
    rng = random.Random(f"words {seed}")
    labels: list[str] = []
    relations: list[Relation] = []

    def relate(subject: int, predicate: str, label: str) -> None:
        labels.append(label)
        relations.append(Relation(subject=subject, predicate=predicate, object=len(labels) - 1))

    first = _checked(relation) if relation else None if rng.random() < 0.12 else _sample_interaction(rng)
    if first:
        labels.append(first[0])
        relate(0, *first[1:])
        if first[1] not in ("holding", "riding") and first[0] in PEOPLE and rng.random() < 0.3:
            relate(0, "holding", _chosen(rng, HELD))
        if len(labels) == 2 and rng.random() < 0.25:
            second = _sample_interaction(rng)
            labels.append(second[0])
            relate(2, *second[1:])
    loose = rng.choices(range(3), (0.5, 0.35, 0.15))[0] if first else rng.choices((1, 2, 3, 4), (3, 3, 2, 1))[0]
    labels.extend(_chosen(rng, tuple(WEIGHTS)) for _ in range(min(loose, MAX_OBJECTS - len(labels))))
    graph = SceneGraph(
        objects=tuple(
            SceneObject(label=label, box=Box(0, 0, 0, 0), attributes=_attributes(rng, label, index, relations))
            for index, label in enumerate(labels)
        ),
        relations=tuple(relations),
    )
    return graph.model_copy(update={"tags": tags(graph), "caption": caption(graph)})


def scene(seed: int, side: int = 192, relation: tuple[str, str, str] | None = None) -> Scene:
    """Draw the scene of a seed.

    Args:
        seed: the same gives the same pixels (with the same Pillow).
        side: of the picture, in pixels; below about 100 the faces cannot be distinguished.
        relation: (subject, predicate, object) that the scene must contain.

    Raises:
        ComponentError: no drawing exists for the relation, or the side is below 64.
    """
    return draw_scene(sample_graph(seed, relation), seed, side)


def draw_scene(graph: SceneGraph, seed: int, side: int) -> Scene:
    """Draw what a graph says.

    Args:
        graph: its boxes are ignored. Each object has a part in the relations of one subject at most, and a subject
            holds one object at most beside what else it does: the drawings have two hands.
        seed: of colours, sizes and places.
        side: of the picture, in pixels.

    Raises:
        ComponentError: the side is below 64.
    """
    if side < MIN_SIDE:
        raise ComponentError(
            f"A scene of {side} pixels is too small to show its objects; give a side of at least {MIN_SIDE}."
        )
    rng = random.Random(f"drawing {seed}")
    image = _ground(rng, side)
    placed, marks = lay_out(graph, rng, side)
    for _, piece, x, y in placed:
        image.paste(piece.image, (x, y), piece.image)
    draw = ImageDraw.Draw(image)
    for kind, points in marks:
        mark(draw, kind, points, side)
    boxes = {index: Box(x, y, x + piece.image.width, y + piece.image.height) for index, piece, x, y in placed}
    order = sorted(boxes, key=lambda index: (boxes[index].y0, boxes[index].x0, index))
    place = {index: number for number, index in enumerate(order)}
    relations = [
        Relation(subject=place[r.subject], predicate=r.predicate, object=place[r.object]) for r in graph.relations
    ]
    graph = graph.model_copy(
        update={
            "objects": tuple(graph.objects[index].model_copy(update={"box": boxes[index]}) for index in order),
            "relations": tuple(sorted(relations, key=lambda r: (r.subject, r.object))),
        }
    )
    return Scene(np.array(image), graph)


def _checked(relation: tuple[str, str, str]) -> tuple[str, str, str]:
    subject, predicate, label = relation
    interaction = INTERACTIONS.get(predicate)
    if interaction is None:
        raise ComponentError(f"The scenes have no predicate {predicate!r}; choose one of {', '.join(INTERACTIONS)}.")
    for word, choice in ((subject, interaction.subjects), (label, interaction.objects)):
        if word not in choice:
            raise ComponentError(
                f"{' '.join(relation)}: the scenes cannot draw {word!r} there; choose one of {', '.join(choice)}."
            )
    return relation


def _sample_interaction(rng: random.Random) -> tuple[str, str, str]:
    predicate = rng.choices(tuple(INTERACTIONS), [interaction.weight for interaction in INTERACTIONS.values()])[0]
    return _chosen(rng, INTERACTIONS[predicate].subjects), predicate, _chosen(rng, INTERACTIONS[predicate].objects)


def _chosen(rng: random.Random, labels: Sequence[str]) -> str:
    return rng.choices(labels, [WEIGHTS[label] for label in labels])[0]


def _attributes(rng: random.Random, label: str, index: int, relations: Sequence[Relation]) -> tuple[str, ...]:
    """An object's attributes, in the vocabulary's order: at most one of each kind that its label can have."""
    hits = {r.subject == index for r in relations if r.predicate == "hitting" and index in (r.subject, r.object)}
    moods = MOODS_OF[hits.pop()] if hits else MOODS
    kinds = [moods if kind is MOODS else kind for kind, labels in KINDS if label in labels]
    found = {rng.choices(tuple(kind), tuple(kind.values()))[0] for kind in kinds}
    return tuple(word for word in VOCABULARY.attributes if word in found)


def _a(label: str) -> str:
    return f"{'an' if label[0] in 'aeiou' else 'a'} {label}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _ground(rng: random.Random, side: int) -> Image.Image:
    """A pale background, perhaps with a floor, and a few pale marks as distractors."""
    pale = [rng.randint(196, 244) for _ in range(3)]
    image = Image.new("RGB", (side, side), tuple(pale))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        line = rng.randint(side // 2, side - side // 8)
        draw.rectangle((0, line, side, side), tuple(tone - rng.randint(8, 26) for tone in pale))
    for _ in range(rng.randint(0, 6)):
        x, y, r = rng.randrange(side), rng.randrange(side), rng.uniform(0.015, 0.05) * side
        tone = tuple(max(0, min(255, tone + rng.randint(-30, 18))) for tone in pale)
        if rng.random() < 0.5:
            draw.ellipse((x - r, y - r, x + r, y + r), tone)
        else:
            draw.line((x - 2 * r, y, x + 2 * r, y + rng.uniform(-r, r)), tone, max(1, side // 64))
    return image
