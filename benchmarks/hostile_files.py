"""300 hostile files through the command line, a pipeline, and eight threads: how long and how much memory at worst.

    python benchmarks/hostile_files.py --files 300 --seed 0

Each file has its own process in the first way (`kidsnanny check --jsonl`), whose start and models are in its figures.
In threads, waiting for another thread's large picture is not counted, as it is not in the budget.
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from hardware import hardware
from hostile_kinds import KINDS, hostile

from kidsnanny import Pipeline, budget
from kidsnanny.media import gate

BUDGET = budget.SECONDS
LIMIT_S = 1.5 * BUDGET
LIMIT_MB = 1_200
GIVE_UP_S = 12 * BUDGET
"""When a process is ended, as over the limit."""
SPAWN = multiprocessing.get_context("spawn")
Outcome = tuple[float, str]
"""Seconds, and the label, or what happened instead."""


def write(folder: Path, files: int, seed: int, only: tuple[str, ...]) -> None:
    """Generate the files, or those whose names begin so."""
    for name, data in hostile(files, seed):
        if not only or name.startswith(only):
            Path(folder, name).write_bytes(data)


def checked(path: Path) -> tuple[float, int, str]:
    """Seconds, peak megabytes and label of one `kidsnanny check --jsonl`."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "kidsnanny", "check", "--jsonl", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    timer = threading.Timer(GIVE_UP_S, process.kill)
    timer.start()
    assert process.stdout
    lines = process.stdout.read().splitlines()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    timer.cancel()
    label = json.loads(lines[0])["label"] if lines else "no verdict"
    return time.perf_counter() - start, usage.ru_maxrss // 1024, label


def in_process(paths: Sequence[Path], threads: int) -> tuple[list[Outcome], int]:
    """Outcomes in order, and the peak of the process in megabytes."""
    receiver, sender = multiprocessing.Pipe(False)
    process = SPAWN.Process(target=_worker, args=(paths, threads, sender))
    process.start()
    outcomes: list[Outcome] = receiver.recv()
    peak: int = receiver.recv()
    process.join()
    return outcomes, peak


def _worker(paths: Sequence[Path], threads: int, sender: "multiprocessing.connection.Connection") -> None:
    pipeline, waited = Pipeline().warm_up(), threading.local()

    @contextmanager
    def counted() -> Iterator[None]:
        start = time.perf_counter()
        with budget.waiting():
            yield
        waited.seconds = getattr(waited, "seconds", 0.0) + time.perf_counter() - start

    gate.waiting = counted

    def one(path: Path) -> Outcome:
        waited.seconds, start = 0.0, time.perf_counter()
        try:
            label: str = pipeline(path).label
        except Exception as error:
            label = f"{type(error).__name__}: {error}"
        return time.perf_counter() - start - waited.seconds, label

    run: Callable[..., Iterator[Outcome]] = map
    if threads > 1:
        run = ThreadPoolExecutor(threads).map
    sender.send(list(run(one, paths)))
    sender.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Generate, check, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="kinds, or beginnings of their names")
    parser.add_argument("--ways", nargs="*", default=["check", "pipeline", "threads"])
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/hostile_files-HARDWARE.json")
    options = parser.parse_args()
    longest: dict[str, dict[str, float]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    peaks: dict[str, int] = {}
    over: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        # In another process: a new process starts with its parent's peak as its own.
        writer = SPAWN.Process(target=write, args=(Path(folder), options.files, options.seed, tuple(options.only)))
        writer.start()
        writer.join()
        paths = sorted(Path(folder).iterdir())
        for path in paths:
            counts[path.name.rpartition("-")[0]] += 1

        def note(way: str, path: Path, seconds: float, label: str, megabytes: int = 0) -> None:
            kind = path.name.rpartition("-")[0]
            longest[kind][way] = round(max(seconds, longest[kind].get(way, 0.0)), 2)
            peaks[way] = max(megabytes, peaks.get(way, 0))
            if seconds > LIMIT_S or megabytes > LIMIT_MB or label not in ("safe", "review", "unsafe"):
                over.append(f"{way} {path.name}: {seconds:.1f} s, {megabytes} MB, {label}")
                print(over[-1], flush=True)

        if "check" in options.ways:
            for path in paths:
                seconds, megabytes, label = checked(path)
                note("check", path, seconds, label, megabytes)
        for way, threads in (("pipeline", 1), ("threads", 8)):
            if way in options.ways:
                outcomes, peak = in_process(paths, threads)
                for path, (seconds, label) in zip(paths, outcomes, strict=True):
                    note(way, path, seconds, label)
                peaks[way] = peak
                if peak > LIMIT_MB:
                    over.append(f"{way}: {peak} MB")
    result = {
        "hardware": hardware(),
        "files": len(paths),
        "kinds": len(counts),
        "of": len(KINDS),
        "seed": options.seed,
        "budget_s": BUDGET,
        "limit_s": LIMIT_S,
        "limit_mb": LIMIT_MB,
        "peak_mb": peaks,
        "by_kind": {kind: {"files": counts[kind], "longest_s": longest[kind]} for kind in sorted(counts)},
        "over": over,
    }
    out = options.out or Path(__file__).parent / "results" / f"hostile_files-{hardware()}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))
    raise SystemExit(bool(over))


if __name__ == "__main__":
    main()
