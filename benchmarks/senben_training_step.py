"""What a training step of a student of the published size costs: seconds and memory, with the whole recipe.

    pip install '.[train]'
    python benchmarks/senben_training_step.py                    # CPU, float32, one picture a step
    python benchmarks/senben_training_step.py --device cuda      # bf16, one and eight pictures, two tasks and all

The weights are random, in Florence-2-base's shape, and the pictures are drawn scenes of 768 pixels: what is learnt
means nothing. Nothing is frozen; the optimiser is AdamW. The memory is the process's peak on the CPU, and what torch
allocated at most on CUDA.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hardware import hardware
from rich.progress import track
from senben_speed import base

from kidsnanny.records import ModelId
from kidsnanny.stage1.student.codec import Codec, Task
from kidsnanny.stage1.student.student import TASKS, Student
from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.training.student.long_tail import long_tailed_scene
from kidsnanny.training.student.losses.vocabulary_recall import EntryFrequencies
from kidsnanny.training.student.recipe import LADDER
from kidsnanny.training.student.scenes import VOCABULARY
from kidsnanny.training.student.student_loss import StudentLoss
from kidsnanny.training.student.tiny_student import tokenizer
from kidsnanny.training.student.training_pictures import targets

SIDE = 768
RECIPE = LADDER["balanced"]
TWO: tuple[Task, ...] = ("objects", "attributes")
ROWS: dict[str, list[tuple[str, int, tuple[Task, ...]]]] = {
    "cpu": [("float32", 1, TASKS)],
    "cuda": [("bfloat16", batch, tasks) for batch in (1, 8) for tasks in (TWO, TASKS)],
}
"""Device -> precision, pictures a step and tasks."""


def measure(device: str, precision: str, batch: int, tasks: Sequence[Task], steps: int) -> dict[str, Any]:
    """One setting: seconds a step, the first of which is left out, and the peak of memory."""
    pictures = [long_tailed_scene(number, SIDE) for number in range(batch * (steps + 1))]
    sixteen = {"tags": {**VOCABULARY.model_dump()["tags"], **{f"tag {n}": {"group": "none"} for n in range(4)}}}
    vocabulary = Vocabulary(**{**VOCABULARY.model_dump(), **sixteen})
    words = tokenizer(text for one in pictures for text in targets(one, Codec(vocabulary)))
    model = base().to(device).train()
    student = Student(model, words, vocabulary, ModelId(name="base", caveat="random"), beams=1, constrained=False)
    student.ask(tasks)
    loss = StudentLoss(student, RECIPE, EntryFrequencies.of(one.graph for one in pictures))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    generator = torch.Generator().manual_seed(0)
    seconds, losses = [], []
    for step in track(range(steps + 1), f"{precision}, {batch}, {len(tasks)} tasks", disable=not sys.stderr.isatty()):
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            found = loss(pictures[step * batch : (step + 1) * batch], None, RECIPE.sampling, generator)["loss"]
        found.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(round(found.item(), 3))  # waits for the device
        seconds.append(time.perf_counter() - start)
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "precision": precision,
        "pictures a step": batch,
        "tasks": list(tasks),
        "n": steps,
        "seconds a step": {
            "median": round(statistics.median(seconds[1:]), 3),
            "min": round(min(seconds[1:]), 3),
            "max": round(max(seconds[1:]), 3),
        },
        "peak GB": round(peak / 1e9, 2),
        "losses": losses,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(ROWS), default="cpu")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    chip = torch.cuda.get_device_name().lower().replace(" ", "-") if options.device == "cuda" else hardware()
    result: dict[str, Any] = {
        "hardware": chip,
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "weights": "random, in Florence-2-base's shape",
        "parameters": sum(weight.numel() for weight in base().parameters()),
        "recipe": RECIPE.model_dump(),
        "rows": [],
    }
    for precision, batch, tasks in ROWS[options.device]:
        row = measure(options.device, precision, batch, tasks, options.steps)
        print(json.dumps(row), file=sys.stderr)
        result["rows"].append(row)
    target = options.out / f"senben_training_step-{chip}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(target)


if __name__ == "__main__":
    main()
