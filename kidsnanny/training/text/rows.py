"""Rows for the text model: the open data's CSV files, and what OCR makes of textures.

A row is a text with one label per category of ours: 1, 0 or -1 for unknown, which every later step masks.
"""

import csv
import gzip
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from kidsnanny.errors import ComponentError
from kidsnanny.taxonomy import Category
from kidsnanny.training.text.augment import NAMES

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
HARMLESS = "benign_"
"""Sources whose name begins so are everyday text. What is harmless in the others was chosen for looking harmful."""
NOISY = "benign_goemotions"
"""Comments by feeling, some of them insults: harmless by label only."""
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
    """A text of a public source; `labels` follow CATEGORIES."""

    text: str
    labels: tuple[int, ...]
    source: str
    weight: float = 1.0
    part: str = "train"  # train, calibration or held_out
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


def part_of(text: str) -> str:
    """train, calibration or held_out, 90/5/5 % of the rows, from the text alone."""
    return {0: "calibration", 1: "held_out"}.get(crc32(text.encode()) % 20, "train")


def _label(value: str) -> int:
    return int(value) if value in ("0", "1") else -1


def read_file(path: Path) -> Iterator[TextRow]:
    """The rows of one of the data's files; ComponentError names a missing column."""
    source = path.name.removesuffix(".csv.gz")
    names = random.Random(crc32(source.encode()))
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
            text = re.sub(r"\[NAME\]", lambda _: names.choice(NAMES), raw["text"][:MAX_TRAIN_CHARS])
            part = "held_out" if raw["split"] == "test" else part_of(raw["text"])
            weight = SOURCE_WEIGHT.get(source, 1.0)
            yield TextRow(text, values, source, weight, part, raw["lang"])


SITES = (
    "{word}{word}.com {word}-{word}.com.cn www.{word}.org {word}.net/{word} {word}.io https://{word}.example".split()
)
CREDITS = (
    "{site}",
    "{site}",
    "© {site}",
    "photo: {name} / {site}",
    "Picture by {name}",
    "{name}/{word} agency",
    "visit {site}",
    "Tel. {number}",
    "No. {number}",
    "{word}@{site}",
)
_WORDS = (
    "foto search shop stock news image monga bay garden travel media school kitchen city blue bright green happy home"
).split()


def noise_rows(count: int, rng: random.Random) -> list[TextRow]:
    """What stands in pictures and means no harm: for the most part short strings as OCR finds them on logos, number
    plates and textures, and for the rest web addresses, credits and numbers."""
    alphabet = "il|1l0oO8BYSZ25-_.,:;/\\()xXwvnmHTE 'aeiou"
    zeros = (0,) * len(CATEGORIES)
    out = []
    for n in range(count):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 14)))
        if n % 4 == 0:
            site = re.sub("{word}", lambda _: rng.choice(_WORDS), rng.choice(SITES))
            number = "".join(rng.choice("0123456789 -") for _ in range(rng.randint(5, 14)))
            facts = {"site": site, "name": rng.choice(NAMES), "number": number, "word": rng.choice(_WORDS)}
            text = rng.choice(CREDITS).format(**facts)
            text = text.upper() if rng.random() < 0.3 else text
        out.append(TextRow(text, zeros, "noise"))
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
