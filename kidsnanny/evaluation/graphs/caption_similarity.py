"""How alike two captions are: sentence embeddings of BGE-m3, as in SenBen, and their cosines."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError, NotHereError
from kidsnanny.models.store import digest, is_random
from kidsnanny.records import ModelId, SceneGraph

Embedder = Callable[[list[str]], npt.NDArray[np.float32]]
"""N sentences -> (N, d), each of any length but 0; its `__name__` stands in the report."""


def cosines(pairs: Sequence[tuple[SceneGraph, SceneGraph]], embed: Embedder) -> npt.NDArray[np.float64]:
    """(frames,) -1..1: NaN where the truth has no caption, 0 where the prediction has none.

    Raises:
        ComponentError: what `embed` gives is not one finite row for each sentence.
    """
    both = [(truth.caption.strip(), predicted.caption.strip()) for truth, predicted in pairs]
    sentences = sorted({caption for pair in both if pair[0] for caption in pair if caption})
    if not sentences:
        return np.full(len(pairs), np.nan)
    vectors = np.asarray(embed(sentences), np.float64)
    if vectors.ndim != 2 or len(vectors) != len(sentences) or not np.isfinite(vectors).all():
        made = f"{vectors.shape}, or not finite"
        raise ComponentError(f"Embeddings of {len(sentences)} captions are {made}; give one finite row for each.")
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    row = {sentence: n for n, sentence in enumerate(sentences)}
    alike = [(unit[row[truth]] @ unit[row[guess]] if guess else 0.0) if truth else np.nan for truth, guess in both]
    return np.clip(alike, -1, 1)


def bge_m3(folder: Path) -> Embedder:
    """BGE-m3's dense embeddings from a local folder: the vector of the first token, of length 1.

    Any encoder of the same layout does; its `__name__` is the folder's and the start of the weights' checksum. What is
    longer than the tokenizer allows is cut there. Nothing is downloaded, and no code of the folder runs.

    Raises:
        NotHereError: the folder has no model in safetensors.
        ComponentError: a package is missing, or the folder does not load whole.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        fix = "download BAAI/bge-m3 into it"
        if (program := folder / "pytorch_model.bin").is_file():
            fix = f"run `kidsnanny weights convert {program} --out {weights}`"
        raise NotHereError(f"{folder}: there is no model.safetensors in it; {fix}.")
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ComponentError(
            f"{folder}: it needs transformers ({error}); run `pip install 'kidsnanny[student]'`."
        ) from error
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model, loaded = AutoModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **local)
    except Exception as error:  # the libraries' own, and whatever a broken file makes them raise
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ComponentError(f"{folder}: its model does not load ({said[0]}); get the folder again.") from error
    if missing := sorted(key for key in loaded["missing_keys"] if not key.startswith("pooler.")):
        raise ComponentError(
            f"{folder}: {len(missing)} of its model's weights are missing ({missing[0]}…); get it again."
        )
    model.float().eval()

    def embed(sentences: list[str]) -> npt.NDArray[np.float32]:
        vectors = []
        for start in range(0, len(sentences), 32):
            given = tokenizer(sentences[start : start + 32], padding=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                first = model(**given).last_hidden_state[:, 0]
            vectors.append(torch.nn.functional.normalize(first, dim=-1).numpy())
        return np.concatenate(vectors)

    embed.__name__ = str(
        ModelId(
            name=folder.resolve().name,
            revision=digest(weights)[:12],
            caveat="random" if is_random(weights) else None,
        )
    )
    return embed
