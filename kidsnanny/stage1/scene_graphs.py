"""A SenBen student as Stage 1: the tags of each frame, what is in it, how it is, and who does what to whom.

What a student writes is made of its vocabulary's words, and that is checked here: these words, numbers and boxes are
all that gets into the findings text. Its caption is free text and may quote what is written in the picture, so a
stranger could speak through it to the language model that reads the findings: it stays in the record and in the report,
as untrusted text, and never enters the findings text. The same holds for what the student wrote that is no graph.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import cards
from kidsnanny.records import Box, Detection, ModelId, ModelKind, SceneGraph, Signal, VisualFindings
from kidsnanny.stage1.findings_text import object_name, relation_text, union_box
from kidsnanny.stage1.stage1 import Seen
from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.taxonomy import Category


class SceneGraphModel(Protocol):
    """The interface of a student; `student.student.Student` implements it."""

    model_id: ModelId
    vocabulary: Vocabulary

    def __call__(self, frames: Sequence[RGB], describe_above: float = 0.0) -> list[SceneGraph]:
        """A graph per frame: all tags, and the rest where a tag's probability reaches `describe_above`."""
        ...


class SceneGraphs:
    """A student as both kinds of model: its tags count as a classifier's, its objects and relations as a detector's. If
    the tags decide which frames get a graph, it is a classifier only, since no detector looked at every frame.

    Args:
        student: who writes the graphs.
        describe_above: a graph is decoded only for frames with a tag of this probability (0..1) or more. 0, the
            default and the paper's way, is every frame. More saves most of the time on harmless
            frames; on those nothing looks at the objects, so every category must have a tag.

    Raises:
        ComponentError: `describe_above` is not a probability, or some category would not be looked for in every frame.
    """

    reentrant = False

    def __init__(self, student: SceneGraphModel, *, describe_above: float = 0.0) -> None:
        words = student.vocabulary
        tagged = frozenset(category for tag in words.tags.values() for category in tag.means)
        sensitive = frozenset(category for categories in words.sensitive.values() for category in categories)
        if not 0 <= describe_above <= 1:
            raise ComponentError(
                f"{student.model_id}: describe_above is {describe_above}, which is not a probability; "
                "give a number from 0 to 1."
            )
        if describe_above and (untagged := sorted(sensitive - tagged)):
            raise ComponentError(
                f"{student.model_id}: with describe_above={describe_above:g} nothing looks for {', '.join(untagged)} "
                "in frames without a graph, since no tag means that; set describe_above to 0."
            )
        if not tagged | sensitive:
            raise ComponentError(
                f"{student.model_id}: nothing in its vocabulary {words.name} maps to a category, so it would "
                "look for nothing; state there what its tags mean."
            )
        self._graphs: ModelKind = "classifier" if describe_above else "detector"
        kinds: dict[ModelKind, frozenset[Category]] = {"classifier": tagged}
        kinds |= {} if describe_above else {"detector": sensitive}
        self.categories: Mapping[ModelKind, frozenset[Category]] = {
            kind: found for kind, found in kinds.items() if found
        }
        self.models: tuple[ModelId, ...] = (student.model_id,)
        self._student, self._describe_above = student, describe_above
        self._model = student.model_id.name
        self._means = {_label(word): tag.means for word, tag in words.tags.items()}

    def screen(self, frames: Sequence[RGB]) -> list[Seen]:
        """Every tag's probability for each (H, W, 3) uint8 RGB frame, the likeliest first, and then its graph.

        Raises:
            ComponentError: the student left a tag out, or used a word that its vocabulary lacks.
        """
        return [self._seen(graph) for graph in self._student(frames, self._describe_above)]

    def _seen(self, graph: SceneGraph) -> Seen:
        words = self._student.vocabulary
        known = {*words.objects, *words.attributes, *words.predicates}
        if unknown := {element.word for element in elements(graph)} - known or words.tags.keys() ^ graph.tags.keys():
            raise ComponentError(
                f"{self._model}: {', '.join(sorted(map(repr, unknown)))} is not both in what it wrote and in its "
                f"vocabulary {words.name}; give it the vocabulary it was trained with."
            )
        likeliest = sorted(graph.tags.items(), key=lambda tag: -tag[1])
        tags = (Detection(label=_label(tag), score=score, model=self._model) for tag, score in likeliest)
        return *tags, graph.model_copy(update={"model": self._model})

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """What the vocabulary says that a tag means, with its probability; and of each sensitive object, attribute of
        an object (as sure as both the object and its attributes are), and predicate of a relation, with the score of
        that object or relation."""
        signals = [
            Signal(
                category=c,
                channel="image",
                source="classifier",
                model=self._model,
                score=tag.score,
                what=tag.label,
                frame=tag.frame,
            )
            for tag in findings.detections
            if tag.model == self._model
            for c in self._means[tag.label]
        ]
        return signals + [
            Signal(
                category=category,
                channel="image",
                source=self._graphs,
                model=self._model,
                score=element.score,
                what=element.what,
                frame=graph.frame,
                box=element.box,
            )
            for graph in findings.graphs
            if graph.model == self._model
            for element in elements(graph)
            for category in self._student.vocabulary.sensitive.get(element.word, ())
        ]


class Element(NamedTuple):
    """What a graph says in one word: that an object is there, how it is, or what it does to another."""

    word: str
    what: str
    """`woman:1`, `woman:1 bandaged` or `man:0 hitting woman:1`."""
    score: float
    box: Box


def elements(graph: SceneGraph) -> Iterator[Element]:
    """Objects, each with its attributes, then relations."""
    for place, thing in enumerate(graph.objects):
        name = object_name(graph, place)
        yield Element(thing.label, name, thing.score, thing.box)
        for attribute in thing.attributes:
            yield Element(attribute, f"{name} {attribute}", min(thing.score, thing.attributes_score), thing.box)
    for relation in graph.relations:
        yield Element(relation.predicate, relation_text(graph, relation), relation.score, union_box(graph, relation))


def load_student(name: str | None) -> SceneGraphModel:
    """The student of a card, of a folder, or of an ONNX file of its tags.

    Args:
        name: of the card, or a path; None and the empty string name nobody.

    Raises:
        WeightsError: there is nothing of that name, or the weights are missing, altered or unfit.
        ComponentError: a package is missing, or the folder is not whole.
    """
    fix = (
        "set KIDSNANNY_STUDENT to a student's folder (config.json, model.safetensors, tokenizer.json, "
        "tokenizer_config.json, vocabulary.toml), to an ONNX file of its tags, or, to see how it works, to "
        "senben-tiny, which knows drawn scenes only"
    )
    if not name:
        raise WeightsError(f"No student is named, and none ships that knows photographs; {fix}.")
    card = cards().get(name)
    path = card.locate().parent if card and card.role == "student" else Path(name)
    if path.suffix == ".onnx" and path.is_file():
        from kidsnanny.stage1.student.tagger import Tagger

        return Tagger(path)
    if path.is_dir():
        from kidsnanny.stage1.student.student import Student

        return Student.open(path)
    raise WeightsError(f"{name}: there is neither a student's card nor a folder nor an ONNX file of that name; {fix}.")


def _label(word: str) -> str:
    return word.replace(" ", "_")
