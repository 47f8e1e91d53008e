import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from kidsnanny import WeightsError
from kidsnanny.errors import NotHereError
from kidsnanny.models.cards import (
    CARD,
    BaseCard,
    Card,
    ClassifierCard,
    DetectorCard,
    HeadCard,
    ImageEncoderCard,
    JudgeCard,
    OcrCard,
    ProbeCard,
    StudentCard,
    TextCard,
    cards,
    find_card,
    read_cards,
    shipped,
)
from kidsnanny.models.hub import pull
from kidsnanny.models.store import digest, home, is_random, pin, pin_exported, pinned

pytestmark = pytest.mark.usefixtures("own_home")
GOOD = shipped()["nudenet-320n"]
MARQO = shipped()["marqo-nsfw-384"]
WEIGHTS = "model.safetensors"


def changed(card: Card, **change: object) -> Card:
    return CARD.validate_python(card.model_dump() | change)


def safetensors(metadata: object) -> bytes:
    header = json.dumps({"__metadata__": metadata}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    "name", [name for name, card in shipped().items() if not card.hub and card.role not in ("base", "judge")]
)
def test_every_installed_card_describes_a_file_that_is_there(name: str) -> None:
    card = shipped()[name]
    assert card.locate().is_file()
    assert card.licence
    assert not card.unverified


@pytest.mark.parametrize("name", [name for name, card in shipped().items() if card.hub])
def test_every_other_card_says_where_to_get_it_and_what_was_not_verified(name: str) -> None:
    card = shipped()[name]
    with pytest.raises(NotHereError, match=f"^{name}: its weights are not on this machine; .*kidsnanny weights"):
        card.locate()
    assert {"hub", "licence"} <= set(card.unverified)
    for field in ("labels", "operating_points"):
        assert getattr(card, field, None) is None or field in card.unverified


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"package": "no_such_package"}, "the package no_such_package is not installed"),
        ({"files": {"321n.onnx": {"sha256": GOOD.sha256}}}, "cannot be read"),
        ({"files": {"320n.onnx": {"sha256": "0" * 64}}}, "not 000000000000"),
        ({"files": {**GOOD.files, "__init__.py": {"sha256": "0" * 64}}}, "__init__.py has sha256"),
        ({"package": None, "shipped": "nowhere"}, "cannot be read"),
    ],
)
def test_a_file_that_is_not_what_its_card_says_is_refused(change: dict, says: str) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        changed(GOOD, **change).locate()
    assert re.search("(run|reinstall it with) `pip install", str(caught.value))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"package": None}, "exactly one of hub, wheels, package, shipped, path, not none"),
        ({"path": "x.onnx"}, "not package and path"),
        ({"shipped": "x"}, "not package and shipped"),
        ({"package": None, "path": "x.pt", "files": {}}, "x.pt is no .safetensors or .onnx file"),
        ({"files": {}}, "files names no file"),
        ({"files": {"model.pt": {"sha256": "0" * 64}}}, "model.pt is no .safetensors or .onnx file"),
        ({"files": {"../320n.onnx": {"sha256": "0" * 64}}}, "is not a path inside its package"),
        ({"files": {"/320n.onnx": {"sha256": "0" * 64}}}, "is not a path inside its package"),
        ({"files": {"320n.onnx": {}}}, "files gives no sha256 for a file of its package"),
        ({"labels": {}}, "labels"),
        ({"input": None}, "input"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean"),
        ({"role": "seer"}, "does not match any of the expected tags"),
        ({"labels": {"x": {"nudeness": 1}}}, "labels.x.nudeness"),
        ({"labels": {"x": {"nudity": 2}}}, "less than or equal to 1"),
        ({"operating_points": {"high_precision": 0.2, "high_recall": 0.8}}, "is above high_precision"),
        ({"unverified": ["labls"]}, "unverified names labls"),
        ({"colour": "red"}, "Extra inputs"),
        ({"name": "../x"}, "name"),
        ({"get": "buy it"}, "get is of cards of a hub, and its source is package"),
        ({"files": {"320n.onnx": {"sha256": "abc"}}}, "sha256"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(change: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        changed(GOOD, **change)


@pytest.mark.parametrize("field", ["input", "mean", "std", "interpolation", "labels"])
def test_a_classifiers_card_says_how_a_frame_is_prepared(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        CARD.validate_python({name: value for name, value in MARQO.model_dump().items() if name != field})


def test_each_role_has_a_type_of_its_own_with_no_fields_of_others() -> None:
    types = {"classifier": ClassifierCard, "detector": DetectorCard, "ocr": OcrCard}
    types |= {"text": TextCard, "student": StudentCard, "base": BaseCard, "encoder": ImageEncoderCard, "head": HeadCard}
    types |= {"probe": ProbeCard, "judge": JudgeCard}
    assert {type(card) for card in shipped().values()} == set(types.values())
    assert all(type(card) is types[card.role] for card in shipped().values())
    assert not {"labels", "input", "mean"} & (OcrCard.model_fields.keys() | StudentCard.model_fields.keys())
    assert not {"mean", "std", "crop", "interpolation"} & DetectorCard.model_fields.keys()


@pytest.mark.parametrize(("name", "missing"), [("senben-tiny", "vocabulary.toml"), ("kidsnanny-text", "card.toml")])
def test_a_card_names_every_file_of_its_model(name: str, missing: str) -> None:
    card = shipped()[name]
    files = {file: facts for file, facts in card.model_dump()["files"].items() if file != missing}
    with pytest.raises(ValidationError, match=f"files lacks {missing}"):
        changed(card, files=files)


@pytest.mark.parametrize("file", shipped()["senben-tiny"].files)
def test_every_file_of_a_student_is_verified(tmp_path: Path, file: str) -> None:
    shutil.copytree(shipped()["senben-tiny"].locate().parent, tmp_path / "mine")
    card = changed(shipped()["senben-tiny"], shipped=None, path=tmp_path / "mine")
    assert card.locate() == tmp_path / "mine" / WEIGHTS
    with (tmp_path / "mine" / file).open("ab") as changing:
        changing.write(b" ")
    with pytest.raises(WeightsError, match=f"{file} has sha256"):
        card.locate()


def test_what_a_student_reads_is_in_its_card() -> None:
    card = shipped()["senben-tiny"]
    folder = card.locate().parent
    assert {file.name for file in folder.iterdir()} - card.files.keys() == {"curve.json"}  # a record of the training


def test_a_card_is_found_by_name_or_passed_on() -> None:
    assert find_card("nudenet-320n", DetectorCard) is GOOD
    assert find_card(GOOD, DetectorCard) is GOOD
    with pytest.raises(WeightsError, match=r"^no-such: there is no card of that name; `kidsnanny weights list`"):
        find_card("no-such", Card)
    with pytest.raises(WeightsError, match="nudenet-320n: its card is of a detector, not of a classifier"):
        find_card("nudenet-320n", ClassifierCard)
    with pytest.raises(TypeError, match="expected a card or its name, got int"):
        find_card(3, Card)


def test_looking_creates_no_home(own_home: Path) -> None:
    assert cards() == shipped()
    with pytest.raises(NotHereError):
        MARQO.locate()
    assert GOOD.exported() is None
    assert not own_home.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_home_is_the_platforms_folder_for_a_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KIDSNANNY_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home() == tmp_path / "data" / "kidsnanny"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".local" / "share" / "kidsnanny"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_a_user_without_a_home_has_the_shipped_cards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KIDSNANNY_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where neither $HOME nor the user is known
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert cards() == shipped()
    assert pinned("marqo-nsfw-384").files == {}
    with pytest.raises(WeightsError, match=r"cannot be written .*; set KIDSNANNY_HOME to a folder that can"):
        pin("marqo-nsfw-384", {WEIGHTS: tmp_path / "file"})
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_pinned_weights_are_found_and_verified_without_a_network(tmp_path: Path) -> None:
    card = changed(MARQO, files={WEIGHTS: {}})
    file = tmp_path / WEIGHTS
    file.write_bytes(safetensors({}))
    pin(card.name, {WEIGHTS: file}, revision="c" * 40)
    assert card.locate() == file
    with pytest.raises(WeightsError, match="not 6bf2e0f64a1d"):
        MARQO.locate()  # the card knows better than the lock file
    file.write_bytes(b"changed")
    with pytest.raises(WeightsError, match=r"marqo-nsfw-384: .* has sha256 .*; run `kidsnanny weights pull marqo"):
        card.locate()
    file.unlink()
    with pytest.raises(NotHereError, match="not on this machine"):
        card.locate()


def test_a_pin_leaves_other_cards_and_forgets_the_onnx_file_of_other_weights(tmp_path: Path) -> None:
    exported, weights = tmp_path / "exported.onnx", tmp_path / "w"
    exported.write_bytes(b"onnx")
    weights.write_bytes(b"1")
    pin("a", {WEIGHTS: weights})
    pin("b", {WEIGHTS: weights, "config.json": exported}, revision="c" * 40)
    pin_exported("a", exported)
    card = changed(MARQO, name="a")
    assert card.exported() == exported
    assert (pinned("a").files[WEIGHTS].bytes, pinned("a").files[WEIGHTS].sha256) == (1, digest(weights))
    assert (list(pinned("b").files), pinned("b").revision) == ([WEIGHTS, "config.json"], "c" * 40)
    exported.write_bytes(b"other")
    with pytest.raises(WeightsError, match="run `kidsnanny export a` again"):
        card.exported()
    pin("a", {WEIGHTS: weights})
    assert pinned("a").exported
    weights.write_bytes(b"2")
    pin("a", {WEIGHTS: weights})
    assert card.exported() is None
    assert [file.name for file in home().iterdir()] == ["lock.json"]


def test_a_pin_that_cannot_be_written_leaves_the_former(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "w"
    file.write_bytes(b"1")
    pin("a", {WEIGHTS: file})
    former = pinned("a")
    file.write_bytes(b"2")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match="No space left"):
        pin("a", {WEIGHTS: file})
    assert pinned("a") == former
    assert [file.name for file in home().iterdir()] == ["lock.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"a": {"sha": "1"}}', "\ud800".encode("utf-8", "surrogatepass")]
)
def test_a_broken_lock_file_is_said(text: str | bytes) -> None:
    home().mkdir()
    (home() / "lock.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WeightsError, match=r"lock\.json: the lock file cannot be read .*; correct it, or delete it\."):
        MARQO.locate()


MINE = """
[mine]
role = "classifier"
what = "a test"
path = "w/x.onnx"
input = 8
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
interpolation = "bilinear"
licence = "mine"
labels = { z = {}, a = {} }
"""


def test_the_users_cards_come_after_ours_with_paths_from_their_folder() -> None:
    (home() / "cards").mkdir(parents=True)
    (home() / "cards" / "mine.toml").write_text(MINE)
    card = list(cards().values())[-1]
    assert card.path / card.weights == home() / "cards" / "w" / "x.onnx"
    assert list(card.labels) == ["z", "a"]
    with pytest.raises(NotHereError, match=r"mine: .*x\.onnx cannot be read .*; put it back"):
        card.locate()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINE.replace("mine", "nudenet-320n"), "there is already a card nudenet-320n"),
        (MINE.replace("input = 8", "input = 0"), r"mine\.input: it is 0, expected at least 1"),
        (MINE.replace("what", "wat"), r"mine\.what: it is missing"),
        (MINE + "colour = 1", r"mine\.colour: there is no such key"),
        (MINE + "licens = 1", r"mine\.licens: there is no such key; it may mean licence"),
        (MINE.replace("classifier", "seer"), r"mine\.role: it is 'seer', expected one of classifier, "),
        (MINE.replace('role = "classifier"', ""), r"mine\.role: it is missing"),
        (MINE.replace("interpolation", "resize"), r"mine\.interpolation: it is missing"),
        ("mine = 3", "mine is not a table"),
        ("mine = [", "cannot be read"),
    ],
)
def test_a_users_card_that_will_not_do_is_named(text: str, says: str) -> None:
    (home() / "cards").mkdir(parents=True)
    (home() / "cards" / "x.toml").write_text(text)
    with pytest.raises(WeightsError, match=rf"x\.toml: .*{says}"):
        cards()


def test_a_card_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        read_cards(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("data", "random"),
    [
        (safetensors({"kidsnanny": "random"}), True),
        (safetensors({"kidsnanny": "trained"}), False),
        (safetensors(None), False),
        (safetensors({"kidsnanny": "random"})[:20], False),
        ((2**63).to_bytes(8, "little") + b"{}", False),
        ((10**6).to_bytes(8, "little") + b"[" * 10**6, False),
        (b"", False),
        (b"\x08\x00", False),
    ],
)
def test_random_weights_say_so(tmp_path: Path, data: bytes, random: bool) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    assert is_random(tmp_path / "x.safetensors") is random
    assert not is_random(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "yolo11n-coco",
            r"because a \.pt file is a program .*; download it yourself, then run `kidsnanny weights",
        ),
        ("multiheaded", r"because yiting/MultiHeaded does not hold such files; download its five \.pt .*convert"),
        ("nudenet-320n", "nothing to pull; its files come from the package nudenet"),
        ("kidsnanny-text", "nothing to pull; its files come from kidsnanny itself"),
        ("marqo-nsfw-384", r"not installed; run `pip install 'kidsnanny\[hub\]'`"),
    ],
)
def test_what_is_not_pulled_is_said_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=f"^{name}: .*{says}"):
        pull(shipped()[name])


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; make room, or set HF_HOME"),
        (PermissionError(errno.EACCES, "Permission denied", "/hf"), "/hf cannot be written .*; set HF_HOME"),
        (OSError(errno.EROFS, "Read-only file system", "/hf"), "/hf cannot be written .*; set HF_HOME"),
        (RuntimeError("it broke.\nat length"), r"failed \(it broke\); pull again\.$"),
        (RuntimeError(), r"failed \(RuntimeError\); pull again\.$"),
    ],
)
def test_a_download_that_fails_pins_nothing(
    monkeypatch: pytest.MonkeyPatch, own_home: Path, error: Exception, says: str
) -> None:
    import huggingface_hub

    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(WeightsError, match=f"^marqo-nsfw-384: .*{says}"):
        pull(MARQO)
    assert not own_home.exists()
