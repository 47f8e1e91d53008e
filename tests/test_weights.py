import pytest

from kidsnanny import WeightsError
from kidsnanny.stage2.text_model import TextModel
from kidsnanny.weights import Card, cards

GOOD = cards()["nudenet-320n"]


@pytest.mark.parametrize("name", cards())
def test_every_card_describes_a_file_that_is_there(name: str) -> None:
    card = cards()[name]
    assert card.locate().is_file()
    assert card.licence


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"package": "no_such_package"}, "the package no_such_package is not installed"),
        ({"file": "321n.onnx"}, "cannot be read"),
        ({"sha256": "0" * 64}, "not 000000000000"),
        ({"package": None, "file": "nowhere.npz"}, "cannot be read"),
    ],
)
def test_a_file_that_is_not_what_its_card_says_is_refused(change: dict, says: str) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        Card(**{**GOOD.model_dump(), **change}).locate()
    assert "reinstall it with `pip install" in str(caught.value)


def test_the_text_models_own_card_agrees() -> None:
    card = cards()["kidsnanny-text"]
    assert TextModel.load(card.locate().parent).card.sha256 == card.sha256
