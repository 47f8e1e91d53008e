"""PaddleOCR itself, in a process of its own. What comes out is untrusted text.

It brings its own builds of what others use, too (OpenCV, OpenMP). Apart from us they cannot clash, and a picture that
crashes or hangs PaddleOCR is one picture not inspected: the next one gets a new process.
"""

import json
import os
import shutil
import subprocess
import sys
import weakref
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock, Timer
from time import monotonic
from typing import NamedTuple, Self

import numpy as np
from pydantic import ValidationError

from kidsnanny.budget import leave_out, out_of_time, seconds_left, waiting
from kidsnanny.engines import renew_after_fork
from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import cards
from kidsnanny.models.onnx import onnx_session
from kidsnanny.models.store import digest
from kidsnanny.records import Box, ModelId, Record, TextLine
from kidsnanny.stage2.ocr.ocr import MIN_SIDE, prove
from kidsnanny.stage2.text_blocks import reading_order

LANGS = frozenset(
    "ch chinese_cht en japan af az bs ca cs cy da de es et eu fi fr ga gl hr hu id is it ku la lb lt lv mi ms mt nl no "
    "oc pl pt qu rm ro rs_latin sk sl sq sv sw tl tr uz vi".split()
)
"""PaddleOCR's codes of the languages that PP-OCRv6 reads."""
ROOM = 40
"""Pixels that the shorter side of a frame is enlarged to, if it is less than half of them."""
START = (120, 3_600)
"""Seconds it may take to start; with downloads."""


class _Answer(Record):
    error: str | None = None
    lines: tuple[TextLine, ...] = ()


class _Worker(NamedTuple):
    process: "subprocess.Popen[bytes]"
    folder: Path
    """Its home, and where the weights of rapidocr's wheel lie. It goes with the process."""

    def end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # something was not sent yet
                pipe.close()  # type: ignore[union-attr]
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class PaddleOcr:
    """PaddleOCR 3 with its own pre- and post-processing, on the CPU.

    Its detector is shown frames of up to 4 megapixels as they are, and larger ones shrunk to that: a page full of
    14-pixel letters in 4K is still read, and the process grows to 2.5 GB. PaddleOCR's own limit, 4,000 pixels a side,
    takes twice the time and 4 GB. There are no tiles, so a few small lines in a large picture are lost (`PpOcr`
    finds them), and so is text upside down. A line more than 66 times longer than high is squeezed to that, which
    leaves it with too few letters for its length, or none: a policy counts it as unread.

    Args:
        lang: PaddleOCR's code of the language, like "fr" or "korean". What PP-OCRv6 reads needs no more than this.
        models: for other languages: a folder with `det` and `rec`, each a PaddleOCR model with its inference.yml.
        download: or let PaddleOCR fetch the weights it prefers for `lang`, and keep them in the home directory. Unless
            this is said it can use no network, and writes to a temporary folder only.
        timeout: seconds after which a picture is given up.

    Threads may share one; they take turns. The process ends with the program, with `close()` or with a `with` block.

    Raises:
        WeightsError: the weights in rapidocr's wheel are missing, or not those of the cards.
        ComponentError: the package or the language's weights are missing, or it does not start, or does not read a
            generated "HELLO 123".
    """

    reentrant = False

    def __init__(
        self, lang: str = "en", *, models: str | Path | None = None, download: bool = False, timeout: float = 60
    ) -> None:
        self._lang, self._download, self._timeout = lang, download, timeout
        self._models = Path(models).absolute() if models else None
        self.model_id = self._identify()
        self._lock = Lock()
        self._workers: dict[int, _Worker] = {}
        """At most one of each process: a fork must not talk to its parent's."""
        self._end = weakref.finalize(self, _end, self._workers)
        renew_after_fork(self)
        try:
            prove(self)
        except BaseException:
            self.close()
            raise

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line found in an (H, W, 3) uint8 RGB frame, in reading order; see `Ocr.read`.

        PaddleOCR cannot stop half-way: when the picture's budget is used up, none of the frame's text was read.

        Raises:
            ComponentError: PaddleOCR crashed, failed or took too long.
        """
        if (shorter := min(frame.shape[:2])) < MIN_SIDE:
            return []
        factor = max(1, ROOM // shorter)
        given = _enlarged(frame, factor)
        with self._lock:
            with waiting():  # the picture is not to blame for the one that the last process ended with
                worker = self._worker()
            left = seconds_left()
            try:
                if not left:
                    raise ComponentError(f"{self.model_id}: there is no time for this picture; look at it yourself.")
                answer = self._ask(worker, given.shape[:2], given.data, min(self._timeout, left))
            except ComponentError:
                if not out_of_time():
                    raise
                leave_out("none of the frame's text was read")
                return []
        if answer.error:
            raise ComponentError(f"{self.model_id}: it fails on this picture ({answer.error}); look at it yourself.")
        return reading_order([_shrunk(line, factor) for line in answer.lines])

    def close(self) -> None:
        """End the process and remove its folder; nothing can be read any more."""
        with self._lock:
            self._end()

    def after_fork(self) -> None:
        """A lock that a thread of the parent holds would never be released here."""
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _identify(self) -> ModelId:
        """Its identity. What is missing is said here, before anything starts."""
        try:
            engine = f"paddleocr-{version('paddleocr')}"
        except PackageNotFoundError as error:
            fix = "run `pip install 'kidsnanny[paddle]'`"
            raise ComponentError(f"paddleocr: the package is not installed; {fix}.") from error
        if models := self._models:
            weights = {
                part: [path for end in ("onnx", "pdiparams") if (path := models / part / f"inference.{end}").is_file()]
                for part in ("det", "rec")
            }
            if not all(files and (models / part / "inference.yml").is_file() for part, files in weights.items()):
                lacks = "it does not have det and rec with weights and an inference.yml each"
                raise ComponentError(f"{models}: {lacks}; give a folder of two PaddleOCR models.")
            return ModelId(name=f"{engine}/{models.name}", revision=digest(weights["rec"][0])[:12])
        if self._download:
            return ModelId(name=f"{engine}/{self._lang}", revision="downloaded")
        if self._lang not in LANGS:
            fix = "give a folder of weights as `models=`, or say `download=True`"
            raise ComponentError(f"{self._lang}: rapidocr's weights do not read this language; {fix}.")
        card = cards()["ppocrv6-small-rec"]
        return ModelId(name=f"{engine}/{card.name}", revision=(card.sha256 or "")[:12])

    def _worker(self) -> _Worker:
        """The running one; a new one if there is none, or if it died since the last frame."""
        if not self._end.alive:
            raise ComponentError(f"{self.model_id}: it was closed; make a new PaddleOcr.")
        worker = self._workers.get(os.getpid())
        if worker and worker.process.poll() is None:
            return worker
        _end(self._workers)
        try:
            folder = Path(mkdtemp(prefix="kidsnanny-"))
            # A file, and -P, so that nothing in the current folder passes for one of Python's modules.
            command = [sys.executable, "-P", str(Path(__file__).with_name("paddle_worker.py"))]
            pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, cwd=folder)
            worker = self._workers[os.getpid()] = _Worker(process, folder)
            models = self._models or (None if self._download else _lay_out(folder))
            load = {"folder": str(folder), "models": models and str(models), "lang": self._lang}
            answer = self._ask(worker, {**load, "download": self._download}, b"", START[self._download])
            if not answer.error:
                return worker
            why, fix = answer.error, "reinstall it with `pip install --force-reinstall 'kidsnanny[paddle]'`"
        except OSError as error:
            why, fix = str(error), "set TMPDIR to a folder that can be written to"
        except BaseException:
            _end(self._workers)
            raise
        _end(self._workers)
        raise ComponentError(f"{self.model_id}: PaddleOCR does not start ({why}); {fix}.")

    def _ask(self, worker: _Worker, header: object, pixels: bytes | memoryview, seconds: float) -> _Answer:
        """Unless there is a whole answer the worker goes: what it may still say is not about the next frame."""
        process = worker.process
        assert process.stdin
        assert process.stdout
        end = monotonic() + seconds
        timer = Timer(seconds, process.kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(json.dumps(header).encode() + b"\n")
            process.stdin.write(pixels)
            process.stdin.flush()
            return _Answer.model_validate_json(process.stdout.readline())
        except (OSError, ValidationError):
            _end(self._workers)
            died = f"its process died (exit code {process.returncode})"
            why = died if monotonic() < end else f"it gave no answer in {seconds:g} seconds"
            raise ComponentError(f"{self.model_id}: {why}; look at the picture yourself.") from None
        except BaseException:
            _end(self._workers)
            raise
        finally:
            timer.cancel()


def _enlarged(frame: RGB, factor: int) -> RGB:
    """For letters too small to be found."""
    import cv2

    if factor > 1:
        frame = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    return np.ascontiguousarray(frame)


def _shrunk(line: TextLine, factor: int) -> TextLine:
    x0, y0, x1, y1 = line.box
    return line.model_copy(update={"box": Box(x0 // factor, y0 // factor, -(-x1 // factor), -(-y1 // factor))})


def _end(workers: dict[int, _Worker]) -> None:
    if worker := workers.pop(os.getpid(), None):
        worker.end()


def _lay_out(folder: Path) -> Path:
    """Put the weights of rapidocr's wheel there, with what PaddleOCR wants to know of them.

    Raises:
        WeightsError: they are missing, or not those of the cards.
    """
    detector, recogniser = cards()["ppocrv6-small-det"].locate(), cards()["ppocrv6-small-rec"].locate()
    characters = onnx_session(recogniser).get_modelmeta().custom_metadata_map["character"].splitlines()
    see = {"DecodeImage": {"channel_first": False, "img_mode": "BGR"}}
    normal = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "scale": 1 / 255, "order": "hwc"}
    before: dict[str, list[object]] = {
        "det": [see, {"DetResizeForTest": {"limit_side_len": 64}}, {"NormalizeImage": normal}, {"ToCHWImage": None}],
        "rec": [see, {"RecResizeImg": {"image_shape": [3, 48, 320]}}],
    }
    after: dict[str, dict[str, object]] = {
        # Candidates past a cap are dropped without a word, so there is none.
        "det": {"name": "DBPostProcess", "max_candidates": 1_000_000},
        "rec": {"name": "CTCLabelDecode", "character_dict": characters},
    }
    for part, weights in (("det", detector), ("rec", recogniser)):
        about = {
            "Global": {"model_name": f"PP-OCRv6_small_{part}"},
            "PreProcess": {"transform_ops": before[part]},
            "PostProcess": after[part],
        }
        (folder / part).mkdir()
        shutil.copyfile(weights, folder / part / "inference.onnx")
        # JSON is YAML if only letters past the first 65,536 are not escaped.
        (folder / part / "inference.yml").write_text(json.dumps(about, ensure_ascii=False), "utf-8")
    return folder
