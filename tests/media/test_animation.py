"""Frames come as a browser composes them. The tables are Chromium's; `test_browser.py` asks it again."""

import numpy as np
import pytest
from animated_files import ANIMATIONS, COLOURS, RED, SIZE, SMALL, Drawn, gif, png

from kidsnanny.media.loader import open_picture

CASES = {
    f"{name}, {kind}": (data, shown) for name, (files, shown) in ANIMATIONS.items() for kind, data in files.items()
}


def on(ground: int, rows: str) -> np.ndarray:
    colours = COLOURS | {".": (ground,) * 3}
    return np.array([[colours[letter][:3] for letter in row] for row in rows.split()], np.uint8)


@pytest.mark.parametrize(("data", "shown"), CASES.values(), ids=CASES)
def test_each_frame_is_what_a_browser_shows(data: bytes, shown: list[str]) -> None:
    picture = open_picture(data)
    seen = list(picture.frames())
    assert not picture.skipped
    for index, rows in enumerate(shown):
        views = [frame.rgb for frame in seen if frame.index == index]
        wanted = [on(255, rows), on(0, rows)] if "." in rows else [on(0, rows)]
        assert len(views) == len(wanted)
        assert all(map(np.array_equal, views, wanted)), (index, views)
    assert seen[-1].index == len(shown) - 1


def test_the_default_image_of_an_animated_png_is_a_frame_that_others_do_not_lie_on() -> None:
    data = png(SIZE, SMALL, Drawn("g"), default=Drawn(RED))
    seen = [frame.rgb for frame in open_picture(data).frames() if frame.view == 0]
    for rgb, rows in zip(seen, [RED, ".... .... ..bb ..bb", "g... .... ..bb ..bb"], strict=True):
        assert np.array_equal(rgb, on(255, rows))


@pytest.mark.parametrize("at", [(3, 3), (30, 0)], ids=["in part", "all of it"])
def test_what_lies_outside_a_gifs_canvas_is_named(at: tuple[int, int]) -> None:
    """A browser shows nothing of it; other viewers make the canvas larger."""
    picture = open_picture(gif(SIZE, Drawn(RED), SMALL._replace(at=at)))
    assert [frame.rgb.shape for frame in picture.frames()] == [(4, 4, 3)] * 2
    (skipped,) = picture.skipped
    assert skipped.frame == 1
    assert "outside the canvas" in skipped.reason
