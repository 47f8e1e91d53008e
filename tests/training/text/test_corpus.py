"""The corpus that comes with the source: what its data card promises, and what is wrong in one is named."""

from collections import Counter
from pathlib import Path

import pytest

from kidsnanny.errors import ComponentError
from kidsnanny.stage2.normalisation import normalise
from kidsnanny.training.text.corpus import Line, Part, read_corpus
from kidsnanny.training.text.rows import CATEGORIES

CORPUS = Path(__file__).parents[3] / "training" / "corpus"
PARTS: tuple[Part, ...] = ("train", "validation", "test")
LANGUAGES = "de fr es it pt nl pl tr ru ar zh hi hi-Latn".split()


@pytest.fixture(scope="module")
def corpus() -> dict[Part, dict[str, list[Line]]]:
    return {part: read_corpus(CORPUS, part) for part in PARTS}


def test_an_author_is_in_one_part_only(corpus: dict[Part, dict[str, list[Line]]]) -> None:
    authors = Counter(author for part in PARTS for author in corpus[part])
    assert set(authors.values()) == {1}


def test_no_text_is_there_twice(corpus: dict[Part, dict[str, list[Line]]]) -> None:
    texts = Counter(
        normalise(line.text) for part in PARTS for lines in corpus[part].values() for line in lines if line.text
    )
    assert [text for text, times in texts.items() if times > 1] == []


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_has_harmful_lines_and_look_alikes(
    corpus: dict[Part, dict[str, list[Line]]], category: str
) -> None:
    lines = [line for part in PARTS for of_author in corpus[part].values() for line in of_author]
    kinds = Counter(line.kind for line in lines if category in line.categories)
    assert kinds["harmful"] >= 1_500
    assert kinds["look_alike"] >= 1_700


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_both_in_training_and_test(
    corpus: dict[Part, dict[str, list[Line]]], part: Part, language: str
) -> None:
    lines = [line for of_author in corpus[part].values() for line in of_author]
    kinds = Counter(line.kind for line in lines if line.language == language)
    assert min(kinds["harmful"], kinds["look_alike"]) >= 60


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{", "it is not JSON"),
        ('{"text": "a", "kind": "harmful", "categories": [], "language": "en"}', "a harmful line"),
        ('{"text": "a", "kind": "plain", "categories": ["scam"], "language": "en"}', "a plain one has none"),
        ('{"text": "a", "kind": "harmful", "categories": ["rude"], "language": "en"}', "categories.0"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, written: str, message: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "A01.jsonl").write_text(written + "\n")
    with pytest.raises(ComponentError, match=f"A01.jsonl:1: .*{message}"):
        read_corpus(tmp_path, "train")


def test_a_folder_without_the_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"train: no \*\.jsonl"):
        read_corpus(tmp_path, "train")
