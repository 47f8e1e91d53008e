"""What a data set may name: files of its own folder, and ids that no spreadsheet takes for a formula."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import encoded, gradient
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from kidsnanny.errors import DataError
from kidsnanny.evaluation.csv_files import csv_text, original_cell, plain_cell, read_csv
from kidsnanny.evaluation.datasets import open_dataset
from kidsnanny.evaluation.run_folder import inspections_path, latency_path, predictions_path

PICTURE = encoded(gradient())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.csv", "there is no such file"),
        (".", "it is a folder; name a CSV file"),
        ("bytes.csv", "it cannot be read as a CSV file in UTF-8"),
    ],
)
def test_a_csv_file_that_is_none_is_said(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=says):
        read_csv(tmp_path / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set's folder with a picture, links that stay in it and links that leave it, and a picture outside."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for path in (folder / "a.png", folder / "sub" / "b.png", tmp_path / "secret.png"):
        path.write_bytes(PICTURE)
    (folder / "inner.png").symlink_to(folder / "sub" / "b.png")
    (folder / "outer.png").symlink_to(tmp_path / "secret.png")
    (folder / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "up").symlink_to(tmp_path)
    return folder


def as_csv(folder: Path, path: str) -> Path:
    with (folder / "m.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), (path, "safe")])
    return folder / "m.csv"


def as_jsonl(folder: Path, path: str) -> Path:
    (folder / "m.jsonl").write_text(json.dumps({"path": path, "label": "safe"}) + "\n")
    return folder / "m.jsonl"


def as_parquet(folder: Path, path: str) -> Path:
    row = {"image": {"bytes": None, "path": path}, "safety_label": "Safe"}
    parquet.write_table(pa.Table.from_pylist([row]), folder / "m.parquet")
    return folder / "m.parquet"


FORMS = [as_csv, as_jsonl, as_parquet]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "path",
    "../secret.png sub/../../secret.png {tmp}/secret.png /etc/passwd outer.png up/secret.png dangling.png "
    "../data2/x.png".split(),
)
def test_a_path_that_leads_out_is_refused(folder: Path, form: Callable[[Path, str], Path], path: str) -> None:
    with pytest.raises(DataError, match=r"leads out of the data set's folder .*; put the picture there\.$"):
        list(open_dataset(form(folder, path.format(tmp=folder.parent))))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["a.png", "sub/../a.png", "inner.png", "{tmp}/data/a.png", "missing.png"])
def test_a_path_that_stays_is_not(folder: Path, form: Callable[[Path, str], Path], path: str) -> None:
    (example,) = open_dataset(form(folder, path.format(tmp=folder.parent)))
    assert isinstance(example.image, Path)


def test_a_nul_in_a_path_is_one_sentence(folder: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: its path .* is none \(embedded null byte\)"):
        list(open_dataset(as_jsonl(folder, "a\0.png")))


def test_a_link_out_of_a_labelled_folder_is_refused(folder: Path) -> None:
    for name in ("safe", "unsafe"):
        (folder / name).mkdir()
    (folder / "safe" / "fine.png").symlink_to(folder / "a.png")
    assert len(list(open_dataset(folder))) == 1
    (folder / "safe" / "x.png").symlink_to(folder.parent / "secret.png")
    with pytest.raises(DataError, match="leads out of the data set's folder"):
        list(open_dataset(folder))


def test_the_files_of_a_saved_data_set_are_in_its_folder(folder: Path) -> None:
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../secret.arrow"}]}))
    with pytest.raises(DataError, match="leads out of the data set's folder"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "a\\b", "", ".", "..", ".hidden", "a\0b", "a\nb"])
@pytest.mark.parametrize("path", [predictions_path, inspections_path, latency_path])
def test_no_name_of_a_system_leads_out_of_a_run(tmp_path: Path, name: str, path: Callable[[Path, str], Path]) -> None:
    with pytest.raises(DataError, match="cannot be a file's name"):
        path(tmp_path, name)


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    '"=1',
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "|x",
    "%x",
]


@pytest.mark.parametrize("id", FORMULAS)
def test_no_cell_begins_like_a_formula_and_each_reads_back(tmp_path: Path, id: str) -> None:
    (tmp_path / "sheet.csv").write_text(csv_text([("id",), (id,)]), "utf-8", newline="")
    ((cell,),) = [row.values() for row in read_csv(tmp_path / "sheet.csv")[1]]
    assert cell == f"'{id}"
    assert original_cell(cell) == id


@given(st.one_of(st.text(), st.from_regex(r"'{0,3}[ \"=+\-@\t\r\n].*")))
def test_every_cell_reads_back(text: str) -> None:
    assert original_cell(plain_cell(text)) == text


@pytest.mark.parametrize("id", ["a.png", "safe/a=b.png", "it's", "'quoted'", "1", "ä"])
def test_ordinary_cells_stay(id: str) -> None:
    assert plain_cell(id) == original_cell(id) == id
