"""The card that a person fills in, and what is said of one that is not well: every fault at once, each with its fix."""

import re
from pathlib import Path

import pytest

from kidsnanny.errors import CardError
from kidsnanny.models.card_fields import FIELDS, blank_card
from kidsnanny.models.cards import TYPES, read_cards

FORMS = [("classifier", "onnx"), ("classifier", "safetensors"), ("detector", "onnx"), ("detector", "safetensors")]
FORMS += [("text", "onnx"), ("student", "safetensors"), ("probe", "safetensors")]
FORMS += [("encoder", "onnx"), ("encoder", "safetensors")]


def faults(folder: Path, text: str) -> list[str]:
    """What is said of a file of cards, without the file's name."""
    (folder / "card.toml").write_text(text)
    with pytest.raises(CardError) as caught:
        read_cards(folder / "card.toml")
    assert str(caught.value) == " ".join(caught.value.faults)
    for fault in caught.value.faults:
        assert re.fullmatch(r"[^\n]+; [^\n]+\.", fault), "a reason and a fix, in a sentence"
    return [fault.removeprefix(f"{folder / 'card.toml'}: ") for fault in caught.value.faults]


@pytest.mark.parametrize(("role", "form"), FORMS)
def test_a_card_to_fill_in_is_whole_and_short(tmp_path: Path, role: str, form: str) -> None:
    text = blank_card(role, form)
    (tmp_path / "card.toml").write_text(text)
    (card,) = read_cards(tmp_path / "card.toml").values()
    assert (type(card), card.weights) == (TYPES[role], f"model.{form}")
    assert len(text.splitlines()) <= 16
    written = re.findall(r"^(\w+) = .* {2}# .+$", text, re.M)
    assert {name for name, field in type(card).model_fields.items() if field.is_required()} - {
        "name",
        "files",
        "labels",
    } <= {*written}, "each field has a word of explanation"


def test_what_is_not_filled_in_is_named_field_by_field(tmp_path: Path) -> None:
    known = {"path": "/x/y.onnx", "input": 224, "probabilities": True}
    found = faults(tmp_path, blank_card("classifier", "onnx", known, ["label 1", "label 2"], "mine"))
    blank = ["what", "licence", "mean", "std", "interpolation", "layout"]
    assert [fault.partition(":")[0] for fault in found] == [*(f"mine.{field}" for field in blank), "mine.labels"]
    assert all('still says "?"' in fault for fault in found[:-1])
    assert '2 of 2 still say "?"' in found[-1]


GOOD = blank_card("classifier", "onnx")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[m]\nrole = "classifier"\n', ["path", "what", "licence", "input", "labels", "mean", "std", "interpolation"]),
        ('[m]\nrole = "student"\n', ["path", "what", "licence"]),
        ("[m]\n", ["role", "path", "what", "licence"]),
        ('[m]\nrole = "seer"\nwhat = 3\n', ["role", "path", "what", "licence"]),
        (GOOD.replace("licence", "licens").replace("what", "colour"), ["what", "licence", "colour", "licens"]),
        (GOOD.replace("nudity", "nude").replace("input = 224", "input = 0"), ["input", "labels.nsfw.nude"]),
        (GOOD.replace("model.onnx", "model.pt").replace("bilinear", "area"), ["interpolation", ""]),
        (GOOD + "[second]\n" + 'role = "text"\n', ["path", "what", "licence"]),
    ],
)
def test_every_fault_is_named_at_once(tmp_path: Path, text: str, says: list[str]) -> None:
    found = faults(tmp_path, text)
    assert [fault.split(":")[0].partition(".")[2] for fault in found] == says


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("licence =", "licens ="), "my-model.licens: there is no such key; it may mean licence."),
        (("licence =", "colour ="), "my-model.colour: there is no such key; leave it out."),
        (("nudity", "nude"), "my-model.labels.nsfw.nude: there is no such key; choose a category of sexual, nudity,"),
        (("input = 224", ""), "my-model.input: it is missing; write input = 224 or the like (side of the square"),
        (("sfw = {}", "sfw = 0"), "my-model.labels.sfw: it is 0, expected a table; list every output in its order"),
        (("[my-model", "[My"), "My: a card's name is lower case letters, digits, '.', '-' and '_'; choose another."),
        (("sfw = {}", ""), "my-model: labels has one label, which would always be certain: name every output"),
        (("model.onnx", "x.safetensors"), "my-model: a .safetensors needs its architecture, timm:NAME, "),
    ],
)
def test_each_fault_has_its_reason_and_fix(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    text = (
        re.sub(rf"^{re.escape(change[0])}", change[1], GOOD, flags=re.M) if "=" in change[0] else GOOD.replace(*change)
    )
    assert any(fault.startswith(says) for fault in faults(tmp_path, text))


def test_every_field_that_is_explained_is_one_of_a_card() -> None:
    assert FIELDS.keys() <= set().union(*(kind.model_fields for kind in TYPES.values()))
