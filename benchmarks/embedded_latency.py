"""How long the embedded profile takes, beside the packages it builds on, in one run.

    python benchmarks/embedded_latency.py [--repeats 30] [--out benchmarks/results]

Every figure is wall time from an encoded JPEG in memory, decoding by the image loader included, one picture at a time,
after two warm-up calls, all systems in turn within each repeat so that a drift of the machine affects them alike, with
a pause before each.
Memory is the peak of a fresh process that looks at one picture. The pictures are generated: a smooth gradient, or one
with texture and noise ("photo-like"), with no text or six lines of it.
"""

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from hardware import hardware
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZES = {"640x480": (640, 480), "1280x720": (1280, 720), "4k": (3840, 2160)}
PAUSE = 0.05
"""Seconds before each call, so that the threads of the system before it, which may spin, have gone to sleep."""
LINES = (
    "The school trip is on Friday,",
    "we meet at the gate at eight.",
    "Please bring a packed lunch,",
    "a coat and good shoes.",
    "Back by half past four.",
    "Ask Ms Baker if unsure.",
)


def picture(size: tuple[int, int], photo: bool, text: bool, seed: int = 0) -> bytes:
    """A JPEG."""
    random = np.random.default_rng(seed)
    width, height = size
    image = Image.fromarray(random.integers(40, 216, (6, 9, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if photo:
        texture = Image.fromarray(random.integers(0, 256, (height // 8, width // 8), dtype=np.uint8))
        texture = texture.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))
        noise = random.normal(0, 6, (height, width, 1)) + (np.asarray(texture, np.float32)[..., None] - 128) / 4
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    if text:
        letters = height // 24
        draw = ImageDraw.Draw(image)
        draw.rectangle((width // 12, height // 8, width * 3 // 4, height // 8 + letters * 10), fill="white")
        for row, line in enumerate(LINES):
            at = width // 12 + letters, height // 8 + letters // 2 + row * letters * 3 // 2
            draw.text(at, line, fill="black", font=ImageFont.load_default(letters))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def spread(milliseconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and minimum."""
    ordered = sorted(milliseconds)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
        "min": round(ordered[0], 1),
    }


def systems() -> dict[str, Callable[[bytes, np.ndarray, str], object]]:
    """Name -> a call on (JPEG bytes, RGB array, path)."""
    from nudenet import NudeDetector
    from rapidocr import RapidOCR

    from kidsnanny import Pipeline
    from kidsnanny.media.loader import open_picture
    from kidsnanny.stage1.detector import Yolo, letterbox
    from kidsnanny.stage2.ocr.ppocr import PpOcr

    pipeline = Pipeline()
    detector, ocr = Yolo("nudenet-320n"), PpOcr()
    their_detector, their_ocr = NudeDetector(), RapidOCR(params={"Global.log_level": "critical"})
    tensor: dict[int, np.ndarray] = {}

    def bare(_: bytes, rgb: np.ndarray, __: str) -> object:
        given = tensor.setdefault(id(rgb), letterbox(rgb, 320)[None])
        return detector.network(given)()

    return {
        "ours: pipeline": lambda data, _, __: pipeline(data),
        "ours: file to findings": lambda data, _, __: detector.screen([next(open_picture(data).frames()).rgb]),
        "nudenet: detect(path)": lambda _, __, path: their_detector.detect(path),
        "nudenet: detect(array)": lambda _, rgb, __: their_detector.detect(rgb),
        "bare ONNX call": bare,
        "ours: OCR": lambda _, rgb, __: ocr.read(rgb),
        "rapidocr: defaults": lambda _, rgb, __: their_ocr(np.ascontiguousarray(rgb[:, :, ::-1])),
    }


def latency(repeats: int, folder: Path) -> list[dict[str, object]]:
    """One row per picture: system -> spread in milliseconds, and the pipeline's own stages."""
    rows: list[dict[str, object]] = []
    calls = systems()
    pipeline = calls["ours: pipeline"]
    for name, size in SIZES.items():
        for photo in (False, True):
            for text in (False, True):
                data = picture(size, photo, text)
                rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                path = folder / "picture.jpg"
                path.write_bytes(data)
                times: dict[str, list[float]] = {system: [] for system in calls}
                stages: dict[str, list[float]] = {}
                for repeat in range(-2, repeats if name != "4k" else max(5, repeats // 3)):
                    for system, call in calls.items():
                        time.sleep(PAUSE)
                        start = time.perf_counter()
                        result = call(data, rgb, str(path))
                        if repeat >= 0:
                            times[system].append((time.perf_counter() - start) * 1e3)
                            if call is pipeline:
                                for stage, spent in result.timings.items():  # type: ignore[attr-defined]
                                    stages.setdefault(stage, []).append(spent)
                row = {
                    "picture": name,
                    "kind": "photo-like" if photo else "generated",
                    "lines of text": 6 if text else 0,
                    "n": len(times["ours: pipeline"]),
                    "ms": {system: spread(spent) for system, spent in times.items()},
                    "stages ms": {stage: spread(spent) for stage, spent in stages.items()},
                }
                rows.append(row)
                print(json.dumps(row), file=sys.stderr)
    return rows


def fresh(code: str, n: int = 7) -> dict[str, float]:
    """Wall milliseconds of a fresh interpreter that runs `code`, less a bare one."""
    times: dict[str, list[float]] = {code: [], "pass": []}
    for _ in range(n):
        for what, spent in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", what], check=True, stdout=subprocess.DEVNULL)
            spent.append((time.perf_counter() - start) * 1e3)
    bare = statistics.median(times["pass"])
    return {**spread(times[code]), "over bare Python": round(statistics.median(times[code]) - bare, 1), "n": n}


def peak_memory(path: Path) -> int:
    """Peak resident MB of a fresh process that looks at one picture."""
    code = f"from kidsnanny import Pipeline; Pipeline()({str(path)!r})"
    command = [sys.executable, __file__, "--peak-of", code]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        exec(arguments.peak_of)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    folder = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    memory = {}
    for name, size in SIZES.items():
        path = scratch / f"{name}.jpg"
        path.write_bytes(picture(size, photo=True, text=True))
        memory[name] = peak_memory(path)
    result = {
        "hardware": hardware(),
        "versions": {name: version(name) for name in ("kidsnanny", "nudenet", "rapidocr", "onnxruntime", "pillow")},
        "peak memory MB, one picture": memory,
        "import kidsnanny ms": fresh("import kidsnanny"),
        "process start to first verdict ms": fresh(
            f"from kidsnanny import Pipeline; Pipeline()({str(scratch / '1280x720.jpg')!r})"
        ),
        "latency": latency(arguments.repeats, scratch),
    }
    for path in [*scratch.iterdir()]:
        path.unlink()
    scratch.rmdir()
    target = folder / f"embedded_latency-{hardware()}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(target)


if __name__ == "__main__":
    main()
