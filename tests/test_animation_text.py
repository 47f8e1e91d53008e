"""Which frames of an animation are read, and what the views of a transparent one add up to."""

from collections.abc import Sequence

import numpy as np
import pytest
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, encoded, gradient
from PIL import Image, ImageDraw, ImageFont

from kidsnanny import Pipeline, Stage2
from kidsnanny.records import Box, TextLine


def frames_read(frames: Sequence[Image.Image | np.ndarray]) -> int:
    """How many of the frames of an animation the OCR gets to see."""
    ocr = ScriptedOcr()
    first, *rest = (frame if isinstance(frame, Image.Image) else Image.fromarray(frame) for frame in frames)
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ocr, ScriptedTextModel()))
    pipeline(encoded(first, save_all=True, append_images=rest))
    return ocr.calls


def test_ocr_runs_on_frames_that_changed() -> None:
    levels = (0, 2, 1, 100, 101, 103, 5)
    assert frames_read([Image.new("RGB", (16, 16), (level, 0, 0)) for level in levels]) == 3


def written(
    text: str, size: int, ink: tuple[int, int, int], ground: tuple[int, int, int], shape: tuple[int, int] = (640, 160)
) -> Image.Image:
    image = Image.new("RGB", shape, ground)
    ImageDraw.Draw(image).text((20, 20), text, fill=ink, font=ImageFont.load_default(size))
    return image


FAINT = {
    "as faint as the OCR reads": (64, (240, 240, 240), (250, 250, 250), (640, 160)),
    "faint and dark": (64, (10, 10, 10), (0, 0, 0), (640, 160)),
    "in colour alone": (48, (150, 110, 128), (128, 128, 128), (640, 160)),
    "in blue alone": (64, (128, 128, 140), (128, 128, 128), (640, 160)),
    "small": (16, (104, 104, 104), (128, 128, 128), (640, 160)),
    "tiny, of thin strokes": (9, (98, 98, 98), (128, 128, 128), (640, 160)),
    "tiny, in a 4K frame": (9, (98, 98, 98), (128, 128, 128), (3840, 2160)),
}


@pytest.mark.parametrize(("size", "ink", "ground", "shape"), FAINT.values(), ids=FAINT)
def test_a_frame_in_which_faint_text_appears_is_read(size: int, ink: tuple, ground: tuple, shape: tuple) -> None:
    assert frames_read([Image.new("RGB", shape, ground), written("meet me", size, ink, ground, shape)]) == 2


def test_text_that_fades_in_is_read_on_the_way() -> None:
    levels = [(250 - 3 * n,) * 3 for n in range(8)]
    assert frames_read([written("meet me", 64, level, (250, 250, 250)) for level in levels]) >= 4


def test_text_made_of_texture_is_read() -> None:
    """As bright as its ground on average."""
    ground = np.full((160, 640, 3), 128, np.uint8)
    letters = np.asarray(written("meet me", 64, (255,) * 3, (0,) * 3))[..., :1] > 128
    texture = np.where(np.indices((160, 640)).sum(0)[..., None] % 2, 143, 113).astype(np.uint8)
    assert frames_read([ground, np.where(letters, texture, ground)]) == 2


def test_fine_noise_is_no_text() -> None:
    random = np.random.default_rng(0)
    scene = np.asarray(gradient(480, 360), np.float32)
    assert (
        frames_read([np.clip(scene + random.normal(0, 1, scene.shape), 0, 255).astype(np.uint8) for _ in range(9)]) == 1
    )


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_a_threat_that_fades_in_is_not_safe_in_any_format(kind: str, pipeline: Pipeline) -> None:
    threat = "i will kill you and burn your house down tonight"
    faint = [written(threat, 40, (250 - step,) * 3, (250,) * 3, (1000, 120)) for step in (0, 8, 16, 24)]
    options = {"lossless": True} if kind == "WEBP" else {}
    verdict = pipeline(encoded(faint[0], kind, save_all=True, append_images=faint[1:], **options))
    assert verdict.label == "unsafe"


class TwoViews(ScriptedOcr):
    """Reads other lines where the picture's ground is black."""

    def __init__(self, on_white: Sequence[tuple[str, float]], on_black: Sequence[tuple[str, float]]) -> None:
        super().__init__()
        self.views = {True: on_white, False: on_black}

    def read(self, frame: np.ndarray) -> list[TextLine]:
        box = Box(0, 0, 4, 4)
        return [TextLine(text=t, confidence=c, box=box) for t, c in self.views[bool(frame[-1, -1, 0] > 127)]]


VIEWS = {
    "the same in both": ([("hi", 1.0)], [("hi", 0.9)], [("hi", 1.0)]),
    "noise on white, sure on black": ([("mean", 0.2)], [("mean", 0.9)], [("mean", 0.9)]),
    "nothing on white": ([], [("mean", 1.0)], [("mean", 1.0)]),
    "nothing on black": ([("mean", 1.0)], [], [("mean", 1.0)]),
    "one more word, in its place": (
        [("are", 1.0)],
        [("you", 1.0), ("are", 1.0), ("mean", 1.0)],
        [("are", 1.0), ("you", 1.0), ("are", 1.0), ("mean", 1.0)],
    ),
}


@pytest.mark.parametrize(("on_white", "on_black", "noted"), VIEWS.values(), ids=VIEWS)
def test_what_either_view_of_a_transparent_frame_says_counts(on_white: list, on_black: list, noted: list) -> None:
    pipeline = Pipeline(stage1=ScriptedStage1(), stage2=Stage2(TwoViews(on_white, on_black), ScriptedTextModel()))
    verdict = pipeline(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert [(line.text, line.confidence) for line in verdict.text] == noted
    assert len([line for line in verdict.text if line.share]) == len({text for text, _ in on_white + on_black})
    assert (verdict.scores["harassment"] > 0.5) == any(text == "mean" for text, _ in noted)
