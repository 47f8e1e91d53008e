"""The text-only audit: pictures that are unsafe only because of what is written in them, drawn in many looks.

    pip install '.[eval]'
    python benchmarks/rendered_text.py --out DIR [--texts 220] [--systems embedded,text-given] [--photos DIR] [--seed 0]

Half of the texts are harmful, a third look like it and are harmless, the rest is plain; each is drawn in ten of
the looks of `text_looks.py`, the looks in turn. By default the texts are the English lines of the `test` part of
`training/corpus`, whose authors the text model was not trained on; `--data FILE` takes others, JSON lines in the form
that `training/corpus/README.md` describes. `--photos` has what stands behind memes; without it, that is drawn.

`--systems` takes what `kidsnanny eval --systems` takes, side by side on the same pictures: `text-given` is the text
model on the text itself, which reading hardly beats. A judge is asked through a profile of yours (`--profile FILE`),
nsfwjs with `--folder nsfwjs=DIR`. `--counterfactual` shows flagged pictures again without their text.

The pictures are drawn into a folder that is deleted at the end. DIR gets the run, which the same call continues after
an interruption, with `report.html`, `text_audit.json` and `result.json`: the figures with hardware and time, of which
the project's own are in `benchmarks/results/`. On two cores 2,000 pictures take ten minutes.
"""

import argparse
import json
import multiprocessing
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hardware import hardware
from pydantic import ValidationError
from rich.console import Console
from rich.progress import track
from text_looks import LOOKS, Scene, photographs

from kidsnanny import __version__
from kidsnanny.errors import KidsnannyError
from kidsnanny.evaluation.datasets import ANY_CATEGORY, Dataset, read_contents
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.report.write_report import write_report
from kidsnanny.evaluation.run import evaluate
from kidsnanny.evaluation.run_folder import read
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.evaluation.text_audit.audit_run import audit_run
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText
from kidsnanny.faults import first_fault
from kidsnanny.profiles.profile import Profile
from kidsnanny.training.text.corpus import Line, read_corpus

ROOT = Path(__file__).resolve().parent.parent
LOOKS_OF_A_TEXT = 10
HARMFUL, LOOK_ALIKE = 1 / 2, 1 / 3
OTHERS = 6
"""Harmless texts that a look may show beside the text."""


class Drawing(NamedTuple):
    """One picture to draw."""

    path: Path
    text: str
    look: str
    others: tuple[str, ...]
    photos: Path | None
    seed: str


def lines_of(data: Path | None) -> list[Line]:
    """The texts to choose from: English, in letters that every font here has (no emoji)."""
    if data is None:
        lines = [line for of_author in read_corpus(ROOT / "training" / "corpus", "test").values() for line in of_author]
    else:
        try:
            lines = [Line.model_validate_json(line) for line in data.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise SystemExit(f"{data}: it cannot be read ({error}); name a file of JSON lines.") from error
        except ValidationError as error:
            raise SystemExit(
                f"{data}: a line is not of the corpus' form ({first_fault(error)}); correct it."
            ) from error
    return [line for line in lines if line.language == "en" and line.text.isascii()]


def chosen(lines: Sequence[Line], count: int, rng: random.Random) -> list[Line]:
    """So many texts: of the harmful ones and the look-alikes as many of each category."""
    found: list[Line] = []
    shares = {"harmful": round(count * HARMFUL), "look_alike": round(count * LOOK_ALIKE)}
    for kind, wanted in {**shares, "plain": count - sum(shares.values())}.items():
        groups: dict[str, list[Line]] = {}
        for line in lines:
            if line.kind == kind:
                groups.setdefault(line.categories[0] if line.categories else "", []).append(line)
        stacks = [rng.sample(groups[name], len(groups[name])) for name in sorted(groups)]
        for n in range(max(map(len, stacks), default=0)):
            some = [stack[n] for stack in stacks if n < len(stack)]
            found += some[: max(0, wanted - sum(line.kind == kind for line in found))]
    if len(found) < count:
        raise SystemExit(f"There are only {len(found)} texts for --texts {count}; ask for fewer.")
    return found


def draw(one: Drawing) -> None:
    """Draw a picture into its file."""
    rng = random.Random(one.seed)
    scene = Scene(one.text, one.others, rng, photographs(one.photos, rng))
    LOOKS[one.look](scene).save(one.path, compress_level=1)


def drawings(
    lines: Sequence[Line], others: Sequence[str], folder: Path, options: argparse.Namespace
) -> Iterator[Drawing]:
    """Each text in LOOKS_OF_A_TEXT looks, so that all looks come as often."""
    names = list(LOOKS)
    order = random.Random(options.seed).sample(range(len(lines)), len(lines))
    for place, n in enumerate(order):
        for step in range(LOOKS_OF_A_TEXT):
            look = names[(place * LOOKS_OF_A_TEXT + step) % len(names)]
            seed = f"{options.seed} {n} {look}"
            beside = tuple(random.Random(seed).sample(others, OTHERS))
            path = folder / f"{n:04}-{names.index(look):02}.png"
            yield Drawing(path, lines[n].text, look, beside, options.photos, seed)


def dataset(lines: Sequence[Line], drawn: Sequence[Drawing]) -> tuple[Dataset, dict[str, AuditedText]]:
    """The pictures, and what is known of them."""
    examples, texts = [], {}
    for one in sorted(drawn):
        line = lines[int(one.path.stem[:4])]
        unsafe = line.kind == "harmful"
        examples.append(Example(one.path.stem, one.path, unsafe, ANY_CATEGORY, one.look, "", line.text))
        topic = line.categories[0] if line.categories else "plain"
        texts[one.path.stem] = AuditedText(line.text, one.look, topic)
    return Dataset("rendered texts", lambda: iter(examples)), texts


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--texts", type=int, default=220, help=f"how many; each gives {LOOKS_OF_A_TEXT} pictures")
    parser.add_argument("--systems", default="embedded,text-given", help="names, with commas between")
    parser.add_argument("--profile", action="append", default=[], metavar="FILE", help="also evaluate this profile")
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=DIR", help="where nsfwjs is")
    parser.add_argument("--data", type=Path, metavar="FILE", help="other texts, as JSON lines")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="photographs to stand behind memes")
    parser.add_argument("--counterfactual", action="store_true", help="show flagged pictures again without their text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--result", type=Path, metavar="FILE", help="default: DIR/result.json")
    return parser.parse_args()


def main() -> None:
    """Draw, evaluate, write."""
    given = arguments()
    console = Console(stderr=True)
    lines = lines_of(given.data)
    some = chosen(lines, given.texts, random.Random(given.seed))
    taken = {line.text for line in some}
    others = [line.text for line in lines if line.kind == "plain" and line.text not in taken and len(line.text) < 90]
    if len(others) < OTHERS:
        raise SystemExit(
            f"There are only {len(others)} plain texts left to stand beside others; ask for fewer --texts."
        )
    profiles = {Profile.load(path).name: path for path in given.profile}
    options = Options(profiles=profiles, folders={n: Path(d) for n, _, d in (f.partition("=") for f in given.folder)})
    names = [*filter(None, given.systems.split(",")), *profiles]
    with tempfile.TemporaryDirectory(prefix="kidsnanny-") as folder:
        drawn = list(drawings(some, others, Path(folder), given))
        with multiprocessing.get_context("spawn").Pool() as pool:
            for _ in track(pool.imap_unordered(draw, drawn, 8), "drawing", len(drawn), console=console):
                pass
        pictures, texts = dataset(some, drawn)
        command = shlex.join(["python", "benchmarks/rendered_text.py", *sys.argv[1:]])
        start = time.perf_counter()
        contents = read_contents(pictures)
        evaluate(pictures, contents, names, options, given.out, command=command, console=console)
        took = time.perf_counter() - start
        run = read(given.out)
        audit = audit_run(
            run, pictures, texts, options, given.out, paint=given.counterfactual, command=command, console=console
        )
        report = write_report(run, given.out, text_audit=audit)
    result = {
        "hardware": hardware(),
        "version": __version__,
        "texts": len(some),
        "pictures": len(drawn),
        "seed": given.seed,
        "seconds": round(took),
        "systems": names,
        "audit": json.loads(audit.model_dump_json()),
    }
    out = given.result or given.out / "result.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"{out}\n{report}")


if __name__ == "__main__":
    try:
        main()
    except KidsnannyError as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        raise SystemExit("Interrupted; the same command continues the run.") from None
