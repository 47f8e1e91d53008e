"""A network of Florence-2's architecture that is small enough to train on a CPU, and a tokenizer for it."""

import math
import re
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BartConfig, Florence2Config, Florence2VisionConfig, PreTrainedTokenizerFast

from kidsnanny.stage1.student.boxes import BINS
from kidsnanny.stage1.student.codec import PROMPTS
from kidsnanny.stage1.student.florence import SenBen
from kidsnanny.stage1.student.settings import Settings
from kidsnanny.stage1.student.vocabulary import Vocabulary

SIDE = 128
"""Of its pictures, in pixels."""
CELL = 16
"""Pixels of the picture to a position of the image features."""
WIDTH = 128
PIECES = 600
"""Of the tokenizer, without location tokens."""
ORDINARY = "<s>", "<pad>", "</s>", "<unk>"
"""BART's special tokens, in its order."""


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
            vocab_size=PIECES, special_tokens=list(ORDINARY), initial_alphabet=alphabet, show_progress=False
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


def tiny(words: PreTrainedTokenizerFast, vocabulary: Vocabulary, **settings: Any) -> SenBen:
    """A network with 2.8 million parameters, freshly drawn.

    Args:
        words: its tokenizer.
        vocabulary: as many tags as its head shall have.
        settings: fields of Settings, other than those of the demo student.
    """
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
    ours = {
        "tags": len(vocabulary.tags),
        "heads": 4,
        "feed_forward": 2 * WIDTH,
        "input": SIDE,
        "max_new_tokens": 128,
        "trained_on": "generated scenes: comic drawings, no photographs",
        "demo": True,
    }
    model = SenBen(
        Florence2Config(
            vision_config=vision.to_dict(),
            text_config=text.to_dict(),
            image_token_id=words.convert_tokens_to_ids("<image>"),
            senben=Settings.model_validate(ours | settings).model_dump(),
            **special,
        )
    )
    _init_location_embeddings(model, words.convert_tokens_to_ids("<loc_0>"))
    return model


def _init_location_embeddings(model: SenBen, first: int) -> None:
    """Begin with location tokens of neighbouring places alike (random Fourier features): what is learnt of one bin then
    holds for the bins beside it, and a thousand of them need no thousand times the data."""
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        angles = torch.randn(WIDTH // 2) * 4 * torch.arange(BINS)[:, None] / BINS * math.tau
        angles += torch.rand(WIDTH // 2) * math.tau
        table[first : first + BINS] = torch.cat([angles.sin(), angles.cos()], 1) * table[:first].std() * math.sqrt(2)
