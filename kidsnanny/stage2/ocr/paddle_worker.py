"""The process that PaddleOCR runs in; `kidsnanny.stage2.ocr.paddle` starts it, as a file, and is alone to talk to it.

On standard input comes a line of JSON that says what to load, then for each frame a line with its height and width, and
its pixels. The answer to each is one line of JSON. When standard input ends, so does the process, whatever it is at.
"""

import json
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

import numpy as np

PIXELS = 4_000_000
"""So much of a frame the detector is shown at most; a larger one is shrunk."""


def main() -> None:
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    for stream in range(3):  # whatever a library prints, and whatever it starts, is cut off
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no picture on the disk
    wanted: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(requests, wanted)).start()
    engine: Any = None
    while True:
        what = wanted.get()
        try:
            if engine is None:
                engine = _engine(**what)
                said: dict[str, object] = {}
            else:
                said = {"lines": _read(engine, what)}
        except BaseException as error:  # some libraries exit
            said = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
        answers.write(json.dumps(said).encode() + b"\n")
        answers.flush()


def _listen(requests: BinaryIO, wanted: "SimpleQueue[Any]") -> None:
    """Pass on what to load and then (H, W, 3) RGB frames, until the parent hangs up or dies."""
    load = json.loads(requests.readline())
    wanted.put(load)
    while header := requests.readline():
        height, width = json.loads(header)
        pixels = requests.read(height * width * 3)
        if len(pixels) == height * width * 3:
            wanted.put(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))
    shutil.rmtree(load["folder"], ignore_errors=True)
    os._exit(0)


def _engine(folder: str, models: str | None, lang: str, download: bool) -> Any:
    os.environ.update(ORT_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_TELEMETRY="1", TMPDIR=folder)
    if not download:
        stay_offline()
        homes = ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME", "PADDLE_PDX_CACHE_HOME")
        os.environ.update(dict.fromkeys(homes, folder), HF_HUB_OFFLINE="1", PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK="1")
    import yaml
    from paddleocr import PaddleOCR

    choice: dict[str, object] = {} if models else {"lang": lang}
    for part, role in (("det", "text_detection"), ("rec", "text_recognition")) if models else ():
        path = Path(models or "", part)
        about = yaml.safe_load((path / "inference.yml").read_text("utf-8"))
        choice |= {f"{role}_model_name": about["Global"]["model_name"], f"{role}_model_dir": str(path)}
        if (path / "inference.onnx").exists():
            choice["engine"] = "onnxruntime"
    # With oneDNN, paddlepaddle 3.3 fails on PaddleOCR's own models (PaddlePaddle/Paddle#77340).
    without = ("use_doc_orientation_classify", "use_doc_unwarping", "use_textline_orientation", "enable_mkldnn")
    return PaddleOCR(device="cpu", text_rec_score_thresh=0.0, **dict.fromkeys(without, False), **choice)


def stay_offline() -> None:
    """From now on nothing in this process can use a socket."""

    def forbid(event: str, _: object) -> None:
        if event.startswith("socket.") and event != "socket.__new__":
            raise PermissionError(f"{event} is not allowed: downloads are off")

    sys.addaudithook(forbid)


def _read(engine: Any, frame: Any) -> list[dict[str, object]]:
    height, width = frame.shape[:2]
    longest = round(max(height, width) * min(1.0, (PIXELS / (height * width)) ** 0.5))
    bgr = np.ascontiguousarray(frame[:, :, ::-1])
    (page,) = engine.predict(bgr, text_det_limit_side_len=longest, text_det_limit_type="max")
    found = zip(page["rec_texts"], page["rec_scores"], page["rec_polys"], strict=True)
    return [_line(text, sure, np.asarray(quad)) for text, sure, quad in found]


def _line(text: str, sure: float, quad: Any) -> dict[str, object]:
    """A `TextLine`; one that was found and read as nothing has no text."""
    sides = np.linalg.norm(quad - np.roll(quad, 1, axis=0), axis=1)
    return {
        "text": text if text.strip() else "",
        "confidence": min(1.0, float(sure)),
        "box": [*quad.min(0).tolist(), *quad.max(0).tolist()],
        "aspect": float(sides.max() / max(1.0, sides.min())),
    }


if __name__ == "__main__":
    main()
