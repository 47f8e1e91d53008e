"""Rows for the text model: the open data's CSV files, our own template lines, and what OCR does to text.

A row is a text with one label per category of ours: 1, 0 or -1 for unknown, which every later step masks.
"""

import csv
import gzip
import random
import re
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from zlib import crc32

from kidsnanny.errors import ComponentError
from kidsnanny.stage2.normalisation import LANGUAGE_LETTERS, LANGUAGE_WORDS
from kidsnanny.stage2.text_model import WINDOW_WORDS
from kidsnanny.taxonomy import Category

CATEGORIES: tuple[Category, ...] = (
    "sexual",
    "hate",
    "harassment",
    "violence",
    "self_harm",
    "substances",
    "weapons",
    "scam",
    "grooming",
)
"""What the text model scores. `illegal`, `nudity` and `gore` have no training text and are left out."""
COLUMNS = (
    "text",
    "sexual",
    "hate",
    "harassment",
    "violence",
    "self_harm",
    "drugs_weapons",
    "scam",
    "any_harm",
    "lang",
    "split",
)
SYNTHETIC = "lines.toml"
EXPANSIONS = 16
"""How many fillings of one template with slots, at most, in the train part; elsewhere each template counts once."""
NOT_ON_PAGES = "benign_goemotions"
"""Comments by feeling, some of them insults: harmless by label only."""
PAGE = "page"
"""Group of the rows that `harmless_pages` makes."""
PAGES = {"train": 3_000, "calibration": 3_000, "held_out": 2_000}
MAX_TRAIN_CHARS = 1_000

SOURCE_WEIGHT = {
    "ailuminate_demo": 0.3,  # questions to an assistant, often harmless in wording
    "hh_rlhf_harmless_first_turn_weak": 0.5,
    "aart_weak": 0.1,  # the topic, not the harm
    "identity_templates": 0.2,
    "lexicon_dsojevic": 0.1,  # bare terms: too many of them teach that short is sexual
    "lexicon_surge_profanity": 0.1,
    "benign_ui_strings": 0.5,
    "benign_clinc150_banking77": 0.5,
}
"""Weight of a source's rows; 1 for the others."""
SOURCE_MASK: dict[str, tuple[Category, ...]] = {
    "ailuminate_demo": ("violence",),
    "aart_weak": ("violence", "hate"),
}
"""Labels of a source that are not believed: they teach that a harmless request which sounds violent is violent."""
VALIDATION_ONLY = "eval_"
"""Files whose name starts so are never read by the trainer."""

_SUBSTANCES = re.compile(
    r"\b(drugs?|meth(amphetamines?)?|cocaine|heroin|lsd|mdma|ecstasy|weed|cannabis|marijuana|opioids?|opium|opiates?|fentanyl|"
    r"oxycontin|oxycodone|xanax|ketamine|hash(ish)?|crack|ghb|steroids?|shrooms|mushrooms|narcotics?|pills?|bath salts|"
    r"controlled substances?|psychedelics?|dmt|adderall|pharmaceuticals?|alcohol|vap(e|ing)|cigarettes?|cartel)\b"
)
_WEAPONS = re.compile(
    r"\b(guns?|firearms?|rifles?|pistols?|ammo|ammunition|bombs?|explosives?|grenades?|weapons?|knife|knives|ied|molotov|"
    r"napalm|sarin|ricin|anthrax|nerve agents?|mustard gas|bio-?weapons?|dirty bomb|missiles?|silencers?|suppressors?|"
    r"dynamite|tnt|c-?4|detonators?|uranium|plutonium|nuclear|toxins?|biological agents?|chemical agents?|biohazard)\b"
)


@dataclass(frozen=True)
class TextRow:
    """One training text; `labels` follow CATEGORIES, `foreign` is 1 for another Latin language, 0 for English."""

    text: str
    labels: tuple[int, ...]
    source: str
    foreign: int = -1
    weight: float = 1.0
    part: str = "train"  # train, calibration or held_out
    group: str = ""  # of our lines, and PAGE
    language: str = "en"


def split_drugs_weapons(text: str, label: int) -> tuple[int, int]:
    """(substances, weapons) from the data's one column: a 0 is 0 for both, a 1 goes where its words say.

    Words of only one kind make it 1 there and 0 in the other; words of both or of neither leave both unknown.
    """
    if label != 1:
        return label, label
    lower = text.lower()
    substances, weapons = bool(_SUBSTANCES.search(lower)), bool(_WEAPONS.search(lower))
    return (-1, -1) if substances == weapons else (int(substances), int(weapons))


def part_of(key: str, *, template: bool = False) -> str:
    """train, calibration or held_out, from the text alone: 90/5/5 % of the data's rows, 80/10/10 % of our templates."""
    slot, size = crc32(key.encode()) % 20, 2 if template else 1
    return "calibration" if slot < size else "held_out" if slot < 2 * size else "train"


def _label(value: str) -> int:
    return int(value) if value in ("0", "1") else -1


def _language(row: dict[str, str]) -> int:
    text = row["text"]
    letters = sum(c.isalpha() for c in text)
    if len(text.split()) < LANGUAGE_WORDS or letters < LANGUAGE_LETTERS or row["split"] == "lexicon":
        return -1
    return 0 if row["lang"] == "en" else 1


def _mostly_latin(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return sum(c < "\u0250" or "\u1e00" <= c < "\u1f00" for c in letters) >= 0.9 * len(letters)


def _for_n_grams(row: TextRow) -> TextRow:
    """Other languages than English teach n-grams the language, and what is harmless."""
    harmless = row.language == "en" or not any(row.labels)
    return row if harmless else replace(row, labels=(-1,) * len(CATEGORIES))


def read_file(path: Path) -> Iterator[TextRow]:
    """The rows of one of the data's files; ComponentError names a missing column."""
    source = path.name.removesuffix(".csv.gz")
    names = random.Random(crc32(source.encode()))
    given = tuple(load_lines()[0]["name"])
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise ComponentError(
                f"{path}: lacks the columns {', '.join(missing)}; see the data's SOURCES.md for the format."
            )
        for raw in reader:
            labels = {column: _label(raw[column]) for column in COLUMNS[1:9]}
            substances, weapons = split_drugs_weapons(raw["text"], labels["drugs_weapons"])
            # a row without any harm is no grooming either; the data has no other word on it
            labels |= {"substances": substances, "weapons": weapons, "grooming": 0 if labels["any_harm"] == 0 else -1}
            masked = SOURCE_MASK.get(source, ())
            values = tuple(-1 if category in masked else labels[category] for category in CATEGORIES)
            text = re.sub(r"\[NAME\]", lambda _: names.choice(given), raw["text"][:MAX_TRAIN_CHARS])
            part = "held_out" if raw["split"] == "test" else part_of(raw["text"])
            weight = SOURCE_WEIGHT.get(source, 1.0)
            yield TextRow(text, values, source, _language(raw), weight, part, language=raw["lang"])


def load_lines() -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """The slots and the groups of our own lines: `name`, `labels`, `lines`, maybe `unknown` and `part`."""
    raw = tomllib.loads(files("kidsnanny.training.text").joinpath(SYNTHETIC).read_text("utf-8"))
    return raw["slots"], raw["group"]


def _fill(template: str, slots: dict[str, list[str]], rng: random.Random) -> str:
    while "{" in template:  # a slot's fillings may hold slots
        template = re.sub(r"\{(\w+)\}", lambda match: rng.choice(slots[match[1]]), template)
    return template


def synthetic_rows(seed: int) -> list[TextRow]:
    """Our template lines, filled; a group's `labels` are 1, its `unknown` are -1, every other category is 0.

    A group with a `part` is there as a whole; the others' templates spread over the parts.
    A text that several groups hold stays out of the train part if any of them sets it aside.
    """
    slots, groups = load_lines()
    rows: list[TextRow] = []
    for group in groups:
        labels = tuple(1 if c in group["labels"] else -1 if c in group.get("unknown", ()) else 0 for c in CATEGORIES)
        for template in group["lines"]:
            rng = random.Random(seed ^ crc32(template.encode()))
            part = group.get("part") or part_of(template, template=True)
            filled = {_fill(template, slots, rng) for _ in range(EXPANSIONS if part == "train" else 1)}
            weight = (8 / len(filled)) if len(filled) > 8 else 1.0 if len(filled) > 1 else 3.0
            rows += [TextRow(text, labels, SYNTHETIC, 0, weight, part, group["name"]) for text in sorted(filled)]
    aside = {row.text.casefold() for row in rows if row.part == "held_out"}
    kept = [row for row in rows if row.part == "held_out" or row.text.casefold() not in aside]
    chosen_on = {row.text.casefold() for row in kept if row.part == "calibration"}
    return [row for row in kept if row.part != "train" or row.text.casefold() not in chosen_on]


def page_rows(rows: Sequence[TextRow], rng: random.Random) -> list[TextRow]:
    """Chat- and page-like rows: each of our lines once among harmless ones of the same part, about a window long."""
    benign: dict[str, list[TextRow]] = {}
    for row in rows:
        if not any(row.labels):
            benign.setdefault(row.part, []).append(row)
    out = []
    for row in rows:
        around = benign.get(row.part, [])
        if around:
            lines = [rng.choice(around).text]
            wanted = rng.randint(WINDOW_WORDS // 2, WINDOW_WORDS) - len(row.text.split())
            while sum(len(line.split()) for line in lines) < wanted and len(lines) < 5:
                lines.append(rng.choice(around).text)
            lines.insert(rng.randint(0, len(lines)), row.text)
            out.append(replace(row, text="\n".join(lines), weight=row.weight / 2))
    return out


def harmless_pages(rows: Sequence[TextRow], rng: random.Random) -> list[TextRow]:
    """Pages of 60 to 150 words, all harmless: lines, none twice, of two to four registers (our groups, or the data's).

    The train part gets windows cut out of such pages, for that is what the model reads; the other parts whole pages.
    """
    registers: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for row in rows:
        if not any(row.labels) and row.foreign != 1 and row.source != NOT_ON_PAGES and len(row.text) < 400:
            kind = registers.setdefault((row.part, row.source == SYNTHETIC), {})
            kind.setdefault(row.group or row.source, []).append(row.text)
    zeros = (0,) * len(CATEGORIES)
    out = []
    for part, ours in sorted(registers):
        choice = [lines for _, lines in sorted(registers[part, ours].items())]
        for _ in range(PAGES[part] // 2):
            stock = [
                line
                for lines in rng.choices(choice, k=rng.randint(2, 4))
                for line in rng.sample(lines, min(30, len(lines)))
            ]
            wanted, lines = rng.randint(60, 150), list[str]()
            for line in dict.fromkeys(rng.sample(stock, len(stock))):
                lines.append(line)
                if sum(len(line.split()) for line in lines) >= wanted:
                    break
            if sum(len(line.split()) for line in lines) < 60:
                continue
            page = TextRow("\n".join(lines), zeros, SYNTHETIC, 0, 0.5, part, PAGE)
            if part != "train":
                out.append(page)
                continue
            words = page.text.split(" ")
            starts = [rng.randint(0, max(0, len(words) - WINDOW_WORDS)) for _ in range(3)]
            out += [replace(page, text=" ".join(words[start : start + WINDOW_WORDS])) for start in starts]
    return out


_CONFUSED = {"o": "0", "l": "1", "i": "l", "s": "5", "e": "c", "m": "rn", "g": "9", "b": "8", "0": "o", "1": "l"}


def noisy(text: str, rng: random.Random) -> str:
    """What OCR makes of a text: lost spaces, confused letters, broken lines."""
    drop, confuse = rng.choice([(0.0, 0.06), (0.3, 0.02), (1.0, 0.0), (0.1, 0.03), (0.6, 0.0)])
    out = []
    for c in text:
        if c == " ":
            out.append("" if rng.random() < drop else "\n" if rng.random() < 0.1 else " ")
        elif rng.random() < confuse:
            out.append(_CONFUSED.get(c.lower(), c))
        else:
            out.append(c)
    return "".join(out)


def noise_rows(count: int, rng: random.Random) -> list[TextRow]:
    """Meaningless short strings as OCR finds them on logos, number plates and textures: harmless in every category."""
    alphabet = "il|1l0oO8BYSZ25-_.,:;/\\()xXwvnmHTE 'aeiou"
    zeros = (0,) * len(CATEGORIES)
    out = []
    for _ in range(count):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 14)))
        out.append(TextRow(text, zeros, "noise", 0, 2.0, rng.choice(("train",) * 18 + ("calibration", "held_out"))))
    return out


def public_rows(data: Path) -> tuple[list[TextRow], tuple[str, ...]]:
    """Every row of the data's files, and their names.

    ComponentError when the folder holds no file of the format, or one that lacks a column or cannot be read.
    """
    paths = sorted(path for path in data.glob("*.csv.gz") if not path.name.startswith(VALIDATION_ONLY))
    if not paths:
        raise ComponentError(f"{data}: no *.csv.gz to train on; give the folder of the text data with --data.")
    rows: list[TextRow] = []
    for path in paths:
        try:
            rows += read_file(path)
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise ComponentError(f"{path}: cannot be read ({error}); fetch the text data again.") from error
    return rows, tuple(path.name for path in paths)


def read_rows(data: Path, seed: int) -> tuple[list[TextRow], tuple[str, ...]]:
    """Every row to train and calibrate on, ours included, and the names of the files read.

    ComponentError when the folder holds no file of the format, or one that lacks a column or cannot be read.
    """
    everything, sources = public_rows(data)
    rows = [_for_n_grams(row) for row in everything if _mostly_latin(row.text)]
    own = synthetic_rows(seed)
    rng = random.Random(seed)
    pages = harmless_pages([*rows, *own], rng)
    own += page_rows(own, rng)
    noise = [
        replace(row, text=noisy(row.text, rng), weight=row.weight / 2)
        for row in rows + own
        if rng.random() < (0.5 if row.source == SYNTHETIC else 0.1) and row.part == "train"
    ]
    return [*rows, *own, *pages, *noise, *noise_rows(3_000, rng)], (*sources, SYNTHETIC)
