"""What a probe is trained on: folders named after labels, and the data sets of the evaluation."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import encoded, gradient
from pyarrow import parquet

from kidsnanny.errors import DataError
from kidsnanny.training.probe.labelled_pictures import how_many, read_labelled

PICTURE = encoded(gradient())


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE)


def labels(data: Path) -> list[tuple[str, str | None]]:
    return [(one.image.name if isinstance(one.image, Path) else "", one.label) for one in read_labelled(data)]


def test_a_subfolder_is_a_label(tmp_path: Path) -> None:
    put(tmp_path, "safe/1.png", "Violence/2.png", "my label/3.png", "my label/deeper/4.png", ".hidden/5.png")
    (tmp_path / "my label" / "notes.txt").write_text("no picture")
    assert labels(tmp_path) == [
        ("1.png", None),
        ("2.png", "Violence"),
        ("3.png", "my label"),
        ("4.png", "my label"),
    ]
    assert how_many(tmp_path) == 4
    assert how_many(tmp_path / "Violence") is None, "it must be read to know"


def test_safe_and_unsafe_are_one_label(tmp_path: Path) -> None:
    put(tmp_path, "safe/1.png", "unsafe/2.png")
    assert labels(tmp_path) == [("1.png", None), ("2.png", "unsafe")]


def test_a_table_has_its_categories_as_labels(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    rows = [("1.png", "unsafe", "Hate"), ("1.png", "unsafe", "Violence"), ("2.png", "safe", "Hate")]
    lines = [json.dumps({"path": p, "label": label, "category": c, "id": n}) for n, (p, label, c) in enumerate(rows)]
    (tmp_path / "all.jsonl").write_text("\n".join(lines))
    assert labels(tmp_path / "all.jsonl") == [("1.png", "Hate"), ("1.png", "Violence"), ("2.png", None)]
    (tmp_path / "plain.csv").write_text("path,label\n1.png,unsafe\n2.png,safe\n")
    assert labels(tmp_path / "plain.csv") == [("1.png", "unsafe"), ("2.png", None)]


def test_unsafebench_has_its_categories_as_labels(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": PICTURE}, "safety_label": label, "category": "Spam"} for label in ("Safe", "Unsafe")]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    for data in (tmp_path, tmp_path / "train.parquet"):
        assert [one.label for one in read_labelled(data)] == [None, "Spam"]
    assert next(iter(read_labelled(tmp_path))).image == PICTURE


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["Violence/1.png"], "it has no folder safe/ beside Violence; put harmless pictures there"),
        (["1.png"], "it has no folder safe/, nor one for a label"),
    ],
)
def test_what_has_no_harmless_pictures_is_refused(tmp_path: Path, names: list[str], says: str) -> None:
    put(tmp_path, *names)
    with pytest.raises(DataError, match=says):
        list(read_labelled(tmp_path))
    with pytest.raises(DataError, match="there is nothing there"):
        list(read_labelled(tmp_path / "nowhere"))


def test_a_picture_outside_of_the_data_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "outside.png", "data/safe/1.png", "data/Violence/2.png")
    (tmp_path / "data" / "Violence" / "3.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError, match="leads out of the data set's folder"):
        list(read_labelled(tmp_path / "data"))
