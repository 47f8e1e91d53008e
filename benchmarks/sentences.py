"""What scoring sentence by sentence finds, and whom it accuses: pages of held-out rows, wrapped as OCR gives them.

    python benchmarks/sentences.py --data DIR [--out benchmarks/results]

DIR is a folder of labelled text as `weights/README.md` describes it; only rows of its test splits are used. A page is
harmless rows of 35 words and more in lines of 36 characters, with or without one harmful row among them. It counts as
flagged when any category reaches the `review` threshold of `preteen`: for the page as a whole, or also for a sentence
of it, or also for a line by itself.
"""

import argparse
import csv
import gzip
import json
import random
import textwrap
from pathlib import Path

import numpy as np
from hardware import hardware

from kidsnanny import Policy
from kidsnanny.profiles.profile import Profile
from kidsnanny.records import Box, TextLine
from kidsnanny.stage2.text_signals import LINE_WEIGHT, _sentences

HARMLESS = ("benign_clinc150_banking77", "benign_math_gsm8k_aqua", "wiki_context_cat", "toxic_spans_civil_comments")
HARMFUL = (
    "davidson_hate_offensive",
    "surge_toxicity",
    "wiki_toxicity_small",
    "hatemoji",
    "edos_sexism",
    "sms_spam_uci",
)
HARMFUL += ("toxigen_human_safenlp", "toxic_spans_civil_comments")
LABELS = ("hate", "harassment", "violence", "self_harm", "scam")
EACH = 60


def rows(folder: Path, name: str, *, harmful: bool, longest: int) -> list[str]:
    """English test rows of 4 words to `longest`."""
    with gzip.open(folder / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
        return [
            " ".join(row["text"].split())
            for row in csv.DictReader(file)
            if (row["split"], row["lang"]) == ("test", "en")
            and 4 <= len(row["text"].split()) <= longest
            and (
                any(row[label] == "1" for label in LABELS)
                if harmful
                else row["any_harm"] == "0" or name.startswith("benign_")
            )
        ]


def page(texts: list[str]) -> list[TextLine]:
    """Wrapped and laid one line below the other."""
    wrapped = [line for text in texts for line in textwrap.wrap(text, 36)]
    return [TextLine(text=t, confidence=1, box=Box(0, 30 * n, 400, 30 * n + 20)) for n, t in enumerate(wrapped)]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=800)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    chance = random.Random(0)
    model, policy = Profile.load("embedded").build_stage2().text_model, Policy.load("preteen")
    limits = np.array([policy.categories[category].review for category in model.categories])
    harmless = [text for name in HARMLESS for text in rows(options.data, name, harmful=False, longest=200)]
    harmful = []
    for name in HARMFUL:
        found = rows(options.data, name, harmful=True, longest=40)
        harmful += chance.sample(found, min(EACH, len(found)))

    def filler(words: int) -> list[str]:
        texts: list[str] = []
        while sum(len(text.split()) for text in texts) < words:
            texts.append(chance.choice(harmless))
        return texts

    pages = {"harmless pages": [page(filler(50)) for _ in range(options.pages)], "with one harmful row": []}
    for text in harmful:
        texts = filler(35)
        texts.insert(chance.randrange(len(texts) + 1), text)
        pages["with one harmful row"].append(page(texts))
    result: dict[str, object] = {"hardware": hardware(), "text model": str(model.model_id)}
    for kind, of_kind in pages.items():
        flags = []
        for lines in of_kind:
            alone = [line.text for line in lines]
            sentences = list(_sentences(lines))
            scores, first = model.score([" ".join(alone), *sentences, *alone]), 1 + len(sentences)
            over, discounted = (scores >= limits).any(axis=1), (scores[first:] * LINE_WEIGHT >= limits).any()
            flags.append((over[0], over[:first].any(), over[:first].any() or discounted, over.any()))
        names = ("as a whole", "or a sentence", "or a line at a discount (the product)", "or a line")
        result[kind] = {"n": len(flags)} | dict(zip(names, np.mean(flags, axis=0).round(3).tolist(), strict=True))
    target = options.out / f"sentences-{hardware()}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
