"""Mutated pictures through the whole pipeline: a verdict or a typed refusal each, and `safe` only what decoded whole.

    pip install pyradamsa && apt-get install libjpeg-turbo-progs
    python benchmarks/fuzz_loader.py --files 2000 --seed 0

Valid small files of five formats, some animated, are mutated by radamsa. The embedded profile looks at every tenth;
the others go through its Stage 1 alone, since text is read long after the image is loaded. What comes out `safe` is
checked by other programs: `djpeg -strict` (libjpeg's own, warnings as errors) for JPEG, OpenCV for the number of
frames and Pillow's `verify` for the rest.
"""

import argparse
import io
import json
import subprocess
import time
import warnings
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyradamsa
from hardware import hardware
from PIL import Image, ImageDraw

from kidsnanny import Pipeline
from kidsnanny.errors import InputError
from kidsnanny.media.loader import open_picture

SLOWEST = 5.0


def seeds() -> dict[str, bytes]:
    """Small valid files: smooth colours with a shape and a word, still and moving."""
    rng = np.random.default_rng(0)
    frames = []
    for n in range(4):
        corners = rng.integers(120, 256, (3, 3, 3), dtype=np.uint8)
        frame = Image.fromarray(corners).resize((96, 72), Image.Resampling.BICUBIC)
        ImageDraw.Draw(frame).text((8 + 4 * n, 30), "hello", fill="black")
        frames.append(frame)

    def save(kind: str, mode: str = "RGB", *, moving: bool = False, **options: object) -> bytes:
        first, *rest = (frame.convert(mode) for frame in frames)
        more = {"save_all": True, "append_images": rest} if moving else {}
        buffer = io.BytesIO()
        first.save(buffer, kind, **more, **options)
        return buffer.getvalue()

    return {
        "jpeg": save("JPEG"),
        "jpeg progressive": save("JPEG", progressive=True),
        "jpeg restarts": save("JPEG", restart_marker_rows=1),
        "jpeg cmyk": save("JPEG", "CMYK"),
        "png": save("PNG"),
        "png palette": save("PNG", "P"),
        "png moving": save("PNG", moving=True),
        "gif": save("GIF"),
        "gif moving": save("GIF", moving=True),
        "webp": save("WEBP"),
        "webp lossless": save("WEBP", lossless=True),
        "webp moving": save("WEBP", moving=True),
        "tiff": save("TIFF"),
        "tiff deflate moving": save("TIFF", moving=True, compression="tiff_deflate"),
        "tiff lzw": save("TIFF", compression="tiff_lzw"),
    }


def doubt(data: bytes) -> str | None:
    """Why other decoders say that this file is not whole; None if they do not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = len({frame.index for frame in open_picture(data).frames()})
        with Image.open(io.BytesIO(data)) as image:
            kind = image.format
            image.verify()
    if kind in ("JPEG", "MPO"):
        djpeg = subprocess.run(["djpeg", "-strict"], input=data, capture_output=True, check=False)
        return f"djpeg: {djpeg.stderr.decode()}" if djpeg.returncode else None
    counted = len(cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[1])
    return None if counted <= shown else f"OpenCV finds {counted} frames, we looked at {shown}"


def refusal(data: bytes) -> str:
    """The type of the error with which the loader refuses it, or what the verdict is based on instead."""
    try:
        picture = open_picture(data)
        list(picture.frames())
    except InputError as error:
        return type(error).__name__
    return picture.skipped[0].part + " named as not inspected" if picture.skipped else "none"


def main() -> None:
    """Fuzz, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/fuzz_loader-HARDWARE.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    whole = Pipeline()
    stage1_only = Pipeline(stage1=whole.stage1, stage2=None)
    originals, fuzzer = seeds(), pyradamsa.Radamsa()
    labels, refusals, by_kind = Counter(), Counter(), Counter()
    broken, slow, slowest, untouched = [], [], 0.0, 0
    for n in range(options.files):
        name, original = list(originals.items())[n % len(originals)]
        data = fuzzer.fuzz(original, seed=options.seed * 1_000_000 + n)
        start = time.perf_counter()
        try:
            verdict = (stage1_only if n % 10 else whole)(data)
        except Exception as error:
            broken.append(f"{n} ({name}): {type(error).__name__}: {error}")
            continue
        took = time.perf_counter() - start
        slowest = max(slowest, took)
        labels[verdict.label] += 1
        refusals[refusal(data)] += 1
        by_kind[f"{name}: {verdict.label}"] += 1
        if took > SLOWEST:
            slow.append(f"{n} ({name}): {took:.1f} s")
        if verdict.label == "safe":
            untouched += data == original
            if reason := doubt(data):
                broken.append(f"{n} ({name}): safe, but {reason}")
    result = {
        "hardware": hardware(),
        "files": options.files,
        "seed": options.seed,
        "fuzzer": "pyradamsa",
        "labels": dict(labels),
        "refusals": dict(refusals.most_common()),
        "by_kind": dict(sorted(by_kind.items())),
        "safe_and_equal_to_the_original": untouched,
        "slowest_s": round(slowest, 3),
        "over_5_s": slow,
        "exceptions_or_doubtful_safe": broken,
    }
    out = options.out or Path(__file__).parent / "results" / f"fuzz_loader-{hardware()}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))
    raise SystemExit(bool(broken or slow))


if __name__ == "__main__":
    main()
