"""Work that a file announces is counted before any decoder is given it, and large frames are bounded in memory."""

import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encoded, gradient
from PIL import Image

from kidsnanny.budget import Budget
from kidsnanny.errors import PictureTooLargeError
from kidsnanny.media import strips
from kidsnanny.media.colours import rendered
from kidsnanny.media.gate import Gate
from kidsnanny.media.loader import Limits, open_picture
from kidsnanny.media.strips import views

sys.path.insert(0, str(ROOT / "benchmarks"))
from hostile_kinds import DOT, KINDS, gif

REFUSED = {
    "jpeg_scans": (0.1, "scans"),
    "jpeg_scans_few_and_huge": (1, "pass over more than 4,000,000,000 pixels"),
    "jpeg_sequential_scans": (1, "pass over more than"),
    "jpeg_comments": (0.01, "more than 4,096 segments"),
    "jpeg_tables": (0.01, "more than 4,096 segments"),
    "jpeg_application_segments": (0.01, "more than 4,096 segments"),
    "jpeg_hierarchical": (1, "more than 4,096 segments"),
    "png_chunks": (0.03, "more than 100,000 chunks"),
    "png_chunks_behind_the_data": (0.03, "more than 100,000 chunks"),
    "apng": (0.3, "more than 100,000 chunks"),
    "tiff_pages": (0.3, "more than 100,000 pages"),
    "tiff_tags": (0.1, "tags, more than 4,096"),
    "tiff_strips": (0.05, "values, more than 200,000"),
    "tiff_big": (1, "tags, more than 4,096"),
    "tiff_subdirectories": (0.5, "values, more than 200,000"),
    "tiff_floats": (1, "more than 650,000,000"),
    "gif_frames": (0.1, "more than 100,000 frames and comments"),
    "gif_comments": (0.05, "more than 1,000,000 blocks"),
    "gif_extensions": (0.01, "more than 100,000 frames and comments"),
    "webp_chunks": (0.03, "more than 100,000 chunks"),
    "webp_frames": (0.2, "more than 100,000 chunks"),
    "avif_boxes": (0.03, "more than 100,000 chunks"),
    "bmp_runs": (0.1, "run-length codes"),
    "bmp_empty_lines": (0.1, "run-length codes"),
}


@pytest.mark.parametrize(("kind", "magnitude", "says"), [(kind, *case) for kind, case in REFUSED.items()], ids=REFUSED)
def test_too_much_work_is_refused_at_once_with_its_number(kind: str, magnitude: float, says: str) -> None:
    data = KINDS[kind](np.random.default_rng(1), magnitude)
    start = time.thread_time()
    with pytest.raises(PictureTooLargeError) as caught:
        list(open_picture(data).frames())
    assert time.thread_time() - start < 2
    assert says in str(caught.value)


MANY = {
    "TIFF": KINDS["tiff_pages"](np.random.default_rng(0), 0.15),
    "GIF": gif(1, 1, (b"!\xf9\4\0\2\0\0\0" + DOT) * 40_000),
}


@pytest.mark.parametrize("data", MANY.values(), ids=MANY)
def test_pages_below_the_limit_cost_no_more_than_the_cap(data: bytes) -> None:
    start = time.thread_time()
    picture = open_picture(data)
    assert len({frame.index for frame in picture.frames()}) == 300
    assert "past the cap of 300 frames" in picture.skipped[-1].reason
    assert time.thread_time() - start < 3


def test_an_animated_pil_image_costs_no_more_than_the_cap() -> None:
    image = Image.open(io.BytesIO(MANY["GIF"]))
    start = time.thread_time()
    assert len(list(open_picture(image).frames())) == 300
    assert time.thread_time() - start < 3


@pytest.mark.parametrize("magnitude", [0.03, 0.3, 1])
def test_beginnings_of_pictures_that_are_none_cost_little(magnitude: float) -> None:
    data = KINDS["jpeg_beginnings_behind"](np.random.default_rng(0), magnitude)
    start = time.thread_time()
    assert list(open_picture(data).frames())
    assert time.thread_time() - start < 5


# ------------------------------------------------------------------ strips


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L", "CMYK", "1"])
def test_strips_show_what_the_whole_shows(monkeypatch: pytest.MonkeyPatch, mode: str, orientation: int) -> None:
    monkeypatch.setattr(strips, "WHOLE", 100)
    monkeypatch.setattr(strips, "STRIP", 500)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = gradient(60, 41).convert(mode)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    kind = "TIFF" if mode == "CMYK" else "PNG"
    stored = Image.open(io.BytesIO(encoded(image, kind, exif=exif)))
    whole = rendered(stored)
    seen = list(views(stored))
    assert len(seen) == len(whole)
    assert all(map(np.array_equal, seen, whole))


def test_a_decoded_jpeg_is_rendered_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient(60, 41), "JPEG", exif=exif)
    (before,) = open_picture(data).frames()
    monkeypatch.setattr(strips, "WHOLE", 100)
    monkeypatch.setattr(strips, "STRIP", 500)
    (after,) = open_picture(data).frames()
    assert np.array_equal(before.rgb, after.rgb)


def test_a_frame_whose_time_is_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "WHOLE", 100)
    monkeypatch.setattr(strips, "STRIP", 500)
    budget = Budget(0.0)
    with budget.spending(), pytest.raises(PictureTooLargeError, match="of 41 rows were decoded"):
        list(open_picture(encoded(gradient(60, 41).convert("RGBA"))).frames())


def test_memory_is_bounded_by_what_a_mode_takes() -> None:
    data = encoded(Image.new("RGBA", (400, 300)), "WEBP", lossless=True)
    with pytest.raises(PictureTooLargeError, match="as a WEBP of mode RGBA, its 120,000 pixels take"):
        open_picture(data, Limits(memory=1_000_000))


# ------------------------------------------------------------------ the gate


def test_large_frames_wait_for_each_other_and_small_ones_do_not() -> None:
    gate, inside, most = Gate(capacity=100, small=10), [0], [0]
    lock = threading.Lock()

    def work() -> None:
        with gate.holding(60, 10):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            with lock:
                inside[0] -= 1

    with gate.holding(60, 10), gate.holding(5, 10):
        pass
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == [1]


def test_a_thread_does_not_wait_for_itself() -> None:
    gate = Gate(capacity=100, small=10)
    start = time.perf_counter()
    with gate.holding(90, 10), gate.holding(90, 10):
        pass
    assert time.perf_counter() - start < 1


def test_a_frame_that_nobody_asks_beyond_holds_up_others_for_a_while_only_and_that_costs_them_nothing() -> None:
    gate, budget, spent = Gate(capacity=100, small=10), Budget(10), []

    def work() -> None:
        with budget.spending(), gate.holding(90, 0.2):
            spent.append(budget.spent)

    with gate.holding(90, 10):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
    assert spent[0] < 0.1


def test_two_streams_in_one_thread_do_not_wait_for_each_other() -> None:
    large = Image.new("RGB", (10_000, 5_000))
    one, other = (open_picture(large).frames() for _ in range(2))
    start = time.perf_counter()
    next(one), next(other)
    assert time.perf_counter() - start < 15
    one.close(), other.close()


@pytest.mark.slow
def test_hostile_files_end_in_time_and_in_memory(tmp_path: Path) -> None:
    """Every second kind of those that cost no text; `benchmarks/hostile_files.py` runs all, and larger ones."""
    kinds = [kind for kind in KINDS if not kind.startswith("text")][::2]
    command = [sys.executable, str(ROOT / "benchmarks/hostile_files.py"), "--files", str(len(KINDS)), "--only", *kinds]
    run = subprocess.run([*command, "--ways", "pipeline", "--out", tmp_path / "out.json"], check=False)
    assert json.loads((tmp_path / "out.json").read_text())["over"] == []
    assert run.returncode == 0
