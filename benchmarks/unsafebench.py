"""The KidsNanny paper's protocol on UnsafeBench Sexual, and a rehearsal of it on drawings.

    pip install '.[eval]'
    python benchmarks/unsafebench.py unsafebench/ --out run                    # you have the gated data: 1,054 pictures
    pip install '.[eval,vit]' && python benchmarks/unsafebench.py --rehearse --out run

The first is `kidsnanny eval` with the paper's choices; its report and summary go to `run`, its figures are yours. The
rehearsal draws 1,054 pictures with UnsafeBench's columns (683 unsafe, a third with text, a tenth broken), runs
`embedded` in both regimes, NudeNet and a tiny ShieldGemma-2 of random weights, is killed on the way (SIGKILL), goes on,
and compares the summary with that of a run that was left alone. Then it times the harness against the bare pipeline,
both with the loading of the models. No figure of accuracy that comes out of it means anything.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hardware import hardware

PAPER = ["--category", "Sexual", "--regime", "vision-only,multimodal", "--authority", "asymmetric,judge"]
PICTURES = 1_054
BASELINES = "freepik,adamcodd,falconsai,nudenet,nudenet-path,shieldgemma2,llavaguard"


def command(data: Path, out: Path, *options: str) -> list[str]:
    """`kidsnanny eval` with the paper's choices."""
    return [sys.executable, "-m", "kidsnanny", "eval", "--data", str(data), "--out", str(out), *PAPER, *options]


def summary(out: Path) -> Any:
    """What must not depend on when the run was made."""
    return {k: v for k, v in json.loads((out / "summary.json").read_text("utf-8")).items() if k not in _OF_THE_RUN}


_OF_THE_RUN = ("made_with", "timings")


def lines(out: Path) -> int:
    """Predictions written so far."""
    return sum(len(file.read_bytes().splitlines()) for file in (out / "predictions").glob("*.jsonl"))


def rehearse(out: Path) -> dict[str, Any]:
    """Killed and resumed against left alone."""
    from kidsnanny.evaluation.generated import write
    from kidsnanny.evaluation.tiny_vlm import shieldgemma2

    out.mkdir(parents=True, exist_ok=True)
    data = write(out / "generated.parquet", PICTURES)
    model = shieldgemma2(out / "shieldgemma2")
    options = ["--expect", str(PICTURES), "--systems", "embedded,nudenet,shieldgemma2"]
    options += ["--folder", f"shieldgemma2={model}"]
    start = time.perf_counter()
    subprocess.run(command(data, out / "whole", *options), check=True)
    seconds = time.perf_counter() - start
    all_lines = lines(out / "whole")
    killed = subprocess.Popen(command(data, out / "killed", *options), stdout=subprocess.DEVNULL)
    while killed.poll() is None and lines(out / "killed") < 0.4 * all_lines:  # in the middle of a system
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    left = lines(out / "killed")
    subprocess.run(command(data, out / "killed", *options), check=True, stdout=subprocess.DEVNULL)
    return {
        "pictures": PICTURES,
        "lines": all_lines,
        "killed after lines": left,
        "resumed summary is the same": summary(out / "whole") == summary(out / "killed"),
        "seconds": round(seconds),
        "report bytes": (out / "whole" / "report.html").stat().st_size,
    }


def overhead(data: Path, pictures: int, repeats: int) -> dict[str, Any]:
    """CPU time of `evaluate` over that of the same pipeline on the same pictures without it, in turns."""
    import tempfile

    from kidsnanny import Pipeline
    from kidsnanny.evaluation.datasets import open_dataset, read_contents
    from kidsnanny.evaluation.run import evaluate
    from kidsnanny.evaluation.systems.system import Options
    from kidsnanny.policy import Policy

    dataset = open_dataset(data, categories=("Sexual",), limit=pictures)
    contents = read_contents(dataset)
    policy = Policy.load("preteen")
    ratios = []
    for repeat in range(-1, repeats):
        start = time.process_time()
        for _ in Pipeline(policy=policy).stream(example.image for example in dataset):
            pass
        bare = time.process_time() - start
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            evaluate(
                dataset, contents, ["embedded"], Options(categories=("Sexual",), policy=policy), Path(folder) / "x"
            )
            ours = time.process_time() - start
        if repeat >= 0:
            ratios.append(round(ours / bare, 4))
    return {"pictures": pictures, "ratios": ratios, "median": statistics.median(ratios), "n": repeats}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("data", type=Path, nargs="?", help="UnsafeBench; further options are those of `kidsnanny eval`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--systems", default=f"standard,embedded,{BASELINES}")
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=DIR", help="as of `kidsnanny eval`")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--overhead-pictures", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options, more = parser.parse_known_args()
    if not options.rehearse:
        if not options.data:
            parser.error("name the folder of UnsafeBench, or --rehearse")
        paper = ["--expect", str(PICTURES), "--repeat", "--latency", "100", "--systems", options.systems, *more]
        paper += [word for folder in options.folder for word in ("--folder", folder)]
        run = command(options.data, options.out, *paper)
        os.execv(run[0], run)
    result = {"hardware": hardware(), "rehearsal": rehearse(options.out)}
    data = options.out / "generated.parquet"
    result["harness over bare pipeline, CPU time"] = overhead(data, options.overhead_pictures, options.repeats)
    target = options.results / f"unsafebench_rehearsal-{hardware()}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result), target)


if __name__ == "__main__":
    main()
