"""Drawn scenes with a steep long tail and several objects of one label: what SenBen's losses are made for.

The words, drawings, tags and captions are those of `scenes`. What differs is the content of a picture:

- The n-th word of the vocabulary's objects, attributes and predicates has the weight n^-TAIL among those that can be
  chosen, so that some words are rare.
- Most pictures show two to four objects of one label. No two of these have the same attributes, and none does the same
  to an object of the same label as another of them: whoever mixes them up is wrong.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.training.student.scenes import (
    ACTORS,
    INTERACTIONS,
    KINDS,
    VOCABULARY,
    Scene,
    caption,
    draw_scene,
    scene,
    tags,
)

Style = Literal["plain", "long-tailed"]
TAIL = 1.6
MAX_OBJECTS = 5
"""Objects in a picture."""
ALONE = 0.15
"""The share of pictures that need not have two objects of one label."""
RELATED = 0.6
"""How often an object of the picture's main label is in a relation, as far as there is room."""
TWINS = tuple(word for word in VOCABULARY.objects if word in (*ACTORS, "ball", "car", "umbrella"))
"""Labels of which several can be in one picture: those with attributes enough to tell four objects apart."""


def sample_long_tailed_graph(seed: int) -> SceneGraph:
    """The content of a long-tailed scene, without drawing it: a graph with empty boxes and objects in no particular
    order. The same seed gives the same graph."""
    rng = random.Random(f"long tail {seed}")
    label = _chosen(rng, TWINS, VOCABULARY.objects)
    labels = [label] * (1 if rng.random() < ALONE else rng.choices((2, 3, 4), (0.5, 0.35, 0.15))[0])
    relations = _relate(rng, labels)
    for _ in range(min(rng.choices((0, 1), (0.7, 0.3))[0], MAX_OBJECTS - len(labels))):
        labels.append(_chosen(rng, [other for other in VOCABULARY.objects if other != label], VOCABULARY.objects))
    things: list[SceneObject] = []
    for each in labels:
        words = _attributes(rng, each)
        while each == label and words in (thing.attributes for thing in things if thing.label == label):
            words = _attributes(rng, each)
        things.append(SceneObject(label=each, box=Box(0, 0, 0, 0), attributes=words))
    graph = SceneGraph(objects=tuple(things), relations=tuple(relations))
    return graph.model_copy(update={"tags": tags(graph), "caption": caption(graph)})


def long_tailed_scene(seed: int, side: int = 192) -> Scene:
    """Draw the long-tailed scene of a seed.

    Args:
        seed: the same gives the same pixels (with the same Pillow).
        side: of the picture, in pixels; below about 100 the faces cannot be distinguished.

    Raises:
        ComponentError: the side is below 64.
    """
    return draw_scene(sample_long_tailed_graph(seed), seed, side)


SCENES: Mapping[Style, Callable[[int, int], Scene]] = {"plain": scene, "long-tailed": long_tailed_scene}
"""Style -> the scene of a seed and a side."""


def _chosen(rng: random.Random, words: Sequence[str], ranked: Sequence[str]) -> str:
    """One of the words; `ranked` has all of them, the frequent ones first."""
    return rng.choices(words, [(1 + ranked.index(word)) ** -TAIL for word in words])[0]


def _relate(rng: random.Random, labels: list[str]) -> list[Relation]:
    """Relations of the objects that are there, all of one label; the other ends are among them, or are appended."""
    label, count = labels[0], len(labels)
    relations: list[Relation] = []
    said: set[tuple[str, str, str]] = set()
    free = list(range(count))
    while free:
        one = free.pop(0)
        if rng.random() >= RELATED:
            continue
        possible = [p for p in VOCABULARY.predicates if label in (*INTERACTIONS[p].subjects, *INTERACTIONS[p].objects)]
        predicate = _chosen(rng, possible, VOCABULARY.predicates)
        subjects, objects = INTERACTIONS[predicate].subjects, INTERACTIONS[predicate].objects
        acts = label in subjects and (label not in objects or rng.random() < 0.8)
        other = _chosen(rng, objects if acts else subjects, VOCABULARY.objects)
        triple = (label, predicate, other) if acts else (other, predicate, label)
        if triple in said or (other != label and len(labels) == MAX_OBJECTS) or (other == label and not free):
            continue
        said.add(triple)
        if other == label:
            two = free.pop(0)
        else:
            labels.append(other)
            two = len(labels) - 1
        subject, thing = (one, two) if acts else (two, one)
        relations.append(Relation(subject=subject, predicate=predicate, object=thing))
    return relations


def _attributes(rng: random.Random, label: str) -> tuple[str, ...]:
    """Up to two attributes that an object can have at once, in the vocabulary's order."""
    kinds = [[word for word in kind if word] for kind, labels in KINDS if label in labels]
    found: list[str] = []
    for _ in range(min(rng.choices(range(3), (0.25, 0.5, 0.25))[0], len(kinds))):
        word = _chosen(rng, [word for kind in kinds for word in kind], VOCABULARY.attributes)
        kinds = [kind for kind in kinds if word not in kind]
        found.append(word)
    return tuple(sorted(found, key=VOCABULARY.attributes.index))
