"""What an audit costs: from cached embeddings to the written card, and an embedding that is killed and goes on.

    pip install '.[audit,probe]'
    python benchmarks/datasheet_audit.py --photographs photos/

First, rows of random numbers for 100,000 pictures that do not exist, of 768 numbers each, in 1,000 classes, without
captions and with captions of ten drawn words each, are audited in a process of its own: the rows say nothing, and only
the time is of interest. The pictures that the card shows are the photographs.

Second, a probe is trained on photographs against drawn scenes, only to have one, and `kidsnanny audit` looks at 1,000
photographs (of fewer, parts are cut out until these are as many). It is killed with SIGKILL when half of them are
embedded, and started again.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from hardware import hardware
from PIL import Image

from kidsnanny.models.cards import ProbeCard, make_card
from kidsnanny.probes.datasheet.audited_pictures import AuditedPicture
from kidsnanny.probes.datasheet.datasheet_scores import AuditEntry
from kidsnanny.probes.datasheet.picture_sources import PictureSource
from kidsnanny.probes.embedding_cache import BATCH, KEY, EmbeddingCache
from kidsnanny.probes.probe_files import LoadedProbe
from kidsnanny.probes.q16 import Q16
from kidsnanny.records import ModelId
from kidsnanny.training.student.scenes import scene

ENCODER = "image-safety-s-hidden"
WIDTH, CLASSES, WORDS = 768, 1_000, 20_000
RANDOM = ModelId(name="rows-of-random-numbers", caveat="random")


def photographs_in(folder: Path) -> list[Path]:
    """The JPEG, PNG and WebP files below a folder."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})


def entries(count: int, captions: bool) -> Iterator[AuditEntry]:
    """So many pictures that do not exist; common words are in more captions than rare ones."""
    shares = 1 / np.arange(1, WORDS + 1)
    drawn = np.random.default_rng(0).choice(WORDS, (count if captions else 0, 10), p=shares / shares.sum()).tolist()
    for n in range(count):
        caption = " ".join(f"word{word}" for word in drawn[n]) if captions else ""
        sha256 = hashlib.sha256(str(n).encode()).hexdigest()
        yield AuditEntry(f"{n:07}.jpg", f"class {n % CLASSES}", caption, sha256)


def fill(folder: Path, count: int) -> None:
    """Write the rows of these pictures as a cache has them, without the detour over 100,000 calls."""
    EmbeddingCache(folder, RANDOM, WIDTH)
    draw = np.random.default_rng(0)
    with (folder / "rows.f32").open("wb") as rows:
        for start in range(0, count, 10_000):
            rows.write(draw.standard_normal((min(10_000, count - start), WIDTH), np.float32).tobytes())
    keys = np.zeros(count, KEY)
    keys["frames"] = 1
    keys["sha256"] = [np.void(hashlib.sha256(str(n).encode()).digest()) for n in range(count)]
    keys.tofile(folder / "keys.bin")


def score(folder: Path, count: int, captions: bool, photographs: list[Path]) -> dict[str, Any]:
    """Audit the rows in a folder; in the process that is timed."""
    held = list(entries(count, captions))
    pictures = {one.name: photographs[n % len(photographs)] for n, one in enumerate(held)}
    source = PictureSource("random", "rows", lambda: (AuditedPicture(n, p) for n, p in pictures.items()))
    fields = {"role": "probe", "what": "-", "licence": "-", "path": "x.safetensors", "files": {"x.safetensors": {}}}
    card = make_card("random", fields | {"kind": "q16", "encoder": "-", "labels": {"fine": {}, "inappropriate": {}}})
    assert isinstance(card, ProbeCard)
    prompts = np.random.default_rng(1).standard_normal((2, WIDTH))
    probe = LoadedProbe(card, Q16(prompts), RANDOM)
    begin, used = time.perf_counter(), time.process_time()
    from kidsnanny.probes.datasheet.audit_dataset import card_from_cache

    imported = time.perf_counter()
    cache = EmbeddingCache(folder, RANDOM, WIDTH)
    opened = time.perf_counter()
    sheet, written = card_from_cache(held, probe, cache, folder, source=source)
    end = time.perf_counter()
    return {
        "pictures": count,
        "width": WIDTH,
        "classes": len(sheet.classes),
        "captions": sheet.captions,
        "flagged": sheet.flagged.argmax.successes,
        "at the threshold": sheet.flagged.at_threshold.successes,
        "page bytes": written.page.stat().st_size,
        "seconds": {
            "import": round(imported - begin, 2),
            "open the cache": round(opened - imported, 2),
            "score and write the card": round(end - opened, 2),
            "in all": round(end - begin, 2),
            "of the processor, in all": round(time.process_time() - used, 2),
        },
    }


def in_a_process(arguments: list[str]) -> dict[str, Any]:
    """What this script prints when it is called so."""
    found: dict[str, Any] = json.loads(
        subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=-1).stdout
    )
    return found


def crops(photographs: list[Path], folder: Path, count: int) -> None:
    """So many different photographs, of which those beyond the first are parts of them."""
    folder.mkdir()
    draw = random.Random(0)
    for n in range(count):
        path = photographs[n % len(photographs)]
        target = folder / f"{n:04}{path.suffix.lower()}"
        if n < len(photographs):
            target.write_bytes(path.read_bytes())
            continue
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        left, top = (draw.randrange(side // 4) for side in image.size)
        image.crop((left, top, left + 3 * image.width // 4, top + 3 * image.height // 4)).save(target, quality=90)


def a_probe(photographs: list[Path], folder: Path) -> float:
    """Train one of photographs against drawn scenes. Returns how many seconds it took."""
    for n, path in enumerate(photographs[:60]):
        target = folder / "data" / "safe" / f"{n}{path.suffix.lower()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "data" / "drawn").mkdir()
    for n in range(60):
        Image.fromarray(scene(n).image).save(folder / "data" / "drawn" / f"{n}.png")
    command = ["train", "probe", "--data", str(folder / "data"), "--encoder", ENCODER, "--kind", "q16"]
    begin = time.perf_counter()
    subprocess.run([*KIDSNANNY, *command, "--out", str(folder / "probe")], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


KIDSNANNY = [sys.executable, "-m", "kidsnanny"]


def killed_and_resumed(photographs: list[Path], folder: Path, count: int) -> dict[str, Any]:
    """An audit of so many photographs, killed when half of them are embedded, and started again."""
    training = a_probe(photographs, folder)
    crops(photographs, folder / "photographs", count)
    out = folder / "card"
    command = [*KIDSNANNY, "audit", str(folder / "photographs"), "--probe", str(folder / "probe"), "--out", str(out)]
    begin = time.perf_counter()
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while embedded(out) < count // 2 and first.poll() is None:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL, "it ended before it was killed"
    killed, before = time.perf_counter() - begin, embedded(out)
    rows = (next((out / "embeddings").iterdir()) / "rows.f32").read_bytes()
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    resumed = time.perf_counter() - begin
    (cache,) = (out / "embeddings").iterdir()
    keys = np.fromfile(cache / "keys.bin", KEY)
    width = json.loads((cache / "encoder.json").read_bytes())["width"]
    assert (cache / "rows.f32").read_bytes()[: before * 4 * width] == rows[: before * 4 * width], "rows were changed"
    begin = time.perf_counter()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == done.returncode
    again = time.perf_counter() - begin
    sheet = json.loads((out / "datasheet.json").read_bytes())
    return {
        "encoder": sheet["encoder"],
        "photographs": count,
        "of them parts of others": max(0, count - len(photographs)),
        "embedded when it was killed": before,
        "rows in the cache after the second run": len(keys),
        "pictures in it, some of which have several frames": len(np.unique(keys["sha256"])),
        "rows in it twice": len(keys) - len(set(keys.tolist())),
        "embedded and lost, at most": BATCH,
        "not judged": len(sheet["not_judged"]),
        "exit code": done.returncode,
        "seconds": {
            "train the probe": round(training, 1),
            "until it was killed": round(killed, 1),
            "the rest, and the card": round(resumed, 1),
            "once more, with everything embedded": round(again, 1),
        },
    }


def embedded(out: Path) -> int:
    """How many rows are in the cache of an audit."""
    return sum(file.stat().st_size // KEY.itemsize for file in (out / "embeddings").glob("*/keys.bin"))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--score", type=Path, help="only audit the rows in this folder; the script calls itself so")
    parser.add_argument("--captions", action="store_true", help="with captions; likewise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    photographs = photographs_in(options.photographs)
    if options.score:
        print(json.dumps(score(options.score, options.rows, options.captions, photographs)))
        return
    chip = hardware()
    result: dict[str, Any] = {
        "hardware": chip,
        "load before": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in ("numpy", "onnxruntime", "wordcloud")},
        "rows": "random numbers: only the time is of interest",
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fill(folder / "cache", options.rows)
        same = [
            "--score",
            str(folder / "cache"),
            "--rows",
            str(options.rows),
            "--photographs",
            str(options.photographs),
        ]
        for name, more in (("without captions", []), ("with captions", ["--captions"])):
            result[name] = [in_a_process([*same, *more]) for _ in range(3)]
            print(name, json.dumps(result[name][-1]), file=sys.stderr)
        result["killed and resumed"] = killed_and_resumed(photographs, folder, options.count)
    target = options.out / f"datasheet_audit-{chip}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(target)


if __name__ == "__main__":
    main()
