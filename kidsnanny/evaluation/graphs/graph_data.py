"""Pictures with scene graphs in parquet: SenBen's gated files and scenes that we drew.

The columns of ours, which `write` writes and `DEFAULT_COLUMNS` maps (SenBen's own names are not public):

    id         string, unique
    image      the PNG file's bytes
    movie      string: what the frame is from; of a drawn scene a made-up series, so that splits can be disjoint
    split      string
    objects    list of {label: string, box: [y_min, x_min, y_max, x_max] in integers 0..1000, attributes: [string]}
    relations  list of {subject: place in `objects`, predicate: string, object: place in `objects`}
    tags       [string]
    caption    string

The box is SenBen's (section 2.1). Whoever has its files writes a column map, once, as TOML: our field = "their.path".
"""

import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any, NamedTuple, Self

from PIL import Image
from pydantic import ValidationError, model_validator

from kidsnanny.errors import DataError, InputError
from kidsnanny.evaluation.example_fields import split_of
from kidsnanny.evaluation.parquet_source import open_table, stored_image, table_rows
from kidsnanny.faults import first_fault
from kidsnanny.media.loader import open_picture
from kidsnanny.records import Record, Relation, SceneGraph, SceneObject
from kidsnanny.stage1.student.boxes import box_from_permille, permille_from_box
from kidsnanny.toml_files import read_toml, why_unread
from kidsnanny.training.student.long_tail import SCENES, Style

SERIES = 100
"""Seeds in one made-up series."""
BATCH = 256
"""Rows that are written at once."""
_REFERENCE = re.compile(r"(?:(.+):)?([0-9]+)")


class GraphExample(NamedTuple):
    """One picture with what a person, or a teacher, says is in it."""

    id: str
    movie: str
    split: str
    image: bytes
    """The file, in a format that `kidsnanny.media.loader` reads."""
    graph: SceneGraph
    """Boxes in pixels of the decoded, upright picture; tags with 1.0."""


class ColumnMap(Record):
    """Our field -> the column it is in. A dot goes into a struct, or into every member of a list: `objects.label`.

    A field that is None is not in the data set.
    """

    image: str
    """Bytes, or a struct of `bytes` and `path`."""
    movie: str
    id: str | None = None
    """None: the file's name and the number of the row."""
    split: str | None = None
    """None: what the name of the file or of its folder begins with."""
    label: str
    """One text per object."""
    box: str
    """[y_min, x_min, y_max, x_max] per object, integers 0..1000."""
    attributes: str | None = None
    """Per object a list of texts, or one text with commas."""
    subject: str | None = None
    """One per relation, the place of its object: `0`, `"0"` or `"male:0"`."""
    predicate: str | None = None
    object: str | None = None
    tags: str | None = None
    """A list of texts, or one text with commas."""
    caption: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len({self.subject is None, self.predicate is None, self.object is None}) > 1:
            raise ValueError("subject, predicate and object come together or not at all")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises:
            DataError: it cannot be read, or is no column map.
        """
        try:
            return cls.model_validate(read_toml(path))
        except ValidationError as error:
            raise DataError(f"{path}: {first_fault(error, cls.model_fields)}; correct the column map.") from error
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path}: the column map cannot be read ({why_unread(error)}); correct the file."
            ) from error


DEFAULT_COLUMNS = ColumnMap(
    id="id",
    image="image",
    movie="movie",
    split="split",
    label="objects.label",
    box="objects.box",
    attributes="objects.attributes",
    subject="relations.subject",
    predicate="relations.predicate",
    object="relations.object",
    tags="tags",
    caption="caption",
)


def read(
    path: str | Path,
    columns: ColumnMap = DEFAULT_COLUMNS,
    *,
    split: str | None = None,
    problems: list[str] | None = None,
) -> Iterator[GraphExample]:
    """The pictures of a parquet file, or of all in a folder, in the order of names and rows.

    Args:
        path: the file or folder.
        columns: where what is.
        split: only those of this split.
        problems: gets one sentence for each row that is left out because something in it is broken; None: the first
            such row raises.

    Raises:
        DataError: there is no such file, it lacks a column, or a row is broken.
    """
    seen: set[str] = set()
    path = Path(path)
    for file, number, row in _all_rows(path, columns, [name for name in columns.model_dump().values() if name]):
        try:
            item = _item(file, path, number, row, columns, split)
            if item and item.id in seen:
                raise DataError(f"the id {item.id!r} was there before; give each picture its own.")
        except (DataError, InputError) as error:
            problem = f"{file}: row {number}: {error}"
            if problems is None:
                raise DataError(problem) from error
            problems.append(problem)
            continue
        if item:
            seen.add(item.id)
            yield item


def movies(path: str | Path, columns: ColumnMap = DEFAULT_COLUMNS) -> dict[str, set[str]]:
    """Split -> its movies, without looking at a picture.

    Raises:
        DataError: there is no such file, it lacks a column, or a row names no movie.
    """
    found: dict[str, set[str]] = {}
    path = Path(path)
    for file, number, row in _all_rows(path, columns, [columns.movie, *filter(None, [columns.split])]):
        try:
            movie, split = _text(row, columns.movie, "movie"), _split_of(file, path, row, columns)
        except DataError as error:
            raise DataError(f"{file}: row {number}: {error}") from error
        found.setdefault(split, set()).add(movie)
    return found


def assert_disjoint(splits: Mapping[str, Collection[str]]) -> None:
    """Make sure that no movie is in two splits: frames of one movie look alike, and a student would be tested on what
    it was taught.

    Args:
        splits: name -> its movies, as `movies` finds them.

    Raises:
        DataError: naming the movies.
    """
    for (one, first), (other, second) in combinations(splits.items(), 2):
        if both := sorted(set(first) & set(second)):
            names = ", ".join(both[:10]) + (f" and {len(both) - 10} more" if len(both) > 10 else "")
            raise DataError(f"The splits {one} and {other} share {names}; put all frames of a movie into one split.")


def synthetic_examples(
    seeds: Iterable[int], split: str, side: int = 192, style: Style = "plain"
) -> Iterator[GraphExample]:
    """Scenes as rows of a data set; a hundred seeds, counted from a multiple of a hundred, are one series."""
    for seed in seeds:
        made = SCENES[style](seed, side)
        buffer = io.BytesIO()
        Image.fromarray(made.image).save(buffer, "PNG")
        yield GraphExample(f"scene-{seed}", f"series-{seed // SERIES}", split, buffer.getvalue(), made.graph)


def write(path: str | Path, items: Iterable[GraphExample]) -> int:
    """Write a parquet file with the columns above, a batch at a time; until it is whole it is called `PATH.part`.

    Returns:
        How many there were.

    Raises:
        DataError: pyarrow is missing, or the file cannot be written.
        InputError: a picture does not decode.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path}: writing it needs pyarrow ({error}); run `pip install 'kidsnanny[student]'`."
        ) from error
    text, number = pyarrow.string(), pyarrow.int32()
    thing = {"label": text, "box": pyarrow.list_(pyarrow.int16(), 4), "attributes": pyarrow.list_(text)}
    relation = {"subject": number, "predicate": text, "object": number}
    schema = pyarrow.schema(
        {
            **{"id": text, "image": pyarrow.binary(), "movie": text, "split": text},
            "objects": pyarrow.list_(pyarrow.struct(thing)),
            "relations": pyarrow.list_(pyarrow.struct(relation)),
            **{"tags": pyarrow.list_(text), "caption": text},
        }
    )
    rows, waiting = 0, iter(items)
    part = Path(f"{path}.part")
    try:
        with parquet.ParquetWriter(part, schema) as writer:
            while batch := list(islice(waiting, BATCH)):
                writer.write_table(pyarrow.Table.from_pylist([_row(item) for item in batch], schema))
                rows += len(batch)
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path}: it cannot be written ({error}); choose another place.") from error
    return rows


def _row(item: GraphExample) -> dict[str, Any]:
    width, height = _size(item.image)
    things = [
        {
            "label": thing.label,
            "box": permille_from_box(thing.box, width, height),
            "attributes": thing.attributes,
        }
        for thing in item.graph.objects
    ]
    relations = [relation.model_dump(include={"subject", "predicate", "object"}) for relation in item.graph.relations]
    graph = {"objects": things, "relations": relations, "tags": list(item.graph.tags), "caption": item.graph.caption}
    return {"id": item.id, "image": item.image, "movie": item.movie, "split": item.split, **graph}


def _size(image: bytes) -> tuple[int, int]:
    """Width and height of the upright first frame."""
    height, width, _ = next(open_picture(image).frames()).rgb.shape
    return width, height


def _all_rows(path: Path, columns: ColumnMap, wanted: Sequence[str]) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """File, number and content of every row, once every file is known to have all columns of the map."""
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise DataError(f"{path}: there is no parquet file; name one, or a folder that has some.")
    for file in files:
        names = set(_names(open_table(file)[0]))
        for field, name in columns.model_dump(exclude_none=True).items():
            if name not in names:
                have = ", ".join(sorted(names))
                raise DataError(f"{file}: it has no column {name!r} for {field!r}, but {have}; correct the column map.")
    for file in files:
        schema, batches = open_table(file)
        roots = sorted({name if name in schema.names else name.split(".")[0] for name in wanted})
        for number, row in enumerate(table_rows(file, batches(roots))):
            yield file, number, row


def _names(fields: Iterable[Any], before: str = "") -> Iterator[str]:
    """Dotted names of all columns, and of what is in their structs and lists of structs."""
    from pyarrow import types

    for field in fields:
        yield before + field.name
        kind = field.type
        while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            kind = kind.value_type
        if types.is_struct(kind):
            yield from _names(kind, f"{before}{field.name}.")


def _at(row: dict[str, Any], name: str | None) -> Any:
    value: Any = row
    for key in [name] if name in row else name.split(".") if name else ():
        value = [part and part.get(key) for part in value] if isinstance(value, list) else value and value.get(key)
    return value if name else None


def _text(row: dict[str, Any], name: str, field: str) -> str:
    value = _at(row, name)
    if not isinstance(value, str | int) or value == "":
        raise DataError(f"it has {value!r:.40} as its {field}, where a text or a number is meant; correct it.")
    return str(value)


def _split_of(file: Path, root: Path, row: dict[str, Any], columns: ColumnMap) -> str:
    return _text(row, columns.split, "split") if columns.split else split_of(file, root)


def _item(
    file: Path, root: Path, number: int, row: dict[str, Any], columns: ColumnMap, wanted: str | None
) -> GraphExample | None:
    """None: it is not of the split that is wanted.

    Raises:
        DataError, InputError: something in the row is broken.
    """
    split = _split_of(file, root, row, columns)
    if wanted is not None and split != wanted:
        return None
    name = _text(row, columns.id, "id") if columns.id else f"{file.relative_to(root.parent).as_posix()}:{number}"
    image = stored_image(_at(row, columns.image), file, root if root.is_dir() else file.parent)
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise DataError(f"its picture cannot be read ({error}); put it there.") from error
    try:
        graph = _graph(row, columns, *_size(data))
    except (AttributeError, TypeError, ValidationError) as error:
        raise DataError("a column of the map holds something else than its field; correct the column map.") from error
    return GraphExample(name, _text(row, columns.movie, "movie"), split, data, graph)


def _graph(row: dict[str, Any], columns: ColumnMap, width: int, height: int) -> SceneGraph:
    labels = [_word(label) for label in _listed(_at(row, columns.label))]
    boxes = _at(row, columns.box) or ()
    attributes = (_at(row, columns.attributes) if columns.attributes else None) or [()] * len(labels)
    subjects, predicates, objects = (_at(row, c) or () for c in (columns.subject, columns.predicate, columns.object))
    for what, parts in (
        ("label, box and attributes of an object", (labels, boxes, attributes)),
        ("subject, predicate and object of a relation", (subjects, predicates, objects)),
    ):
        if len({len(part) for part in parts}) > 1:
            counts = ", ".join(str(len(part)) for part in parts)
            raise DataError(f"there are not as many of {what} ({counts}); correct it.")
    return SceneGraph(
        objects=tuple(
            SceneObject(label=label, box=box_from_permille(tuple(box or ()), width, height), attributes=_words(how))
            for label, box, how in zip(labels, boxes, attributes, strict=True)
        ),
        relations=tuple(
            Relation(subject=_place(subject, labels), predicate=_word(predicate), object=_place(thing, labels))
            for subject, predicate, thing in zip(subjects, predicates, objects, strict=True)
        ),
        tags=dict.fromkeys(_words(_at(row, columns.tags)), 1.0),
        caption=_at(row, columns.caption) or "",
    )


def _word(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"it has {value!r:.40} where a word is meant; correct it.")
    return value.strip()


def _words(value: str | Sequence[object] | None) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split(",") if value.strip() else ()
    return tuple(map(_word, _listed(value)))


def _listed(value: object) -> Sequence[object]:
    """Neither a text nor a struct, both of which can be walked through, too.

    Raises:
        TypeError: it is no list.
    """
    if not isinstance(value, list | tuple | None):
        raise TypeError
    return value or ()


def _place(value: object, labels: Sequence[str]) -> int:
    """The place that `0`, `"0"` or `"male:0"` names."""
    found = _REFERENCE.fullmatch(str(value))
    if not found or int(found[2]) >= len(labels) or found[1] not in (None, labels[int(found[2])]):
        there = ", ".join(f"{label}:{number}" for number, label in enumerate(labels)) or "none"
        raise DataError(f"a relation names the object {value!r:.40}, but there are {there}; correct it.")
    return int(found[2])
