"""The words a student may use, as data. SenBen's own 25/28/14/16 are not public, and none are made up here."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

import tomli_w
from pydantic import Field, ValidationError, model_validator

from kidsnanny.errors import ComponentError, DataError
from kidsnanny.faults import first_fault
from kidsnanny.records import Record, SceneGraph
from kidsnanny.taxonomy import Category
from kidsnanny.toml_files import read_toml, why_unread

RESERVED = frozenset("<>():,\n")
"""Characters that the serializations are built of."""


Kind = Literal["label", "attribute", "predicate", "tag"]
Entry = tuple[Kind, str]
"""A word of the vocabulary, and as what: `("label", "dog")`."""


class Tag(Record):
    """What a tag belongs to, in the data set's terms and in ours."""

    group: str
    """The data set's own category of tags; SenBen has immodesty, sexual, violence, substances and other."""
    means: tuple[Category, ...] = ()
    """Our categories. None is a legal answer: *no mapping*."""


class Vocabulary(Record):
    """Objects, attributes, predicates and tags, each list in the order the networks count them."""

    name: str
    partial: bool = False
    """Whether words are known to be missing."""
    objects: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    predicates: tuple[str, ...] = ()
    tags: dict[str, Tag] = Field(default_factory=dict)
    sensitive: dict[str, tuple[Category, ...]] = Field(default_factory=dict)
    """Objects, attributes and predicates that are evidence by themselves -> of which of our categories."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        kinds = {"objects": self.objects, "attributes": self.attributes, "predicates": self.predicates}
        for kind, words in {**kinds, "tags": tuple(self.tags)}.items():
            if len({word.replace(" ", "_") for word in words}) < len(words):  # as the findings text has them
                raise ValueError(f"{kind} repeats a word")
            for word in words:
                if not word or RESERVED & set(word) or word != " ".join(word.split()):
                    raise ValueError(f"{kind} has {word!r}; a word has no spaces around it and none of < > ( ) : ,")
                if not word.isprintable():
                    raise ValueError(f"{kind} has {word!r}; a word has no character that cannot be seen")
        if unknown := set(self.sensitive).difference(*kinds.values()):
            raise ValueError(f"sensitive names {', '.join(sorted(unknown))}, which no list has")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises:
            ComponentError: it cannot be read, or is no vocabulary.
        """
        try:
            return cls.model_validate(read_toml(path))
        except ValidationError as error:
            raise ComponentError(f"{path}: {first_fault(error, cls.model_fields)}; correct the vocabulary.") from error
        except (OSError, ValueError) as error:
            why = why_unread(error)
            raise ComponentError(f"{path}: the vocabulary cannot be read ({why}); correct the file.") from error

    @classmethod
    def derive(cls, name: str, graphs: Iterable[SceneGraph], tags: dict[str, Tag] | None = None) -> Self:
        """The words that occur in a data set, the most frequent first.

        Args:
            name: of the vocabulary.
            graphs: the data set's.
            tags: what its tags mean; a tag that is not named gets the group `unknown` and no mapping.

        Raises:
            DataError: the data set has a word that the texts cannot hold.
        """
        objects: Counter[str] = Counter()
        attributes: Counter[str] = Counter()
        predicates: Counter[str] = Counter()
        found: Counter[str] = Counter()
        for graph in graphs:
            objects.update(thing.label for thing in graph.objects)
            attributes.update(word for thing in graph.objects for word in thing.attributes)
            predicates.update(relation.predicate for relation in graph.relations)
            found.update(graph.tags)
        try:
            return cls(
                name=name,
                objects=_words(objects),
                attributes=_words(attributes),
                predicates=_words(predicates),
                tags={**{word: Tag(group="unknown") for word in _words(found)}, **(tags or {})},
            )
        except ValidationError as error:
            raise DataError(f"{name}: {first_fault(error)}; rename it in the data.") from error

    def entries(self) -> tuple[Entry, ...]:
        """All words, each as what it is: labels, attributes, predicates, then tags."""
        kinds: dict[Kind, Iterable[str]] = {
            "label": self.objects,
            "attribute": self.attributes,
            "predicate": self.predicates,
            "tag": self.tags,
        }
        return tuple((kind, word) for kind, words in kinds.items() for word in words)

    def save(self, path: Path) -> None:
        """Write it as TOML."""
        path.write_text(tomli_w.dumps(self.model_dump(mode="json")), "utf-8")


def count_entries(graphs: Iterable[SceneGraph]) -> Counter[Entry]:
    """Entry -> how often the graphs have it: objects of a label, attributes of objects, relations of a predicate, and
    graphs with a tag of a probability of one half or more."""
    found: Counter[Entry] = Counter()
    for graph in graphs:
        found.update(("label", thing.label) for thing in graph.objects)
        found.update(("attribute", word) for thing in graph.objects for word in thing.attributes)
        found.update(("predicate", relation.predicate) for relation in graph.relations)
        found.update(("tag", tag) for tag, probability in graph.tags.items() if probability >= 0.5)
    return found


def _words(found: Counter[str]) -> tuple[str, ...]:
    return tuple(word for word, _ in found.most_common())
