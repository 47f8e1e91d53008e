"""Scene graphs in parquet: ours, and what SenBen's may look like under a column map."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import encoded
from PIL import Image

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_data import (
    DEFAULT_COLUMNS,
    ColumnMap,
    GraphExample,
    assert_disjoint,
    movies,
    read,
    synthetic_examples,
    write,
)
from kidsnanny.records import Box
from kidsnanny.training.student.long_tail import SCENES

pyarrow = pytest.importorskip("pyarrow", reason="needs the student extra")
parquet = pytest.importorskip("pyarrow.parquet")

PICTURE = encoded(Image.new("RGB", (200, 100), "white"))
THEIRS = ColumnMap(
    image="frame",
    movie="film",
    label="scene.things.name",
    box="scene.things.bbox",
    attributes="scene.things.how",
    subject="scene.deeds.who",
    predicate="scene.deeds.does",
    object="scene.deeds.whom",
    tags="tags",
)
STRUCTS = {
    "things": [
        {"name": "male", "bbox": [0, 0, 500, 250], "how": "pain"},
        {"name": "female", "bbox": [100, 500, 1000, 1000], "how": ""},
    ],
    "deeds": [{"who": "male:0", "does": "kissing", "whom": "female:1"}],
}
LISTS = {
    "things": {
        "name": ["male", "female"],
        "bbox": [[0, 0, 500, 250], [100, 500, 1000, 1000]],
        "how": [["pain"], []],
    },
    "deeds": {"who": ["0"], "does": ["kissing"], "whom": ["1"]},
}


def table(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def ours(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "a",
        "image": PICTURE,
        "movie": "film",
        "split": "train",
        "objects": [{"label": "man", "box": [0, 0, 500, 500], "attributes": ["angry"]}],
        "relations": [{"subject": 0, "predicate": "watching", "object": 0}],
        "tags": ["fight"],
        "caption": "A man.",
    }
    return row | changes


def test_what_is_written_is_read(tmp_path: Path) -> None:
    items = list(synthetic_examples(range(60), "train", 160))
    assert write(tmp_path / "scenes.parquet", iter(items)) == 60
    back = list(read(tmp_path))
    for item, again in zip(items, back, strict=True):
        assert again[:4] == item[:4]
        for thing, copy in zip(item.graph.objects, again.graph.objects, strict=True):
            assert max(abs(a - b) for a, b in zip(thing.box, copy.box, strict=True)) <= 1  # a bin is 0.16 pixels
            assert copy.model_copy(update={"box": thing.box}) == thing
        assert again.graph.model_copy(update={"objects": item.graph.objects}) == item.graph


def test_drawn_series_are_a_hundred_seeds() -> None:
    assert [item.movie for item in synthetic_examples((0, 99, 100), "test", 96)] == ["series-0", "series-0", "series-1"]


def test_drawn_pictures_have_a_style() -> None:
    (plain,), (rare,) = (list(synthetic_examples((5,), "test", 96, style)) for style in ("plain", "long-tailed"))
    assert plain.graph == SCENES["plain"](5, 96).graph
    assert rare.graph == SCENES["long-tailed"](5, 96).graph != plain.graph


@pytest.mark.parametrize("scene", [STRUCTS, LISTS], ids=["list of structs", "struct of lists"])
@pytest.mark.parametrize("frame", [PICTURE, {"bytes": PICTURE, "path": None}], ids=["bytes", "struct"])
def test_a_column_map_names_their_columns(tmp_path: Path, scene: Any, frame: Any) -> None:
    table(
        tmp_path / "data/train-00000-of-00001.parquet", {"frame": frame, "film": 7, "scene": scene, "tags": "gore, x"}
    )
    [item] = read(tmp_path / "data", THEIRS)
    assert (item.id, item.movie, item.split) == ("data/train-00000-of-00001.parquet:0", "7", "train")
    male, female = item.graph.objects
    assert (male.label, male.box, male.attributes) == ("male", Box(0, 0, 50, 50), ("pain",))
    assert (female.label, female.box, female.attributes) == ("female", Box(100, 10, 200, 100), ())
    assert [(r.subject, r.predicate, r.object) for r in item.graph.relations] == [(0, "kissing", 1)]
    assert (item.graph.tags, item.graph.caption) == ({"gore": 1.0, "x": 1.0}, "")


def test_a_column_map_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text('image = "a"\nmovie = "b"\nlabel = "c.d"\nbox = "c.e"\n')
    assert ColumnMap.load(tmp_path / "map.toml") == ColumnMap(image="a", movie="b", label="c.d", box="c.e")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('image = "a"\n', "map.toml: movie: .*correct the column map"),
        ('image = "a"\nmovie = "b"\nlabel = "c"\nbox = "e"\nfoo = "f"\n', "foo"),
        ('image = "a"\nmovie = "b"\nlabel = "c"\nbox = "e"\nsubject = "f"\n', "together or not at all"),
        ("image", "cannot be read"),
    ],
)
def test_a_wrong_map_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        ColumnMap.load(tmp_path / "map.toml")


@pytest.mark.parametrize(
    ("field", "name"), [("movie", "film"), ("label", "objects.name"), ("box", "box"), ("tags", "caption.tags")]
)
def test_a_missing_column_is_named(tmp_path: Path, field: str, name: str) -> None:
    path = table(tmp_path / "a.parquet", ours())
    with pytest.raises(DataError) as error:
        next(read(path, DEFAULT_COLUMNS.model_copy(update={field: name})))
    have = "caption, id, image, movie, objects, objects.attributes, objects.box, objects.label, relations, "
    have += "relations.object, relations.predicate, relations.subject, split, tags"
    assert str(error.value) == f"{path}: it has no column {name!r} for {field!r}, but {have}; correct the column map."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"relations": [{"subject": 0, "predicate": "hitting", "object": 1}]},
            "names the object 1, but there are man:0",
        ),
        ({"relations": [{"subject": -1, "predicate": "hitting", "object": 0}]}, "names the object -1"),
        ({"relations": [{"subject": 0, "predicate": None, "object": 0}]}, "None where a word"),
        ({"objects": [{"label": "man", "box": [0, 0, 5], "attributes": []}]}, r"\(0, 0, 5\)"),
        ({"objects": [{"label": "man", "box": None, "attributes": []}]}, r"the box \(\)"),
        ({"objects": [{"label": "man", "box": [9, 0, 5, 5], "attributes": []}]}, r"\(9, 0, 5, 5\)"),
        ({"objects": [{"label": "man", "box": [0, 0, 5, 1001], "attributes": []}]}, "1001"),
        ({"objects": [{"label": " ", "box": [0, 0, 5, 5], "attributes": []}], "relations": []}, "' ' where a word"),
        ({"objects": None}, "there are none"),
        ({"movie": None}, "None as its movie"),
        ({"id": ""}, "'' as its id"),
        ({"id": "fine"}, "'fine' was there before"),
        ({"image": b""}, "empty"),
        ({"image": PICTURE[:60]}, "decode|damaged"),
    ],
)
def test_a_broken_row_is_reported_and_not_lost(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = table(tmp_path / "a.parquet", ours(id="fine"), ours(**{"id": "b", **changes}), ours(id="c"))
    with pytest.raises(DataError, match=f"a.parquet: row 1: .*{message}"):
        list(read(path))
    problems: list[str] = []
    assert [item.id for item in read(path, problems=problems)] == ["fine", "c"]
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("caption", "tags"),
        ("tags", "n"),
        ("tags", "flags"),
        ("box", "n"),
        ("attributes", "n"),
        ("label", "caption"),
        ("label", "nested.label"),
    ],
)
def test_a_column_of_another_kind_is_named(tmp_path: Path, field: str, name: str) -> None:
    more = {"n": 5, "flags": {"gore": False, "fight": True}, "nested": [[{"label": "man"}]]}
    path = table(tmp_path / "a.parquet", ours(**more))
    with pytest.raises(DataError, match=r"a.parquet: row 0: a column of the map holds .*; correct the column map\.$"):
        next(read(path, DEFAULT_COLUMNS.model_copy(update={field: name})))


def test_a_columns_own_name_may_have_a_dot(tmp_path: Path) -> None:
    flat = {"objects.label": ["man"], "objects.box": [[0, 0, 500, 500]]}
    path = table(tmp_path / "a.parquet", {"image": PICTURE, "movie": "x", **flat})
    columns = ColumnMap(image="image", movie="movie", label="objects.label", box="objects.box")
    (item,) = read(path, columns)
    assert [thing.label for thing in item.graph.objects] == ["man"]


@pytest.mark.parametrize("fails", [KeyboardInterrupt, DataError])
def test_what_is_interrupted_does_not_read_as_whole(tmp_path: Path, fails: type[BaseException]) -> None:
    def breaks_off() -> Iterator[GraphExample]:
        yield from synthetic_examples(range(2), "train", 96)
        raise fails

    write(tmp_path / "a.parquet", synthetic_examples(range(5), "train", 96))
    with pytest.raises(fails):
        write(tmp_path / "a.parquet", breaks_off())
    assert len(list(read(tmp_path))) == 5


def test_a_relation_that_calls_an_object_by_anothers_name_is_broken(tmp_path: Path) -> None:
    scene = STRUCTS | {"deeds": [{"who": "female:0", "does": "kissing", "whom": "female:1"}]}
    path = table(tmp_path / "test.parquet", {"frame": PICTURE, "film": "x", "scene": scene, "tags": ""})
    with pytest.raises(DataError, match="names the object 'female:0', but there are male:0, female:1"):
        next(read(path, THEIRS))


def test_struct_of_lists_must_be_of_one_length(tmp_path: Path) -> None:
    scene = {**LISTS, "deeds": {"who": ["0"], "does": [], "whom": ["1"]}}
    path = table(tmp_path / "test.parquet", {"frame": PICTURE, "film": "x", "scene": scene, "tags": ""})
    table(tmp_path / "train.parquet", {"frame": PICTURE, "film": "x", "scene": LISTS, "tags": ""})
    with pytest.raises(DataError, match=r"row 0: .*predicate and object of a relation \(1, 0, 1\)"):
        next(read(path, THEIRS))


@pytest.mark.parametrize("content", [None, b"", b"PAR1 no parquet PAR1"])
def test_what_is_no_parquet_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path)):
        next(read(tmp_path))


def test_splits_are_chosen_and_their_movies_known(tmp_path: Path) -> None:
    write(
        tmp_path / "a.parquet", [*synthetic_examples((0, 1, 100), "train", 96), *synthetic_examples((200,), "test", 96)]
    )
    assert [item.id for item in read(tmp_path, split="test")] == ["scene-200"]
    assert movies(tmp_path) == {"train": {"series-0", "series-1"}, "test": {"series-2"}}


def test_no_movie_is_in_two_splits() -> None:
    assert_disjoint({"train": {"a", "b"}, "val": {"c"}, "test": {"d"}})
    with pytest.raises(DataError, match="train and test share a, b; put"):
        assert_disjoint({"train": {"a", "b"}, "val": {"c"}, "test": {"a", "b", "d"}})
    with pytest.raises(DataError, match=r"val and test share e0, .* and 2 more;"):
        assert_disjoint({split: {f"e{k}" for k in range(12)} for split in ("val", "test")})


def test_boxes_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lying: a viewer turns it
    buffer = io.BytesIO()
    Image.new("RGB", (200, 100), "white").save(buffer, "JPEG", exif=exif)
    [item] = read(table(tmp_path / "a.parquet", ours(image=buffer.getvalue())))
    assert isinstance(item, GraphExample)
    assert item.graph.objects[0].box == Box(0, 0, 50, 100)
