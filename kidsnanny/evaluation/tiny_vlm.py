"""Vision-language models of the real architectures, with a few thousand random weights that are marked as such."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    Gemma3ImageProcessor,
    Gemma3TextConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    ShieldGemma2Config,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
    SiglipVisionConfig,
)

SIDE, PATCH = 28, 14
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE {% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
)
WORDS = "yes no safe unsafe picture content policy shall not contain a of the".split()
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TEXT, "image_size": SIDE, "patch_size": PATCH}


def shieldgemma2(folder: Path) -> Path:
    """ShieldGemma 2 in a folder, as its repository has it."""
    special = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = _tokenizer(special)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in special.items()}
    config = ShieldGemma2Config(
        text_config=Gemma3TextConfig(
            **TEXT, num_key_value_heads=1, head_dim=8, vocab_size=len(tokenizer), pad_token_id=0, sliding_window=64
        ),
        vision_config=SiglipVisionConfig(**VISION),
        mm_tokens_per_image=4,
        image_token_index=ids["image_token"],
        boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"],
        yes_token_index=tokenizer.convert_tokens_to_ids("yes"),
        no_token_index=tokenizer.convert_tokens_to_ids("no"),
    )
    torch.manual_seed(0)
    processor = ShieldGemma2Processor(
        Gemma3ImageProcessor(size={"height": SIDE, "width": SIDE}),
        tokenizer,
        chat_template=TEMPLATE.replace("IMAGE", special["boi_token"]),
        image_seq_length=4,
    )
    return _saved(folder, ShieldGemma2ForImageClassification(config), processor)


def llava(folder: Path) -> Path:
    """LLaVA in a folder: one of the architectures of LlavaGuard."""
    tokenizer = _tokenizer({"image_token": "<image>"})
    config = LlavaConfig(
        text_config=LlamaConfig(**TEXT, vocab_size=len(tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2),
        vision_config=CLIPVisionConfig(**VISION, projection_dim=16),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    torch.manual_seed(0)
    sizes = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = LlavaProcessor(
        CLIPImageProcessor(**sizes),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE.replace("IMAGE", "<image>"),
    )
    return _saved(folder, LlavaForConditionalGeneration(config), processor)


def _tokenizer(special: dict[str, str]) -> PreTrainedTokenizerFast:
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *special.values(), *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=special,
    )


def _saved(folder: Path, model: Any, processor: Any) -> Path:
    for weight in model.parameters():  # as they come, the projector is zero and the picture is not seen
        torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    weights = folder / "model.safetensors"
    save_file(load_file(weights), weights, {"format": "pt", "kidsnanny": "random"})
    return folder
