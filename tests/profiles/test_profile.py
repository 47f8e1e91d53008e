"""Profiles are data: the built-in ones load, and whatever is wrong with one is a sentence with the fix."""

import re
from pathlib import Path

import pytest
from networks import colour_classifier
from PIL import Image

from kidsnanny import Inspector, Pipeline
from kidsnanny.errors import ComponentError, WeightsError
from kidsnanny.models.cards import cards
from kidsnanny.models.store import digest
from kidsnanny.profiles.profile import PROFILES, Profile
from kidsnanny.stage1.ensemble import Ensemble
from kidsnanny.stage2.ocr.ppocr import PpOcr
from kidsnanny.stage2.text_encoder import TextEncoder

STAGE1 = '[[stage1]]\nmodel = "nudenet-320n"\n'
OCR = '[ocr]\nengine = "ppocr"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_built_in_profiles_load() -> None:
    assert PROFILES == ("embedded", "standard", "senben")
    for name in PROFILES:
        profile = Profile.load(name)
        assert profile.name == name
        assert profile.ocr == {"engine": "ppocr"}
        assert profile.text_model == {"engine": "encoder"}
        assert (profile.judge is None) == (name == "embedded")


def test_embedded_is_a_classifier_a_detector_an_ocr_and_a_text_model() -> None:
    profile = Profile.load("embedded")
    stage1 = profile.build_stage1()
    assert isinstance(stage1, Ensemble)
    assert [model.name for model in stage1.models] == ["image-safety-s", "nudenet-320n"]
    stage2 = profile.build_stage2()
    assert stage2 is not None
    assert isinstance(stage2.ocr, PpOcr)
    assert isinstance(stage2.text_model, TextEncoder)
    assert stage2.judge is None


def test_a_copy_of_a_built_in_profile_is_a_file_like_any_other(tmp_path: Path) -> None:
    path = written(tmp_path, f'name = "mine"\n{STAGE1}')
    assert Profile.load(path) == Profile.load(str(path))
    assert Profile.load(path).build_stage2() is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("own", "own: it is a folder and no profile; run `kidsnanny weights add own/card.toml`, and"),
        ("own/card.toml", "own/card.toml: it holds weight cards and no profile; run `kidsnanny weights add own/card."),
        ("bare", "bare: it is a folder and no profile; name a TOML file"),
    ],
)
def test_what_is_a_card_and_no_profile_is_to_be_added_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    Path("bare").mkdir()
    Path("own/card.toml").write_text('[mine]\nrole = "ocr"\n')
    with pytest.raises(ComponentError, match=re.escape(says)) as caught:
        Profile.load(name)
    one_sentence(str(caught.value))


@pytest.mark.parametrize("name", PROFILES)
def test_a_card_with_the_name_of_a_profile_is_no_silent_loser(own_home: Path, name: str) -> None:
    """Such as one that was added before that was refused."""
    (own_home / "cards").mkdir(parents=True)
    table = f'[{name}]\nrole = "ocr"\nwhat = "x"\nlicence = "ours"\npath = "x.onnx"\n'
    (own_home / "cards" / "x.toml").write_text(table)
    cards.cache_clear()
    with pytest.raises(ComponentError, match=f"kidsnanny weights remove {name}"):
        Profile.load(name)


@pytest.mark.usefixtures("own_home")
def test_standard_without_its_weights_names_the_command_that_gets_them() -> None:
    """When it is made, not at the first picture; and no weaker profile takes its place."""
    for made in (Pipeline, Inspector):
        with pytest.raises(WeightsError) as caught:
            made("standard")
        assert one_sentence(str(caught.value)).endswith("run `kidsnanny weights pull marqo-nsfw-384`.")


def test_senben_without_a_student_says_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIDSNANNY_STUDENT", raising=False)
    with pytest.raises(ComponentError, match="KIDSNANNY_STUDENT") as caught:
        Pipeline("senben")
    one_sentence(str(caught.value))


NAME = 'name = "mine"\n'
WRONG = {
    "unknown engine": (
        NAME + STAGE1 + '[ocr]\nengine = "tesseract"\n',
        r"tesseract.*there is no such ocr engine; choose one of ppocr, paddle",
    ),
    "unknown card": (
        NAME + '[[stage1]]\nmodel = "nudenet-999"\n',
        r"stage1.*nudenet-999 has no card; see `kidsnanny weights list`",
    ),
    "no engine": (NAME + STAGE1 + "[ocr]\n", r"ocr: no engine is named; .*name an `engine`"),
    "unknown key": (
        NAME + STAGE1 + "[orc]\n",
        r"mine\.toml: orc: there is no such key \(did you mean ocr\?\); .*standard\.toml is an example",
    ),
    "malformed": (NAME + "[[stage1]\n", r"mine\.toml: the profile cannot be read \(.*line 2.*\); correct the file"),
    "not UTF-8": (b'name = "\xff"\n', r"mine\.toml: the profile cannot be read \(.*\); correct the file"),
    "no stage1": (NAME + OCR, r"mine\.toml: stage1: .*; .*standard\.toml is an example"),
    "empty stage1": (NAME + "stage1 = []\n", r"mine\.toml: stage1: it has 0 values, expected 1 or more; correct it"),
    "no name": (STAGE1, r"mine\.toml: name: .*; .*standard\.toml is an example"),
    "unknown argument": (
        NAME + STAGE1 + OCR + "colour = 1\n",
        r"mine: ocr: .*'colour'; ppocr takes no arguments; correct the profile",
    ),
    "unknown argument of a detector": (
        NAME + STAGE1 + 'colour = "red"\n',
        r"mine: stage1: .*'colour'; detector takes model, device; correct the profile",
    ),
    "missing argument": (
        NAME + '[[stage1]]\nengine = "detector"\n',
        r"mine: stage1: .*'model'; detector takes model, device; correct the profile",
    ),
    "wrong value": (
        NAME + STAGE1 + 'device = "tpu"\n',
        r"mine: stage1: device: .*'cuda'; detector takes model, device; correct the profile",
    ),
    "wrong value of a judge": (
        NAME + STAGE1 + OCR + '[judge]\nengine = "openai"\nin_flight = "many"\n',
        r"mine: judge: in_flight: it is 'many', expected a whole number; openai takes url, .*; correct the profile",
    ),
    "unknown text model": (
        NAME + STAGE1 + OCR + '[text_model]\nengine = "encoder"\nmodel = "mine"\n',
        r"mine.*`kidsnanny weights list`",
    ),
    "judge without ocr": (
        NAME + STAGE1 + '[judge]\nengine = "openai"\n',
        r"mine: a text model and a judge read what an OCR reads; add \[ocr\]",
    ),
    "empty judge without ocr": (NAME + STAGE1 + "[judge]\n", r"mine: .*; add \[ocr\]"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_profile_is_a_sentence_with_the_fix(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ComponentError, match=message) as caught:
        Pipeline(path)
    one_sentence(str(caught.value))


@pytest.mark.parametrize("name", ["no-such", "no-such.toml"])
def test_a_file_that_is_missing(name: str, tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as caught:
        Profile.load(str(tmp_path / name))
    assert one_sentence(str(caught.value)).endswith(
        "choose one of embedded, standard, senben, a TOML file, or a name from `kidsnanny weights list`."
    )


def test_a_folder_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="it is a folder and no profile") as caught:
        Profile.load(tmp_path)
    one_sentence(str(caught.value))


def test_a_profile_is_a_name_or_a_path() -> None:
    with pytest.raises(TypeError, match="a name or a path, not a int"):
        Profile.load(3)  # type: ignore[arg-type]


def one_sentence(message: str) -> str:
    """The message, which is one line, ends with a full stop and has no other sentence in it."""
    assert "\n" not in message
    assert message.endswith(".")
    assert not re.search(r"[.!?] [A-Z]", message)
    return message


CARD = """name = "mine"
[[stage1]]
model = "colours"
[stage1.card]
role = "classifier"
what = "how red a picture is"
licence = "ours"
path = "colours.onnx"
input = 32
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]
interpolation = "bilinear"
files = { "colours.onnx" = { sha256 = "SHA" } }
[stage1.card.labels]
red = { nudity = 1.0 }
green = {}
"""


def test_one_toml_adds_a_classifier(tmp_path: Path) -> None:
    """Its card stands in the profile: no Python, no second file, nothing to register."""
    colour_classifier(tmp_path / "colours.onnx", (0, 1))
    path = written(tmp_path, CARD.replace("SHA", digest(tmp_path / "colours.onnx")))
    pipeline = Pipeline(path)
    labels = [pipeline(Image.new("RGB", (64, 64), colour)).label for colour in ("red", "green")]
    assert labels == ["unsafe", "safe"]
    assert [model.name for model in pipeline.stage1.models] == ["colours"]
    colour_classifier(tmp_path / "colours.onnx", (1, 0))
    with pytest.raises(WeightsError, match="has sha256"):
        Pipeline(path)


def test_a_card_in_a_profile_that_is_wrong_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, CARD.replace("SHA", "0" * 64).replace('interpolation = "bilinear"', ""))
    with pytest.raises(WeightsError, match=r"colours\.interpolation: it is missing"):
        Profile.load(path)


@pytest.fixture
def redness(own_home: Path, tmp_path: Path) -> str:
    """The name of a card of the user's own, of a network for one picture of one size at a time."""
    colour_classifier(tmp_path / "colours.onnx", (0, 1), batch=1, side=32)
    facts = (
        CARD.replace("[stage1.card", "[redness")
        .partition("[redness]")[2]
        .replace("SHA", digest(tmp_path / "colours.onnx"))
    )
    (own_home / "cards").mkdir(parents=True)
    (own_home / "cards" / "redness.toml").write_text(
        f"[redness]{facts}".replace('"colours.onnx"', f'"{tmp_path / "colours.onnx"}"', 1)
    )
    return "redness"


def test_the_name_of_a_card_is_the_default_profile_with_this_model(redness: str) -> None:
    default, profile = Profile.load("embedded"), Profile.load(redness)
    assert (profile.name, profile.stage1) == ("redness", ({"model": "redness"},))
    assert (profile.ocr, profile.text_model, profile.judge) == (default.ocr, default.text_model, None)
    pipeline = Pipeline(redness, stage2=None)
    verdicts = pipeline([Image.new("RGB", (64, 48), colour) for colour in ("red", "green")])
    assert [verdict.label for verdict in verdicts] == ["unsafe", "safe"]
    assert verdicts[0].coverage == {"nudity": {"image": None}}, (
        "what its labels say, with a recall that nobody measured"
    )


def test_several_names_look_side_by_side(redness: str) -> None:
    stage1 = Profile.load(f"{redness},nudenet-320n").build_stage1()
    assert isinstance(stage1, Ensemble)
    assert [model.name for model in stage1.models] == ["redness", "nudenet-320n"]
    assert Profile.load(f"{redness}, nudenet-320n").name == "redness+nudenet-320n"


def test_a_text_model_takes_the_place_of_ours_and_a_student_has_time() -> None:
    default = Profile.load("embedded")
    profile = Profile.load("kidsnanny-text")
    assert (profile.stage1, profile.text_model) == (default.stage1, {"engine": "encoder", "model": "kidsnanny-text"})
    assert Profile.load("senben-tiny").seconds == Profile.load("senben").seconds > default.seconds


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("e5-small", "e5-small: no profile can use the weights of its role, base; name a classifier"),
        ("senben-tiny,nudenet-320n", "a student looks by itself; name senben-tiny without other models"),
        ("nudenet-320n,none", "nudenet-320n,none: there is no such profile; choose one of"),
        ("", "the profile cannot be read"),
    ],
)
def test_names_that_are_no_profile(name: str, says: str) -> None:
    with pytest.raises(ComponentError, match=says) as caught:
        Profile.load(name)
    one_sentence(str(caught.value))


def test_a_file_of_that_name_comes_before_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nudenet-320n").mkdir()
    assert Profile.load("nudenet-320n").name == "nudenet-320n"
    (tmp_path / "open-nsfw").write_text(f'name = "mine"\n{STAGE1}')
    assert Profile.load("open-nsfw").name == "mine"
