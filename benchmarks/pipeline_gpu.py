"""How long the whole pipeline takes, judge included, on a machine that serves the judge's model on its GPU.

    kidsnanny llm serve                                 # in vLLM's environment, or there, where no weights can be had:
    python benchmarks/pipeline_gpu.py --random shape    # Qwen2.5-7B's shape
    kidsnanny llm serve shape -- --load-format dummy

    python benchmarks/pipeline_gpu.py http://127.0.0.1:8000/v1 [--stage1 base] [--device cuda] [--key KEY] [--n 200]

Wall time from an encoded JPEG of 1280x720 in memory, photo-like, one picture at a time, after ten that do not count; 16
take turns. The judge is asked about every one (`escalation = "always"`), with and without the sentence for the parents
that flagged pictures get. `--stage1 embedded` is NudeNet on the CPU; `base` is ViT-B/16 and YOLO11n and `tiny` ViT-tiny
and NudeNet, with random weights as in stage1_latency.py, on `--device`. OCR and text model run on the CPU. Random
weights are good for time and for nothing else: nothing about accuracy can be read off these figures.
"""

import argparse
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from embedded_latency import picture
from hardware import hardware

from kidsnanny import Pipeline, Policy
from kidsnanny.models.runtime import Device
from kidsnanny.profiles.profile import Profile
from kidsnanny.stage1.stage1 import Stage1
from kidsnanny.stage2.judge.openai_judge import OpenAIJudge
from kidsnanny.stage2.judge.prompt import HARMLESS
from kidsnanny.stage2.judge.serving import percentiles

SIZE = (1280, 720)
WARM_UP, STREAM = 10, 64
QWEN2_5_7B = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 3584,
    "initializer_range": 0.02,
    "intermediate_size": 18944,
    "max_position_embeddings": 32768,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 152064,
}


def make_shape(folder: Path) -> None:
    """A configuration without weights, and the tokenizer of our tests; the result says how many tokens a prompt has."""
    tests = Path(__file__).parent.parent / "tests"
    words = runpy.run_path(str(tests / "stage2" / "judge" / "tiny_model.py"))["tokenizer"]()
    words.save_pretrained(folder)
    config = QWEN2_5_7B | {"eos_token_id": words.eos_token_id}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    print(f"kidsnanny llm serve {folder} -- --load-format dummy")


def chip() -> str:
    """The GPU's name, or the processor's if there is none."""
    if not shutil.which("nvidia-smi"):
        return hardware()
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    name = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return name.lower().replace(" ", "-")


def build_stage1(kind: str, device: Device) -> Stage1:
    if kind == "embedded":
        return Profile.load("embedded").build_stage1()
    from stage1_latency import pair

    from kidsnanny.stage1.classifier import Classifier
    from kidsnanny.stage1.detector import Yolo
    from kidsnanny.stage1.ensemble import Ensemble

    vit, yolo = pair(kind, Path(os.environ["KIDSNANNY_HOME"]))
    return Ensemble(Classifier(vit, device=device), Yolo(yolo, device="auto" if device == "cuda" else device))


def spread(times: list[float]) -> dict[str, float]:
    p50, p95 = percentiles(times)
    return {"p50": round(p50, 1), "p95": round(p95, 1)}


def measured(pipeline: Pipeline, pictures: list[bytes], n: int) -> dict[str, Any]:
    """Milliseconds of the whole and of each stage, one picture at a time; pictures a second in a stream."""
    whole: list[float] = []
    stages: dict[str, list[float]] = {}
    unjudged = 0
    for turn in range(-WARM_UP, n):
        start = time.perf_counter()
        verdict = pipeline(pictures[turn % len(pictures)])
        spent = (time.perf_counter() - start) * 1e3
        if turn >= 0:
            whole.append(spent)
            unjudged += not any("judge" in by for by in verdict.coverage.values())
            for stage, ms in verdict.timings.items():
                stages.setdefault(stage, []).append(ms)
    start = time.perf_counter()
    for _ in pipeline.stream(pictures[turn % len(pictures)] for turn in range(STREAM)):
        pass
    return {
        "n": n,
        "ms": spread(whole),
        "stages ms": {stage: {**spread(ms), "n": len(ms)} for stage, ms in stages.items()},
        f"pictures/s, {STREAM} in a stream": round(STREAM / (time.perf_counter() - start), 1),
        "without the judge's answer": unjudged,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--random", type=Path, metavar="FOLDER", help="write a shape to serve, and measure nothing")
    parser.add_argument("--key")
    parser.add_argument("--stage1", choices=("embedded", "tiny", "base"), default="embedded")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if options.random:
        make_shape(options.random)
        return
    os.environ["KIDSNANNY_HOME"] = tempfile.mkdtemp(prefix="kidsnanny-bench-")  # the lock file of this run alone
    policy = Policy.load("preteen")
    policy = policy.model_copy(update={"judge": policy.judge.model_copy(update={"escalation": "always"})})
    stage1, stage2 = build_stage1(options.stage1, options.device), Profile.load("embedded").build_stage2()
    assert stage2
    rows = []
    for explains in (False, True):
        judge = OpenAIJudge(options.url, api_key=options.key, explains=explains)
        judge.ask(HARMLESS)
        tokens = judge.usage.get("prompt_tokens")
        pipeline = Pipeline(stage1=stage1, stage2=stage2._replace(judge=judge), policy=policy)
        for text in (False, True):
            pictures = [picture(SIZE, photo=True, text=text, seed=seed) for seed in range(16)]
            row = {"lines of text": 6 if text else 0, "explains": explains, **measured(pipeline, pictures, options.n)}
            print(json.dumps(row), file=sys.stderr)
            rows.append(row)
        model = judge.model_id
        judge.close()
    answer = httpx.get(f"{options.url.rstrip('/').removesuffix('/v1')}/version", trust_env=False)
    server = f"vLLM {answer.json()['version']}" if answer.is_success else answer.headers.get("server", "unknown")
    result = {
        "hardware": chip(),
        "processor": hardware(),
        "server": server,
        "judge": f"{Path(model.name).name} ({model.revision})",
        "prompt tokens": tokens,
        "stage1": [str(model) for model in stage1.models],
        "versions": {package: version(package) for package in ("kidsnanny", "onnxruntime", "rapidocr")},
        "pictures": f"JPEG, {SIZE[0]}x{SIZE[1]}, photo-like",
        "latency": rows,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"pipeline_gpu-{options.stage1}-{chip()}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(target.read_text("utf-8"), target)


if __name__ == "__main__":
    main()
