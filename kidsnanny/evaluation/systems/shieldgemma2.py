"""ShieldGemma 2 (google/shieldgemma-2-4b-it) through transformers: P(yes, this violates the policy) for a picture.

The policies' wording is the model's own and comes with transformers, or with the model's processor.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.system import HALF, NOT_FOUND, Answer, Baseline, Options, Shown, weights_of
from kidsnanny.taxonomy import Category

POLICIES: dict[str, tuple[Category, ...]] = {
    "sexual": ("sexual", "nudity"),
    "dangerous": ("self_harm", "weapons", "illegal"),
    "violence": ("violence", "gore"),
}
"""Its policies -> ours."""
GET = "accept its licence, download the whole repository google/shieldgemma-2-4b-it"


def shieldgemma2(options: Options) -> Baseline:
    """The model in a folder.

    Raises:
        ComponentError: the folder is not named, torch or transformers is missing, or the model cannot be loaded.
    """
    folder = options.folder("shieldgemma2", GET)
    models = weights_of("shieldgemma2", folder)
    model, processor, torch = from_folder("shieldgemma2", folder, "ShieldGemma2ForImageClassification")

    def look(shown: Sequence[Shown]) -> list[Answer]:
        scores = [0.0] * len(shown)
        for policy, stands_for in POLICIES.items():
            asked = [place for place, one in enumerate(shown) if set(stands_for) & set(one.mapped)]
            if not asked:
                continue
            frames = [shown[place].frame for place in asked]
            given = processor(images=frames, policies=[policy], return_tensors="pt").to(model.device, model.dtype)
            with torch.inference_mode():
                found = model(**given).probabilities[:, 0].float().tolist()
            for place, score in zip(asked, found, strict=True):
                if not math.isfinite(score):
                    raise ComponentError("its network gives numbers that are none")
                scores[place] = max(scores[place], min(1.0, score))
        return [Answer(score) for score in scores]

    threshold, origin = options.threshold("shieldgemma2", HALF, NOT_FOUND)
    about = SystemDescription(
        name="shieldgemma2",
        regime="multimodal",
        categories=tuple(category for stands_for in POLICIES.values() for category in stands_for),
        rule="P(yes) of the policy that covers the mapped categories; unsafe from the threshold on",
        licence="Gemma terms of use",
        threshold=threshold,
        origin=origin,
        models=models,
    )
    return Baseline(about, look)


def from_folder(name: str, folder: Path, kind: str) -> tuple[Any, Any, Any]:
    """Model (bfloat16 on CUDA, float32 on the CPU), processor, and torch. Nothing is downloaded, no code of the
    model's is run, and no pickle is read.

    Raises:
        ComponentError: torch or transformers is missing, or the folder does not hold the whole of such a model.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ComponentError(f"{name}: it needs transformers ({error}); run `pip install 'kidsnanny[vit]'`.") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, loaded = getattr(transformers, kind).from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **local
        )
        if lacking := sorted(loaded["missing_keys"]):  # they would be random numbers
            raise OSError(f"{len(lacking)} of its weights are missing, {lacking[0]} for one")
        processor = transformers.AutoProcessor.from_pretrained(folder, **local)
        return model.to(device).eval(), processor, torch
    except Exception as error:  # transformers, safetensors and tokenizers raise anything
        why = " ".join(str(error).split())[:200] or type(error).__name__
        fix = "download the whole repository"
        raise ComponentError(f"{name}: it cannot be loaded from {folder} ({why}); {fix}.") from error
