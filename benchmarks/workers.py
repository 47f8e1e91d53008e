"""How many pictures `kidsnanny check` looks at in a second, and how much memory it takes, by its number of processes.

    python benchmarks/workers.py FOLDER [FOLDER ...] [--pictures 240] [--workers 1,2] [--turns 4]

Each turn runs the command once with each number of processes, every other turn in the reverse order, so that whatever
else the machine does falls on all of them. The time is that of the whole command, loading the models included. Memory
is the largest sum over all its processes at one moment, what they share counted once (Linux only).

Writes `benchmarks/results/workers-HARDWARE.json`, and no name of a picture into it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from hardware import hardware

from kidsnanny import __version__
from kidsnanny.media.walk import is_media, walk

ROOT = Path(__file__).resolve().parent.parent


class Run(NamedTuple):
    seconds: float
    megabytes: float
    largest: float
    """Of the largest process, in megabytes."""


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    return [pid, *(one for child in children for one in tree(int(child)))]


def memory(pid: int) -> list[float]:
    """Megabytes of each process, a page that several share divided among them."""
    found = []
    for one in tree(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text("utf-8").splitlines()
        found.append(next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024)
    return found


def run(files: list[Path], workers: int) -> Run:
    """The command on these files."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "kidsnanny", "check", "--jsonl", "--workers", str(workers), *map(str, files)]
    total = largest = 0.0
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, env=environment)
        while process.poll() is None:
            try:
                now = memory(process.pid)
                total, largest = max(total, sum(now)), max(largest, *now)
            except OSError:  # one has just ended
                pass
            time.sleep(0.1)
        seconds = time.perf_counter() - begun
        output.seek(0)
        assert output.read().count(b"\n") == len(files)
    return Run(seconds, total, largest)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--pictures", type=int, default=240, help="how many of them, evenly spread")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/workers-HARDWARE.json")
    options = parser.parse_args()
    files = [file for folder in options.folder for file in walk(folder)[0] if is_media(file)]
    files = [files[int(n * len(files) / options.pictures)] for n in range(min(options.pictures, len(files)))]
    counts = [int(count) for count in options.workers.split(",")]
    runs: dict[int, list[Run]] = {count: [] for count in counts}
    for turn in range(options.turns):
        for count in counts if turn % 2 == 0 else counts[::-1]:
            runs[count].append(run(files, count))
            print(count, runs[count][-1], flush=True)
    first = [one.seconds for one in runs[counts[0]]]
    result = {
        "kidsnanny": __version__,
        "pictures": len(files),
        "turns": options.turns,
        "by_workers": {
            str(count): {
                "pictures_a_second": [round(len(files) / one.seconds, 3) for one in of_count],
                "times_as_fast_as_the_first": round(
                    statistics.median(a / b.seconds for a, b in zip(first, of_count, strict=True)), 3
                ),
                "megabytes_of_all_processes": round(max(one.megabytes for one in of_count)),
                "megabytes_of_the_largest": round(max(one.largest for one in of_count)),
            }
            for count, of_count in runs.items()
        },
    }
    out = options.out or ROOT / "benchmarks" / "results" / f"workers-{hardware()}.json"
    out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
