"""Makes a tiny instruct model with random weights: Qwen2's architecture, a tokenizer trained on our prompts.

    python tests/stage2/judge/tiny_model.py FOLDER

Needs transformers and torch, as an environment with vLLM has them. Nothing is downloaded. What the model says means
nothing; how it is asked and how its answers are read is what can be tested with it.
"""

import os
import sys
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

ROOT = Path(__file__).parents[3]
CONTEXT = 8192
VOCABULARY = 2048
END, TURN, PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
TEMPLATE = (
    "{% for message in messages %}" + TURN + "{{ message.role }}\n{{ message.content }}" + END + "\n{% endfor %}"
    "{% if add_generation_prompt %}" + TURN + "assistant\n{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, as Qwen2 has it; a letter with the space before it is a token of its own, as there.

    It is trained on nothing but the prompts, so that the model is another one only when they are.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, TURN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [path.read_text("utf-8") for path in sorted(ROOT.glob("prompts/*.md"))]
    bpe.train_from_iterator([*texts, " Y N" * 2000], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[TURN],
        chat_template=TEMPLATE,
        model_max_length=CONTEXT,
    )


def model(words: PreTrainedTokenizerFast, seed: int = 0) -> Qwen2ForCausalLM:
    """Two layers, drawn larger than training would start with, or everything would be about equally likely."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.15,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    made = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():  # a quotation mark is made improbable, or a sentence would end before it has begun
        made.lm_head.weight[[n for token, n in words.get_vocab().items() if '"' in token]] *= 0.2
    # what the large ones ship: a server that took these over would not answer with what is most likely
    made.generation_config = GenerationConfig(
        do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05, eos_token_id=words.eos_token_id
    )
    return made


def main() -> None:
    folder = Path(sys.argv[1])
    words = tokenizer()
    made = model(words)
    made.save_pretrained(folder)
    words.save_pretrained(folder)
    print(f"{folder}: {len(words)} tokens, {sum(p.numel() for p in made.parameters()):,} parameters, {CONTEXT} context")


if __name__ == "__main__":
    main()
