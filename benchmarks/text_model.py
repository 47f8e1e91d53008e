"""The text model beside other ways to score a text, in one run, on texts that none of them was trained on.

    python benchmarks/text_model.py --data DIR [--before NAME=TREE ...] [--model NAME=FOLDER ...] [--look "why"]
    python benchmarks/text_model.py --data DIR --cost

DIR is a folder of labelled text as `weights/README.md` describes it. Systems: the shipped model; each `--model`, a
folder of another text encoder; the text model in another version's source tree, the first of which is what gains are
measured against; a list of harmful terms (the lexicons in DIR); and alt-profanity-check, where it is installed.

- **Author-held-out lines**: the `test` part of `training/corpus`.
- **Drowned**: pages of harmless test lines, with and without one harmful line that is flagged by itself.
- **Dev file**: OpenAI's moderation set, the validation half. Only scored with `--look`, whose reason is logged in the
  results: every look at it is one chance more to choose by it.
- **False alarms**: verdicts other than `safe` of `preteen` on harmless public texts, by source, and on pages.

Writes `benchmarks/results/text_model-HARDWARE.json`.
"""

import argparse
import csv
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hardware import hardware
from sklearn.metrics import average_precision_score

from kidsnanny import Pipeline, Policy
from kidsnanny.evaluation.metrics import Proportion
from kidsnanny.models.cards import TextCard, find_card
from kidsnanny.records import ModelId
from kidsnanny.stage2.text_encoder import TextEncoder
from kidsnanny.training.text.augment import misread
from kidsnanny.training.text.corpus import Line, read_corpus
from kidsnanny.training.text.rows import CATEGORIES, HARMLESS, NOISY, TextRow, public_rows

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "training" / "corpus"
DEV = "eval_openai_moderation_dev.csv.gz"
DEV_CATEGORIES = ("sexual", "hate", "harassment", "violence", "self_harm")
LEXICONS = ("lexicon_dsojevic", "lexicon_ldnoobw", "lexicon_surge_profanity")
ALARMS = 0.02
"""Share of the look-alikes at which recall is compared between systems that have no thresholds of their own."""
MOST_ROWS = 500
"""Of a public source."""
LEAST_ROWS = 300
PAGES = 300
DROWNED_IN = (12, 39)
"""Harmless lines around a harmful one."""
ROUNDS = 1_000
ERRORS = 0.1
Scores = npt.NDArray[np.float32]
System = Callable[[Sequence[str]], Scores]
"""Texts -> (texts, len(CATEGORIES)), or (texts, 1) of a system that knows harm alone."""


def terms(data: Path) -> System:
    """1 where a text holds a term of the lexicons, as words."""
    found: set[str] = set()
    for name in LEXICONS:
        with gzip.open(data / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            found |= {row["text"].strip().casefold() for row in csv.DictReader(file)}
    longest_first = sorted((term for term in found if len(term) > 2), key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")
    return lambda texts: np.array([[bool(pattern.search(text.casefold()))] for text in texts], np.float32)


def profanity_check() -> System | None:
    """alt-profanity-check's probability."""
    try:
        from profanity_check import predict_prob
    except ImportError:
        return None
    return lambda texts: np.array(predict_prob(list(texts)), np.float32)[:, None]


SCORER = """
import json, sys
import numpy as np
from kidsnanny.profiles.profile import Profile
model = Profile.load("embedded").build_stage2().text_model
np.save(sys.argv[1], model.score(json.load(sys.stdin)))
"""


def before(tree: Path) -> System:
    """The text model of another version of kidsnanny, in a process of its own."""

    def score(texts: Sequence[str]) -> Scores:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scores.npy"
            environment = {**os.environ, "PYTHONPATH": str(tree)}
            command = [sys.executable, "-P", "-c", SCORER, str(path)]
            subprocess.run(command, input=json.dumps(texts), text=True, check=True, env=environment)
            return np.load(path).astype(np.float32)

    return score


def interval(measure: Callable[[npt.NDArray[np.int64]], float], n: int) -> list[float]:
    """95 % bootstrap interval of `measure(row indices)`."""
    rng = np.random.default_rng(0)
    values = [measure(rng.integers(0, n, n)) for _ in range(ROUNDS)]
    return [round(float(value), 3) for value in np.nanquantile(values, [0.025, 0.975])]


def share(hits: Sequence[bool] | npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Of texts, with Wilson's interval."""
    found = Proportion.of(int(np.sum(hits)), len(hits))
    low, high = found.wilson or (0, 1)
    return {"share": round(found.value or 0, 4), "interval_95": [round(low, 4), round(high, 4)], "texts": found.n}


def macro_auprc(labels: npt.NDArray[np.int64], scores: Scores, rows: npt.NDArray[np.int64]) -> float:
    """Mean average precision over DEV_CATEGORIES, each on the rows whose label is known."""
    values = []
    for category in DEV_CATEGORIES:
        column = CATEGORIES.index(category)
        known = rows[labels[rows, column] >= 0]
        values.append(average_precision_score(labels[known, column], scores[known, column]))
    return float(np.mean(values))


def on_dev(systems: Mapping[str, System], data: Path) -> dict[str, Any]:
    """AUPRC on the dev file, with what each system gains over the first."""
    with gzip.open(data / DEV, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    labels = np.array([[int(row.get(c) or -1) if c in DEV_CATEGORIES else -1 for c in CATEGORIES] for row in rows])
    harm = (labels == 1).any(axis=1)
    everything = np.arange(len(rows))
    out: dict[str, Any] = {}
    scores = {name: system(texts) for name, system in systems.items()}
    rng = random.Random(0)
    misread_texts = [misread(text, rng, ERRORS, 0) for text in texts]
    base = next(iter(scores.values()))
    for name, found in scores.items():
        top = found.max(axis=1)
        of = {
            "any_harm": round(float(average_precision_score(harm, top)), 3),
            "any_harm_95": interval(lambda i, top=top: float(average_precision_score(harm[i], top[i])), len(rows)),
        }
        if found.shape[1] == len(CATEGORIES):
            of["macro"] = round(macro_auprc(labels, found, everything), 3)
            of["macro_95"] = interval(lambda i, found=found: macro_auprc(labels, found, i), len(rows))
            for category in DEV_CATEGORIES:
                column = CATEGORIES.index(category)
                known = labels[:, column] >= 0
                of[category] = round(float(average_precision_score(labels[known, column], found[known, column])), 3)
            of[f"macro_at_{ERRORS:.0%}_character_errors"] = round(
                macro_auprc(labels, systems[name](misread_texts), everything), 3
            )
            if found is not base and base.shape[1] == len(CATEGORIES):
                of["macro_gain_95"] = interval(
                    lambda i, found=found: macro_auprc(labels, found, i) - macro_auprc(labels, base, i), len(rows)
                )
        out[name] = of
    return out


def on_lines(systems: Mapping[str, System], lines: Sequence[Line]) -> dict[str, Any]:
    """Recall of harmful lines at ALARMS of the look-alikes, a threshold chosen on these very lines."""
    texts = [line.text for line in lines]
    kinds = np.array([line.kind for line in lines])
    harmful = kinds == "harmful"
    out: dict[str, Any] = {}
    for name, system in systems.items():
        top = system(texts).max(axis=1)
        threshold = float(np.quantile(top[kinds == "look_alike"], 1 - ALARMS))
        out[name] = {
            f"recall_at_{ALARMS:.0%}_of_look_alikes": share(top[harmful] > threshold),
            "plain": share(top[kinds == "plain"] > threshold),
            "auprc": round(float(average_precision_score(harmful, top)), 3),
        }
    return out


def at_thresholds(pipeline: Pipeline, lines: Sequence[Line]) -> dict[str, Any]:
    """Verdicts of the policy on lines: harmful ones by category, look-alikes and plain ones."""
    verdicts = list(pipeline.stream_texts([line.text for line in lines]))
    flagged = np.array([any(reason for reason in verdict.reasons) for verdict in verdicts])
    held = np.array([verdict.label != "safe" for verdict in verdicts])
    kinds = np.array([line.kind for line in lines])
    out: dict[str, Any] = {
        "harmful": share(flagged[kinds == "harmful"]),
        "look_alikes": share(held[kinds == "look_alike"]),
        "plain": share(held[kinds == "plain"]),
        "harmful_held_back_for_any_reason": share(held[kinds == "harmful"]),
        "by_category": {},
    }
    for category in CATEGORIES:
        of = np.array([line.kind == "harmful" and category in line.categories for line in lines])
        if of.any():
            out["by_category"][category] = share(flagged[of])
    return out


def drowned(pipeline: Pipeline, lines: Sequence[Line], rng: random.Random) -> dict[str, Any]:
    """Of harmful lines that are flagged by themselves, the share still flagged among others; and of those pages without
    the line, the share flagged.
    """

    def flagged(texts: Sequence[str]) -> list[bool]:
        return [bool(verdict.reasons) for verdict in pipeline.stream_texts(texts)]

    one_line = [(" ".join(line.text.split()), line.kind) for line in lines]
    harmful = [text for text, kind in one_line if kind == "harmful"]
    found = [text for text, hit in zip(harmful, flagged(harmful), strict=True) if hit]
    found = rng.sample(found, min(PAGES // 2, len(found)))
    others = [text for text, kind in one_line if kind != "harmful"]
    out: dict[str, Any] = {}
    for many in DROWNED_IN:
        pages = [rng.sample(others, many) for _ in found]
        out[f"{many} harmless lines"] = share(flagged(["\n".join(page) for page in pages]))
        for page, text in zip(pages, found, strict=True):
            page.insert(rng.randrange(many + 1), text)
        out[f"{many} harmless lines and a harmful one"] = share(flagged(["\n".join(page) for page in pages]))
    return out


def harmless(pipeline: Pipeline, rows: Sequence[TextRow], rng: random.Random) -> dict[str, Any]:
    """Share of harmless public texts that are held back, by source and language, and of pages of 60 to 150 words."""
    out: dict[str, Any] = {}
    judged = set(pipeline.stage2.text_model.card.languages) if pipeline.stage2 else set()
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row.part == "held_out" and row.source.startswith(HARMLESS) and row.language in judged:
            groups.setdefault(row.source, []).append(row.text)
    for source, texts in sorted(groups.items()):
        if len(texts) >= LEAST_ROWS:
            some = rng.sample(texts, min(MOST_ROWS, len(texts)))
            out[source] = share([verdict.label != "safe" for verdict in pipeline.stream_texts(some)])
    everyday = (texts for source, texts in groups.items() if source in out and source != NOISY)
    stock = [text for texts in everyday for text in texts if len(text) < 300]
    pages = []
    for _ in range(PAGES):
        wanted, page = rng.randint(60, 150), list[str]()
        while sum(len(line.split()) for line in page) < wanted:
            page.append(rng.choice(stock))
        pages.append("\n".join(page))
    out["pages of 60 to 150 words"] = share([verdict.label != "safe" for verdict in pipeline.stream_texts(pages)])
    return out


def cost(pipeline: Pipeline) -> dict[str, Any]:
    """Milliseconds, median of 20 texts that differ, on as many cores as this process may use."""
    assert pipeline.stage2
    model = pipeline.stage2.text_model
    words = "the school trip is on friday please bring a packed lunch and good shoes see you at the gate".split()
    rng = random.Random(0)

    def some(count: int) -> str:
        return " ".join(rng.choice(words) for _ in range(count))

    def median(run: Callable[[str], object], texts: Sequence[str]) -> float:
        times = []
        for text in texts:  # what was scored lately is kept, so each is new
            start = time.perf_counter()
            run(text)
            times.append(1e3 * (time.perf_counter() - start))
        return round(float(np.median(times)), 1)

    model.score(["so that the session is open"])
    return {
        "text_of_64_pieces_ms": median(lambda text: model.score([text]), [some(57) for _ in range(20)]),
        "page_of_40_lines_ms": median(pipeline.check_text, ["\n".join(some(9) for _ in range(40)) for _ in range(20)]),
        "chat_line_ms": median(pipeline.check_text, [some(8) for _ in range(20)]),
    }


def main() -> None:
    """Score, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the text data")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="another text encoder")
    parser.add_argument("--before", action="append", default=[], metavar="NAME=TREE", help="another version's source")
    parser.add_argument("--look", metavar="WHY", help="score the dev file too; the reason is logged")
    parser.add_argument("--cost", action="store_true", help="measure times alone, on an idle machine; the rest stays")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/text_model-HARDWARE.json")
    options = parser.parse_args()
    out = options.out or ROOT / "benchmarks" / "results" / f"text_model-{hardware()}.json"
    last = json.loads(out.read_text()) if out.is_file() else {}
    pipeline = Pipeline(policy=Policy.load("preteen"))
    if options.cost:
        last[f"cost on {hardware()}"] = cost(pipeline)
        out.write_text(json.dumps(last, indent=1) + "\n", "utf-8")
        return
    card = find_card("kidsnanny-text", TextCard)
    shipped = TextEncoder.load(card.locate(), ModelId(name=card.name))
    systems: dict[str, System] = {}
    for named in options.before:
        name, _, tree = named.partition("=")
        systems[name] = before(Path(tree).resolve())
    for named in options.model:
        name, _, folder = named.partition("=")
        systems[name] = TextEncoder.load(Path(folder) / "model.onnx", ModelId(name=name)).score
    systems |= {"kidsnanny-text": shipped.score, "list of terms": terms(options.data)}
    if known := profanity_check():
        systems["alt-profanity-check"] = known
    lines = [line for of_author in read_corpus(CORPUS, "test").values() for line in of_author]
    languages = sorted({line.language for line in lines})
    rows, _ = public_rows(options.data)
    result: dict[str, Any] = {
        "hardware": hardware(),
        "model": {"name": card.name, "sha256": card.sha256},
        "looks_at_dev": last.get("looks_at_dev", []),
        "test_lines_at_preteen": {
            language: at_thresholds(pipeline, [line for line in lines if line.language == language])
            for language in languages
        },
        "test_lines_en": on_lines(systems, [line for line in lines if line.language == "en"]),
        "drowned": drowned(pipeline, [line for line in lines if line.language == "en"], random.Random(0)),
        "harmless": harmless(pipeline, rows, random.Random(0)),
        "dev": last.get("dev", {}),
    }
    if options.look:
        result["looks_at_dev"].append(f"{date.today()}, {card.sha256[:12] if card.sha256 else ''}: {options.look}")
        result["dev"] = on_dev(systems, options.data)
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
