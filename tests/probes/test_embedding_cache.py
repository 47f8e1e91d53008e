"""Embeddings on disk: each is computed once, whatever ends a run, and none is lost, mixed up or taken for another's."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encoded, gradient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kidsnanny.errors import DataError
from kidsnanny.media.loader import RGB
from kidsnanny.probes.embedding_cache import BATCH, KEY, EmbeddingCache, embed
from kidsnanny.probes.q16 import Q16
from kidsnanny.records import ModelId

ID = ModelId(name="colours", revision="1")


class MeanColour:
    """An encoder whose row is the frame's mean colour, and which counts what it was shown."""

    model_id, width = ID, 3

    def __init__(self) -> None:
        self.frames = 0
        self.most = 0

    def __call__(self, frames: Sequence[RGB]) -> np.ndarray:
        self.frames += len(frames)
        self.most = max(self.most, len(frames))
        return np.array([frame.mean((0, 1)) for frame in frames], np.float32).reshape(-1, 3)


def plain(colour: tuple[int, int, int]) -> bytes:
    return encoded(Image.new("RGB", (8, 8), colour))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


PICTURES = [plain((n, 2 * n, 3 * n)) for n in range(70)]


def test_every_picture_has_its_own_row_after_reopening(tmp_path: Path) -> None:
    encoder = MeanColour()
    cache = EmbeddingCache.of(encoder, tmp_path)
    found = list(embed(PICTURES, encoder, cache))
    assert [one.sha256 for one in found] == [sha256(one) for one in PICTURES]
    again = EmbeddingCache.of(encoder, tmp_path)
    assert len(again) == len(cache) == 70
    for n, picture in enumerate(PICTURES):
        assert again.rows(sha256(picture)).tolist() == [[n, 2 * n, 3 * n]]
    backwards = [sha256(one) for one in PICTURES[::-1]]
    assert again.first_rows(backwards)[:, 0].tolist() == list(range(69, -1, -1))
    assert np.array_equal(again.matrix, cache.matrix)


def test_a_picture_is_embedded_once(tmp_path: Path) -> None:
    encoder = MeanColour()
    cache = EmbeddingCache.of(encoder, tmp_path)
    assert len(list(embed([*PICTURES[:40], *PICTURES[:3]], encoder, cache))) == 43
    assert encoder.frames == 40
    assert encoder.most <= BATCH
    list(embed(PICTURES, encoder, EmbeddingCache.of(encoder, tmp_path)))
    assert encoder.frames == 70
    assert len(EmbeddingCache.of(encoder, tmp_path)) == 70


def test_every_frame_and_view_has_a_row(tmp_path: Path) -> None:
    encoder = MeanColour()
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    clear = encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    cache = EmbeddingCache.of(encoder, tmp_path)
    list(embed([animation, clear, PICTURES[9]], encoder, cache))
    assert cache.rows(sha256(animation)).tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert len(cache.rows(sha256(clear))) == 2, "on white and on black"
    names = [sha256(one) for one in (PICTURES[9], animation)]
    assert cache.highest(names, cache.matrix).tolist() == [[9, 18, 27], [255, 255, 255]]
    assert cache.first_rows(names).tolist() == [[9, 18, 27], [255, 0, 0]]
    assert EmbeddingCache.of(encoder, tmp_path).rows(sha256(animation)).shape == (3, 3)


def test_what_cannot_be_looked_at_is_said_and_has_no_row(tmp_path: Path) -> None:
    encoder, whole = MeanColour(), encoded(gradient(200, 200), "JPEG")
    cache = EmbeddingCache.of(encoder, tmp_path / "cache")
    sources = [b"no picture", whole[: len(whole) // 2], str(tmp_path / "none.png"), PICTURES[1]]
    found = list(embed(sources, encoder, cache))
    assert [one.sha256 is None for one in found] == [True, True, True, False]
    assert all(one.why for one in found[:3])
    assert found[2].name.endswith("none.png")
    assert found[3].why is None
    assert len(cache) == 1


@pytest.mark.parametrize("batch_of_rows", [1, 2])
@given(cut_rows=st.integers(0, 60), cut_keys=st.integers(0, 200))
def test_whatever_was_written_of_the_last_picture_is_written_anew(
    tmp_path_factory: pytest.TempPathFactory, batch_of_rows: int, cut_rows: int, cut_keys: int
) -> None:
    """As after a kill, a full disk, or a picture of which only the first frame was written."""
    folder = tmp_path_factory.mktemp("cut")
    pictures = [(f"{n:064x}", np.full((batch_of_rows, 3), n, np.float32)) for n in range(4)]
    EmbeddingCache(folder, ID, 3).add(pictures)
    for name, cut in (("rows.f32", cut_rows), ("keys.bin", cut_keys)):
        os.truncate(folder / name, max(0, (folder / name).stat().st_size - cut))
    opened = EmbeddingCache(folder, ID, 3)
    assert len(opened) <= 4
    for sha, rows in pictures[: len(opened)]:
        assert np.array_equal(opened.rows(sha), rows)
    opened.add(pictures)
    for cache in (opened, EmbeddingCache(folder, ID, 3)):
        assert len(cache) == 4
        for sha, rows in pictures:
            assert np.array_equal(cache.rows(sha), rows)
    assert (folder / "keys.bin").stat().st_size == 4 * batch_of_rows * KEY.itemsize


def test_a_reader_changes_nothing_while_another_process_writes(tmp_path: Path) -> None:
    writer = EmbeddingCache(tmp_path, ID, 3)
    writer.add([("0" * 64, np.ones((1, 3), np.float32))])
    with (tmp_path / "rows.f32").open("ab") as file:
        file.write(b"12345678")
    assert len(EmbeddingCache(tmp_path, ID, 3)) == 1
    assert (tmp_path / "rows.f32").stat().st_size == 12 + 8


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    for n, picture in enumerate(PICTURES):
        (tmp_path / f"{n:03}.png").write_bytes(picture)
    program = (
        "import sys, time, pathlib\n"
        "from test_embedding_cache import MeanColour, EmbeddingCache, embed\n"
        "encoder = MeanColour()\n"
        "cache = EmbeddingCache.of(encoder, pathlib.Path(sys.argv[1]) / 'cache')\n"
        "for one in embed(sorted(pathlib.Path(sys.argv[1]).glob('*.png')), encoder, cache):\n"
        "    print(one.sha256, flush=True); time.sleep(0.05)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "probes")))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}) as run:
        assert run.stdout
        done = [run.stdout.readline().strip() for _ in range(3)]
        run.kill()
    encoder = MeanColour()
    cache = EmbeddingCache.of(encoder, tmp_path / "cache")
    assert all(one in cache for one in done), "what was reported is on disk"
    before = len(cache)
    assert 0 < before < 70
    list(embed(sorted(tmp_path.glob("*.png")), encoder, cache))
    assert (encoder.frames, len(cache)) == (70 - before, 70)


def test_the_rows_of_another_encoder_are_refused(tmp_path: Path) -> None:
    EmbeddingCache(tmp_path, ID, 3)
    for other, width in ((ModelId(name="colours", revision="2"), 3), (ID, 4)):
        with pytest.raises(DataError, match=r"it holds embeddings of colours@1, not of .*; name another folder"):
            EmbeddingCache(tmp_path, other, width)
    (tmp_path / "encoder.json").write_text("[")
    with pytest.raises(DataError, match="nobody knows what"):
        EmbeddingCache(tmp_path, ID, 3)


def test_rows_that_are_none_are_refused(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, ID, 3)
    for rows in (np.ones(3), np.ones((1, 4)), np.ones((0, 3)), np.full((1, 3), np.inf)):
        with pytest.raises(ValueError, match="finite numbers"):
            cache.add([("0" * 64, rows.astype(np.float32))])
    assert len(cache) == 0
    assert cache.matrix.shape == (0, 3)
    with pytest.raises(KeyError):
        cache.rows("0" * 64)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="embeddings cannot be kept there"):
        EmbeddingCache(tmp_path / "file" / "cache", ID, 3)


@pytest.mark.slow
def test_a_hundred_thousand_pictures_are_scored_in_seconds(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    cache = EmbeddingCache(tmp_path, ID, 768)
    for start in range(0, 100_000, 10_000):
        rows = draw.standard_normal((10_000, 1, 768), np.float32)
        cache.add([(f"{start + n:064x}", row) for n, row in enumerate(rows)])
    probe, began = Q16(draw.standard_normal((2, 768))), time.process_time()
    opened = EmbeddingCache(tmp_path, ID, 768)
    names = [f"{n:064x}" for n in range(100_000)]
    found = opened.highest(names, probe.inappropriate(opened.matrix))
    assert time.process_time() - began <= 5
    assert found.shape == (100_000,)
    last = opened.rows(names[-1])
    assert found[-1] == pytest.approx(probe.inappropriate(last)[0], abs=1e-6)
