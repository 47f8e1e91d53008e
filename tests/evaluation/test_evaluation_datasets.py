"""What a data set may look like, and what it is read as."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import encoded, gradient
from pyarrow import ipc, parquet

from kidsnanny.errors import DataError
from kidsnanny.evaluation import generated
from kidsnanny.evaluation.datasets import choose_categories, contamination_warnings, open_dataset, read_contents

PICTURE = encoded(gradient())
BROKEN = PICTURE[:60]
ROWS = [
    {"image": {"bytes": PICTURE, "path": None}, "safety_label": "Unsafe", "category": "Sexual", "source": "Lexica"},
    {"image": {"bytes": BROKEN, "path": None}, "safety_label": "Safe", "category": "Sexual", "source": "Laion5B"},
    {"image": {"bytes": None, "path": "b.png"}, "safety_label": "Unsafe", "category": "Hate", "source": "Lexica"},
]


def table(file: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


def one_file(folder: Path) -> Path:
    return table(folder / "test-00000-of-00001.parquet")


def raw_bytes(folder: Path) -> Path:
    return table(folder / "test.parquet", [row | {"image": row["image"]["bytes"]} for row in ROWS])


def files_by_name(folder: Path) -> Path:
    table(folder / "train-00000-of-00001.parquet")
    return table(folder / "data" / "test-00000-of-00001.parquet").parent.parent


def files_by_folder(folder: Path) -> Path:
    table(folder / "train" / "0000.parquet")
    return table(folder / "test" / "0000.parquet").parent.parent


def saved(folder: Path) -> Path:
    """As `save_to_disk` of the datasets library writes a DatasetDict."""
    for split in ("test", "train"):
        (folder / split).mkdir()
        files = [f"data-0000{n}-of-00002.arrow" for n in range(2)]
        for file, rows in zip(files, (ROWS[:1], ROWS[1:]), strict=True):
            given = pa.Table.from_pylist(rows, pa.Table.from_pylist(ROWS).schema)
            with ipc.new_stream(folder / split / file, given.schema) as stream:
                stream.write_table(given)
        state = {"_data_files": [{"filename": file} for file in files], "_split": split}
        (folder / split / "state.json").write_text(json.dumps(state))
    return folder


def folders(folder: Path) -> Path:
    for name in ("unsafe/deep/a.png", "safe/b.png", "safe/c.heic", "safe/notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no picture" if name.endswith("txt") else PICTURE)
    return folder


def jsonl(folder: Path) -> Path:
    rows = [
        {"path": "a.png", "unsafe": True, "category": "Sexual", "source": "ours", "split": "test"},
        {"path": "b.png", "unsafe": 0, "id": 7, "category": "Sexual"},
    ]
    (folder / "list.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    return folder / "list.jsonl"


def csv(folder: Path) -> Path:
    (folder / "list.csv").write_text("﻿path,label,split\na.png,Unsafe,test\nsub/b.png,safe,\n")
    return folder / "list.csv"


def semicolon_in_the_head(folder: Path) -> Path:
    (folder / "list.csv").write_text('path,label,"note; by A"\na.png,Unsafe,x\nsub/b.png,safe,y\n')
    return folder / "list.csv"


def semicolons(folder: Path) -> Path:
    """As a spreadsheet writes it where a comma is the decimal point."""
    (folder / "list.csv").write_text("path;label;split\na.png;Unsafe;test\nsub/b.png;safe;\n")
    return folder / "list.csv"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (one_file, ["test/0 unsafe Sexual Lexica test", "test/1 safe Sexual Laion5B test"]),
        (raw_bytes, ["test/0 unsafe Sexual Lexica test", "test/1 safe Sexual Laion5B test"]),
        (
            files_by_name,
            [
                "test/0 unsafe Sexual Lexica test",
                "test/1 safe Sexual Laion5B test",
                "train/0 unsafe Sexual Lexica train",
                "train/1 safe Sexual Laion5B train",
            ],
        ),
        (
            files_by_folder,
            [
                "test/0 unsafe Sexual Lexica test",
                "test/1 safe Sexual Laion5B test",
                "train/0 unsafe Sexual Lexica train",
                "train/1 safe Sexual Laion5B train",
            ],
        ),
        (
            saved,
            [
                "test/0 unsafe Sexual Lexica test",
                "test/1 safe Sexual Laion5B test",
                "train/0 unsafe Sexual Lexica train",
                "train/1 safe Sexual Laion5B train",
            ],
        ),
        (folders, ["safe/b.png safe Sexual  ", "safe/c.heic safe Sexual  ", "unsafe/deep/a.png unsafe Sexual  "]),
        (jsonl, ["a.png unsafe Sexual ours test", "7 safe Sexual  "]),
        (csv, ["a.png unsafe Sexual  test", "sub/b.png safe Sexual  "]),
        (semicolon_in_the_head, ["a.png unsafe Sexual  ", "sub/b.png safe Sexual  "]),
        (semicolons, ["a.png unsafe Sexual  test", "sub/b.png safe Sexual  "]),
    ],
)
def test_every_form_is_read_as_the_same_examples(
    form: Callable[[Path], Path], expected: list[str], tmp_path: Path
) -> None:
    dataset = open_dataset(form(tmp_path), categories=("Sexual",))
    found = [f"{e.id} {'unsafe' if e.unsafe else 'safe'} {e.category} {e.source} {e.split}" for e in dataset]
    assert found == expected
    assert [e.id for e in dataset] == [e.id for e in dataset], "it can be read again"


def test_broken_pictures_and_paths_are_examples_like_any_other(tmp_path: Path) -> None:
    images = [example.image for example in open_dataset(one_file(tmp_path))]
    assert images == [PICTURE, BROKEN, tmp_path / "b.png"]
    assert read_contents(open_dataset(tmp_path)).pictures == 3


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"bytes": b"x", "path": "a.png"}, b"x"),
        ({"bytes": None, "path": "a.png"}, Path("a.png")),
        ({"bytes": None, "path": None}, b""),
        ("a.png", Path("a.png")),
        (5, b""),
    ],
)
def test_an_image_is_bytes_or_a_path_beside_the_file(image: object, expected: bytes | Path, tmp_path: Path) -> None:
    (found,) = open_dataset(table(tmp_path / "test.parquet", [ROWS[0] | {"image": image}]))
    assert found.image == (tmp_path / expected if isinstance(expected, Path) else expected)


@pytest.mark.parametrize(("column", "expected"), [({}, ["Sexual"]), ({"category": None}, [])])
def test_only_where_there_is_no_column_is_the_category_the_wanted_one(
    column: dict[str, object], expected: list[str], tmp_path: Path
) -> None:
    path = table(tmp_path / "test.parquet", [{"image": PICTURE, "safety_label": "Safe", **column}])
    assert [example.category for example in open_dataset(path, categories=("Sexual",))] == expected


@pytest.mark.parametrize(
    ("given", "wanted", "category"),
    [(None, (), "any"), ((), (), "any"), (("any",), (), "any"), (("Hate",), ("Hate",), "Hate")],
)
def test_data_that_name_no_category_are_of_any_or_of_the_given_one(
    given: tuple[str, ...] | None, wanted: tuple[str, ...], category: str, tmp_path: Path
) -> None:
    path = table(tmp_path / "test.parquet", [{"image": PICTURE, "safety_label": "Safe"}])
    found, said = choose_categories(path, given)
    assert found == wanted
    assert f"names no category: {'all of its' if wanted else 'its'} pictures are" in said
    assert [example.category for example in open_dataset(path, categories=found)] == [category]


def test_data_that_name_categories_are_of_sexual_by_default(tmp_path: Path) -> None:
    path = table(tmp_path / "test.parquet")
    for given, wanted in ((None, ("Sexual",)), ((), ()), (("Hate", "Spam"), ("Hate", "Spam"))):
        assert choose_categories(path, given) == (wanted, "")


def test_data_without_categories_cannot_be_cut_down_to_several(tmp_path: Path) -> None:
    path = table(tmp_path / "test.parquet", [{"image": PICTURE, "safety_label": "Safe"}])
    with pytest.raises(DataError, match="it names no category, so --category Hate,Spam cannot choose; name one"):
        choose_categories(path, ("Hate", "Spam"))


def test_pictures_without_a_split_are_counted_as_such(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\na.png,safe\n")
    with pytest.raises(DataError, match="it holds 1 picture of what was asked for where 2 are expected"):
        read_contents(open_dataset(tmp_path / "list.csv"), 2)
    (tmp_path / "list.csv").write_text("path,label,split\na.png,safe,\nb.png,safe,test\n")
    with pytest.raises(DataError, match=r"\(of no split 1, test 1\)"):
        read_contents(open_dataset(tmp_path / "list.csv"), 3)


def test_a_name_that_is_no_unicode_can_be_written_down(tmp_path: Path) -> None:
    (tmp_path / "safe").mkdir()
    (tmp_path / "unsafe").mkdir()
    (tmp_path / os.fsdecode(b"safe/\xff.png")).write_bytes(PICTURE)
    (found,) = open_dataset(tmp_path)
    assert found.id == "safe/\\udcff.png"
    assert read_contents(open_dataset(tmp_path)).digest


@pytest.mark.parametrize("split", ["train", "training", "Train"])
def test_a_file_in_the_folder_of_a_split_is_of_that_split(split: str, tmp_path: Path) -> None:
    assert contamination_warnings(read_contents(open_dataset(table(tmp_path / split / "0000.parquet"))))
    (tmp_path / "list.csv").write_text(f"path,label,split\na.png,safe,{split}\n")
    assert contamination_warnings(read_contents(open_dataset(tmp_path / "list.csv")))


@pytest.mark.parametrize(
    ("column", "label", "unsafe"),
    [("label", "1", True), ("label", "0", False), ("unsafe", "TRUE", True), ("safety_label", "Unsafe", True)],
)
def test_labels_of_a_manifest(column: str, label: str, unsafe: bool, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path,{column}\na.png,{label}\n")
    assert [example.unsafe for example in open_dataset(tmp_path / "list.csv")] == [unsafe]


def test_a_limit_counts_what_was_chosen(tmp_path: Path) -> None:
    assert len(list(open_dataset(one_file(tmp_path), categories=("Hate",), limit=1))) == 1


def test_an_id_of_the_data_sets_own_is_kept(tmp_path: Path) -> None:
    path = table(tmp_path / "test.parquet", [row | {"id": f"x{n}"} for n, row in enumerate(ROWS)])
    assert [example.id for example in open_dataset(path)] == ["test/x0", "test/x1", "test/x2"]


def test_counts_by_split_category_and_source(tmp_path: Path) -> None:
    contents = read_contents(open_dataset(files_by_name(tmp_path)), expect=6)
    assert (contents.pictures, contents.unsafe) == (6, 4)
    assert contents.by == {
        "split": {"test": (1, 2), "train": (1, 2)},
        "category": {"Sexual": (2, 2), "Hate": (0, 2)},
        "source": {"Lexica": (0, 4), "Laion5B": (2, 0)},
    }
    (warning,) = contamination_warnings(contents)
    assert "3 of 6 pictures are of the training split" in warning
    assert not contamination_warnings(read_contents(open_dataset(tmp_path, splits=["test"])))


@pytest.mark.parametrize(
    "changed",
    [
        {"safety_label": "Safe"},
        {"category": "Hate"},
        {"source": "Midjourney"},
        {"image": {"bytes": BROKEN, "path": None}},
    ],
)
def test_other_labels_or_pictures_have_another_digest(changed: dict[str, object], tmp_path: Path) -> None:
    both = (ROWS, [ROWS[0] | changed, *ROWS[1:]])
    files = [table(tmp_path / str(n) / "test.parquet", rows) for n, rows in enumerate(both)]
    first, second = (read_contents(open_dataset(file)).digest for file in files)
    assert first != second


def test_the_digest_is_of_what_was_chosen_and_not_of_its_form(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    digests = [
        read_contents(open_dataset(path, splits=["test"], limit=limit)).digest
        for path in (one_file(tmp_path / "one"), saved(tmp_path / "saved"))
        for limit in (None, 2)
    ]
    assert digests[:2] == digests[2:]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("rows", "arguments", "expect", "says"),
    [
        (ROWS, {}, 1054, r"holds 3 pictures of what was asked for \(test 3\) where 1,054 are expected"),
        (ROWS, {}, 2, "where 2 are expected"),
        (ROWS, {"categories": ("Spam",)}, None, "holds no pictures of Spam"),
        (ROWS, {"splits": ("train",)}, None, "holds no pictures of train, but of 'test/Hate', 'test/Sexual'; choose"),
        (ROWS, {"splits": ("tset",), "categories": ("Sexual",)}, None, "of tset and Sexual, but of 'test/Hate', 'te"),
        ([row | {"id": "same"} for row in ROWS], {}, None, "two pictures have the id test/same"),
        ([{"image": PICTURE, "label": 1}], {}, None, "no column safety_label but image, label"),
        (
            [ROWS[0] | {"safety_label": "Perhaps"}],
            {},
            None,
            "row 0 has the label 'Perhaps', expected Safe or Unsafe",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    rows: list[dict[str, object]], arguments: dict[str, tuple[str, ...]], expect: int | None, says: str, tmp_path: Path
) -> None:
    path = table(tmp_path / "test.parquet", rows)
    with pytest.raises(DataError, match=says):
        read_contents(open_dataset(path, **arguments), expect)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("nothing", None, "there is nothing there; name a"),
        ("a.txt", b"", "it is no data set"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("n" * 300, None, "it cannot be opened (File name too long); name another"),
        ("a.csv", b"picture\nx.png\n", "row 2 has no path and no label; give every picture its `path` (or `file`)"),
        ("a.csv", b"path,label\nx.png\n", "row 2 has no label"),
        ("a.csv", b"file,label\n,1\n", "row 2 has no path"),
        ("a.csv", b"path,label,category\na,1,Sexual\nb,1,\n", "row 3 names no category, unlike those before it"),
        ("a.jsonl", b'{"path": "a", "label": 1}\n{"path": "b", "label": 1, "category": "x"}', "row 2 names a category"),
        ("a.jsonl", b"[" * 100_000, "it is no manifest (line 1: maximum recursion depth"),
        ("a.jsonl", b"{", "it is no manifest"),
        ("a.jsonl", b"[1]", "it is no manifest"),
        ("a.jsonl", b'{"path": 5, "label": "safe"}', "row 1 has no path that is a text"),
        ("a.csv", b"path,label\n\xff,1\n", "it cannot be read as a CSV file in UTF-8"),
    ],
)
def test_what_is_no_data_set_is_refused(name: str, content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(says)):
        list(open_dataset(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.csv", "file,label,text\nx.png,1,see you\ny.png,0,\n", ["see you", ""]),
        ("a.csv", "path,label\nx.png,1\n", [None]),
        (
            "a.jsonl",
            '{"path": "x.png", "label": 1, "text": "one\\ntwo"}\n{"file": "y.png", "label": 0}',
            ["one\ntwo", None],
        ),
    ],
)
def test_a_manifest_may_say_what_is_written_in_a_picture(
    name: str, content: str, texts: list[str | None], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    assert [example.text for example in open_dataset(tmp_path / name)] == texts


def test_other_texts_have_another_digest(tmp_path: Path) -> None:
    digests = set()
    for text in ("", "text\n", "text\nhello", "text\nhallo"):
        head, _, value = text.partition("\n")
        (tmp_path / "a.csv").write_text(f"file,label{',' * bool(head)}{head}\nx.png,1{',' * bool(head)}{value}\n")
        digests.add(read_contents(open_dataset(tmp_path / "a.csv")).digest)
    assert len(digests) == 4


@pytest.mark.parametrize("what", ["it is a link to a folder", "it cannot be opened"])
def test_no_folder_is_left_out_in_silence(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path)
    if "link" in what:
        (tmp_path / "safe" / "sub").symlink_to(tmp_path / "unsafe")
    else:  # root may open any
        closed = OSError(13, "Permission denied", str(tmp_path / "safe" / "sub"))
        monkeypatch.setattr(os, "walk", lambda _, onerror: onerror(closed) or [])
    with pytest.raises(DataError, match=f"safe/sub: {what}, so its pictures would be left out"):
        read_contents(open_dataset(tmp_path))


def test_what_has_no_target_is_a_broken_picture_and_what_has_no_end_is_not_waited_for(tmp_path: Path) -> None:
    folders(tmp_path)
    for name in ("pipe", "pipe.png"):
        os.mkfifo(tmp_path / "safe" / name)
    (tmp_path / "safe" / "link.png").symlink_to(tmp_path / "nowhere.png")
    assert read_contents(open_dataset(tmp_path)).pictures == 5, "pipe.png promises a picture, pipe does not"


def test_numbers_of_a_class_label_are_the_words_they_stand_for(tmp_path: Path) -> None:
    """As the `datasets` library writes it; 0 is not safe because it is 0."""
    names = {"safety_label": ["Unsafe", "Safe"], "category": ["Hate", "Sexual"]}
    features = {column: {"names": words, "_type": "ClassLabel"} for column, words in names.items()}
    rows = [{"image": PICTURE, "safety_label": n, "category": 1 - n} for n in (0, 1)]
    given = pa.Table.from_pylist(rows).replace_schema_metadata(
        {
            "huggingface": json.dumps(
                {"info": {"features": features | {"image": {"_type": "Image"}, "boxes": [{"x": {}}]}}}
            )
        }
    )
    parquet.write_table(given, tmp_path / "test.parquet")
    found = [(example.unsafe, example.category) for example in open_dataset(tmp_path / "test.parquet")]
    assert found == [(True, "Sexual"), (False, "Hate")]


def test_an_empty_row_group_is_not_the_end(tmp_path: Path) -> None:
    given = pa.Table.from_pylist(ROWS)
    with parquet.ParquetWriter(tmp_path / "test.parquet", given.schema) as writer:
        for part in (given[:1], given[:0], given[1:]):
            writer.write_table(part)
    assert read_contents(open_dataset(tmp_path)).pictures == 3
    with ipc.new_stream(tmp_path / "data.arrow", given.schema) as stream:
        for part in (given[:1], given[:0], given[1:]):
            stream.write_table(part)
    (tmp_path / "test.parquet").unlink()
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    assert read_contents(open_dataset(tmp_path)).pictures == 3


def test_text_that_is_no_text_is_damage(tmp_path: Path) -> None:
    words = pa.array([b"\xff\xfe"]).view(pa.string())
    given = pa.table({"image": [PICTURE], "safety_label": ["Safe"], "source": words})
    parquet.write_table(given, tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"test\.parquet: it is damaged .*; get it again"):
        list(open_dataset(tmp_path / "test.parquet"))


def test_a_damaged_row_group_is_an_error_and_not_the_end_of_the_data(tmp_path: Path) -> None:
    path = one_file(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * 40 + data[44:])
    with pytest.raises(DataError, match="it is damaged"):
        list(open_dataset(path))


def test_the_generated_data_set_has_unsafebenchs_schema_and_says_what_it_is(tmp_path: Path) -> None:
    path = generated.write(tmp_path / "test-00000-of-00001.parquet", 90)
    assert parquet.read_schema(path).names == ["image", "safety_label", "category", "source", "text"]
    dataset = open_dataset(path)
    assert dataset.generated
    contents = read_contents(dataset, expect=90)
    assert contents.unsafe == round(90 * 683 / 1054)
    again = generated.write(tmp_path / "again-test.parquet", 90)
    assert read_contents(open_dataset(again)).digest == contents.digest
    assert (
        read_contents(open_dataset(generated.write(tmp_path / "other-test.parquet", 90, seed=1))).digest
        != contents.digest
    )
    assert not any(generated.CANARY in str(field) for example in dataset for field in example)
