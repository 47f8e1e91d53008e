"""Scene graphs as the texts of SenBen's five tasks, and back (arXiv 2604.08819, pipeline figure).

Grammar (LOC is one of Florence-2's location tokens, `<loc_0>` to `<loc_999>`; LF is a line break):

    objects    = { LABEL LOC LOC LOC LOC }                      male<loc_12><loc_3><loc_900><loc_400>female<loc_...
    attributes = [ line { LF line } ]                           female:1 naked,fear
    line       = thing " " ATTRIBUTE { "," ATTRIBUTE }
    relations  = [ relation { LF relation } ]                   (male:0, stabbing, female:1)
    relation   = "(" thing ", " PREDICATE ", " thing ")"
    caption    = one sentence
    tags       = [ TAG { ", " TAG } ]                           violence, gore
    thing      = LABEL ":" N

N is an object's place in `objects`, of whatever class. The forms are the published figure's. Not published, and chosen
here: the order of the four location tokens, what stands between two relations, and that an empty text says "none".

A codec without the suffix `:N`, with which SenBen's ablation begins, writes `thing = LABEL`. Which of several objects
of one label is meant is then lost; the reading is ours. Each line of attributes takes the first object of its label
among those with the fewest lines so far. Each relation takes two different objects where the labels allow it: the first
ones that have not yet been subject or object of its predicate. So attributes of a second man, when the first has none,
become the first man's, and what relations say of several men gathers at the first.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Literal, get_args

from kidsnanny.errors import ComponentError, DataError
from kidsnanny.records import Box, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.boxes import bin_of, nonempty, pixel_of
from kidsnanny.stage1.student.vocabulary import Vocabulary

Task = Literal["objects", "attributes", "relations", "caption", "tags"]
LocOrder = Literal["yxyx", "xyxy"]

PROMPTS: dict[Task, str] = {
    "objects": "Locate all sensitive objects with bounding boxes.",
    "attributes": "List objects with their attributes and bboxes.",
    "relations": "Describe relationships as (subj, pred, obj) tuples.",
    "caption": "Describe any sensitive content visible in this image.",
}
"""What the decoder is asked, word for word as published. The tags have no prompt: a head of their own finds them."""
TAGS_PROMPT = "List the tags of any sensitive content visible in this image."
"""Ours, for a student without a tag head, with which SenBen's ablation begins; its own is not public."""

MAX_CAPTION = 300
"""Characters."""
MAX_DROPPED = 20
MAX_QUOTE = 80

_AROUND = re.compile(r"(?:\s|</?s>|<pad>)+")
"""What a tokenizer puts around a text."""
_LOCATION = re.compile(r"<loc_(0|[1-9][0-9]{0,2})>")
_LOCATIONS = re.compile(r"(?:<loc_(?:0|[1-9][0-9]{0,2})>\s*)+")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}")
_RELATION = re.compile(r"\(([^()]*)\)")


class Codec:
    """Writes and reads the texts in the words of one vocabulary.

    Args:
        vocabulary: whose words may stand in a text.
        loc_order: which of a box's four location tokens comes first. SenBen's is not public; `yxyx`, as its boxes
            are stored, is our choice. A student reads what it was trained to write: it is part of its configuration.
        suffix: whether attributes and relations name an object with its number, `male:0`; see the module for what is
            lost without. Of labels that begin alike, the longest that a line of attributes begins with then counts.

    Raises:
        ComponentError: there is no such order.
    """

    def __init__(self, vocabulary: Vocabulary, loc_order: LocOrder = "yxyx", *, suffix: bool = True) -> None:
        if loc_order not in get_args(LocOrder):
            orders = " or ".join(get_args(LocOrder))
            raise ComponentError(f"loc_order is {loc_order!r}, which is not an order of location tokens; set {orders}.")
        self.vocabulary = vocabulary
        self.loc_order = loc_order
        self.suffix = suffix

    def encode(self, graph: SceneGraph, width: int, height: int) -> dict[Task, str]:
        """The texts of a graph of a picture of `width` by `height` pixels; boxes are clipped to it.

        Tags are those with a probability of one half or more. What `decode` makes of the texts is the graph again, but
        for places inside a bin, for what a person gave twice, for what is said of a thousandth object and, without the
        suffix, for which of several objects of one label it is said of.

        Raises:
            DataError: the graph has a word that the vocabulary lacks.
        """
        self._check(graph)
        names = [f"{t.label}:{number}" if self.suffix else t.label for number, t in enumerate(graph.objects)]
        return {
            "objects": "".join(t.label + self._locations(t.box, width, height) for t in graph.objects),
            "attributes": "\n".join(
                f"{name} {','.join(thing.attributes)}"
                for name, thing in zip(names, graph.objects, strict=True)
                if thing.attributes
            ),
            "relations": "\n".join(f"({names[r.subject]}, {r.predicate}, {names[r.object]})" for r in graph.relations),
            "caption": graph.caption,
            "tags": ", ".join(tag for tag, probability in graph.tags.items() if probability >= 0.5),
        }

    def decode(
        self, texts: Mapping[Task, str], width: int, height: int, scores: Mapping[Task, float] | None = None
    ) -> SceneGraph:
        """The graph that the texts of some or all tasks describe. Whatever they hold, this does not raise.

        Every word of the graph is in the vocabulary and stood in the text, every box in four location tokens. The rest
        is quoted in `dropped`, a short sentence each, at most 20 and then how many more; what only says again what was
        said loses nothing, and is counted in `repeated`.

        Args:
            texts: task -> what the student wrote.
            width, height: of the picture, in pixels.
            scores: task -> how sure the decoder was of its text, 0..1: the score of each object, of its attributes, and
                of each relation.
        """
        return _Reader(self, width, height, scores or {}).read(texts)

    def canonical(self, graph: SceneGraph) -> SceneGraph:
        """The same graph in the one order that training targets have: objects from top to bottom and left to right,
        relations by their objects, words as in the vocabulary; no attribute of an object and no relation twice.

        Raises:
            DataError: the graph has a word that the vocabulary lacks.
        """
        self._check(graph)
        words = self.vocabulary
        old = sorted(
            range(len(graph.objects)),
            key=lambda n: (
                *(graph.objects[n].box[i] for i in (1, 0, 3, 2)),
                words.objects.index(graph.objects[n].label),
            ),
        )
        new = {number: place for place, number in enumerate(old)}
        relations = {
            (new[r.subject], new[r.object], words.predicates.index(r.predicate)): r.model_copy(
                update={"subject": new[r.subject], "object": new[r.object]}
            )
            for r in reversed(graph.relations)
        }
        things = (graph.objects[number] for number in old)
        return graph.model_copy(
            update={
                "objects": tuple(
                    t.model_copy(update={"attributes": tuple(sorted(set(t.attributes), key=words.attributes.index))})
                    for t in things
                ),
                "relations": tuple(relations[key] for key in sorted(relations)),
                "tags": {tag: graph.tags[tag] for tag in words.tags if tag in graph.tags},
            }
        )

    def _check(self, graph: SceneGraph) -> None:
        words = self.vocabulary
        used = {
            "object": ({thing.label for thing in graph.objects}, words.objects),
            "attribute": ({word for thing in graph.objects for word in thing.attributes}, words.attributes),
            "predicate": ({relation.predicate for relation in graph.relations}, words.predicates),
            "tag": (set(graph.tags), tuple(words.tags)),
        }
        for kind, (found, known) in used.items():
            if unknown := found.difference(known):
                raise DataError(
                    f"the scene graph has the {kind} {min(unknown)!r}, which the vocabulary {words.name} lacks; "
                    "add it there, or take the vocabulary that belongs to the data."
                )

    def _locations(self, box: Box, width: int, height: int) -> str:
        x0, x1 = (bin_of(x, width) for x in (box.x0, box.x1))
        y0, y1 = (bin_of(y, height) for y in (box.y0, box.y1))
        corners = (y0, x0, y1, x1) if self.loc_order == "yxyx" else (x0, y0, x1, y1)
        return "".join(f"<loc_{number}>" for number in corners)

    def _box(self, bins: Sequence[int], width: int, height: int) -> Box | None:
        """The pixels of four location tokens; None if the box ends before it begins."""
        a0, b0, a1, b1 = bins
        y0, x0, y1, x1 = (a0, b0, a1, b1) if self.loc_order == "yxyx" else (b0, a0, b1, a1)
        if x0 > x1 or y0 > y1:
            return None
        left, right = nonempty(pixel_of(x0, width), pixel_of(x1, width), width)
        top, bottom = nonempty(pixel_of(y0, height), pixel_of(y1, height), height)
        return Box(left, top, right, bottom)


def _quote(found: object, most: int = MAX_QUOTE) -> str:
    quoted = repr(found[:most] if isinstance(found, str) else found)
    return quoted if len(quoted) <= most else quoted[: most - 1] + "…"


class _Reader:
    """One call of `Codec.decode`."""

    def __init__(self, codec: Codec, width: int, height: int, scores: Mapping[Task, float]) -> None:
        self._codec, self._words = codec, codec.vocabulary
        self._width, self._height, self._scores = width, height, scores
        self._places: list[int | None] = []
        """N of the texts -> place in the graph, None for what is not in it."""
        self._things: dict[tuple[str, Box], int] = {}
        """Label and box -> place in the graph, in its order."""
        self._kept: list[tuple[str, dict[str, None]]] = []
        """Label and attributes of each."""
        self._dropped: list[str] = []
        self._more = 0
        self._repeated = 0

    def read(self, texts: Mapping[Task, str]) -> SceneGraph:
        self._read_objects(_without_special_tokens(texts.get("objects", "")))
        self._read_attributes(_without_special_tokens(texts.get("attributes", "")))
        relations = self._read_relations(_without_special_tokens(texts.get("relations", "")))
        caption = self._read_caption(_without_special_tokens(texts.get("caption", "")))
        tags = self._read_tags(_without_special_tokens(texts.get("tags", "")))
        score, how = (self._scores.get(task, 1.0) for task in ("objects", "attributes"))
        more = [f"and {self._more} more"] if self._more else []
        return SceneGraph(
            objects=tuple(
                SceneObject(
                    label=label, box=box, attributes=tuple(words), score=score, attributes_score=how if words else 1.0
                )
                for (label, box), (_, words) in zip(self._things, self._kept, strict=True)
            ),
            relations=relations,
            tags=tags,
            caption=caption,
            dropped=(*self._dropped, *more),
            repeated=self._repeated,
        )

    def _drop(self, task: Task, found: str, why: str, word: str | None = None) -> None:
        """`why` ends in the word, if there is one."""
        if len(self._dropped) == MAX_DROPPED:
            self._more += 1
        else:
            named = "" if word is None else f" {_quote(word, MAX_QUOTE // 2)}"
            self._dropped.append(f"{task}: {_quote(found)} {why}{named}")

    def _read_objects(self, text: str) -> None:
        end = 0
        for run in _LOCATIONS.finditer(text):
            self._places.append(self._read_object(text[end : run.start()].strip(), run[0], text[end : run.end()]))
            end = run.end()
        if rest := text[end:].strip():
            self._drop("objects", rest, "has no location tokens")

    def _read_object(self, label: str, locations: str, whole: str) -> int | None:
        bins = tuple(map(int, _LOCATION.findall(locations)))
        if label not in self._words.objects:
            self._drop("objects", label, "is not in the vocabulary")
        elif len(bins) != 4:
            self._drop("objects", whole, f"has {len(bins)} location tokens instead of 4")
        elif not (box := self._codec._box(bins, self._width, self._height)):
            self._drop("objects", whole, "has a box that ends before it begins")
        elif (label, box) in self._things:
            self._repeated += 1
            return self._things[label, box]
        else:
            self._kept.append((label, {}))
            return self._things.setdefault((label, box), len(self._things))
        return None

    def _place(self, task: Task, name: str, whole: str) -> int | None:
        """Of the object that is called `LABEL:N`."""
        label, _, number = (part.strip() for part in name.partition(":"))
        place: int | None = None
        if not _NUMBER.fullmatch(number):
            self._drop(task, whole, "lacks a number of an object")
        elif int(number) >= len(self._places) or (place := self._places[int(number)]) is None:
            self._drop(task, whole, f"names object {number}, which is not in the graph")
        elif label != (is_a := self._kept[place][0]):
            self._drop(task, whole, f"takes object {number}, {is_a}, for another thing")
            return None
        return place

    def _places_of(self, task: Task, label: str, whole: str) -> list[int]:
        """Of all objects of a label."""
        places = [place for place, (is_a, _) in enumerate(self._kept) if is_a == label]
        if not places:
            self._drop(task, whole, "names what is not in the graph:", label)
        return places

    def _described(self, line: str, lines: Counter[int]) -> tuple[int | None, str]:
        """The object that a line of attributes is about, None if there is none, and its attributes.

        Args:
            line: of the text.
            lines: object -> how many lines are about it so far.
        """
        if self._codec.suffix:
            label, _, rest = line.partition(":")
            number, *words = rest.split(None, 1) or [""]
            return self._place("attributes", f"{label}:{number}", line), "".join(words)
        bare = line.strip()
        known = (label for label in self._words.objects if f"{bare} ".startswith(f"{label} "))
        label = max(known, key=len, default=bare)
        places = self._places_of("attributes", label, line)
        return min(places, key=lambda place: (lines[place], place), default=None), bare.removeprefix(label)

    def _read_attributes(self, text: str) -> None:
        lines: Counter[int] = Counter()
        for line in filter(str.strip, text.split("\n")):
            place, words = self._described(line, lines)
            if place is None:
                continue
            lines[place] += 1
            for word in map(str.strip, words.split(",")):
                if word not in self._words.attributes:
                    self._drop("attributes", line, "has what is not in the vocabulary:", word)
                elif word in self._kept[place][1]:
                    self._repeated += 1
                else:
                    self._kept[place][1][word] = None

    def _read_relations(self, text: str) -> tuple[Relation, ...]:
        found: dict[tuple[int, str, int], None] = {}
        end = 0
        for relation in _RELATION.finditer(text):
            self._between(text[end : relation.start()])
            end = relation.end()
            if len(parts := [part.strip() for part in relation[1].split(",")]) != 3:
                self._drop("relations", relation[0], "is not (subject, predicate, object)")
            elif (predicate := parts[1]) not in self._words.predicates:
                self._drop("relations", relation[0], "has what is not in the vocabulary:", predicate)
            elif ends := self._ends(parts[0], predicate, parts[2], relation[0], found):
                triple = (ends[0], predicate, ends[1])
                self._repeated += triple in found
                found[triple] = None
        self._between(text[end:])
        score = self._scores.get("relations", 1.0)
        return tuple(Relation(subject=s, predicate=p, object=o, score=score) for s, p, o in found)

    def _ends(
        self, subject: str, predicate: str, thing: str, whole: str, found: Collection[tuple[int, str, int]]
    ) -> tuple[int, int] | None:
        """Subject and object of a relation, by their names; None if one of them is not in the graph."""
        if self._codec.suffix:
            first = self._place("relations", subject, whole)
            second = None if first is None else self._place("relations", thing, whole)
            return None if first is None or second is None else (first, second)
        subjects = self._places_of("relations", subject, whole)
        pairs = list(product(subjects, self._places_of("relations", thing, whole) if subjects else []))
        apart = [pair for pair in pairs if pair[0] != pair[1]]

        def taken(pair: tuple[int, int]) -> tuple[bool, int, tuple[int, int]]:
            same = [(s, o) for s, p, o in found if p == predicate]
            return pair in same, sum((s == pair[0]) + (o == pair[1]) for s, o in same), pair

        return min(apart or pairs, key=taken, default=None)

    def _between(self, text: str) -> None:
        if rest := text.strip(", \t\r\n"):
            self._drop("relations", rest, "is no relation")

    def _read_caption(self, text: str) -> str:
        visible = "".join(c for c in text if c.isprintable() or c.isspace())
        if hidden := len(text) - len(visible):
            self._drop("caption", text, f"has characters that cannot be seen: {hidden}")
        words, locations = _LOCATION.subn(" ", visible)
        if locations:
            self._drop("caption", visible, f"has location tokens: {locations}")
        caption = " ".join(words.split())
        if rest := caption[MAX_CAPTION:]:
            self._drop("caption", rest, f"is past {MAX_CAPTION} characters")
        return caption[:MAX_CAPTION].rstrip()

    def _read_tags(self, text: str) -> dict[str, float]:
        tags: dict[str, float] = {}
        for word in map(str.strip, text.split(",") if text else ()):
            if word not in self._words.tags:
                self._drop("tags", word, "is not in the vocabulary")
            else:
                self._repeated += word in tags
                tags[word] = 1.0
        return tags


def _without_special_tokens(text: str) -> str:
    """Without what a tokenizer puts around it."""
    around = list(_AROUND.finditer(text))
    begin = around[0].end() if around and around[0].start() == 0 else 0
    end = around[-1].start() if around and around[-1].end() == len(text) else len(text)
    return text[begin:end]
