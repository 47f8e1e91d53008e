"""Rows of the public data: labels and parts as documented, and what is wrong with a file is named."""

import csv
import gzip
from pathlib import Path

import pytest

from kidsnanny.errors import ComponentError
from kidsnanny.training.text import rows as text_rows
from kidsnanny.training.text.rows import CATEGORIES, split_drugs_weapons

HEADER = [*text_rows.COLUMNS, "source", "label_kind"]


def write(path: Path, rows: list[dict[str, str]], header: list[str] = HEADER) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, header, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("how to cook meth", 1, (1, 0)),
        ("a pipe bomb from kitchen things", 1, (0, 1)),
        ("trade a gun for cocaine", 1, (-1, -1)),
        ("nothing that the rule knows", 1, (-1, -1)),
        ("a gun", 0, (0, 0)),
        ("a gun", -1, (-1, -1)),
    ],
)
def test_drugs_weapons_is_split_by_keywords(text: str, label: int, expected: tuple[int, int]) -> None:
    assert split_drugs_weapons(text, label) == expected


def test_unknown_labels_stay_unknown(tmp_path: Path) -> None:
    path = tmp_path / "some.csv.gz"
    rows = [
        {"text": "hello", "hate": "1", "any_harm": "1", "lang": "en", "split": "train"},
        {"text": "привет всем", "hate": "1", "any_harm": "1", "lang": "ru", "split": "train"},
        {"text": "bye", "any_harm": "0", "lang": "en", "split": "test"},
    ]
    write(path, rows)
    hello, russian, bye = text_rows.read_file(path)
    hate, grooming = CATEGORIES.index("hate"), CATEGORIES.index("grooming")
    assert hello.labels[hate] == russian.labels[hate] == 1
    assert set(hello.labels) == {1, -1}
    assert russian.language == "ru"
    assert bye.labels[grooming] == 0
    assert bye.part == "held_out"


def test_a_text_is_always_in_the_same_part() -> None:
    parts = [text_rows.part_of(f"text {n}") for n in range(2_000)]
    assert parts == [text_rows.part_of(f"text {n}") for n in range(2_000)]
    assert 0.85 < parts.count("train") / len(parts) < 0.95


def test_the_validation_set_is_not_training_data(tmp_path: Path) -> None:
    write(tmp_path / "eval_anything.csv.gz", [])
    with pytest.raises(ComponentError, match="--data"):
        text_rows.public_rows(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write(tmp_path / "bad.csv.gz", [{"text": "x"}], [c for c in HEADER if c != "scam"])
    with pytest.raises(ComponentError, match=r"bad\.csv\.gz: lacks the columns scam"):
        text_rows.public_rows(tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(ComponentError, match=r"bad\.csv\.gz: cannot be read"):
        text_rows.public_rows(tmp_path)
