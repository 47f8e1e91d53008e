"""How long pictures take in one version of kidsnanny beside another, in one run.

    git worktree add /tmp/before v0.5 && python benchmarks/paired_latency.py --before /tmp/before --pictures DIR

Each version has a process; they take turns on every picture, in random order. Prints and writes the median of the
ratios, with a 95 % interval by bootstrap over pictures, for the whole and for each stage.
"""

import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from hardware import hardware

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("decode", "stage1", "ocr", "text")
PAUSE = 0.02
"""Seconds before each call, so that the other process's threads, which may spin, have gone to sleep."""
ANSWER = struct.Struct(f"<{1 + len(STAGES)}d")
WORKER = f"""
import struct, sys, time
import kidsnanny
from kidsnanny import Pipeline
assert kidsnanny.__file__.startswith(sys.argv[1]), f"{{kidsnanny.__file__}} is not the version in {{sys.argv[1]}}"
pipeline, given = Pipeline().warm_up(), sys.stdin.buffer
while size := given.read(4):
    data = given.read(struct.unpack("<I", size)[0])
    start = time.perf_counter()
    timings = pipeline(data).timings
    times = [time.perf_counter() - start, *(timings.get(stage, 0) / 1e3 for stage in {STAGES})]
    sys.stdout.buffer.write(struct.pack("{ANSWER.format}", *times))
    sys.stdout.buffer.flush()
"""


def start(tree: Path) -> "subprocess.Popen[bytes]":
    """A process that answers the bytes of pictures with times."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-P", "-c", WORKER, str(tree)], stdin=pipe, stdout=pipe, env=environment)


def ask(process: "subprocess.Popen[bytes]", data: bytes) -> tuple[float, ...]:
    """Seconds of the whole and of each stage."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(struct.pack("<I", len(data)) + data)
    process.stdin.flush()
    return ANSWER.unpack(process.stdout.read(ANSWER.size))


def main() -> None:
    """Time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the source tree to compare this one with")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--most", type=int, default=100, help="how many of them")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/paired_latency-HARDWARE.json")
    options = parser.parse_args()
    rng = random.Random(0)
    files = sorted(path for path in options.pictures.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    files = files[:: max(1, len(files) // options.most)][: options.most]
    pictures = {path: path.read_bytes() for path in files}
    processes = [start(options.before.resolve()), start(ROOT)]
    for data in list(pictures.values())[:5] * 2:
        for process in processes:
            ask(process, data)
    times: dict[Path, tuple[list[tuple[float, ...]], ...]] = defaultdict(lambda: ([], []))
    for _ in range(options.repeats):
        for path in rng.sample(files, len(files)):
            for which in rng.sample((0, 1), 2):
                time.sleep(PAUSE)
                times[path][which].append(ask(processes[which], pictures[path]))
    for process in processes:
        process.kill()
    result: dict[str, object] = {"hardware": hardware(), "pictures": len(files), "repeats": options.repeats}
    for n, stage in enumerate(("whole", *STAGES)):
        before, now = ([statistics.median(one[n] for one in times[path][which]) for path in files] for which in (0, 1))
        ratios = [b / a for a, b in zip(before, now, strict=True) if a]
        medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(1_000))
        result[stage] = {
            "before_ms": round(1e3 * statistics.mean(before), 2),
            "now_ms": round(1e3 * statistics.mean(now), 2),
            "median_ratio": round(statistics.median(ratios), 4),
            "interval_95": [round(medians[25], 4), round(medians[974], 4)],
        }
    out = options.out or ROOT / "benchmarks/results" / f"paired_latency-{hardware()}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
