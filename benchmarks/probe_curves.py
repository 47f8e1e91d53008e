"""Q16's recipe and a linear probe on drawn stand-ins: how many pictures they need, and what another source costs them.

    pip install '.[probe,vit]'
    python benchmarks/probe_curves.py --work WORK

The papers' pictures are gated, so comic scenes of two kinds stand in for them: an affectionate or playful one has a
high rating, one with a fight, a weapon, fire or a cigarette a low one. As in Q16's code, pictures rated below 2.5 are
inappropriate, those above 3.5 are fine, the rest is dropped, 1,674 are taken, and ten hold-outs of a tenth are
stratified by the rounded rating. The second source has other scenes (long-tailed ones), drawn as pencil on grey paper.

Encoders: the last hidden layer of the shipped classifier (real), and CLIP's ViT-B/32 at its exact size with random
weights, which shows what a network gives that has learnt nothing. These probes do not know what harms a child: the
figures are about the recipes. Embeddings are kept in WORK, so that a run that was ended goes on.

Writes `benchmarks/results/probe_curves-HARDWARE.json` and `.md`.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hardware import hardware
from PIL import Image, ImageFilter, ImageOps
from rich.progress import track

from kidsnanny import __version__
from kidsnanny.errors import DataError
from kidsnanny.files import write_atomically
from kidsnanny.media.loader import RGB
from kidsnanny.probes.embedding_cache import EmbeddingCache, embed
from kidsnanny.probes.encoders import CardEncoder, load_encoder
from kidsnanny.probes.random_clip import random_clip
from kidsnanny.records import SceneGraph
from kidsnanny.training.probe.fit_linear import fit_linear
from kidsnanny.training.probe.hold_outs import FRACTIONS, Indices, fraction_of, hold_outs
from kidsnanny.training.probe.tune_q16 import tune
from kidsnanny.training.student.long_tail import long_tailed_scene
from kidsnanny.training.student.scenes import scene

PICTURES = 1_674
"""That the paper has left of SMID after those in the middle are dropped."""
LOW, STRONG, HIGH = 2.5, 1.5, 3.5
"""Ratings: below LOW a picture is inappropriate, above HIGH fine. Q16's released vectors were tuned with STRONG."""
FIRST = 3_000_000_000
"""Seed of the first scene; no student has seen it."""
GOOD = {"affection": 1.0, "play": 1.0, "party": 0.5}
BAD = {"fight": 1.0, "hurt": 0.5, "weapon": 1.0, "fire": 0.5, "smoking": 1.0}
"""What a tag adds to a scene's rating, or takes from it."""

Flags = npt.NDArray[np.bool_]
Trained = Callable[[npt.NDArray[np.float32]], Flags]
"""Rows -> whether they are inappropriate."""


class Source(NamedTuple):
    """Rated pictures of one source, as rows of an encoder."""

    rows: npt.NDArray[np.float32]
    ratings: npt.NDArray[np.float64]
    """1 (inappropriate) to 5 (fine)."""

    @property
    def bad(self) -> npt.NDArray[np.int64]:
        """1 for what is inappropriate."""
        return np.asarray(self.ratings < LOW, np.int64)

    @property
    def strata(self) -> npt.NDArray[np.int64]:
        """The rounded ratings, by which hold-outs are drawn."""
        return np.asarray(np.round(self.ratings), np.int64)


def rating(graph: SceneGraph) -> float:
    """1 (inappropriate) to 5 (fine), of what a scene shows."""
    both = sum(GOOD.get(tag, 0) - BAD.get(tag, 0) for tag in graph.tags)
    return float(np.clip(3 + both, 1, 5))


def comic(seed: int) -> tuple[RGB, float]:
    """A picture of the first source, and its rating."""
    drawn = scene(seed)
    return drawn.image, rating(drawn.graph)


def pencil(seed: int) -> tuple[RGB, float]:
    """A picture of the second source, and its rating."""
    drawn = long_tailed_scene(seed)
    grey = ImageOps.autocontrast(Image.fromarray(drawn.image).convert("L"))
    lines = grey.resize((384, 384), Image.Resampling.BICUBIC).filter(ImageFilter.CONTOUR)
    paper = np.random.default_rng(seed).normal(215, 8, (384, 384))
    page = np.clip(np.asarray(lines, np.float64) / 255 * paper, 0, 255).astype(np.uint8)
    return np.repeat(page[..., None], 3, axis=2), rating(drawn.graph)


def source(draw: Callable[[int], tuple[RGB, float]], count: int, encoder: CardEncoder, work: Path) -> Source:
    """So many pictures that are not in the middle, embedded."""
    cache, ratings, known = EmbeddingCache.of(encoder, work), list[float](), list[str]()

    def images() -> Iterator[RGB]:
        for seed in itertools.count(FIRST):
            image, rated = draw(seed)
            if not LOW <= rated <= HIGH:
                ratings.append(rated)
                yield image
                if len(ratings) == count:
                    return

    done = track(embed(images(), encoder, cache), f"{draw.__name__}, {encoder.card.name}", total=count)
    for picture in done:
        if picture.sha256 is None:
            raise DataError(f"A drawn picture could not be embedded ({picture.why}); report it.")
        known.append(picture.sha256)
    return Source(cache.first_rows(known), np.array(ratings))


def q16(rows: npt.NDArray[np.float32], bad: npt.NDArray[np.int64]) -> Trained:
    """Q16, tuned as in the paper, from the mean row of each class."""
    probe = tune(rows, bad)
    return lambda others: probe.inappropriate(others) >= 0.5


def linear(rows: npt.NDArray[np.float32], bad: npt.NDArray[np.int64]) -> Trained:
    """The linear probe of `kidsnanny train probe`."""
    probe = fit_linear(rows, (bad == 1)[:, None], ("inappropriate",))
    return lambda others: probe.probabilities(others)[:, 0] >= 0.5


KINDS = {"q16": q16, "linear": linear}


class Scores(NamedTuple):
    """Shares 0..1 of what was tested."""

    right: float
    fine_right: float
    inappropriate_right: float
    f1: float
    """Of what is inappropriate."""


def scores(said: Flags, bad: Flags) -> Scores:
    """What a probe said beside what is true."""
    hits = int((said & bad).sum())
    return Scores(
        float((said == bad).mean()),
        float((~said[~bad]).mean()),
        hits / max(1, int(bad.sum())),
        2 * hits / max(1, int(said.sum()) + int(bad.sum())),
    )


def spread(found: list[Scores]) -> dict[str, list[float]]:
    """Mean and standard deviation of each score over the hold-outs."""
    numbers = np.array(found)
    deviation = numbers.std(axis=0, ddof=1)
    return {
        name: [round(float(mean), 4), round(float(over), 4)]
        for name, mean, over in zip(Scores._fields, numbers.mean(axis=0), deviation, strict=True)
    }


def curve(of: Source, kind: str) -> Iterator[dict[str, Any]]:
    """Scores by how much of the training part is used."""
    parts = hold_outs(of.strata)
    for fraction in FRACTIONS:
        found, used = list[Scores](), list[Indices]()
        try:
            used = [fraction_of(part.train, of.strata, fraction) for part in parts]
            for train, part in zip(used, parts, strict=True):
                found.append(tested(of, kind, train, part.test))
        except DataError as error:  # too few to train on
            yield {"fraction": fraction, "examples": len(used[0]) if used else None, "too few": str(error)}
            continue
        yield {"fraction": fraction, "examples": len(used[0]), **spread(found)}


def tested(of: Source, kind: str, train: Indices, test: Indices) -> Scores:
    """Scores on some pictures after training on others of the same source."""
    trained = KINDS[kind](of.rows[train], of.bad[train])
    return scores(trained(of.rows[test]), of.bad[test] == 1)


def strong_only(of: Source, kind: str) -> dict[str, list[float]]:
    """As `tested`, but trained only on what is strongly inappropriate, as Q16's released vectors were."""
    found = []
    for part in hold_outs(of.strata):
        train = part.train[(of.ratings[part.train] < STRONG) | (of.ratings[part.train] > HIGH)]
        found.append(tested(of, kind, train, part.test))
    return spread(found)


def across(of: Source, other: Source, kind: str) -> dict[str, dict[str, list[float]]]:
    """Trained on one source: scores on what was held out of it, and on the whole other one."""
    inside, outside = [], []
    for part in hold_outs(of.strata):
        trained = KINDS[kind](of.rows[part.train], of.bad[part.train])
        inside.append(scores(trained(of.rows[part.test]), of.bad[part.test] == 1))
        outside.append(scores(trained(other.rows), other.bad == 1))
    return {"inside": spread(inside), "outside": spread(outside)}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for embeddings and random weights")
    parser.add_argument("--pictures", type=int, default=PICTURES, help=f"of each source; by default {PICTURES:,}")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    given = parser.parse_args()
    random = random_clip(given.work / "random-clip", "ViT-B/32")
    runs = []
    for encoder in (load_encoder("image-safety-s-hidden"), load_encoder(random)):
        comics, pencils = (source(draw, given.pictures, encoder, given.work) for draw in (comic, pencil))
        for kind in KINDS:
            start = time.perf_counter()
            runs.append(
                {
                    "encoder": str(encoder.model_id),
                    "caveat": encoder.model_id.caveat,
                    "kind": kind,
                    "inappropriate": [int(comics.bad.sum()), int(pencils.bad.sum())],
                    "curve": list(curve(comics, kind)),
                    "strongly inappropriate alone": strong_only(comics, kind),
                    "comic to pencil": across(comics, pencils, kind),
                    "pencil to comic": across(pencils, comics, kind),
                    "seconds": round(time.perf_counter() - start, 1),
                }
            )
            print(json.dumps(runs[-1]), flush=True)
    target = given.out / f"probe_curves-{hardware()}.json"
    record = {"version": __version__, "hardware": hardware(), "pictures": given.pictures, "runs": runs}
    write_atomically(target, (json.dumps(record, indent=1) + "\n").encode())
    write_atomically(target.with_suffix(".md"), report(record).encode())
    print(target)


def report(record: dict[str, Any]) -> str:
    """The tables, in percent: mean ± standard deviation over ten hold-outs."""
    lines = [
        "# Q16's recipe and a linear probe on drawn stand-ins",
        "",
        f"{record['pictures']:,} scenes of each source, {record['hardware']}, kidsnanny {record['version']}. Percent,",
        "mean ± standard deviation over ten hold-outs of a tenth, which overlap: no confidence interval.",
    ]
    for run in record["runs"]:
        note = " (**random weights**)" if run["caveat"] else ""
        lines += [
            "",
            f"## {run['kind']} on {run['encoder']}{note}",
            "",
            "| trained on | examples | right | fine ones right | inappropriate ones right |",
            "|---|---|---|---|---|",
        ]
        for point in run["curve"]:
            given = f"| {100 * point['fraction']:g} % | {point['examples'] or '–'} |"
            lines.append(given + (" too few | | |" if "too few" in point else row(point)))
        lines.append(f"| rated below {STRONG} or above {HIGH} | |" + row(run["strongly inappropriate alone"]))
        lines += ["", "| trained on | F1 on what was held out | F1 on the other source |", "|---|---|---|"]
        for name in ("comic to pencil", "pencil to comic"):
            both = run[name]
            lines.append(f"| {name.split()[0]} | {cell(both['inside']['f1'])} | {cell(both['outside']['f1'])} |")
    return "\n".join(lines) + "\n"


def row(found: dict[str, Any]) -> str:
    """Cells of three scores."""
    return " " + " | ".join(cell(found[name]) for name in Scores._fields[:3]) + " |"


def cell(found: list[float]) -> str:
    """Mean ± deviation, in percent."""
    return f"{100 * found[0]:.1f} ± {100 * found[1]:.1f}"


if __name__ == "__main__":
    main()
