"""Whether our reading of PP-OCRv6 agrees with PaddleOCR's own: generated pictures with known text, both in one run.

    pip install '.[paddle]' && python benchmarks/paddle_agreement.py [--pictures 240] [--out benchmarks/results]

Half the pictures have one line, half a page of several. Two texts agree in 1 - d / n of their characters: d is the
Levenshtein distance of the lines joined in reading order, blanks left out, n the length of the longer one. The
character error counts the same against what was written. Both are taken over all characters of a group, not over
pictures. The time of PaddleOCR includes the way to its process and back.
"""

import argparse
import json
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
from hardware import hardware
from pages import WORDS, character_error, one_line
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

from kidsnanny.stage2.ocr.ocr import Ocr
from kidsnanny.stage2.ocr.paddle import PaddleOcr
from kidsnanny.stage2.ocr.ppocr import PpOcr

SIZES = [(640, 480), (1280, 720)]
LETTERS = [16, 20, 24, 32, 40, 48]
PACKAGES = ("paddleocr", "paddlex", "paddlepaddle", "rapidocr", "onnxruntime", "numpy", "pillow")


def several_lines(seed: int, size: tuple[int, int], letters: int) -> tuple[Image.Image, str]:
    """A page of as many lines as fit, eight at most, dark on a light smooth ground or light on a dark one."""
    random = np.random.default_rng(seed)
    low, high, ink = (140, 256, "black") if seed % 2 else (0, 100, "white")
    ground = Image.fromarray(random.integers(low, high, (5, 8, 3), dtype=np.uint8))
    image = ground.resize(size, Image.Resampling.BICUBIC)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(letters)
    x, y = random.integers(10, 40, 2).tolist()
    lines: list[str] = []
    while len(lines) < 8 and y < size[1] - 2 * letters:
        words: list[str] = []
        for word in random.choice(WORDS, random.integers(3, 9)):
            if draw.textlength(" ".join([*words, word]), font) < size[0] - x - 10:
                words.append(str(word))
        lines.append(" ".join(words))
        draw.text((x, y), lines[-1], fill=ink, font=font)
        y += round(letters * 1.6)
    return image, " ".join(lines)


def pictures(count: int) -> Iterator[tuple[str, tuple[int, int], Image.Image, str]]:
    """Kind, size, picture and text, in turn of every kind, size and height of letters."""
    groups = list(product(("one line", "several lines"), SIZES, LETTERS))
    seeds = iter(range(10**9))
    for number in range(count):
        kind, size, letters = groups[number % len(groups)]
        while True:
            try:
                image, text = (one_line if kind == "one line" else several_lines)(next(seeds), size, letters)
            except ValueError:  # the line is longer than the picture
                continue
            yield kind, size, image, text
            break


def distance(a: str, b: str) -> float:
    return character_error(a, b) * max(1, len(a.replace(" ", "")))


class Group:
    """What was counted over pictures of one kind."""

    def __init__(self) -> None:
        self.n = self.same = self.apart = self.longer = self.written = 0.0
        self.errors = {"ours": 0.0, "paddleocr": 0.0}
        self.times: dict[str, list[float]] = {"ours": [], "paddleocr": []}

    def count(self, truth: str, read: dict[str, str], times: dict[str, float]) -> None:
        ours, theirs = read.values()
        apart = distance(ours, theirs)
        self.n += 1
        self.same += not apart
        self.apart += apart
        self.longer += max(len(text.replace(" ", "")) for text in read.values())
        self.written += len(truth.replace(" ", ""))
        for system, text in read.items():
            self.errors[system] += distance(truth, text)
            self.times[system].append(times[system])

    def row(self) -> dict[str, object]:
        return {
            "n": int(self.n),
            "characters": int(self.written),
            "agreement": round(1 - self.apart / self.longer, 4),
            "pictures read alike": int(self.same),
            "character error": {system: round(wrong / self.written, 4) for system, wrong in self.errors.items()},
            "ms": {
                system: {f"p{share}": round(float(np.percentile(times, share)), 1) for share in (50, 95)}
                for system, times in self.times.items()
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=240)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    groups = {"all": Group()}
    start = perf_counter()
    with PaddleOcr() as paddle:
        systems: dict[str, Ocr] = {"ours": PpOcr(), "paddleocr": paddle}
        for system in systems.values():  # first-time work
            system.read(np.full((720, 1280, 3), 255, np.uint8))
        for kind, size, image, truth in track(pictures(arguments.pictures), total=arguments.pictures):
            read, times = {}, {}
            for name, system in systems.items():
                before = perf_counter()
                lines = system.read(np.asarray(image))
                times[name] = (perf_counter() - before) * 1e3
                read[name] = " ".join(line.text for line in lines)
            group = groups.setdefault(f"{kind}, {size[0]}x{size[1]}", Group())
            for counted in (groups["all"], group):
                counted.count(truth, read, times)
    result = {
        "versions": {package: version(package) for package in PACKAGES},
        "letters px": LETTERS,
        "seconds": round(perf_counter() - start),
        "groups": {name: group.row() for name, group in groups.items()},
    }
    target = arguments.out / f"paddle_agreement-{hardware()}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1), target, sep="\n")


if __name__ == "__main__":
    main()
