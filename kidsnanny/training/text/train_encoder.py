"""Trains the text encoder end to end: `kidsnanny train text`. Needs torch and transformers, and a GPU if there is one.

Cross-entropy a category, unknown labels masked, positives weighted twice; a second head learns the language. The
embeddings of the pieces stay as they are, so that a word of a language with few examples keeps its meaning.
"""

import json
import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from kidsnanny.errors import ComponentError
from kidsnanny.stage2.text_encoder import WINDOW
from kidsnanny.training.text.base_encoder import SPECIAL, BaseEncoder, tokenizer
from kidsnanny.training.text.examples import LANGUAGES, Examples, TrainingText
from kidsnanny.training.text.rows import CATEGORIES

PIECES = 60_000
"""Of the vocabulary."""
LEARNING_RATE = 2e-4
FINISHING_RATE = 0.5
"""Of LEARNING_RATE: that of the second stage at its beginning."""
HEAD_FASTER = 10
WARM_UP = 0.05
"""Share of the first stage."""
POSITIVE_WEIGHT = 2.0
SMOOTHING = 0.01, 0.98
"""Targets of 0 and 1, against labels that are wrong."""
LANGUAGE_WEIGHT = 0.3
BATCH_PIECES = 1_600
"""Pieces of a batch, padding counted."""
CHECKPOINT_EVERY = 200
"""Batches."""
PAD = SPECIAL.index("<pad>")


class EncoderNetwork(nn.Module):  # type: ignore[misc]
    """The encoder, the mean over a text's pieces, and a linear head for the categories and one for the languages."""

    def __init__(self, base: BaseEncoder) -> None:
        super().__init__()
        config = BertConfig(**base.config)
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.encoder.load_state_dict({name: torch.from_numpy(values) for name, values in base.tensors.items()})
        self.encoder.embeddings.word_embeddings.weight.requires_grad_(False)
        self.dropout = nn.Dropout(0.1)
        self.categories = nn.Linear(config.hidden_size, len(CATEGORIES))
        self.languages = nn.Linear(config.hidden_size, len(LANGUAGES))
        nn.init.constant_(self.categories.bias, -2.5)

    def forward(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """Logits (texts, len(CATEGORIES) + len(LANGUAGES)) of pieces and mask, both (texts, longest)."""
        hidden = self.encoder(pieces, attention_mask=mask).last_hidden_state
        weights = mask[..., None].to(hidden.dtype)
        mean = self.dropout((hidden * weights).sum(1) / weights.sum(1))
        return torch.cat([self.categories(mean), self.languages(mean)], dim=1)


class Batch(NamedTuple):
    """Padded pieces and mask (texts, longest), and the examples they are of."""

    pieces: Tensor
    mask: Tensor
    examples: list[TrainingText]


class Batches:
    """The batches of each chunk of the examples, the same each time."""

    def __init__(self, examples: Examples, base: BaseEncoder) -> None:
        self._examples = examples
        self._tokenizer = tokenizer(base.pieces)
        self._tokenizer.enable_truncation(WINDOW)

    def of_chunk(self, number: int) -> list[Batch]:
        """Texts of about the same length together, the batches shuffled."""
        written = self._examples.chunk(number)
        found = self._tokenizer.encode_batch([text for text, _ in written])
        rng = random.Random(f"{self._examples.seed} batches {number}")
        order = sorted(range(len(written)), key=lambda n: len(found[n].ids) + 2 * rng.random())
        groups: list[list[int]] = [[]]
        for n in order:
            if groups[-1] and (len(groups[-1]) + 1) * len(found[n].ids) > BATCH_PIECES:
                groups.append([])
            groups[-1].append(n)
        rng.shuffle(groups)
        return [Batch(*padded([found[n].ids for n in group]), [written[n][1] for n in group]) for group in groups]


def padded(ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Pieces and mask, both (texts, longest)."""
    pieces = nn.utils.rnn.pad_sequence([torch.tensor(one) for one in ids], batch_first=True, padding_value=PAD)
    lengths = torch.tensor([len(one) for one in ids])
    return pieces, (torch.arange(pieces.shape[1]) < lengths[:, None]).long()


def loss(logits: Tensor, examples: Sequence[TrainingText]) -> Tensor:
    """Of a batch's logits: what is unknown of an example counts for nothing."""
    labels = torch.tensor([one.labels for one in examples], device=logits.device)
    weights = torch.tensor([[one.weight] for one in examples], device=logits.device) * (labels >= 0)
    low, span = SMOOTHING[0], SMOOTHING[1] - SMOOTHING[0]
    each = functional.binary_cross_entropy_with_logits(
        logits[:, : len(CATEGORIES)],
        labels.clamp(min=0) * span + low,
        reduction="none",
        pos_weight=torch.tensor(POSITIVE_WEIGHT, device=logits.device),
    )
    languages = torch.tensor([one.language for one in examples], device=logits.device)
    told = functional.cross_entropy(logits[:, len(CATEGORIES) :], languages)
    return len(CATEGORIES) * (each * weights).sum() / weights.sum().clamp(min=1e-6) + LANGUAGE_WEIGHT * told


def train(examples: Examples, base: BaseEncoder, folder: Path, seed: int) -> EncoderNetwork:
    """Train, with a checkpoint in `folder` every CHECKPOINT_EVERY batches; a run that was ended goes on from the last
    one, to the same loss.

    Raises:
        ComponentError: the checkpoint there is of another seed or other examples.
    """
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = EncoderNetwork(base)
    network.to(device).train()
    heads = [*network.categories.parameters(), *network.languages.parameters()]
    body = [one for one in network.encoder.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": body, "lr": LEARNING_RATE, "weight_decay": 0.01},
            {"params": heads, "lr": LEARNING_RATE * HEAD_FASTER, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    path, run = folder / "checkpoint.pt", f"seed {seed}, {len(examples)} examples, {base.config}"
    at = _resumed(path, run, network, optimizer)
    seen, smooth = at["seen"], at["loss"]
    columns = TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("training on texts", total=len(examples), completed=seen)
        for count, (step, batch) in enumerate(_batches(Batches(examples, base), at), 1):
            if seen == len(examples.stages[0]):
                optimizer.state.clear()
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * _pace(seen, *map(len, examples.stages))
            with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
                logits = network(batch.pieces.to(device), batch.mask.to(device))
            value = loss(logits.float(), batch.examples)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_([*body, *heads], 1.0)
            optimizer.step()
            seen += len(batch.examples)
            smooth = value.item() if smooth is None else 0.98 * smooth + 0.02 * value.item()
            progress.update(bar, completed=seen, description=f"training on texts, loss {smooth:.3f}")
            if count % CHECKPOINT_EVERY == 0:
                state = {"run": run, "chunk": step[0], "batch": step[1], "seen": seen, "loss": smooth}
                _keep(path, state, network, optimizer)
                print(json.dumps({"texts": seen, "loss": round(smooth, 4)}), file=sys.stderr, flush=True)
    network.eval().cpu()
    return network


def _pace(seen: int, first: int, second: int) -> float:
    """The share of the learning rate after `seen` examples: it rises and falls in the first stage, and falls again in
    the second."""
    if seen < first:
        return min(1, seen / first / WARM_UP) * max(0.01, 1 - seen / first)
    return FINISHING_RATE * max(0.01, 1 - (seen - first) / second)


def _batches(batches: Batches, at: dict[str, Any]) -> Iterator[tuple[tuple[int, int], Batch]]:
    """From where a checkpoint ended: a batch's chunk and its number there, from 1, and the batch."""
    for chunk in range(at["chunk"], batches._examples.chunks):
        for number, batch in enumerate(batches.of_chunk(chunk), 1):
            if chunk > at["chunk"] or number > at["batch"]:
                yield (chunk, number), batch


def _keep(path: Path, state: dict[str, Any], network: EncoderNetwork, optimizer: torch.optim.Optimizer) -> None:
    moving = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "chance": torch.get_rng_state()}
    torch.save(state | moving, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def _resumed(path: Path, run: str, network: EncoderNetwork, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    if not path.is_file():
        return {"chunk": 0, "batch": 0, "seen": 0, "loss": None}
    state: dict[str, Any] = torch.load(path, weights_only=True)
    if state["run"] != run:
        raise ComponentError(f"{path}: it is of another run ({state['run'][:60]}); delete it, or name another folder.")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["chance"])
    return state
