"""Measures the shipped text model: `python benchmarks/text_model.py --data DIR` (the text data; `train` extra).

The development set (`eval_openai_moderation_dev`) is only scored: never trained or calibrated on, but looked at between
versions.
The held-out part is what the trainer set aside (files' own test splits, 5 % of the other rows, 10 % of our templates,
and whole groups of our templates). It was looked at between versions too.
Writes `benchmarks/results/text_model-<hardware>.json` and a short table beside it.
"""

import argparse
import csv
import gzip
import json
import os
import platform
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from kidsnanny.stage2.text_model import TextModel
from kidsnanny.training.text import rows as text_rows

HERE = Path(__file__).parent
DEV = "eval_openai_moderation_dev.csv.gz"
BASELINE = {
    "sexual": "0.61-0.70",
    "hate": "0.61-0.67",
    "harassment": "0.39-0.40",
    "violence": "0.25-0.28",
    "self_harm": "0.44-0.49",
}
"""n-gram logistic regression, tiers A and AB, as published in the data's BASELINES.md (766 rows; not re-run)."""
LANGUAGES = ("de", "fr", "es", "it", "pt", "nl")
Floats = npt.NDArray[np.float32]


def interval(measure: Callable[[npt.NDArray[np.int64]], float], n: int, rounds: int = 1_000) -> list[float]:
    """95 % bootstrap interval of `measure(row indices)`."""
    rng = np.random.default_rng(0)
    values = [measure(rng.integers(0, n, n)) for _ in range(rounds)]
    return [round(float(v), 3) for v in np.nanquantile(values, [0.025, 0.975])]


def auprc(truth: npt.NDArray[np.int64], scores: Floats) -> float:
    return float(average_precision_score(truth, scores)) if truth.any() else float("nan")


def ece(truth: npt.NDArray[np.int64], scores: Floats, bins: int = 10) -> float:
    """Expected calibration error: mean gap of score and share of positives, over equal-width bins."""
    which = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs(scores[which == b].mean() - truth[which == b].mean()) * (which == b).mean() for b in set(which)]
    return float(sum(gaps))


def ranking(truth: npt.NDArray[np.int64], scores: Floats) -> dict[str, Any]:
    """AUPRC with its interval, ECE, and precision, recall and false-alarm rate at the default thresholds."""
    out: dict[str, Any] = {
        "positives": int(truth.sum()),
        "labelled": len(truth),
        "auprc": round(auprc(truth, scores), 3),
        "auprc_95": interval(lambda i: auprc(truth[i], scores[i]), len(truth), 500 if len(truth) < 5_000 else 50),
        "ece": round(ece(truth, scores), 3),
    }
    for at in (0.5, 0.8):
        hit = scores >= at
        out[f"at_{at}"] = {
            "precision": round(float(truth[hit].mean()), 3) if hit.any() else None,
            "recall": round(float(hit[truth == 1].mean()), 3),
            "false_alarms": round(float(hit[truth == 0].mean()), 4) if (truth == 0).any() else None,
        }
    return out


def on_dev(model: TextModel, data: Path) -> dict[str, Any]:
    with gzip.open(data / DEV, "rt", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    scores = model.score([row["text"] for row in rows])
    out: dict[str, Any] = {}
    for k, category in enumerate(model.card.categories):
        if category in BASELINE:
            known = [i for i, row in enumerate(rows) if row[category] in ("0", "1")]
            truth = np.array([int(rows[i][category]) for i in known])
            out[category] = ranking(truth, scores[known, k]) | {"published_n_gram_baseline": BASELINE[category]}
    return out


def on_held_out(model: TextModel, data: Path, seed: int) -> dict[str, Any]:
    """Ranking per category, false alarms of harmless rows per source and category; our whole groups and the pages."""
    everything = [row for row in text_rows.read_rows(data, seed)[0] if row.part == "held_out" and row.foreign != 1]
    kept = {group["name"] for group in text_rows.load_lines()[1] if group.get("part") == "held_out"}
    apart = {*kept, text_rows.PAGE}
    rows = [row for row in everything if row.group not in apart]
    scores = model.score([row.text for row in rows])
    labels = np.array([row.labels for row in rows])
    source = np.array([row.source for row in rows])
    public = source != text_rows.SYNTHETIC
    harmless = ~labels.any(axis=1)
    out: dict[str, Any] = {"public": {}, "our_templates": {}, "false_alarms": {}, "false_alarms_per_source": {}}
    for k, category in enumerate(model.card.categories):
        for name, which in (("public", public), ("our_templates", ~public)):
            known = which & (labels[:, k] >= 0)
            if (labels[known, k] == 1).any():
                out[name][category] = ranking(labels[known, k], scores[known, k])
        out["false_alarms"][category] = {
            str(at): round(float((scores[harmless, k] >= at).mean()), 5) for at in (0.5, 0.8)
        }
    for name in ("any category", *sorted(set(source[harmless]))):
        mine = harmless if name == "any category" else harmless & (source == name)
        top = scores[mine].max(axis=1)
        out["false_alarms_per_source"][name] = {"rows": int(mine.sum())} | {
            str(at): round(float((top >= at).mean()), 5) for at in (0.5, 0.8)
        }
    out["whole_groups"] = {}
    for name, around in [
        *((name, "") for name in sorted(apart)),
        *((name, " among harmless lines") for name in sorted(kept)),
    ]:
        mine = [row for row in everything if row.group == name]
        if name != text_rows.PAGE:
            mine = [row for row in mine if ("\n" in row.text) == bool(around)]
        scored = model.score([row.text for row in mine])
        wanted = [k for k, label in enumerate(mine[0].labels) if label == 1]
        top = scored[:, wanted or slice(None)].max(axis=1)
        loudest = np.array(model.card.categories)[scored.argmax(axis=1)]
        out["whole_groups"][name + around] = {
            "rows": len(mine),
            "harm": bool(wanted),
            "0.5": round(float((top >= 0.5).mean()), 3),
            "0.8": round(float((top >= 0.8).mean()), 3),
            "any_category_0.5": round(float((scored.max(axis=1) >= 0.5).mean()), 3),
            "loudest": {
                str(c): int(n)
                for c, n in zip(*np.unique(loudest[scored.max(axis=1) >= 0.5], return_counts=True), strict=True)
            },
        }
    return out


def on_language(model: TextModel, data: Path, seed: int) -> dict[str, Any]:
    """False alarms on held-out English, recall on held-out other languages, among texts long enough to be judged."""
    texts: dict[str, list[str]] = {}
    for path in sorted(data.glob("*.csv.gz")):
        if path.name.startswith(text_rows.VALIDATION_ONLY):
            continue
        with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                part = "held_out" if row["split"] == "test" else text_rows.part_of(row["text"])
                if part == "held_out" and row["split"] != "lexicon":
                    texts.setdefault(row["lang"], []).append(row["text"])
    noise = [row.text for row in text_rows.noise_rows(2_000, random.Random(seed + 1))]
    ours = [row.text for row in text_rows.synthetic_rows(seed) if row.part == "held_out"]
    out: dict[str, Any] = {}
    for name, sample in (("en", texts.get("en", [])), ("our lines", ours), ("OCR noise", noise)):
        share = [model.unknown_language(text) is not None for text in sample]
        out[f"false alarms, {name}"] = {"texts": len(sample), "share": round(float(np.mean(share)), 5)}
    for lang in LANGUAGES:
        long = [text for text in texts.get(lang, []) if len(text.split()) >= 4 and sum(map(str.isalpha, text)) >= 20]
        if long:
            share = [model.unknown_language(text) is not None for text in long]
            out[f"recall, {lang}"] = {"texts": len(long), "share": round(float(np.mean(share)), 3)}
    return out


def on_speed(folder: Path) -> dict[str, Any]:
    def best(run: Callable[[], object], rounds: int) -> float:
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1_000)
        return round(float(np.median(times)), 2)

    model = TextModel.load(folder)
    page = " ".join(["The quick brown fox reads the opening hours of the bakery on Monday."] * 20)[:1_000]
    return {
        "model_npz_bytes": (folder / "model.npz").stat().st_size,
        "load_ms_median_of_9": best(lambda: TextModel.load(folder), 9),
        "score_1000_characters_ms_median_of_50": best(lambda: model.score([page]), 50),
        "score_30_characters_ms_median_of_50": best(lambda: model.score(["see you at the bus stop at five"]), 50),
    }


def hardware() -> str:
    """e.g. `2core-epyc`: cores this process may use, and the processor's family."""
    name = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        name = found[1]
    words = [
        w
        for w in re.findall(r"[a-z]+", name.lower())
        if w not in ("amd", "intel", "r", "tm", "cpu", "core", "processor")
    ]
    return f"{len(os.sched_getaffinity(0))}core-{words[0] if words else 'unknown'}"


def table(result: dict[str, Any]) -> str:
    """The figures a reader asks for first."""
    lines = [
        f"# Text model on {result['hardware']}",
        "",
        "Made by `benchmarks/text_model.py`; all figures in the .json beside it.",
        "The development and held-out figures were looked at between versions, and our held-out lines have the same "
        "authors as our training lines: expect less on pictures from elsewhere.",
        "",
    ]
    lines += [
        "## Development set (OpenAI moderation, validation half; never trained on, but looked at)",
        "",
    ]
    lines += [
        "| category | positives / labelled | AUPRC [95 %] | n-gram baseline (published with the data) "
        "| P / R / false alarms at 0.5 | at 0.8 | ECE |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, row in result["dev"].items():
        low, high = row["auprc_95"]
        cells = " | ".join(
            f"{row[at]['precision']} / {row[at]['recall']} / {row[at]['false_alarms']}" for at in ("at_0.5", "at_0.8")
        )
        lines.append(
            f"| {name} | {row['positives']} / {row['labelled']} | {row['auprc']} [{low}, {high}] "
            f"| {row['published_n_gram_baseline']} | {cells} | {row['ece']} |"
        )
    for key, title in (("public", "Held-out public rows"), ("our_templates", "Held-out lines from our own templates")):
        lines += [
            "",
            f"## {title}",
            "",
            "Same sources as the training rows: this overstates; read it for regressions.",
            "",
        ]
        lines += [
            "| category | positives / labelled | AUPRC | recall at 0.5 | at 0.8 | false alarms at 0.5 |",
            "|---|---|---|---|---|---|",
        ]
        for name, row in result["held_out"][key].items():
            a, b = row["at_0.5"], row["at_0.8"]
            lines.append(
                f"| {name} | {row['positives']} / {row['labelled']} | {row['auprc']} "
                f"| {a['recall']} | {b['recall']} | {a['false_alarms']} |"
            )
    lines += [
        "",
        "## Our templates kept apart as whole groups, and harmless pages of 60 to 150 words",
        "",
        "For a group of harm: recall in its category. For a harmless one: share of texts that alarm in any category.",
        "Pages are put together from held-out harmless lines, public and ours.",
        "",
        "| group | texts | ≥ 0.5 | ≥ 0.8 | which categories alarm at 0.5 |",
        "|---|---|---|---|---|",
    ]
    for name, row in result["held_out"]["whole_groups"].items():
        loud = ", ".join(f"{category} {count}" for category, count in row["loudest"].items())
        kind = "recall" if row["harm"] else "false alarms"
        lines.append(f"| {name} ({kind}) | {row['rows']} | {row['0.5']} | {row['0.8']} | {loud} |")
    lines += [
        "",
        "## False alarms on held-out harmless English text",
        "",
        "| source | rows | any category ≥ 0.5 | ≥ 0.8 |",
        "|---|---|---|---|",
    ]
    for name, row in result["held_out"]["false_alarms_per_source"].items():
        lines.append(f"| {name} | {row['rows']} | {row['0.5']:.4f} | {row['0.8']:.4f} |")
    lines += ["", "| category | ≥ 0.5 | ≥ 0.8 |", "|---|---|---|"]
    lines += [
        f"| {name} | {row['0.5']:.4f} | {row['0.8']:.4f} |" for name, row in result["held_out"]["false_alarms"].items()
    ]
    lines += ["", "## Language head", "", "| what | texts | share called not English |", "|---|---|---|"]
    lines += [f"| {name} | {row['texts']} | {row['share']} |" for name, row in result["language"].items()]
    lines += ["", "## Cost", "", *(f"- {name}: {value}" for name, value in result["cost"].items()), ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the text data")
    parser.add_argument("--model", type=Path, default=HERE.parent / "weights" / "text_model")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    model = TextModel.load(args.model)
    result = {
        "hardware": hardware(),
        "model": {"version": model.card.version, "sha256": model.card.sha256, "seed": model.card.seed},
        "dev": on_dev(model, args.data),
        "held_out": on_held_out(model, args.data, model.card.seed),
        "language": on_language(model, args.data, model.card.seed),
        "cost": on_speed(args.model),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"text_model-{result['hardware']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(result), encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
