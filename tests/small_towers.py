"""CLIP, SigLIP and ViT as transformers stores them, small and with random weights."""

from pathlib import Path

from kidsnanny.models.cards import ImageEncoderCard, make_card

TOKENS = "<s> </s> <pad> this image is fine bad safe Violence my weapons"
WORDS = {word: n for n, word in enumerate(TOKENS.split())}
LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
PICTURE = {**LAYERS, "image_size": 32, "patch_size": 16}
TEXT = {**LAYERS, "vocab_size": len(WORDS), "max_position_embeddings": 8}


def tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel(WORDS, "<pad>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<pad>"
    ).save_pretrained(folder)


def made(folder: Path, kind: str, reads: int = 8) -> object:
    """A model of transformers with random weights, whose text tower reads so many tokens, saved into the folder."""
    import torch
    import transformers

    torch.manual_seed(0)
    if kind == "clip":
        text = TEXT | {"max_position_embeddings": reads, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 2}
        config = transformers.CLIPConfig(text_config=text, vision_config=PICTURE, projection_dim=24)
        model = transformers.CLIPModel(config)
    elif kind == "siglip":
        model = transformers.SiglipModel(transformers.SiglipConfig(text_config=TEXT, vision_config=PICTURE))
    else:
        model = transformers.ViTForImageClassification(transformers.ViTConfig(**PICTURE))
    model.eval().save_pretrained(folder)
    if kind != "vit":
        tokenizer(folder)
    return model


def card_of(folder: Path, **facts: object) -> ImageEncoderCard:
    names = ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
    fields = {"role": "encoder", "what": "x", "licence": "ours", "path": folder, "input": 32}
    fields |= {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    fields["files"] = {name: {} for name in names if (folder / name).exists()}
    card = make_card("mine", fields | facts)
    assert isinstance(card, ImageEncoderCard)
    card.pin_local()
    return card


def marked_random(folder: Path) -> Path:
    """The folder, whose weights now say that they are random, as all that comes of them does."""
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    save_file(load_file(weights), weights, {"format": "pt", "kidsnanny": "random"})
    return folder
