"""How many ordinary pictures are held back, and why.

    pip install '.[eval]'
    python benchmarks/ordinary.py FOLDER [FOLDER ...] [--policy NAME] [--html FILE]

Each FOLDER, with everything below it, is one set of pictures that nobody should hold back. A cause counts once for a
picture that it holds back: a category and the channel that scored it, or what could not be inspected. With `--html`,
the pictures held back, worst first, as mosaics in one page.

Writes `benchmarks/results/ordinary-HARDWARE.json`, and no name of a picture into it.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from hardware import hardware
from PIL import Image
from rich.progress import track

from kidsnanny import Pipeline, Verdict, __version__
from kidsnanny.evaluation.metrics import Proportion
from kidsnanny.reports.verdict_report import VerdictReport

MOST_SHOWN = 40
Image.init()


def causes(verdict: Verdict) -> set[str]:
    """Why a verdict is not `safe`."""
    scored = {f"{reason.category} in the {reason.channel}" for reason in verdict.reasons if reason.lowered is None}
    missed = {re.sub(r"[\d.,]+ ?%?|: .*", "…", one.reason) for one in verdict.not_inspected}
    return scored | missed


def severity(verdict: Verdict) -> tuple[bool, float]:
    """The worst comes first when sorted in reverse."""
    return verdict.label == "unsafe", max(verdict.scores.values(), default=0)


def share(count: int, total: int) -> dict[str, Any]:
    """With Wilson's interval."""
    found = Proportion.of(count, total)
    low, high = found.wilson or (0.0, 1.0)
    return {"share": round(count / total, 4), "interval_95": [round(low, 4), round(high, 4)], "pictures": count}


def main() -> None:
    """Check every picture, count, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--policy", default="preteen")
    parser.add_argument("--html", type=Path, help="the pictures held back, as mosaics")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/ordinary-HARDWARE.json")
    options = parser.parse_args()
    sets: dict[str, Any] = {}
    held: list[tuple[Path, Verdict]] = []
    models: list[str] = []
    with Pipeline(policy=options.policy) as pipeline:
        for folder in options.folder:
            suffixes = Image.registered_extensions()
            pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
            if not pictures:
                parser.error(f"{folder}: no picture is in it; name a folder of pictures.")
            labels: Counter[str] = Counter()
            why: Counter[str] = Counter()
            for path, verdict in zip(
                pictures, track(pipeline.stream(pictures), folder.name, len(pictures)), strict=True
            ):
                labels[verdict.label] += 1
                if verdict.label != "safe":
                    why.update(causes(verdict))
                    held.append((path, verdict))
                if not models:
                    models = sorted({str(model) for of_part in verdict.provenance.models.values() for model in of_part})
            sets[folder.name] = {
                "pictures": len(pictures),
                "held_back": share(len(pictures) - labels["safe"], len(pictures)),
                "unsafe": share(labels["unsafe"], len(pictures)),
                "causes": {cause: share(count, len(pictures)) for cause, count in why.most_common()},
            }
    result = {
        "hardware": hardware(),
        "version": __version__,
        "policy": options.policy,
        "models": models,
        "sets": sets,
    }
    if options.html:
        with VerdictReport(options.html) as report:
            for path, verdict in sorted(held, key=lambda one: severity(one[1]), reverse=True)[:MOST_SHOWN]:
                report.add(path, verdict)
    out = options.out or Path(__file__).parent / "results" / f"ordinary-{hardware()}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
