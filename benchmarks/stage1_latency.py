"""How long Stage 1 (ViT and YOLO) takes from decoded frames to findings, beside the naive composition, in one run.

    pip install '.[vit,yolo]' scikit-image
    python benchmarks/stage1_latency.py --pair tiny               # ViT-tiny 384 + YOLOv8n 320, on the CPU
    python benchmarks/stage1_latency.py --pair base --device cuda # ViT-B/16 224 + YOLO11n 640

`naive` is timm in eager mode with timm's own transforms, then `ultralytics.YOLO.predict`, one after the other, on the
same weights. The ViT's weights are random, and so are YOLO11n's (YOLOv8n has NudeNet's): good for time, and for
telling whether two ways of running them agree; no accuracy can be read off them. All systems take turns within each
repeat, with a pause before each. Pictures are crops of the astronaut in scikit-image at 1280x720. `agreement` compares
ours with naive: probabilities, and of detections with a score over 0.3 the share that has a match (same label, IoU over
0.8).
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["KIDSNANNY_HOME"] = tempfile.mkdtemp(prefix="kidsnanny-bench-")  # the lock file of this run alone

import numpy as np
import skimage
from hardware import hardware
from PIL import Image

from kidsnanny.models.cards import CARD, ClassifierCard, DetectorCard, NetworkCard, WeightsFile, find_card
from kidsnanny.models.onnx_export import export, save_random
from kidsnanny.models.runtime import Torch, network, quiet_ultralytics
from kidsnanny.models.store import digest
from kidsnanny.records import Box
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.ensemble import Ensemble

PAUSE = 0.05
HALF = (0.5, 0.5, 0.5)
BINARY = {"NSFW": {"sexual": 1.0, "nudity": 1.0}, "SFW": {}}
System = Callable[[list[np.ndarray]], Any]


def pictures(count: int) -> list[np.ndarray]:
    """1280x720 RGB, most with a face."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    random = np.random.default_rng(3)
    made = []
    for _ in range(count):
        x, y = int(random.integers(0, 100)), int(random.integers(0, 60))
        crop = astronaut.crop((x, y, x + 400, y + 225))
        made.append(np.asarray(crop.resize((1280, 720), Image.Resampling.BICUBIC)))
    return made


def made_up(folder: Path, name: str, architecture: str, side: int, **facts: Any) -> Any:
    """A card of random weights."""
    path = folder / f"{name}.safetensors"
    facts = {"role": "classifier", "what": "random", "licence": "none", "labels": BINARY} | facts
    card = CARD.validate_python({"name": name, "path": path, "architecture": architecture, "input": side, **facts})
    assert isinstance(card, NetworkCard)
    return card.model_copy(update={"files": {path.name: WeightsFile(sha256=digest(save_random(card, path)))}})


def pair(name: str, folder: Path) -> tuple[ClassifierCard, DetectorCard]:
    """The classifier's and the detector's card."""
    vit = {"mean": HALF, "std": HALF, "interpolation": "bicubic", "crop": 1.0}
    if name == "tiny":
        return made_up(folder, "vit-tiny", "timm:vit_tiny_patch16_384", 384, **vit), find_card(
            "nudenet-320n", DetectorCard
        )
    coco = dict(find_card("yolo11n-coco", DetectorCard).labels)
    yolo = made_up(folder, "yolo11n", "ultralytics:yolo11n", 640, role="detector", labels=coco)
    return made_up(folder, "vit-base", "timm:vit_base_patch16_224", 224, **{**vit, "crop": 0.9}), yolo


def naive(
    vit: ClassifierCard, yolo: DetectorCard, device: str
) -> tuple[System, Callable[[np.ndarray], list[float]], Any]:
    """timm eager, then ultralytics: the whole, its probabilities of one frame, and ultralytics' model."""
    import timm
    import torch
    from safetensors.torch import load_file

    ultralytics = quiet_ultralytics()
    model = timm.create_model((vit.architecture or "").partition(":")[2], num_classes=len(vit.labels)).eval().to(device)
    model.load_state_dict(load_file(vit.locate()))
    facts = {"input_size": (3, vit.input, vit.input), "crop_pct": vit.crop, "mean": vit.mean, "std": vit.std}
    transform = timm.data.create_transform(**facts, interpolation=vit.interpolation, is_training=False)
    if yolo.locate().suffix == ".onnx":
        detector = ultralytics.YOLO(str(yolo.locate()), task="detect")
    else:
        detector = ultralytics.YOLO(f"{(yolo.architecture or '').partition(':')[2]}.yaml")
        detector.model.load_state_dict(load_file(yolo.locate()))

    def classify(frames: list[np.ndarray]) -> Any:
        with torch.inference_mode():
            given = torch.stack([transform(Image.fromarray(frame)) for frame in frames]).to(device)
            return model(given).softmax(1).cpu()

    def detect(frames: list[np.ndarray]) -> Any:
        bgr = [np.ascontiguousarray(frame[:, :, ::-1]) for frame in frames]
        return [r for f in bgr for r in detector.predict(f, imgsz=yolo.input, device=device, verbose=False)]

    return lambda frames: (classify(frames), detect(frames)), lambda f: classify([f])[0].tolist(), detect


def systems(vit: ClassifierCard, yolo: DetectorCard, device: str, compiled: bool) -> dict[str, System]:
    """Name -> a call on decoded frames."""
    from nudenet import NudeDetector

    export(vit)
    naive_, *_ = naive(vit, yolo, device)
    nudenet = NudeDetector()
    eager_eyes = (
        Classifier(vit, runs=Torch(vit, vit.locate(), device)),
        Yolo(yolo, runs=network(yolo, device)),
    )
    found: dict[str, System] = {
        "naive: timm eager, then YOLO.predict": naive_,
        "ours: torch eager": Ensemble(*eager_eyes).screen,
        "nudenet: detect(array)": lambda frames: [nudenet.detect(frame) for frame in frames],
    }
    if device == "cpu":
        models = Classifier(vit, device="cpu"), Yolo(yolo, device="cpu")
        found["ours: ONNX Runtime"] = Ensemble(*models).screen
        threads = ThreadPoolExecutor(len(models))
        found["ours: ONNX Runtime, a thread each"] = lambda frames: list(
            threads.map(lambda e: e.screen(frames), models)
        )
    if compiled:
        models = tuple(
            kind(card, runs=Torch(card, card.locate(), device, compiled=True))
            for kind, card in ((Classifier, vit), (Yolo, yolo))
            if card.locate().suffix == ".safetensors"
        )
        found["ours: torch compiled"] = Ensemble(
            *models, *([] if len(models) == 2 else [Yolo(yolo, device="cpu")])
        ).screen
    return found


def spread(milliseconds: list[float]) -> dict[str, float]:
    """Percentiles and the minimum, in milliseconds a call."""
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99))
    return {
        key: round(float(v), 2) for key, v in {"p50": p50, "p95": p95, "p99": p99, "min": min(milliseconds)}.items()
    }


def latency(calls: dict[str, System], batch: int, repeats: int) -> dict[str, Any]:
    """Milliseconds a call, and pictures a second by the median."""
    frames = pictures(batch)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(-3, repeats):
        for name, call in calls.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            call(frames)  # findings are on the host, so the device is done
            if repeat >= 0:
                times[name].append((time.perf_counter() - start) * 1e3)
    rows = {
        name: {**spread(spent), "pictures/s": round(1e3 * batch / statistics.median(spent), 1)}
        for name, spent in times.items()
    }
    base = rows["naive: timm eager, then YOLO.predict"]["p50"]
    return {
        "batch": batch,
        "n": repeats,
        "ms a call": rows,
        "over naive": {k: round(v["p50"] / base, 3) for k, v in rows.items()},
    }


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    common = Box(max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1)).area
    return common / max(1, a.area + b.area - common)


def agreement(vit: ClassifierCard, yolo: DetectorCard, device: str, count: int = 64) -> dict[str, Any]:
    """Ours beside naive on the same pictures."""
    _, probabilities, detect = naive(vit, yolo, device)
    classifier, yours = Classifier(vit, device=device), Yolo(yolo, device="auto" if device == "cuda" else device)
    drift, matches, alone = 0.0, [], 0
    for frame in pictures(count):
        drift = max(drift, float(np.abs(classifier.probabilities([frame])[0] - probabilities(frame)).max()))
        (mine,) = yours.screen([frame])
        (theirs,) = detect([frame])
        for label, score, box in zip(theirs.boxes.cls, theirs.boxes.conf, theirs.boxes.xyxy, strict=True):
            if score > 0.3:
                name = list(yolo.labels)[int(label)].replace(" ", "_")
                same = [d for d in mine if d.label == name and overlap(d.box, Box(*map(round, box.tolist()))) > 0.8]
                matches += [abs(same[0].score - float(score))] if same else []
                alone += not same
    return {
        "pictures": count,
        "largest difference of a probability": drift,
        "detections of naive with a match": f"{len(matches)} of {len(matches) + alone}",
        "median score difference of matches": round(statistics.median(matches), 4) if matches else None,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", choices=("tiny", "base"), default="tiny")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--compiled", action="store_true", help="also torch.compile (CUDA graphs on CUDA)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    import torch

    vit, yolo = pair(options.pair, Path(os.environ["KIDSNANNY_HOME"]))
    calls = systems(vit, yolo, options.device, options.compiled)
    chip = torch.cuda.get_device_name().lower().replace(" ", "-") if options.device == "cuda" else hardware()
    result = {
        "hardware": chip,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "timm", "ultralytics", "onnxruntime", "nudenet")},
        "models": [vit.architecture, yolo.architecture, "the ViT's weights are random"],
        "agreement of ours with naive": agreement(vit, yolo, options.device),
        "latency": [],
    }
    for batch in options.batches:
        row = latency(calls, batch, max(3, options.repeats // batch) if options.device == "cpu" else options.repeats)
        print(json.dumps(row), file=sys.stderr)
        result["latency"].append(row)  # type: ignore[attr-defined]
    target = options.out / f"stage1_latency-{options.pair}-{chip}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result["agreement of ours with naive"]), target)


if __name__ == "__main__":
    main()
