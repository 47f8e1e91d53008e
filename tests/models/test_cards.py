import errno
import json
import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from kidsnanny import WeightsError
from kidsnanny.errors import NotHereError
from kidsnanny.models.cards import Card, cards, digest, home, is_random, pin, pinned, read_cards, shipped
from kidsnanny.models.hub import pull
from kidsnanny.stage2.text_model import TextModel

pytestmark = pytest.mark.usefixtures("own_home")
GOOD = shipped()["nudenet-320n"]
MARQO = shipped()["marqo-nsfw-384"]


def changed(card: Card, **change: object) -> Card:
    return Card.model_validate(card.model_dump() | change)


def safetensors(metadata: object) -> bytes:
    header = json.dumps({"__metadata__": metadata}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize("name", [name for name, card in shipped().items() if not card.hub])
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
    assert {"hub", "labels", "licence"} <= set(card.unverified)
    assert card.operating_points is None or "operating_points" in card.unverified


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"package": "no_such_package"}, "the package no_such_package is not installed"),
        ({"file": "321n.onnx"}, "cannot be read"),
        ({"sha256": "0" * 64}, "not 000000000000"),
        ({"sha256": None}, "nothing says which sha256"),
        ({"package": None, "file": "nowhere.npz"}, "cannot be read"),
    ],
)
def test_a_file_that_is_not_what_its_card_says_is_refused(change: dict, says: str) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        changed(GOOD, **change).locate()
    assert "reinstall it with `pip install" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"package": None, "file": None}, "exactly one of hub, file"),
        ({"path": "x.onnx"}, "not file and path"),
        ({"file": None, "path": "x.onnx"}, "exactly one of hub, file"),
        ({"package": None, "file": None, "path": "x.pt"}, "path names a .pt"),
        ({"labels": {}}, "a detector needs input and labels"),
        ({"input": None}, "a detector needs input and labels"),
        ({"labels": {"x": {"nudeness": 1}}}, "labels.x.nudeness"),
        ({"labels": {"x": {"nudity": 2}}}, "less than or equal to 1"),
        ({"operating_points": {"high_precision": 0.2, "high_recall": 0.8}}, "is above high_precision"),
        ({"unverified": ["labls"]}, "unverified names labls"),
        ({"colour": "red"}, "Extra inputs"),
        ({"name": "../x"}, "name"),
        ({"sha256": "abc"}, "sha256"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(change: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        changed(GOOD, **change)


def test_the_text_models_own_card_agrees() -> None:
    card = shipped()["kidsnanny-text"]
    assert TextModel.load(card.locate().parent).card.sha256 == card.sha256


def test_looking_creates_no_home(own_home: Path) -> None:
    assert cards() == shipped()
    with pytest.raises(NotHereError):
        MARQO.locate()
    assert GOOD.onnx() is None
    assert not own_home.exists()


def test_a_user_without_a_home_has_the_shipped_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KIDSNANNY_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    assert cards() == shipped()
    assert pinned("marqo-nsfw-384").path is None
    with pytest.raises(WeightsError, match=r"cannot be written .*; set KIDSNANNY_HOME to a folder that can"):
        pin("marqo-nsfw-384", sha256="0" * 64)


def test_pinned_weights_are_found_and_verified_without_a_network(tmp_path: Path) -> None:
    card = changed(MARQO, sha256=None)
    file = tmp_path / "model.safetensors"
    file.write_bytes(safetensors({}))
    pin(card.name, path=file, sha256=digest(file), revision="c" * 40)
    assert card.locate() == file
    with pytest.raises(WeightsError, match="not 6bf2e0f64a1d"):
        MARQO.locate()  # the card knows better than the lock file
    file.write_bytes(b"changed")
    with pytest.raises(WeightsError, match=r"marqo-nsfw-384: .* has sha256 .*; run `kidsnanny weights pull marqo"):
        card.locate()
    file.unlink()
    with pytest.raises(NotHereError, match="not on this machine"):
        card.locate()


def test_a_pin_changes_what_it_names_and_forgets_the_twin_of_other_weights(tmp_path: Path) -> None:
    twin = tmp_path / "twin.onnx"
    twin.write_bytes(b"onnx")
    pin("a", sha256="1" * 64, bytes=1)
    pin("b", sha256="2" * 64)
    pin("a", onnx={"path": str(twin), "sha256": digest(twin)})
    card = changed(MARQO, name="a")
    assert card.onnx() == twin
    assert (pinned("a").bytes, pinned("b").sha256) == (1, "2" * 64)
    twin.write_bytes(b"other")
    with pytest.raises(WeightsError, match="run `kidsnanny export a` again"):
        card.onnx()
    pin("a", sha256="1" * 64)
    assert pinned("a").onnx
    pin("a", sha256="3" * 64)
    assert card.onnx() is None
    assert [file.name for file in home().iterdir()] == ["lock.json"]


def test_a_pin_that_cannot_be_written_leaves_the_former(monkeypatch: pytest.MonkeyPatch) -> None:
    pin("a", sha256="1" * 64)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WeightsError, match="No space left"):
        pin("a", sha256="2" * 64)
    assert pinned("a").sha256 == "1" * 64
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
what = "?"
path = "w/x.onnx"
input = 8
licence = "mine"
labels = { z = {}, a = {} }
"""


def test_the_users_cards_come_after_ours_with_paths_from_their_folder() -> None:
    (home() / "cards").mkdir(parents=True)
    (home() / "cards" / "mine.toml").write_text(MINE)
    card = list(cards().values())[-1]
    assert card.path == home() / "cards" / "w" / "x.onnx"
    assert list(card.labels) == ["z", "a"]
    with pytest.raises(NotHereError, match=r"mine: .*x\.onnx cannot be read .*; put it back"):
        card.locate()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINE.replace("mine", "nudenet-320n"), "there is already a card nudenet-320n"),
        (MINE.replace("input = 8", "input = 0"), r"mine\.input: Input should be greater"),
        (MINE.replace("what", "wat"), r"mine\.what: Field required"),
        (MINE + "colour = 1", r"mine\.colour: Extra inputs are not permitted"),
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
        ("yolo11n-coco", r"because a \.pt is a program .*; download it yourself, then run `kidsnanny weights convert"),
        ("nudenet-320n", "nothing to pull; its file comes from the package nudenet"),
        ("kidsnanny-text", "nothing to pull; its file comes from kidsnanny itself"),
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
