"""The same files in a real Chromium: a screenshot for a picture, its own decoder for the frames of an animation."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from animated_files import ANIMATIONS
from coloured_files import CHUNKS, ICC, PLAIN, gray_files, ramps, with_chunks
from conftest import encoded
from html_pages import browser, opened
from picture_files import frames
from PIL import Image

pytestmark = pytest.mark.slow
__all__ = ["browser"]  # a fixture

FRAMES = """
const [encoded, type, done] = arguments;
(async () => {
  const data = Uint8Array.from(atob(encoded), one => one.charCodeAt(0));
  const decoder = new ImageDecoder({data, type});
  await decoder.tracks.ready;
  await decoder.completed;
  const frames = [];
  for (let index = 0; index < decoder.tracks.selectedTrack.frameCount; index++) {
    const {image} = await decoder.decode({frameIndex: index});
    const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    frames.push([canvas.height, canvas.width, [...context.getImageData(0, 0, canvas.width, canvas.height).data]]);
  }
  done(frames);
})().catch(error => done(String(error)));
"""


def kind_of(data: bytes) -> str:
    heads = {b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}
    return "image/" + heads.get(data[:4], "jpeg" if data[:2] == b"\xff\xd8" else "avif")


def shown(browser: Any, path: Path, files: dict[str, bytes]) -> dict[str, np.ndarray]:
    """What the screen shows of each file, all of one size, one below the other."""
    uris = (f"data:{kind_of(data)};base64,{base64.b64encode(data).decode()}" for data in files.values())
    style = "<!doctype html><style>*{margin:0}img{display:block;height:4px;width:256px}</style>"
    path.write_text(style + "".join(f"<img src='{uri}'>" for uri in uris), "utf-8")
    screen = np.asarray(opened(browser, path))
    return {name: screen[4 * n : 4 * n + 4, :256] for n, name in enumerate(files)}


def test_every_way_to_name_colours(browser: Any, tmp_path: Path) -> None:
    files = {f"PNG {name}": with_chunks(PLAIN, *chunks) for name, (chunks, *_) in CHUNKS.items() if "HDR" not in name}
    for name, (profile, *_) in ICC.items():
        files[f"PNG profile {name}"] = encoded(ramps(), icc_profile=profile)
        files[f"WebP profile {name}"] = encoded(ramps(), "WEBP", lossless=True, icc_profile=profile)
    files |= {name: data for name, (data, _) in gray_files().items()}
    screen = shown(browser, tmp_path / "page.html", files)
    far = {}
    for name, data in files.items():
        off = min(int(np.abs(view.astype(int) - screen[name]).max()) for view in frames(data))
        if off > 20:  # tables of few points are interpolated differently, and dark gray is rounded
            far[name] = off
    assert not far


def test_every_animation(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<!doctype html><p>", "utf-8")
    opened(browser, path)
    for name, (files, rows) in ANIMATIONS.items():
        for kind, data in files.items():
            found = browser.execute_async_script(FRAMES, base64.b64encode(data).decode(), kind_of(data))
            assert not isinstance(found, str), (name, kind, found)
            ours = iter(frames(data))
            assert len(found) == len(rows), (name, kind)
            for height, width, values in found:
                theirs = Image.fromarray(np.array(values, np.uint8).reshape(height, width, 4))
                for ground in ("white", "black") if theirs.getextrema()[3][0] < 255 else ("white",):
                    whole = Image.alpha_composite(Image.new("RGBA", theirs.size, ground), theirs).convert("RGB")
                    assert np.array_equal(next(ours), np.asarray(whole)), (name, kind, ground)
