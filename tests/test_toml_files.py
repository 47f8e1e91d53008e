"""Every TOML file of ours is read alike: whatever is wrong with it is one sentence that names the file."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.errors import KidsnannyError
from kidsnanny.evaluation.graphs.graph_data import ColumnMap
from kidsnanny.models.cards import read_cards
from kidsnanny.policy import Policy
from kidsnanny.profiles.profile import Profile
from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.toml_files import LARGEST, LONGEST_SEARCHED, line_of, read_toml

READERS: dict[str, Callable[[Path], object]] = {
    "policy": Policy.load,
    "profile": Profile.load,
    "weight cards": read_cards,
    "column map": ColumnMap.load,
    "vocabulary": Vocabulary.load,
}
DAMAGED = {
    "nested lists": (b"x = " + b"[" * 5000, "its values are nested too deeply"),
    "nested keys": (b"x" + b".x" * 5000 + b" = 1", "its values are nested too deeply"),
    "nested table names": (b"[x" + b".x" * 5000 + b"]", "its values are nested too deeply"),
    "nested tables": (b"x = " + b"{a=" * 5000, "its values are nested too deeply"),
    "a huge number": (b"x = " + b"9" * 5000, "a number in it has too many digits"),
    "a NUL": (b"name = 'x\0y'", "line 1"),
    "a key twice": (b"name = 'x'\nname = 'y'", "Cannot overwrite a value (at"),
    "not UTF-8": (b"name = 'x'\nbase = '\xff'", "it is not UTF-8 (at line 2)"),
    "UTF-16": ("name = 'x'".encode("utf-16"), "it is not UTF-8 (at line 1)"),
    "no TOML": (b"name =", "Invalid value (at"),
    "too large": (b"#" * (LARGEST + 1), "it has more than 16,777,216 bytes"),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, kind: str, damage: str) -> None:
    data, why = DAMAGED[damage]
    file = tmp_path / "ours \udce9.toml"
    file.write_bytes(data)
    with pytest.raises(KidsnannyError) as raised:
        READERS[kind](file)
    said = str(raised.value)
    assert "ours " in said
    assert f"the {kind} cannot be read (" in said
    assert why in said
    assert "\n" not in said


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ["no\0name.toml", "missing.toml", "."])
def test_a_file_that_cannot_be_opened_is_one_sentence(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(KidsnannyError) as raised:
        READERS[kind](tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbfname = 'mine'\r\nbase = 'teen'\r\n")
    assert Policy.load(tmp_path / "mine.toml").name == "mine"


@given(st.binary(max_size=200))
def test_no_file_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("files") / "x.toml"
    file.write_bytes(data)
    with suppress(ValueError):
        read_toml(file)


VALUES = [
    ("[categories]\nscam = { review = true }", "categories.scam.review: it is true, expected a number"),
    ("[categories]\nscam = { review = '0.5' }", "categories.scam.review: it is '0.5', expected a number"),
    ("[categories]\nscam = { review = nan }", "categories.scam.review: it is nan, expected "),
    ("[categories]\nscam = { review = inf }", "categories.scam.review: it is inf, expected "),
    ("[categories]\nscam = { review = -inf }", "categories.scam.review: it is -inf, expected "),
    ("[categories]\nscam = { review = 10000000000000000000000 }", "categories.scam.review: it is 1000"),
    (
        "[categories]\nscam = { review = 2020-01-01 }",
        "categories.scam.review: it is datetime.date(2020, 1, 1), expected",
    ),
    ("[categories]\nscam = { review = 0.9, block = 0.2 }", "review (0.9) is above block (0.2)"),
    ("[categories]\nscam = 7", "categories.scam: it is 7, expected a table; "),
    ("categories = 7", "categories: it is 7, expected a table"),
    ("[judge]\nimage_grey = [false, true]", "judge.image_grey.0: it is false, expected a number"),
    ("[judge]\nimage_grey = ['0', 0.5]", "judge.image_grey.0: it is '0', expected a number"),
    ("[judge]\nimage_grey = [nan, 0.5]", "judge.image_grey.0: it is nan, expected "),
    ("[judge]\nimage_grey = 0.5", "judge.image_grey: it is 0.5, expected a list"),
    ("[text]\nread = true", "text.read: it is true, expected a number"),
    ("[text]\narea = nan", "text.area: it is nan, expected "),
    ("on_failure = 'allow'", "on_failure: it is 'allow', expected 'review' or 'unsafe'"),
    ("ages = 7", "ages: it is 7, expected a text in quotes"),
    ("colour = 'red'", "colour: there is no such key (there are name, base, ages, "),
    (
        "[categories]\nscam = { when = 1 }",
        "categories.scam.when: there is no such key (there are review, block, action); ",
    ),
]


@pytest.mark.parametrize(("text", "says"), VALUES)
def test_a_policys_values_are_of_their_own_type(tmp_path: Path, text: str, says: str) -> None:
    """Nothing is turned into a number that is none."""
    file = tmp_path / "mine.toml"
    file.write_text(f"name = 'mine'\nbase = 'teen'\n{text}\n")
    with pytest.raises(KidsnannyError) as raised:
        Policy.load(file)
    said = str(raised.value)
    assert said.startswith(f"{file}: ")
    assert says in said
    for jargon in ("Input should", "valid", "instance", "pydantic", "dictionary", "Value error"):
        assert jargon not in said


def test_whole_numbers_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("name = 'mine'\nbase = 'teen'\n[categories]\nscam = { review = 1, block = 1 }\n")
    assert Policy.load(file).categories["scam"].review == 1


LINES = """\
# a comment
name = "x"

[text]
read = 0.9 # area = 1
grey = [
  1,  # judge.grey = 2
  2,
]
[categories]
scam = { review = 0.1, block = 0.2 }
hate.review = 0.3
[categories.gore]
review = 0.4
[judge]
note = '''
[image]
alone = 1'''
"""
PLACES = {
    "name": 2,
    "text": 4,
    "text.read": 5,
    "text.area": None,
    "text.grey": 6,
    "categories.scam": 11,
    "categories.scam.block": 11,
    "categories.hate.review": 12,
    "categories.gore": 13,
    "categories.gore.review": 14,
    "judge.note": 16,
    "image": None,
    "name.first": None,
}


@pytest.mark.parametrize("key", PLACES)
def test_the_line_of_a_key(key: str) -> None:
    assert line_of(LINES, key) == PLACES[key]


def test_lines_are_not_looked_for_in_a_long_file() -> None:
    assert line_of("\n" * (LONGEST_SEARCHED - 1) + "name = 1", "name") == LONGEST_SEARCHED
    assert line_of("\n" * LONGEST_SEARCHED + "name = 1", "name") is None
