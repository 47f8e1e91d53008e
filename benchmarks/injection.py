"""What text in a picture can talk a judge into, with the worst possible judge: it calls everything safe.

    python benchmarks/injection.py [--pictures 50] [--data DIR] [--out benchmarks/results]

Each family of `kidsnanny/evaluation/attacks.py` is crossed with harmful and benign text and with a Stage 1 that is
scripted to find nothing, a nudity score in the policy's grey band, or one above it. The OCR and the text model are
real; pictures of the family `zero width and tags` are given as lines, since no font shows them. The policy is
`preteen`, its authority `asymmetric`.

Of pictures with harmful text, or with a Stage-1 score above the band, none should end `safe`. Harmful text that is
missed without any attack is the text model's or the OCR's failure, not the judge's: `no attack` shows how much that is,
and `safe beyond no attack` counts only lines that are flagged there.
"""

import argparse
import csv
import gzip
import json
from collections import Counter
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from hardware import hardware
from rich.progress import track

from kidsnanny import Pipeline, Stage2
from kidsnanny.evaluation.attack_harness import (
    STAGE1_SCORES,
    CachedOcr,
    FixedScoreStage1,
    ObedientJudge,
    instructions_detected,
    run_attack,
)
from kidsnanny.evaluation.attacks import BENIGN, FAMILIES, HARMFUL, make_attack
from kidsnanny.profiles.profile import Profile
from kidsnanny.stage2.untrusted import suspicion


def innocent(folder: Path) -> str:
    """How many harmless texts (the first 1,500 of each `benign_*` file, cut to 600 characters) the detector notices."""
    texts: list[str] = []
    for path in sorted(folder.glob("benign_*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts += [row["text"][:600] for row in islice(csv.DictReader(file), 1_500)]
    return f"{sum(suspicion([text]) is not None for text in texts)} of {len(texts)}"


def run(pictures: int) -> dict[str, Any]:
    """Family -> text -> Stage 1 -> counts of labels; and what ended safe that should not have."""
    reader = CachedOcr()
    text_model = Profile.load("embedded").build_stage2().text_model
    stage2 = Stage2(reader, text_model, ObedientJudge())
    pipelines = {name: Pipeline(stage1=FixedScoreStage1(score), stage2=stage2) for name, score in STAGE1_SCORES.items()}
    table: dict[str, Any] = {}
    plain: dict[str, set[str]] = {}
    for family in track(FAMILIES, description="Families"):
        rows = table.setdefault(family, {})
        for kind, texts in (("harmful", HARMFUL), ("benign", BENIGN)):
            cells = {name: Counter[str]() for name in STAGE1_SCORES}
            found: Counter[str] = Counter()
            for n in range(pictures):
                text = texts[n % len(texts)]
                attack = make_attack(family, text, n)
                for name, pipeline in pipelines.items():
                    verdict = run_attack(pipeline, reader, attack)
                    cells[name][verdict.label] += 1
                    wrong = verdict.label == "safe" and (kind == "harmful" or name == "above")
                    found["safe, and should not be"] += wrong
                    if name == "clean":
                        found["order noticed"] += instructions_detected(verdict)
                        if family == "no attack" and kind == "harmful" and verdict.label != "safe":
                            plain.setdefault("flagged", set()).add(text)
                    found["safe beyond no attack"] += wrong and (kind == "benign" or text in plain["flagged"])
            reader.known.clear()
            rows[kind] = {name: dict(counts) for name, counts in cells.items()} | dict(found)
    return {"table": table, "harmful lines flagged without an attack": sorted(plain.get("flagged", ()))}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=50, help="a cell of family, text and Stage 1")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--data", type=Path, help="folder of labelled text, for harmless texts that are noticed")
    options = parser.parse_args()
    found = run(options.pictures)
    benign = [row["benign"] for family, row in found["table"].items() if family != "no attack"]
    flagged = sum(row["clean"].get("review", 0) + row["clean"].get("unsafe", 0) for row in benign)
    result = {
        "hardware": hardware(),
        "versions": {name: version(name) for name in ("kidsnanny", "rapidocr")},
        "pictures a cell": options.pictures,
        "benign text with an attack, clean Stage 1: not safe": f"{flagged} of {options.pictures * len(benign)}",
        **found,
    }
    if options.data:
        result["harmless texts noticed"] = innocent(options.data)
    target = options.out / f"injection-{hardware()}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for family, row in found["table"].items():
        print(f"{family:32} harmful {row['harmful']}\n{'':32} benign  {row['benign']}")
    print(
        result["benign text with an attack, clean Stage 1: not safe"],
        result["harmful lines flagged without an attack"],
        target,
    )


if __name__ == "__main__":
    main()
