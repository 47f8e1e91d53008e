"""What each part of SenBen's recipe gains: its ablation again, on drawn scenes, at equal compute.

    pip install '.[train]'
    python benchmarks/senben_ablation.py                                    # 15 rows, 3 seeds, two minutes a run
    python benchmarks/senben_ablation.py --rows ce balanced --seeds 0 1 2 3
    python benchmarks/senben_ablation.py --setting cuda --start DIR         # Florence-2's folder, if you have one
    python benchmarks/senben_ablation.py --report                           # only writes the report again

The scenes are long-tailed, most with several objects of one label. Every run gets the same seconds of compute (of the
processor, or on CUDA of the clock): what a step of each row costs is measured first, and `steps` is what the seconds
suffice for. A finished run is not done again; delete its file in results/senben_ablation-SETTING-HARDWARE to repeat.

At the small setting every run starts from the same weights: the image encoder of senben-tiny, which is then left as it
is, and a decoder that has learnt to write objects and captions of plain scenes, but no attributes, relations, tags or
numbers of objects. The paper starts from Florence-2, which can do about that. The tag head is new in every run.
"""

import argparse
import json
import math
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hardware import hardware
from senben_ablation_report import report

from kidsnanny.evaluation.graphs.graph_metrics import score
from kidsnanny.evaluation.graphs.rare_recall import rare_recall
from kidsnanny.models.cards import cards
from kidsnanny.stage1.student.codec import Task
from kidsnanny.stage1.student.student import TASKS, Student
from kidsnanny.training.student.long_tail import long_tailed_scene
from kidsnanny.training.student.losses.vocabulary_recall import EntryFrequencies
from kidsnanny.training.student.recipe import LADDER, PLAIN, Precision
from kidsnanny.training.student.scenes import VOCABULARY, Scene, scene
from kidsnanny.training.student.student_loss import StudentLoss
from kidsnanny.training.student.tiny_student import SIDE, tiny
from kidsnanny.training.student.train_student import Plan, train
from kidsnanny.training.student.training_pictures import FIRST_UNSEEN, FixedPictures

RESULTS = Path(__file__).parent / "results"
KNOWN: tuple[Task, ...] = ("objects", "caption")
"""What the decoder has learnt to write before a run."""
FIRST_TEST = 2 * FIRST_UNSEEN
"""Seeds of the scenes that a run is judged by; those of its learning curve begin at FIRST_UNSEEN."""
POINTS = 5
"""Of a learning curve."""
PROBED = 5, 20
"""What a step costs is measured after so many steps and until so many."""


class Setting(NamedTuple):
    """How large a run is."""

    seconds: float
    """Of compute, for training."""
    batch: int
    """Pictures a step."""
    rate: float
    """The highest learning rate."""
    precision: Precision
    scenes: int
    """To train on, again and again."""
    watched: int
    """Scenes of the learning curve."""
    test: int
    """Scenes that the result is measured on."""
    before: int
    """Steps in which the decoder learns what it knows before a run."""
    frozen: bool
    """Whether the image encoder is left as it is, and looks at each scene only once."""


SETTINGS = {
    "small": Setting(120, 8, 1e-3, "bf16", 3_000, 60, 600, 1_500, True),
    "cuda": Setting(1_200, 64, 5e-4, "bf16", 20_000, 200, 2_000, 5_000, False),
}


class Ladder(NamedTuple):
    """Where one ladder's files are."""

    setting: str
    work: Path
    """What can be made again."""
    start: Path | None
    """A folder of Florence-2's; None: as the module says."""

    @property
    def of(self) -> Setting:
        """The setting."""
        return SETTINGS[self.setting]


def main() -> None:
    """Run what is not there, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(LADDER), default=list(LADDER), metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--setting", choices=list(SETTINGS), default="small")
    parser.add_argument("--start", type=Path, help="Florence-2's folder; only for --setting cuda")
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, on one thread each; on CUDA one")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "senben_ablation")
    parser.add_argument("--results", type=Path, default=RESULTS, help="gets a folder with a JSON per run")
    parser.add_argument("--report", action="store_true", help="write only the report, of what is there")
    options = parser.parse_args()
    ladder = Ladder(options.setting, options.work / options.setting, options.start)
    folder = options.results / f"senben_ablation-{options.setting}-{machine(options.setting)}"
    folder.mkdir(parents=True, exist_ok=True)
    if not options.report:
        runs = [(row, seed) for seed in options.seeds for row in options.rows]
        waiting = [run for run in runs if not result_file(folder, *run).is_file()]
        print(f"{len(runs) - len(waiting)} of {len(runs)} runs are there", file=sys.stderr, flush=True)
        workers = 1 if options.setting == "cuda" else options.workers
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            pool.submit(prepared, ladder).result()  # once, and not by every worker
            costs = measured(pool, ladder, sorted({row for row, _ in waiting}, key=options.rows.index))
            for done in as_completed([pool.submit(run, ladder, *one, costs[one[0]]) for one in waiting]):
                result = done.result()
                path = result_file(folder, result["row"], result["seed"])
                path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
                told = {name: result["scores"][name]["value"] for name in result["scores"]}
                print(path.name, json.dumps(told), file=sys.stderr, flush=True)
    found = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*-seed*.json"))]
    target = folder.with_name(f"{folder.name}.md")
    target.write_text(report(found), "utf-8")
    print(target)


def machine(setting: str) -> str:
    """What a run is measured on."""
    return torch.cuda.get_device_name().lower().replace(" ", "-") if setting == "cuda" else hardware()


def result_file(folder: Path, row: str, seed: int) -> Path:
    """Of a run."""
    return folder / f"{row}-seed{seed}.json"


def prepared(ladder: Ladder) -> Path:
    """The folder that every run starts from; made if it is not there."""
    if ladder.start:
        return ladder.start
    folder, setting = ladder.work / "start", ladder.of
    if not (folder / "vocabulary.toml").is_file():
        torch.manual_seed(0)
        student = Student.open(cards()["senben-tiny"].locate().parent, device="auto", precision="float32", beams=1)
        fresh = tiny(student.tokenizer, student.vocabulary)
        student.model.model.language_model.load_state_dict(fresh.model.language_model.state_dict())
        student.model.tag_head.load_state_dict(fresh.tag_head.state_dict())
        if student.model.device.type == "cpu":
            student.model.set_attn_implementation("eager")  # see starting_point
        learn_what_is_known(student, setting)
        student.save(folder)
    return folder


def learn_what_is_known(student: Student, setting: Setting) -> None:
    """Teach the decoder to write KNOWN of plain scenes."""
    pictures = [scene(FIRST_UNSEEN // 2 + number, SIDE) for number in range(setting.scenes)]
    features = seen(student, pictures)
    student.ask(KNOWN)
    loss = StudentLoss(student, PLAIN, EntryFrequencies.of(drawn.graph for drawn in pictures))
    weights = list(student.model.model.language_model.parameters())
    optimizer = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
    order = torch.Generator().manual_seed(0)
    for step in range(setting.before):
        for group in optimizer.param_groups:
            share = math.cos(math.pi / 2 * step / setting.before)
            group["lr"] = 1e-3 * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * share)
        places = torch.randint(len(pictures), (32,), generator=order)
        with torch.autocast(student.model.device.type, torch.bfloat16):
            part = loss([pictures[place] for place in places], features[places].float().to(student.model.device))
        part["text"].backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % 250 == 0:
            print(f"the start: step {step + 1}, loss {part['text'].item():.3f}", file=sys.stderr, flush=True)
    student.ask(TASKS)


@torch.inference_mode()
def seen(student: Student, pictures: list[Scene], at_once: int = 50) -> torch.Tensor:
    """(pictures, positions, width) in half precision: what the image encoder makes of each."""
    parts = (pictures[first : first + at_once] for first in range(0, len(pictures), at_once))
    return torch.cat([student.features([drawn.image for drawn in part]).half().cpu() for part in parts]).clone()


@cache
def data(ladder: Ladder) -> tuple[list[Scene], torch.Tensor | None]:
    """The scenes that are trained on, and what a frozen image encoder makes of them; kept by each worker."""
    pictures = [long_tailed_scene(number, SIDE) for number in range(ladder.of.scenes)]
    if not ladder.of.frozen:
        return pictures, None
    start = prepared(ladder)
    stored = ladder.work / "features.pt"
    if stored.is_file() and stored.stat().st_mtime > (start / "vocabulary.toml").stat().st_mtime:
        return pictures, torch.load(stored, weights_only=True)
    features = seen(Student.open(start, device="cpu", precision="float32"), pictures)
    torch.save(features, part := stored.with_suffix(f".{os.getpid()}"))
    os.replace(part, stored)
    return pictures, features


def trained(
    ladder: Ladder, row: str, seed: int, steps: int, every: int, watched: int, out: Path
) -> list[dict[str, float | None]]:
    """Train one row; its learning curve."""
    setting, (pictures, features) = ladder.of, data(ladder)
    unseen = [long_tailed_scene(FIRST_UNSEEN + number, SIDE) for number in range(watched)]
    given = FixedPictures(
        "long-tailed scenes", VOCABULARY, pictures, unseen, seed=seed, generated=True, features=features
    )
    plan = Plan(
        recipe=LADDER[row],
        steps=steps,
        batch=setting.batch,
        learning_rate=setting.rate,
        precision=setting.precision,
        seed=seed,
        every=every,
    )
    return train(out, given, plan, start=prepared(ladder))


def clock(ladder: Ladder) -> str:
    """Which seconds of a learning curve are those of compute."""
    return "seconds" if ladder.setting == "cuda" else "cpu_seconds"


def measured(pool: ProcessPoolExecutor, ladder: Ladder, rows: list[str]) -> dict[str, float]:
    """Row -> what a step of it costs, in seconds of compute; measured once for all seeds."""
    path = ladder.work / "costs.json"
    costs: dict[str, float] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    probes = {row: pool.submit(probe, ladder, row) for row in rows if row not in costs}
    for row, found in probes.items():
        costs[row] = found.result()
        print(f"{row}: {costs[row]:.3f} seconds a step", file=sys.stderr, flush=True)
        path.write_text(json.dumps(costs, indent=1) + "\n", "utf-8")
    return costs


def probe(ladder: Ladder, row: str) -> float:
    """What a step costs, in seconds of compute."""
    first, last = PROBED
    with tempfile.TemporaryDirectory(dir=ladder.work) as folder:
        curve = trained(ladder, row, 0, last, first, 1, Path(folder) / row)
    found = {point["step"]: point[clock(ladder)] or 0.0 for point in curve}
    return (found[last] - found[first]) / (last - first)


def run(ladder: Ladder, row: str, seed: int, cost: float) -> dict[str, Any]:
    """Train and judge one row with one seed. What was ended goes on."""
    setting, out = ladder.of, ladder.work / f"{row}-seed{seed}"
    steps = max(POINTS, round(setting.seconds / cost))
    curve = trained(ladder, row, seed, steps, math.ceil(steps / POINTS), setting.watched, out)
    student = Student.open(out, precision="float32", beams=1, constrained=False)
    tested = [long_tailed_scene(FIRST_TEST + number, SIDE) for number in range(setting.test)]
    looked = [
        graph
        for first in range(0, len(tested), 50)
        for graph in student([drawn.image for drawn in tested[first : first + 50]])
    ]
    pairs = [(drawn.graph, graph) for drawn, graph in zip(tested, looked, strict=True)]
    found = score(pairs, VOCABULARY, resamples=200)
    frequencies = EntryFrequencies.of(drawn.graph for drawn in data(ladder)[0])
    rare = rare_recall(pairs, frequencies.counts, VOCABULARY, resamples=200)
    scores = {
        "graph_recall": found.graph.recall,
        "graph_f1": found.graph.f1,
        "tag_f1": found.tag_f1,
        "rare_recall": rare.rare,
        "other_recall": rare.others,
        "object_recall": found.graph.objects.recall,
        "attribute_recall": found.graph.attributes.recall,
        "relation_recall": found.graph.relations.recall,
    }
    return {
        "row": row,
        "seed": seed,
        "setting": {"name": ladder.setting, **setting._asdict()},
        "recipe": LADDER[row].model_dump(),
        "steps": steps,
        "seconds_a_step": round(cost, 4),
        "seconds": curve[-1][clock(ladder)],
        "scores": {name: one.model_dump(include={"value", "low", "high", "n"}) for name, one in scores.items()},
        "rare": {f"{one.kind} {one.word}": [one.hits, one.recall.n, one.trained] for one in rare.entries if one.rare},
        "dropped": found.dropped,
        "curve": curve,
        "hardware": machine(ladder.setting) if ladder.setting == "cuda" else f"one thread of {hardware()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "accelerate")},
    }


if __name__ == "__main__":
    main()
