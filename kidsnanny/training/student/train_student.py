"""A first student, small enough for a CPU, trained on drawn scenes with plain cross-entropy: `kidsnanny train student`.

It demonstrates the path from pictures to verdicts and knows drawings only. SenBen's losses and schedule are not here;
an auxiliary head, `grid_head`, supervises the image encoder instead.
"""

import json
import math
import re
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.nn import functional
from transformers import BartConfig, Florence2Config, Florence2VisionConfig, PreTrainedTokenizerFast

from kidsnanny.errors import DataError
from kidsnanny.evaluation.graphs.graph_metrics import GraphEvaluation, score
from kidsnanny.records import ModelId
from kidsnanny.stage1.classifier import pixels
from kidsnanny.stage1.student.boxes import BINS
from kidsnanny.stage1.student.codec import PROMPTS, Codec
from kidsnanny.stage1.student.florence import SenBen
from kidsnanny.stage1.student.settings import Settings
from kidsnanny.stage1.student.student import TASKS, Student
from kidsnanny.stage1.student.vocabulary import Vocabulary
from kidsnanny.training.student.grid_head import GridHead
from kidsnanny.training.student.scenes import VOCABULARY, Scene, scene

SIDE = 128
CELL = 16
"""Pixels of the picture to a position of the image features."""
WIDTH = 128
BATCH = 32
STEPS = 5_000
LEARNING_RATE = 1e-3
WARM_UP = 200
"""Steps."""
CURVE_EVERY = 500
CURVE_SCENES = 200
FIRST_UNSEEN = 1_000_000_000
"""Seeds from here on are never trained on; the curve's scenes are the first of them."""
TOKENIZED = 2_000
"""Scenes whose texts the tokenizer is made from."""
ORDINARY = "<s>", "<pad>", "</s>", "<unk>"
"""BART's special tokens, in its order."""


def train(out: Path, *, steps: int = STEPS, seed: int = 0) -> None:
    """Train on `steps` batches of scenes that are drawn on the way, and write a student's folder and its `curve.json`,
    anew at each point of the curve: what ends the training early leaves the student of the last one.

    Args:
        out: the folder.
        steps: of BATCH scenes each, no scene twice.
        seed: of the weights.

    Raises:
        DataError: the folder cannot be made, or has something in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: it is a file or has something in it; name a new folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: it cannot be written ({error.strerror}); name another folder.") from error
    torch.manual_seed(seed)
    codec = Codec(VOCABULARY)
    words = tokenizer(text for s in map(_drawn, range(TOKENIZED)) for text in targets(s, codec))
    model = tiny(words, VOCABULARY)
    model.set_attn_implementation("eager")  # on a CPU the fused one takes thrice as long backwards
    student = Student(model, words, VOCABULARY, ModelId(name=out.name), beams=1, constrained=False)
    unseen = [_drawn(FIRST_UNSEEN + n) for n in range(CURVE_SCENES)]
    grid = GridHead(VOCABULARY, WIDTH, SIDE // CELL)
    optimizer = torch.optim.AdamW([*_groups(model), *_groups(grid)], lr=LEARNING_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _learning_rate(step, steps))
    curve: list[dict[str, float | None]] = []
    began, worked = time.perf_counter(), time.process_time()
    columns = TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        for step in progress.track(range(1, steps + 1), description="training on scenes"):
            model.train()
            loss = _loss(student, grid, [_drawn((step - 1) * BATCH + n) for n in range(BATCH)])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % CURVE_EVERY == 0 or step == steps:
                model.eval()
                spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - worked}
                point = {
                    "step": step,
                    "scenes": step * BATCH,
                    **spent,
                    "loss": loss.item(),
                    **_evaluate(student, unseen),
                }
                curve.append({key: None if value is None else round(value, 4) for key, value in point.items()})
                print(json.dumps(curve[-1]), file=sys.stderr, flush=True)
                student.save(out)
                (out / "curve.json").write_text(json.dumps(curve, indent=1) + "\n")


def tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of BART's kind, made from `texts` and the prompts, with Florence-2's location tokens."""
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    corpus = [re.sub(r"<loc_\d+>", "\n", text) for text in texts]
    corpus += [prompt for prompt in PROMPTS.values() for _ in range(len(corpus) // 4)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bare.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=600, special_tokens=list(ORDINARY), initial_alphabet=alphabet, show_progress=False
        ),
    )
    places = [AddedToken(f"<loc_{n}>", special=True, normalized=False) for n in range(BINS)]
    bare.add_special_tokens([*places, AddedToken("<image>", special=True)])
    bare.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(token, bare.token_to_id(token)) for token in ("<s>", "</s>")]
    )
    begin, pad, end, unknown = ORDINARY
    return PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token=begin, pad_token=pad, eos_token=end, unk_token=unknown
    )


def tiny(words: PreTrainedTokenizerFast, vocabulary: Vocabulary) -> SenBen:
    """A network of Florence-2's architecture with 2.8 million parameters, freshly drawn."""
    dims = (32, 64, 128, WIDTH)
    heads = tuple(dim // 32 for dim in dims)
    vision = Florence2VisionConfig(
        depths=(1, 1, 2, 1),
        embed_dim=dims,
        num_heads=heads,
        num_groups=heads,
        patch_stride=(4, 2, 2, 1),
        window_size=8,
        drop_path_rate=0.0,
        projection_dim=WIDTH,
        max_position_embeddings=16,
    )
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    text = BartConfig(
        vocab_size=len(words),
        d_model=WIDTH,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        max_position_embeddings=256,
        dropout=0.0,  # no scene comes twice
        forced_eos_token_id=None,
        **special,
    )
    settings = Settings(
        tags=len(vocabulary.tags),
        heads=4,
        feed_forward=2 * WIDTH,
        input=SIDE,
        max_new_tokens=128,
        trained_on="generated scenes: comic drawings, no photographs",
        demo=True,
    )
    model = SenBen(
        Florence2Config(
            vision_config=vision.to_dict(),
            text_config=text.to_dict(),
            image_token_id=words.convert_tokens_to_ids("<image>"),
            senben=settings.model_dump(),
            **special,
        )
    )
    _init_location_embeddings(model, words.convert_tokens_to_ids("<loc_0>"))
    return model


def targets(drawn: Scene, codec: Codec) -> list[str]:
    """What the decoder should write for each of its tasks."""
    height, width = drawn.image.shape[:2]
    texts = codec.encode(codec.canonical(drawn.graph), width, height)
    return [texts[task] for task in TASKS]


def _drawn(seed: int) -> Scene:
    return scene(seed, SIDE)


def _init_location_embeddings(model: SenBen, first: int) -> None:
    """Begin with location tokens of neighbouring places alike (random Fourier features): what is learnt of one bin then
    holds for the bins beside it, and a thousand of them need no thousand times the data."""
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        angles = torch.randn(WIDTH // 2) * 4 * torch.arange(BINS)[:, None] / BINS * math.tau
        angles += torch.rand(WIDTH // 2) * math.tau
        table[first : first + BINS] = torch.cat([angles.sin(), angles.cos()], 1) * table[:first].std() * math.sqrt(2)


def _groups(model: torch.nn.Module) -> list[dict[str, Any]]:
    weights = list(model.parameters())
    matrices, vectors = ([w for w in weights if (w.ndim > 1) == many] for many in (True, False))
    return [{"params": matrices, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}]


def _learning_rate(step: int, steps: int) -> float:
    """Warm up, then half a cosine down to a fiftieth."""
    return min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))


def _loss(student: Student, grid: GridHead, batch: Sequence[Scene]) -> torch.Tensor:
    """Cross-entropy of the four texts' tokens, of the tags (which the image encoder never feels) and of the grid."""
    model = student.model
    texts = [text for drawn in batch for text in targets(drawn, student.codec)]
    wanted = student.tokenizer(texts, padding=True, return_tensors="pt").input_ids
    given = torch.from_numpy(np.stack([pixels(drawn.image, model.settings) for drawn in batch]))
    tags = torch.tensor([[drawn.graph.tags.get(tag, 0.0) for tag in student.vocabulary.tags] for drawn in batch])
    padding = student.tokenizer.pad_token_id
    with torch.autocast("cpu", torch.bfloat16):
        features = model.features(given)
        encoded, mask = model.encoded(features, student.prompts, student.prompts_mask)
        shifted = torch.cat([torch.full_like(wanted[:, :1], student.tokenizer.eos_token_id), wanted[:, :-1]], 1)
        logits = model(encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=shifted).logits
        tagged = model.tag_head(features)
        placed = grid.loss(features, batch)
    spoken = functional.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=padding)
    return spoken + functional.binary_cross_entropy_with_logits(tagged.float(), tags) + placed


def _evaluate(student: Student, unseen: Sequence[Scene]) -> dict[str, float | None]:
    graphs = student([drawn.image for drawn in unseen])
    found: GraphEvaluation = score(
        [(drawn.graph, graph) for drawn, graph in zip(unseen, graphs, strict=True)], VOCABULARY
    )
    return {
        "tag_f1": found.tag_f1.value,
        "object_recall": found.graph.objects.recall.value,
        "graph_recall": found.graph.recall.value,
        "graph_f1": found.graph.f1.value,
    }
