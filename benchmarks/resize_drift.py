"""What our antialiased resize changes against nudenet's bilinear one: the same network on the same pictures.

    python benchmarks/resize_drift.py [--out benchmarks/results]

200 crops of the astronaut in scikit-image, enlarged to 400-1,550 px, so that both shrink them and none is tiled.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import skimage
from hardware import hardware
from PIL import Image

from kidsnanny.records import Box, Detection
from kidsnanny.stage1.detector import Yolo


def crops(count: int, seed: int = 11) -> list[np.ndarray]:
    """Pictures with a face in most of them."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        width, height = random.integers(200, 500, 2).tolist()
        x, y = int(random.integers(0, 512 - width)), int(random.integers(0, 512 - height) // 2)
        scale = float(random.uniform(2, 3.1))
        crop = astronaut.crop((x, y, x + width, y + height))
        pictures.append(
            np.asarray(crop.resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC))
        )
    return pictures


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    common = Box(max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1)).area
    return common / (a.area + b.area - common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    target = parser.parse_args().out / f"resize_drift-{hardware()}.json"
    ours, theirs = Yolo("nudenet-320n"), Yolo("nudenet-320n", resize="nudenet")
    pairs: list[tuple[Detection, Detection]] = []
    only = {"ours": 0, "nudenet": 0}
    pictures = crops(200)
    for picture in pictures:
        (a,), (b,) = ours.screen([picture]), theirs.screen([picture])
        matched = [(x, y) for x in a for y in b if x.label == y.label and overlap(x.box, y.box) > 0.5]
        pairs += matched
        only["ours"] += len(a) - len(matched)
        only["nudenet"] += len(b) - len(matched)
    drift = np.array([abs(x.score - y.score) for x, y in pairs])
    result = {
        "pictures": len(pictures),
        "detections in both": len(pairs),
        "only in one": only,
        "score difference": {
            "median": float(np.median(drift)),
            "p95": float(np.quantile(drift, 0.95)),
            "max": drift.max(),
        },
        "box IoU": {"median": float(np.median([overlap(x.box, y.box) for x, y in pairs]))},
    }
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
