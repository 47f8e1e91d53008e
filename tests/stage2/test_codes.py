"""QR codes: however they are shown, what they say is read, and what cannot be read is named."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded
from PIL import Image

from kidsnanny import Pipeline, Stage2
from kidsnanny.budget import Budget
from kidsnanny.records import Box, TextLine
from kidsnanny.reports.verdict_report import VerdictReport
from kidsnanny.stage2 import codes
from kidsnanny.stage2.codes import FINDERS, read_codes, without_modules

URL = "https://free-robux.example/login?give=password"
THREAT = "i will kill you and burn your house down tonight"
PHOTO = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)


def qr(text: str = URL, module: int = 5, quiet: int = 4, level: int = cv2.QRCODE_ENCODER_CORRECT_LEVEL_M) -> np.ndarray:
    """A code, (side, side) gray, with a margin of `quiet` modules."""
    wanted = cv2.QRCodeEncoder.Params()
    wanted.correction_level = level
    modules = cv2.QRCodeEncoder.create(wanted).encode(text)
    rows, columns = np.nonzero(modules == 0)
    modules = np.pad(
        modules[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], quiet, constant_values=255
    )
    return np.kron(modules, np.ones((module, module), np.uint8))


def on(code: np.ndarray, height: int = 480, width: int = 640, ground: np.ndarray | None = None) -> np.ndarray:
    """The code in the middle of a ground: gray, or a photograph's."""
    picture = np.full((height, width), 200, np.uint8) if ground is None else cv2.resize(ground, (width, height))
    top, left = (height - len(code)) // 2, (width - len(code)) // 2
    picture[top : top + len(code), left : left + len(code)] = code
    return picture


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    height, width = picture.shape
    by = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(picture, by, (width, height), borderValue=200)


def slanted(picture: np.ndarray) -> np.ndarray:
    flat, seen = np.array(
        [[[0, 0], [639, 0], [639, 479], [0, 479]], [[60, 40], [600, 0], [560, 479], [0, 400]]], np.float32
    )
    return cv2.warpPerspective(picture, cv2.getPerspectiveTransform(flat, seen), (640, 480), borderValue=200)


def with_logo() -> np.ndarray:
    code = qr(level=cv2.QRCODE_ENCODER_CORRECT_LEVEL_H)
    side = len(code)
    code[side * 4 // 10 : side * 6 // 10, side * 4 // 10 : side * 6 // 10] = 128
    return code


def noisy(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(0).normal(0, 20, picture.shape), 0, 255).astype(np.uint8)


def levels(low: int, high: int) -> np.ndarray:
    return np.where(qr() > 127, high, low).astype(np.uint8)


SHOWN = {
    "plain": on(qr()),
    "without a margin": on(qr(quiet=0)),
    "the picture is the code": qr(quiet=1),
    "inverted": on(255 - qr()),
    "mirrored": on(qr()[:, ::-1]),
    "inverted and mirrored": on(255 - qr()[:, ::-1]),
    "turned by 10": turned(on(qr()), 10),
    "turned by 45": turned(on(qr()), 45),
    "turned by 90": turned(on(qr()), 90),
    "upside down": turned(on(qr()), 180),
    "slanted": slanted(on(qr())),
    "on a photograph": on(qr(), ground=PHOTO),
    "small in a 1080p photograph": on(qr(module=2), 1080, 1920, PHOTO),
    "small in 4K": on(qr(module=4), 2160, 3840),
    "large in 4K": on(qr(module=40), 2160, 3840),
    "past 4K": qr(module=100),
    "faint": on(levels(120, 140)),
    "very faint": on(levels(121, 137)),
    "faint on dark": on(levels(0, 20)),
    "blurred": cv2.GaussianBlur(on(qr()), (0, 0), 2),
    "noisy": noisy(on(qr())),
    "with a logo": on(with_logo()),
}


def coloured(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[:, :, None], 3, axis=2)


@pytest.mark.parametrize("picture", SHOWN.values(), ids=SHOWN)
def test_a_code_is_read_however_it_is_shown(picture: np.ndarray) -> None:
    lines, missed = read_codes(coloured(picture))
    assert ([line.text for line in lines], missed) == ([URL], [])
    assert lines[0].kind == "code"
    assert 0 <= lines[0].box.x0 < lines[0].box.x1 <= picture.shape[1]
    assert 0 <= lines[0].box.y0 < lines[0].box.y1 <= picture.shape[0]


def test_each_of_several_codes_is_read() -> None:
    says = {"https://museum.example/visit", URL, "WIFI:T:WPA;S:home;P:secret;;", "tel:+4912345678"}
    row = np.hstack([on(qr(text), 300, 300) for text in sorted(says)])
    assert {line.text for line in read_codes(coloured(row))[0]} == says


@pytest.mark.parametrize("picture", [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.cat()])
def test_a_photograph_holds_none(picture: np.ndarray) -> None:
    assert read_codes(picture) == ([], [])


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (20, 20, 3), (3, 3000, 3)])
def test_a_frame_may_be_too_small(shape: tuple[int, int, int]) -> None:
    assert read_codes(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)) == ([], [])


# ------------------------------------------------------------------ what it means


VERDICTS = {
    "a phishing address": (URL, "review"),
    "a museum's address": ("https://museum.example/visit", "review"),
    "an address without its scheme": ("free-robux.example/login", "review"),
    "in capitals": ("HTTPS://FREE-ROBUX.EXAMPLE/", "review"),
    "a script": ("javascript:alert(1)", "review"),
    "data": ("data:text/html;base64,PHNjcmlwdD4", "review"),
    "a telephone": ("tel:+4912345678", "review"),
    "a network": ("WIFI:T:WPA;S:home;P:secret;;", "review"),
    "a card": ("BEGIN:VCARD\nN:Doe;Jane\nEND:VCARD", "review"),
    "very long": ("https://x.example/" + "a" * 2000, "review"),
    "no UTF-8": ("\x00\x01\xff\xfe", "review"),
    "another script": ("это угроза тебе и твоему дому", "review"),
    "a threat": (THREAT, "unsafe"),
    "a number": ("4006381333931", "safe"),
    "plain words": ("we meet at eight", "safe"),
}


@pytest.mark.parametrize(("text", "label"), VERDICTS.values(), ids=VERDICTS)
def test_what_a_code_says_counts(text: str, label: str, pipeline: Pipeline) -> None:
    verdict = pipeline(coloured(on(qr(text, module=3), 640, 640)))
    assert verdict.label == label
    assert ("QR code" in str(verdict)) == (label != "safe") or "Cyrillic" in str(verdict)


def test_the_modules_of_a_code_that_was_read_are_no_text(pipeline: Pipeline) -> None:
    verdict = pipeline(coloured(on(qr("Happy birthday", module=6))))
    assert (verdict.label, [line.text for line in verdict.text]) == ("safe", ["Happy birthday"])


def test_text_beside_the_modules_or_over_them_is_kept() -> None:
    code = TextLine(text="x", confidence=1, box=Box(0, 0, 99, 99), kind="code")
    noise, logo, beside = (
        TextLine(text="ab", confidence=sure, box=box)
        for sure, box in ((0.5, Box(10, 10, 40, 40)), (0.97, Box(40, 40, 60, 60)), (0.5, Box(90, 90, 200, 200)))
    )
    assert without_modules([noise, logo, beside], [code]) == [logo, beside]


def test_an_address_alone_accuses_nobody_and_beside_words_it_changes_nothing(pipeline: Pipeline) -> None:
    verdict = pipeline(coloured(on(qr("https://museum.example/visit"))))
    assert (verdict.reasons, verdict.text[0].kind) == ((), "code")
    assert "where a QR code leads was not looked at: https://museum.example/visit" in str(verdict)


def formats() -> dict[str, bytes]:
    blank, code = (Image.fromarray(coloured(on(one))) for one in (np.full((9, 9), 200, np.uint8), qr(THREAT)))
    shade = Image.fromarray(np.dstack([np.zeros((480, 640, 3), np.uint8), 255 - on(qr(THREAT))]))
    return {
        kind: encoded(blank, kind, save_all=True, append_images=[code]) for kind in ("GIF", "PNG", "TIFF", "WEBP")
    } | {"transparent": encoded(shade)}


@pytest.mark.parametrize("data", formats().values(), ids=formats())
def test_a_code_in_a_later_frame_or_under_transparency_counts(data: bytes, pipeline: Pipeline) -> None:
    assert pipeline(data).label == "unsafe"


def test_vision_only_reads_no_codes() -> None:
    verdict = Pipeline(stage1=ScriptedStage1(), stage2=None)(coloured(on(qr())))
    assert (verdict.text, verdict.not_inspected) == ((), ())


def test_a_code_is_read_where_the_ocr_fails() -> None:
    dead = Stage2(ScriptedOcr(fails=lambda _: True), ScriptedTextModel())
    verdict = Pipeline(stage1=ScriptedStage1(), stage2=dead)(coloured(on(qr("you are mean"))))
    assert verdict.scores["harassment"] > 0.5
    assert "the engine died" in str(verdict)


def test_the_report_names_a_code_and_covers_it(tmp_path: Path, pipeline: Pipeline) -> None:
    picture = coloured(on(qr()))
    target = tmp_path / "report.html"
    with VerdictReport(target) as report:
        report.add(picture, pipeline(picture))
    assert "QR code: " in target.read_text("utf-8")


# ------------------------------------------------------------------ what cannot be read, and whoever wants to break it


def damaged() -> np.ndarray:
    """A code with noise in place of what it says; its finder and timing patterns are left alone."""
    modules = qr(module=1)
    says = modules[13:-4, 13:-4]
    says[:] = np.random.default_rng(0).integers(0, 2, says.shape) * 255
    return np.kron(modules, np.ones((5, 5), np.uint8))


def test_a_code_that_cannot_be_decoded_is_named() -> None:
    assert read_codes(coloured(on(damaged()))) == ([], ["a QR code could not be decoded"])


def test_decoders_that_fail_are_no_failure_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def decode(self, *_: object) -> None:
            raise self.error

    for error in (cv2.error("assertion"), UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), SystemError("null")):
        monkeypatch.setattr(codes, "_decoders", lambda error=error: [Broken(error)])
        assert read_codes(coloured(on(qr()))) == ([], ["a QR code could not be decoded"])


def finder_patterns(count: int) -> np.ndarray:
    pattern = np.full((9, 9), 255, np.uint8)
    pattern[1:8, 1:8], pattern[2:7, 2:7], pattern[3:6, 3:6] = 0, 255, 0
    return np.tile(np.kron(np.pad(pattern, 2, constant_values=255), np.ones((3, 3), np.uint8)), (count, count))


BOMBS: dict[str, Callable[[], np.ndarray]] = {
    "hundreds of finder patterns": lambda: finder_patterns(30),
    "as many as are tried": lambda: finder_patterns(int(FINDERS**0.5)),
    "hundreds of codes": lambda: np.tile(qr("x", module=2), (20, 20)),
    "noise": lambda: np.random.default_rng(0).integers(0, 256, (2160, 3840), dtype=np.uint8),
    "rings in rings": lambda: (np.hypot(*(np.indices((1500, 1500)) - 750)) % 12 < 6).astype(np.uint8) * 255,
}


@pytest.mark.parametrize("picture", BOMBS.values(), ids=BOMBS)
def test_no_picture_takes_long(picture: Callable[[], np.ndarray]) -> None:
    frame = coloured(picture())
    start = time.thread_time()  # other tests' threads may still be ending
    read_codes(frame)
    assert time.thread_time() - start < 10


def test_too_many_to_read_are_named() -> None:
    (why,) = read_codes(coloured(np.tile(qr("x", module=2), (20, 20))))[1]
    assert why == f"more than {FINDERS} finder patterns of QR codes; their codes were not read"


def test_codes_that_the_budget_has_no_room_for_are_named() -> None:
    budget = Budget(0.0)
    with budget.spending():
        lines, _ = read_codes(coloured(np.hstack([on(qr(), 300, 300)] * 3)))
    assert len(lines) == 1
    assert budget.left_out() == ["2 of 3 QR codes were not read: the picture's 0 s are used up"]


@pytest.mark.parametrize("seed", range(20))
def test_anything_done_to_a_code_gets_an_answer(seed: int) -> None:
    random = np.random.default_rng(seed)
    picture = on(qr(module=3), 300, 300)
    for _ in range(int(random.integers(1, 9))):
        y, x = random.integers(0, 280, 2)
        picture[y : y + 20, x : x + 20] = random.integers(0, 256, (20, 20))
    seen = turned(picture, float(random.uniform(0, 360)))[
        : int(random.integers(1, 300)), : int(random.integers(1, 300))
    ]
    lines, missed = read_codes(coloured(seen))
    assert all(line.text == URL for line in lines)
    assert len(lines) + len(missed) <= 2
