"""Trains a student on all its tasks together: `kidsnanny train student`. Several GPUs, mixed precision and checkpoints
are Accelerate's.

Each step is a function of the seed, of its number and of the weights before it, so that a run that was ended goes on
from its last checkpoint to the losses it would have had. SenBen does not publish its optimiser and its schedule: these
are ours. An auxiliary head, `grid_head`, supervises an image encoder that begins with random weights.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from pydantic import Field
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_metrics import GraphEvaluation, score
from kidsnanny.records import Record
from kidsnanny.stage1.student.student import Student
from kidsnanny.training.student.grid_head import GridHead
from kidsnanny.training.student.losses.scheduled_sampling import probability
from kidsnanny.training.student.losses.vocabulary_recall import EntryFrequencies
from kidsnanny.training.student.recipe import PLAIN, Precision, Recipe
from kidsnanny.training.student.scenes import Scene
from kidsnanny.training.student.starting_point import starting_point
from kidsnanny.training.student.student_loss import StudentLoss
from kidsnanny.training.student.tiny_student import CELL, SIDE, WIDTH
from kidsnanny.training.student.training_pictures import GeneratedPictures, TrainingPictures

RATE = 1e-3
"""Highest learning rate of a network that begins with random weights."""
FINE_TUNING_RATE = 1e-5
"""Highest learning rate of one that does not."""
WARM_UP = 200
"""Steps, or a tenth of all if these are fewer."""
BETAS = 0.9, 0.98
DECAY = 0.02
"""Weight decay of matrices."""
LONGEST = 1.0
"""Of the gradient: what is longer is clipped."""
RUN = "run.json"
LOGS = "logs"
"""TensorBoard's folder."""


class Plan(Record):
    """How a student is trained. Whoever goes on with a run gives the same."""

    recipe: Recipe = PLAIN
    """Losses and targets."""
    steps: int = Field(default=5_000, ge=1)
    """How many batches."""
    batch: int = Field(default=32, ge=1)
    """How many pictures a step, on all devices together."""
    learning_rate: float = Field(default=RATE, gt=0)
    """The highest."""
    precision: Precision = "bf16"
    """Of the network's arithmetic while it trains; `no` is float32."""
    seed: int = Field(default=0, ge=0)
    """Of everything random, a whole number of at least 0."""
    every: int = Field(default=500, ge=1)
    """Steps from one point of the learning curve, with its checkpoint, to the next."""

    def __str__(self) -> str:
        return f"{self.steps} steps of {self.batch} pictures; a checkpoint and a line of scores every {self.every}"


def train(
    out: Path,
    pictures: TrainingPictures | None = None,
    plan: Plan | None = None,
    *,
    start: Path | None = None,
) -> list[dict[str, float | None]]:
    """Train a student, and write its folder with `curve.json` and TensorBoard's `logs`, anew at each point of the
    curve. A run that was ended goes on from its last checkpoint, which is in the folder until the end.

    Args:
        out: the folder; it is made.
        pictures: what it is trained on; by default drawn scenes.
        plan: how; by default the demo student's.
        start: a folder of Florence-2's or of a student's; by default a tiny network of random weights.

    Returns:
        The learning curve: `seconds` and `cpu_seconds` are those of training, without looking at unseen pictures.

    Raises:
        DataError: the folder has another run or something else in it, or the pictures' words are not the vocabulary's.
        WeightsError, ComponentError: `start` is no such folder.
    """
    plan, pictures = plan or Plan(), pictures or GeneratedPictures(SIDE)
    accelerator = Accelerator(
        mixed_precision=plan.precision,
        log_with="tensorboard",
        project_dir=out,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    with accelerator.main_process_first():
        _claim(out, {"plan": plan.model_dump(), "pictures": pictures.name, "start": start and str(start)})
    run = _Run(out, pictures, plan, accelerator, start)
    accelerator.print(f"{out}: {plan}" + f"; it goes on after step {run.done}" * (run.done > 0), file=sys.stderr)
    with _bar(plan.steps, run.done, hidden=not accelerator.is_main_process) as advance:
        for step in range(run.done + 1, plan.steps + 1):
            run.step(step)
            advance()
            if step % plan.every == 0 or step == plan.steps:
                run.point(step)
    run.finish()
    return run.curve


class _Run:
    """One training, from its beginning or its last checkpoint."""

    def __init__(
        self,
        out: Path,
        pictures: TrainingPictures,
        plan: Plan,
        accelerator: Accelerator,
        start: Path | None,
    ) -> None:
        torch.manual_seed(plan.seed)
        self._out, self._pictures, self._plan, self._accelerator = out, pictures, plan, accelerator
        began = starting_point(out.name, pictures, plan.recipe, start, accelerator.device)
        for note in began.notes:
            accelerator.print(note, file=sys.stderr)
        self._student, self._frozen = began.student, pictures.features(0) is not None
        grid = GridHead(pictures.vocabulary, WIDTH, SIDE // CELL) if start is None else None
        frequencies = EntryFrequencies.of(drawn.graph for drawn in pictures.sample())
        loss = StudentLoss(self._student, plan.recipe, frequencies, grid)
        if self._frozen:
            for part in (self._student.model.model.vision_tower, self._student.model.model.multi_modal_projector):
                part.requires_grad_(False)
        optimizer = torch.optim.AdamW(_groups(loss), lr=plan.learning_rate, betas=BETAS)
        self._loss, self._optimizer = accelerator.prepare(loss, optimizer)
        self.done, self.curve, self._spent, self._losses = 0, list[dict[str, float | None]](), [0.0, 0.0], list[float]()
        if found := _checkpoints(out):
            accelerator.load_state(str(found[-1]))
            state = json.loads((found[-1] / RUN).read_text("utf-8"))
            self.done, self.curve, self._spent = state["step"], state["curve"], state["spent"]
        accelerator.init_trackers(LOGS)

    def step(self, step: int) -> None:
        """One batch, `step` counted from 1."""
        began, worked = time.perf_counter(), time.process_time()
        plan, accelerator = self._plan, self._accelerator
        torch.manual_seed(plan.seed + 1_000_003 * step + 7_919 * accelerator.process_index)  # the head's dropout
        generator = torch.Generator().manual_seed(torch.initial_seed())
        first = (step - 1) * plan.batch + accelerator.process_index
        numbers = range(first, step * plan.batch, accelerator.num_processes)
        for group in self._optimizer.param_groups:
            group["lr"] = plan.learning_rate * _pace(step - 1, plan.steps)
        self._loss.train()
        known = [self._pictures.features(number) for number in numbers]
        parts = self._loss(
            [self._pictures.picture(number) for number in numbers],
            torch.stack(known).to(accelerator.device) if self._frozen else None,
            probability(step - 1, plan.steps, highest=plan.recipe.sampling),
            generator,
        )
        accelerator.backward(parts["loss"])
        accelerator.clip_grad_norm_(self._loss.parameters(), LONGEST)
        self._optimizer.step()
        self._optimizer.zero_grad()
        told = {f"loss/{name}": part.item() for name, part in parts.items()}
        self._losses.append(told["loss/loss"])
        self._spent[0] += time.perf_counter() - began
        self._spent[1] += time.process_time() - worked
        accelerator.log(told, step)

    def point(self, step: int) -> None:
        """A point of the learning curve, the student as it is, and a checkpoint."""
        accelerator = self._accelerator
        seen = {"step": step, "pictures": step * self._plan.batch}
        spent = dict(zip(("seconds", "cpu_seconds"), self._spent, strict=True))
        loss = sum(self._losses) / len(self._losses)
        self._losses.clear()
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            self._student.model.eval()
            found = _looked_at(self._student, self._pictures.unseen, self._plan.batch)
            point = {**seen, **spent, "loss": loss, **found}
            self.curve.append({key: None if value is None else round(value, 4) for key, value in point.items()})
            print(json.dumps(self.curve[-1]), file=sys.stderr, flush=True)
            accelerator.log({f"unseen/{name}": value for name, value in found.items() if value is not None}, step)
            self._student.save(self._out)
            (self._out / "curve.json").write_text(json.dumps(self.curve, indent=1) + "\n")
        _keep(accelerator, self._out, {"step": step, "curve": self.curve, "spent": self._spent})

    def finish(self) -> None:
        """Close the logs; the checkpoints have served."""
        self._accelerator.end_training()
        if self._accelerator.is_main_process:
            for path in (*_checkpoints(self._out), self._out / RUN):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _claim(out: Path, run: dict[str, Any]) -> None:
    """Make the folder, or make sure that it has the same run, which has not come to its end."""
    try:
        there = json.loads((out / RUN).read_text("utf-8"))
    except (OSError, ValueError):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(
                f"{out}: it is a file or has something in it that is no unfinished training; name a new folder."
            ) from None
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / RUN).write_text(json.dumps(run, indent=1) + "\n", "utf-8")
        except OSError as error:
            raise DataError(f"{out}: it cannot be written ({error.strerror}); name another folder.") from error
        return
    if there != json.loads(json.dumps(run)):
        other = [key for key, value in _flat(run).items() if _flat(there).get(key) != value]
        raise DataError(
            f"{out}: it has an unfinished training with another {' and '.join(other)}; give the same to go on with it, "
            "or name a new folder."
        )


def _flat(run: dict[str, Any]) -> dict[str, Any]:
    """The plan's fields beside the others."""
    return {**run.get("plan", {}), **{key: value for key, value in run.items() if key != "plan"}}


def _checkpoints(out: Path) -> list[Path]:
    """Those that are whole, the last one last."""
    return sorted(out.glob("checkpoint-*[0-9]"), key=lambda path: int(path.name.partition("-")[2]))


def _keep(accelerator: Accelerator, out: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside the one before, which goes when the new one is whole."""
    older, final = _checkpoints(out), out / f"checkpoint-{state['step']}"
    part = final.with_name(f"{final.name}.part")
    if accelerator.is_main_process:
        shutil.rmtree(part, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(part), safe_serialization=False)  # which would speak of the tied embeddings
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (part / RUN).write_text(json.dumps(state), "utf-8")
        part.rename(final)
        for path in older:
            shutil.rmtree(path)
    accelerator.wait_for_everyone()


def _groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    matrices, vectors = ([w for w in weights if (w.ndim > 1) == many] for many in (True, False))
    return [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]


def _pace(step: int, steps: int) -> float:
    """The share of the learning rate: warm up, then half a cosine down to a fiftieth."""
    warm_up = max(1, min(WARM_UP, steps // 10))
    return min(1.0, (step + 1) / warm_up) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))


def _looked_at(student: Student, unseen: Sequence[Scene], batch: int) -> dict[str, float | None]:
    parts = (unseen[start : start + batch] for start in range(0, len(unseen), batch))
    graphs = [graph for part in parts for graph in student([drawn.image for drawn in part])]
    pairs = [(drawn.graph, graph) for drawn, graph in zip(unseen, graphs, strict=True)]
    found: GraphEvaluation = score(pairs, student.vocabulary, resamples=0)
    return {
        "tag_f1": found.tag_f1.value,
        "object_recall": found.graph.objects.recall.value,
        "graph_recall": found.graph.recall.value,
        "graph_f1": found.graph.f1.value,
    }


@contextmanager
def _bar(steps: int, done: int, *, hidden: bool) -> Iterator[Any]:
    """A progress bar on a terminal; what is yielded moves it on by a step."""
    columns = TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    disable = hidden or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=disable) as progress:
        bar = progress.add_task("training a student", total=steps, completed=done)
        yield lambda: progress.advance(bar)
