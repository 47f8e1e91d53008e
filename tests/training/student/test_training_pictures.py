"""Where the pictures of a training come from, and in what order."""

from pathlib import Path
from typing import Any

import pytest

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_data import synthetic_examples, write
from kidsnanny.training.student.scenes import VOCABULARY

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten drawn scenes of the split train and three of val, from other series."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "train.parquet", synthetic_examples(range(10), "train", 128))
    write(folder / "val.parquet", synthetic_examples(range(500, 503), "val", 128))
    return folder


def stored(path: Path, **how: Any) -> Any:
    from kidsnanny.training.student.training_pictures import stored_pictures

    return stored_pictures(path, **how)


def test_every_picture_comes_once_before_any_comes_again(data: Path) -> None:
    pictures = stored(data, seed=3)
    twice = [pictures.picture(number).image.tobytes() for number in range(20)]
    assert len(set(twice[:10])) == len(set(twice[10:])) == 10
    assert twice[:10] != twice[10:]
    again = stored(data, seed=3)
    assert again.picture(17).image.tobytes() == twice[17]  # whatever was asked for before
    assert len(pictures.unseen) == 3
    assert len(list(pictures.sample())) == 10
    assert not pictures.generated


def test_the_words_are_those_of_the_data_or_those_that_are_given(data: Path) -> None:
    derived = stored(data).vocabulary
    assert set(derived.objects) < set(VOCABULARY.objects)
    assert not any(tag.means for tag in derived.tags.values())
    assert stored(data, vocabulary=VOCABULARY).vocabulary is VOCABULARY


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"split": "trian"}, "no picture of the split 'trian', but of train, val"),
        ({"unseen": "test"}, "no picture of the split 'test'"),
    ],
)
def test_a_split_that_is_not_there_is_named(data: Path, how: dict[str, str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        stored(data, **how)


def test_a_film_in_both_splits_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", synthetic_examples(range(3), "train", 128))
    write(tmp_path / "b.parquet", synthetic_examples(range(3, 6), "val", 128))
    with pytest.raises(DataError, match="series-0"):
        stored(tmp_path)
