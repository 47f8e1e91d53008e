"""The language model of a GGUF file as a folder of safetensors, so that vLLM can serve what llama.cpp serves.

    pip install '.[student]' 'gguf>=0.17'
    kidsnanny weights pull qwen2.5-coder-1.5b
    python benchmarks/gguf_to_safetensors.py "$(kidsnanny weights path qwen2.5-coder-1.5b)" DIR

transformers reads the file and brings each weight from its four bits to bfloat16; the tokenizer is the file's. It takes
3 GB of disk and some 8 GB of memory. A folder that is there is left as it is. Serve it, and ask it the questions of
`judge_quality.py`, under the same name:

    kidsnanny llm serve DIR -- --served-model-name qwen2.5-coder-1.5b
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=Path, help="the file")
    parser.add_argument("folder", type=Path, help="where the model is written")
    given = parser.parse_args()
    if not given.gguf.is_file():
        raise SystemExit(f"{given.gguf}: there is no such file; name a .gguf file.")
    if given.folder.exists():
        print(f"{given.folder}: it is there already; delete it to convert again.")
        return
    where, file = given.gguf.parent, given.gguf.name
    half = given.folder.with_name(f"{given.folder.name}.part")
    whole = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(where, gguf_file=file, dtype=torch.bfloat16, quantization_config=whole)
    model.save_pretrained(half)
    AutoTokenizer.from_pretrained(where, gguf_file=file).save_pretrained(half)
    half.rename(given.folder)
    print(f"{given.folder}: written")


if __name__ == "__main__":
    main()
