"""Robust accuracy: is a system that was right about a picture still right after the picture was changed?

    pip install '.[eval]'
    python benchmarks/robustness.py DATA [--systems embedded,nudenet] [--category all]     # everyday changes
    python benchmarks/robustness.py --texts 66                                             # on drawn texts
    pip install '.[eval,vit]'
    python benchmarks/robustness.py DATA --systems '' --attack falconsai-nsfw,multiheaded  # UnsafeBench's attacks
    pip install onnx2pytorch
    python benchmarks/robustness.py DATA --systems '' --attack image-safety-s --levels 1   # an ONNX file

DATA is what `kidsnanny eval --data` takes; `--texts` draws texts in the looks of `text_looks.py`, as `rendered_text.py`
does, where the source of a picture is its look. The everyday changes (`everyday_changes.py`: JPEG, a screenshot, a
meme's border, …) go to any system that `kidsnanny eval --systems` takes. The attacks are UnsafeBench's (Gaussian noise,
FGSM, PGD, DeepFool; 500 pictures of each source that were right, seed 2023, 0.01 after mean and standard deviation were
applied), on classifiers and heads by the names of their cards; with `--levels` they act on 8-bit pixels. Intervals are
Wilson's, of 95 %; drawn pictures of one text are not independent, so that theirs are too narrow.

Writes `benchmarks/results/robustness-HARDWARE.json`, and no name of a picture into it.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

from hardware import hardware
from rendered_text import OTHERS, chosen, draw, drawings, lines_of
from rendered_text import dataset as drawn_dataset

from kidsnanny import __version__
from kidsnanny.errors import ComponentError, KidsnannyError
from kidsnanny.evaluation.datasets import Dataset, choose_categories, open_dataset, read_contents
from kidsnanny.evaluation.metrics import Proportion
from kidsnanny.evaluation.robustness.everyday_changes import CHANGES
from kidsnanny.evaluation.robustness.robust_accuracy import PER_SOURCE, SEED, RobustAccuracy, everyday_robustness
from kidsnanny.evaluation.systems.registry import build_system, system_names
from kidsnanny.evaluation.systems.system import Options, System
from kidsnanny.models.cards import ClassifierCard, HeadCard, ProbeCard, cards


@contextmanager
def pictures(given: argparse.Namespace) -> Iterator[Dataset]:
    """The user's pictures, or drawn ones in a folder that is deleted afterwards."""
    if given.data:
        wanted = None if given.category is None else () if given.category == "all" else (given.category,)
        categories, said = choose_categories(given.data, wanted)
        if said:
            print(said, file=sys.stderr)
        yield open_dataset(given.data, categories=categories, limit=given.limit)
        return
    rng = random.Random(given.seed)
    lines = lines_of(None)
    some = chosen(lines, given.texts, rng)
    taken = {line.text for line in some}
    others = [line.text for line in lines if line.kind == "plain" and line.text not in taken and len(line.text) < 90]
    if len(others) < OTHERS:
        raise SystemExit(f"There are only {len(others)} plain texts left to stand beside others; ask for fewer.")
    with tempfile.TemporaryDirectory(prefix="kidsnanny-") as folder:
        scenes = drawings(some, others, Path(folder), SimpleNamespace(seed=given.seed, photos=None))
        drawn = list(scenes)[:: given.thin]
        for one in drawn:
            draw(one)
        yield drawn_dataset(some, drawn)[0]


def white_box(name: str, options: Options) -> "tuple[System, object]":
    """A card as a system, and as a network that gradients go through."""
    if isinstance(cards().get(name), HeadCard | ProbeCard):
        from kidsnanny.evaluation.systems.unsafebench_classifiers import PublishedClassifier, as_system

        model = PublishedClassifier(name)
        return as_system(name, model, options), model
    from kidsnanny.evaluation.robustness.white_box import ClassifierNetwork
    from kidsnanny.evaluation.systems.card_models import classifier
    from kidsnanny.evaluation.systems.system import mapped
    from kidsnanny.taxonomy import CATEGORIES

    system = classifier(name, name, options)
    wanted = [one for category in options.categories for one in mapped(category, CATEGORIES)]
    return system, ClassifierNetwork(name, wanted, system.rows[0].threshold)


def measured(
    given: argparse.Namespace, data: Dataset, options: Options, absent: dict[str, str]
) -> list[RobustAccuracy]:
    """Every system under every change, then every attack."""
    found: list[RobustAccuracy] = []
    how = {"per_source": given.per_source, "seed": given.seed}

    def told(name: str, change: str) -> None:
        print(f"{name}: {change}", file=sys.stderr)

    for name in filter(None, given.systems.split(",")):
        try:
            system = build_system(name, options)
        except ComponentError as error:
            absent[name] = str(error)
            continue
        changes = {change: CHANGES[change] for change in given.changes.split(",")}
        found += everyday_robustness(system, data, changes, told=lambda change, n=name: told(n, change), **how)
    for name in filter(None, given.attack.split(",")):
        try:
            system, network = white_box(name, options)
        except ComponentError as error:
            absent[name] = str(error)
            continue
        from kidsnanny.evaluation.robustness.white_box import attack_robustness

        how |= {"levels": given.levels, "eps": given.eps}
        found += attack_robustness(system, network, data, told=lambda change, n=name: told(n, change), **how)
    return found


def cell(share: Proportion) -> str:
    """For example `.93 [.90–.96]`."""
    if share.value is None or share.wilson is None:
        return "–"
    return " ".join((f"{share.value:.2f}", f"[{share.wilson[0]:.2f}–{share.wilson[1]:.2f}]")).replace("0.", ".")


def table(found: list[RobustAccuracy]) -> str:
    """One line for each row and change."""
    lines = [
        "| system | change | still right | unsafe still found | safe still passed | N | unscored |",
        "|---" * 7 + "|",
    ]
    for one in found:
        shares = (one.right, one.by_label["unsafe"], one.by_label["safe"])
        lines.append(
            f"| {one.system} | {one.change} | {' | '.join(map(cell, shares))} | {one.right.n} | {one.unscored} |"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA", help="labelled pictures")
    parser.add_argument("--texts", type=positive, help="draw so many texts instead, each in ten looks")
    parser.add_argument("--thin", type=positive, default=1, metavar="N", help="of the drawn pictures, every Nth")
    parser.add_argument("--category", help="as in `kidsnanny eval`; all: every picture")
    parser.add_argument("--limit", type=positive, help="at most so many pictures: the first ones")
    systems = f"of {', '.join(system_names())}, with commas between; '' for none; default: %(default)s"
    parser.add_argument("--systems", default="embedded", metavar="NAME,…", help=systems)
    changes = f"of {', '.join(CHANGES)}, with commas between; default: all"
    parser.add_argument("--changes", default=",".join(CHANGES), metavar="NAME,…", help=changes)
    parser.add_argument("--attack", default="", metavar="CARD,…", help="attack these networks; default: none")
    parser.add_argument("--levels", type=positive, help="attack 8-bit pixels, by so many levels of 255")
    eps = "else by so much, after mean and standard deviation; default: %(default)s"
    parser.add_argument("--eps", type=float, default=0.01, help=eps)
    per_source = "at most so many pictures that were right, of each source; default: %(default)s"
    parser.add_argument("--per-source", type=positive, default=PER_SOURCE, help=per_source)
    parser.add_argument("--seed", type=int, default=SEED, help="of what is drawn; default: %(default)s")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/robustness-HARDWARE.json")
    given = parser.parse_args()
    if (given.data is None) == (given.texts is None):
        parser.error("give either DATA or --texts, and not both.")
    if unknown := sorted(set(given.changes.split(",")) - CHANGES.keys()):
        parser.error(f"--changes names {', '.join(unknown)}; choose from {', '.join(CHANGES)}.")
    if unknown := sorted(set(filter(None, given.systems.split(","))) - {*system_names()}):
        parser.error(f"--systems names {', '.join(unknown)}; choose from {', '.join(system_names())}.")
    attacked = [name for name, card in cards().items() if isinstance(card, HeadCard | ProbeCard | ClassifierCard)]
    if unknown := sorted(set(filter(None, given.attack.split(","))) - {*attacked}):
        parser.error(f"--attack names {', '.join(unknown)}; choose from {', '.join(attacked)}.")
    if not given.eps > 0:
        parser.error(f"--eps is {given.eps:g}; give a number above 0.")
    if given.attack and (missing := [name for name in ("torch",) if find_spec(name) is None]):
        parser.error(f"--attack needs {missing[0]}; run `pip install '.[eval,vit]'`.")
    given.out = given.out or Path(__file__).parent / "results" / f"robustness-{hardware()}.json"
    if given.out.is_dir() or not os.access(given.out if given.out.exists() else given.out.parent, os.W_OK):
        parser.error(f"--out: {given.out} cannot be written; name a file in a folder that is there.")
    return given


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"it is {number}, and must be at least 1")
    return number


def main() -> None:
    """Change or attack, ask again, write."""
    given = arguments()
    absent: dict[str, str] = {}
    with pictures(given) as data:
        contents = read_contents(data)
        found = measured(given, data, Options(categories=data.categories), absent)
    for reason in absent.values():
        print(f"not measured: {reason}", file=sys.stderr)
    if not found:
        raise SystemExit("nothing was measured.")
    result = {
        "hardware": hardware(),
        "version": __version__,
        "pictures": contents.pictures,
        "unsafe": contents.unsafe,
        "digest": contents.digest,
        "seed": given.seed,
        "absent": absent,
        "results": [json.loads(one.model_dump_json()) for one in found],
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(table(found))
    if hurried := sum(one.hurried for one in found):
        print(f"{hurried} times a picture's time was used up: run it again on a machine that is free.", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KidsnannyError as error:
        raise SystemExit(str(error)) from error
