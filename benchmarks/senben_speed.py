"""How long a student of the published size takes for a frame, beside transformers' plain `generate` task by task.

    pip install '.[student]'
    python benchmarks/senben_speed.py                                # CPU, float32, beam 3, 64 tokens a task
    python benchmarks/senben_speed.py --device cuda --tokens 16 64 256

The weights are random: times and agreement mean something, what is written does not. Every task writes exactly the
given number of tokens, and the grammar is off. `plain` encodes the picture anew for each of the four tasks, as one
would with Florence-2's own interface; `ours` is `Student.write`. Systems take turns within each repeat. SenBen
publishes 733 ms and 1.2 GB (fp32, beam 3, sequential, mean of 5 frames, RTX 4090) for an unknown number of tokens.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hardware import hardware
from transformers import BartConfig, Florence2Config, Florence2VisionConfig

from kidsnanny.records import ModelId
from kidsnanny.stage1.student.florence import SenBen
from kidsnanny.stage1.student.settings import Settings
from kidsnanny.stage1.student.student import Student
from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.training.student.scenes import VOCABULARY, scene
from kidsnanny.training.student.tiny_student import tokenizer

PUBLISHED = {"ms a frame": 733, "peak GB": 1.2, "hardware": "RTX 4090", "tokens a task": "not published"}
SIXTEEN = Vocabulary(**{**VOCABULARY.model_dump(), "tags": {f"tag {n}": {"group": "random"} for n in range(16)}})
FRAMES = 5


def base() -> SenBen:
    """Florence-2-base's shape and a head of 16 tags, of random weights."""
    torch.manual_seed(0)
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    text = BartConfig(
        vocab_size=51_290,
        d_model=768,
        encoder_layers=6,
        decoder_layers=6,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        max_position_embeddings=1024,
        forced_eos_token_id=None,
        **special,
    )
    vision = Florence2VisionConfig(projection_dim=768).to_dict()
    settings = Settings(tags=16).model_dump()
    config = Florence2Config(
        vision_config=vision, text_config=text.to_dict(), image_token_id=51_289, senben=settings, **special
    )
    return SenBen(config).eval()


def plain(student: Student, features: Any, pixels: Any, tokens: int, beams: int) -> tuple[list[Any], list[float]]:
    """Each task by itself through transformers' interface: its tokens, and its score for beams."""
    model, written, scores = student.model, [], []
    for prompt, mask in zip(student.prompts, student.prompts_mask, strict=True):
        prompt = prompt[mask.bool()]
        image = prompt.new_full((features,), model.config.image_token_id)
        ids = torch.cat([image, prompt])[None]
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=pixels,
            num_beams=beams,
            do_sample=False,
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            return_dict_in_generate=True,
            output_scores=True,
        )
        written.append(found.sequences[0])
        scores.append(float(found.sequences_scores[0]) if beams > 1 else 0.0)
    return written, scores


def timed(call: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Milliseconds until the device is done, and what came of it."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    came = call()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3, came


def measure(device: str, precision: str, tokens: int, beams: int, repeats: int, compiled: bool) -> dict[str, Any]:
    """One setting: times of plain and ours and of the tags alone, whether they agree, and the peak of memory."""
    model = base().to(device, getattr(torch, precision))
    words = tokenizer([" ".join(VOCABULARY.objects)])
    student = Student(model, words, SIXTEEN, ModelId(name="base", caveat="random"), beams=beams, constrained=False)
    student.model.generation_config.update(min_new_tokens=tokens)
    student.settings = student.settings.model_copy(update={"max_new_tokens": tokens})
    if compiled:
        model.model.vision_tower = torch.compile(model.model.vision_tower, mode="reduce-overhead")
    frames = [scene(n, 768).image for n in range(FRAMES)]
    positions = len(student.features(frames[:1])[0])
    calls: dict[str, Callable[[Any], Any]] = {
        "tags alone": lambda frame: student.tags(student.features([frame])),
        "ours": lambda frame: student.write(student.features([frame])),
        "plain": lambda frame: plain(student, positions, student.pixels([frame]), tokens, beams),
        "plain, one task": lambda frame: plain(_first(student), positions, student.pixels([frame]), tokens, beams),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    same, drift, peak = 0, 0.0, {}
    with torch.inference_mode():
        for repeat in range(-1, repeats):
            for frame in frames[: 1 if repeat < 0 else FRAMES]:
                came = {}
                for name, call in calls.items():
                    if device == "cuda":
                        torch.cuda.reset_peak_memory_stats()
                    spent, came[name] = timed(lambda call=call, frame=frame: call(frame), device)
                    if device == "cuda":
                        peak[name] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
                    if repeat >= 0:
                        times[name].append(spent)
                ours, (tokens_plain, scores_plain) = came["ours"], came["plain"]
                same += sum(torch.equal(a, b) for a, b in zip(ours.sequences, tokens_plain, strict=True))
                if beams > 1:
                    drift = max(
                        drift, *(abs(a - b) for a, b in zip(ours.sequences_scores.tolist(), scores_plain, strict=True))
                    )
    compared = 4 * (FRAMES * repeats + 1)
    middle = {name: statistics.median(spent) for name, spent in times.items()}
    row = {
        "precision": precision,
        "beams": beams,
        "tokens a task": tokens,
        "compiled": compiled,
        "n": len(times["ours"]),
        "ms a frame": {
            name: {"median": round(middle[name], 1), "min": round(min(spent), 1), "max": round(max(spent), 1)}
            for name, spent in times.items()
        },
        "ours over plain": round(middle["ours"] / middle["plain"], 3),
        "tags alone over one plain task": round(middle["tags alone"] / middle["plain, one task"], 3),
        "tasks with the same tokens": f"{same} of {compared}",
        "largest difference of a score": drift if beams > 1 else None,
    }
    return row | ({"peak GB": peak} if peak else {})


def _first(student: Student) -> Any:
    """The same student, asked for one task only."""

    class One:
        model = student.model
        prompts = student.prompts[:1]
        prompts_mask = student.prompts_mask[:1]

    return One


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tokens", type=int, nargs="+", default=[64])
    parser.add_argument("--repeats", type=int, default=1, help=f"times {FRAMES} frames")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    cuda = options.device == "cuda"
    settings = [("float32", 3, False)] + (
        [("bfloat16", 3, False), ("bfloat16", 1, False), ("bfloat16", 1, True)] * cuda
    )
    chip = torch.cuda.get_device_name().lower().replace(" ", "-") if cuda else hardware()
    head = sum(weight.numel() for weight in base().tag_head.parameters())
    result: dict[str, Any] = {
        "hardware": chip,
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "weights": "random, in Florence-2-base's shape",
        "parameters": {"all": sum(weight.numel() for weight in base().parameters()), "tag head": head},
        "published by SenBen, on other hardware": PUBLISHED,
        "rows": [],
    }
    for tokens in options.tokens:
        for precision, beams, compiled in settings:
            row = measure(options.device, precision, tokens, beams, options.repeats, compiled)
            print(json.dumps(row), file=sys.stderr)
            result["rows"].append(row)
    target = options.out / f"senben_speed-{chip}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(target)


if __name__ == "__main__":
    main()
