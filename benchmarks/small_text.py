"""How small a line may be and still be read: generated pictures with one line each, ours beside RapidOCR's defaults.

    python benchmarks/small_text.py [--pictures 200] [--out benchmarks/results]

A picture counts as read when one of the lines found in it, or all of them joined, spells the line with a character
error under 10 %. RapidOCR looks at every fourth picture.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from hardware import hardware
from pages import character_error, one_line
from rapidocr import RapidOCR
from rich.progress import track

from kidsnanny.stage2.ocr.ppocr import PpOcr

CASES = [((3840, 2160), 20), ((1920, 1080), 14), ((1920, 1080), 10)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    ours, theirs = PpOcr(), RapidOCR(params={"Global.log_level": "critical"})
    target = arguments.out / f"small_text-{hardware()}.json"
    rows = []
    for size, letters in CASES:
        found = {"ours": 0, "rapidocr": 0}
        read = {"ours": 0, "rapidocr": 0}
        for seed in track(range(arguments.pictures), description=f"{letters} px at {size[0]}x{size[1]}"):
            image, text = one_line(seed, size, letters)
            frame = np.asarray(image)
            texts = {"ours": [line.text for line in ours.read(frame)]}
            if seed % 4 == 0:
                texts["rapidocr"] = list(theirs(np.ascontiguousarray(frame[:, :, ::-1])).txts or ())
            for system, lines in texts.items():
                found[system] += bool(lines)
                errors = [character_error(text, line) for line in (*lines, " ".join(lines))]
                read[system] += min(errors) < 0.1
        row = {
            "letters px": letters,
            "picture": f"{size[0]}x{size[1]}",
            "n": {"ours": arguments.pictures, "rapidocr": -(-arguments.pictures // 4)},
            "found": found,
            "read": read,
        }
        rows.append(row)
        target.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")  # after each case: the run is long
        print(row)
    print(target)


if __name__ == "__main__":
    main()
