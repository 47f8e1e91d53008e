"""Whatever cannot be looked at says why once, with its name once, and a parent is told what to do."""

import errno
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, gradient, scripted
from PIL import Image

from kidsnanny import Limits, Pipeline
from kidsnanny.errors import Cause
from kidsnanny.media import source_bytes

JPEG, PNG = encoded(gradient(320, 240), "JPEG"), encoded(gradient(320, 240))
NAME = "holiday.jpg"
CAPS = Limits(bytes=200_000, pixels=100_000, frames=4, total_pixels=60_000)


def _packed() -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("a.png", PNG)
    return buffer.getvalue()


def _tar() -> bytes:
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return buffer.getvalue()


def _animation(frames: int, side: int = 32) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (frames, side, side), np.uint8)
    images = [Image.fromarray(np.stack([0 * one, one, one], -1)) for one in noise]  # no red: nothing is found in it
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:])


FILES: dict[str, tuple[bytes, Cause]] = {
    "empty": (b"", "damage"),
    "text": (b"hello, this is text", "format"),
    "PPM": (encoded(gradient(), "PPM"), "format"),
    "torn header": (JPEG[:40], "damage"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "damage"),
    "truncated PNG": (PNG[: len(PNG) // 2], "damage"),
    "damaged checksum": (PNG[:-20] + bytes(8) + PNG[-12:], "damage"),
    "film": (b"\0\0\0\x18ftypisom" + bytes(64), "film"),
    "raw photo": (b"FUJIFILMCCD-RAW " + bytes(64), "raw photo"),
    "torn PDF": (b"%PDF-1.7\n" + bytes(64), "damage"),
    "archive": (_packed(), "archive"),
    "TAR": (_tar(), "archive"),
    "too many bytes": (b"\xff" * (CAPS.bytes + 1), "size"),
    "too many pixels": (encoded(Image.new("L", (400, 300))), "size"),
    "too many frames": (_animation(6), "frames"),
    "too many pixels in all frames": (_animation(3, 160), "frames"),
    "last frame torn": (_animation(3)[:-400], "damage"),
}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(stage1=scripted().stage1, stage2=scripted().stage2, limits=CAPS)


def said_once(pipeline: Pipeline, source: object, cause: Cause, name: str) -> None:
    """Check the verdict on a source that cannot be looked at in full."""
    verdict = pipeline([source])[0]
    assert verdict.label == "review"
    assert {missed.cause for missed in verdict.not_inspected} == {cause}
    said = str(verdict)
    assert said.startswith(f"REVIEW: {name}. ")
    assert said.count("sha256:") <= 1
    reasons = [missed.reason for missed in verdict.not_inspected]
    if name != "bytes":  # which is also what there may be too many of
        assert said.count(name) == 1
        assert not any(name in reason for reason in reasons)
    assert len(reasons) == len({missed.reason for missed in verdict.not_inspected})
    told = verdict.for_parent()
    assert name not in told
    assert not any(reason in told for reason in reasons), "the technical reason stays in the other fields"


@pytest.mark.parametrize("kind", FILES)
def test_a_file(pipeline: Pipeline, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, cause = FILES[kind]
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_bytes(data)
    said_once(pipeline, NAME, cause, NAME)
    said_once(pipeline, tmp_path / NAME, cause, str(tmp_path / NAME))


@pytest.mark.parametrize("kind", FILES)
def test_bytes_and_open_files(pipeline: Pipeline, kind: str) -> None:
    data, cause = FILES[kind]
    for source in (data, io.BytesIO(data)):
        name = pipeline([data if source is data else io.BytesIO(data)])[0].source
        said_once(pipeline, source, cause, name)


def _folder(path: Path) -> None:
    path.mkdir()


def _link_to_folder(path: Path) -> None:
    path.symlink_to(path.parent)


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX files")
@pytest.mark.parametrize("make", [lambda _: None, _folder, _link_to_folder, _link_to_nothing, _pipe])
def test_what_is_no_file_that_may_be_read(
    pipeline: Pipeline, make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / NAME)
    said_once(pipeline, NAME, "file", NAME)


@pytest.mark.parametrize(("make", "opened"), [(Path.touch, "open"), (_folder, "scandir")])
def test_what_may_not_be_read(
    pipeline: Pipeline, make: Callable[[Path], None], opened: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")  # root meets none

    make(tmp_path / NAME)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(source_bytes if opened == "open" else os, opened, refuse, raising=False)
        said_once(pipeline, NAME, "file", NAME)


@pytest.mark.parametrize(
    ("source", "cause", "name"),
    [
        ("https://example.com/a.png", "file", "https://example.com/a.png"),
        ("nul\0byte.png", "file", "nul\0byte.png"),
        ("", "file", ""),
        (np.zeros((4, 4), np.uint8), "file", "ndarray"),
        (np.zeros((4, 4, 3), np.float32), "file", "ndarray"),
        (np.zeros((400, 300, 3), np.uint8), "size", "ndarray"),
        (Image.new("RGB", (400, 300)), "size", "Image"),
        (io.StringIO("text"), "file", "StringIO"),
        (42, "file", "int"),
        (None, "file", "NoneType"),
    ],
)
def test_other_sources(pipeline: Pipeline, source: object, cause: Cause, name: str) -> None:
    verdict = pipeline([source])[0]
    (missed,) = verdict.not_inspected
    assert (missed.cause, verdict.source) == (cause, name)
    assert str(verdict).startswith(f"REVIEW: {name}. Not inspected: picture: ")
    assert not missed.reason.startswith(f"{name}:")


def test_a_component_that_fails_is_no_fault_of_the_file() -> None:
    verdict = scripted(fails=lambda _: True)(gradient())
    assert [missed.cause for missed in verdict.not_inspected] == ["failure"]
