"""Training the text encoder: in an order that a seed fixes, on after a kill, and out as a model that is read back."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from base_files import small_encoder

from kidsnanny.errors import ComponentError
from kidsnanny.training.text.examples import Examples
from kidsnanny.training.text.rows import CATEGORIES, COLUMNS

pytestmark = pytest.mark.torch
MEAN, KIND = "you are so mean", "see you at five"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A public source of 20 rows, ten of them harmful."""
    folder = tmp_path / "data"
    folder.mkdir()
    with gzip.open(folder / "tiny.csv.gz", "wt", newline="") as file:
        rows = csv.DictWriter(file, COLUMNS)
        rows.writeheader()
        for n in range(10):
            rest = dict.fromkeys(COLUMNS, "0") | {"lang": "en", "split": "train"}
            rows.writerow(rest | {"text": f"see you at the bus stop {n}"})
            rows.writerow(rest | {"text": f"mean mean mean {n}", "harassment": "1", "any_harm": "1"})
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    lines = [{"text": f"{MEAN} {n}", "kind": "harmful", "categories": [c]} for c in CATEGORIES for n in range(4)]
    lines += [{"text": f"{KIND} {n}", "kind": "look_alike", "categories": ["harassment"]} for n in range(20)]
    lines += [{"text": f"the bus stop {n}", "kind": "plain", "categories": []} for n in range(20)]
    for part in ("train", "validation", "test"):
        (folder / part).mkdir(parents=True)
        written = "".join(json.dumps(line | {"language": "en"}) + "\n" for line in lines)
        (folder / part / "A01.jsonl").write_text(written)
    return folder


def test_the_order_is_fixed_by_the_seed_and_the_chunk(data: Path, corpus: Path) -> None:
    one, same, other = (Examples(data, corpus, seed) for seed in (0, 0, 1))
    assert one.chunk(0) == same.chunk(0)
    assert one.chunk(0) != other.chunk(0)
    assert len(one) == sum(len(one.chunk(n)) for n in range(one.chunks))


def test_a_run_that_was_ended_goes_on_to_the_same_weights(
    data: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kidsnanny.training.text import train_encoder

    monkeypatch.setattr(train_encoder, "BATCH_PIECES", 100)
    monkeypatch.setattr(train_encoder, "CHECKPOINT_EVERY", 3)
    examples, base = Examples(data, corpus, 0), small_encoder()
    for name in ("whole", "ended"):
        (tmp_path / name).mkdir()
    whole = train_encoder.train(examples, base, tmp_path / "whole", 0).state_dict()
    real, calls = train_encoder.loss, []

    def ends(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(train_encoder, "loss", ends)
    with pytest.raises(KeyboardInterrupt):
        train_encoder.train(examples, base, tmp_path / "ended", 0)
    resumed = train_encoder.train(examples, base, tmp_path / "ended", 0).state_dict()
    for name, values in whole.items():
        np.testing.assert_array_equal(values.numpy(), resumed[name].numpy(), err_msg=name)
    with pytest.raises(ComponentError, match="another run"):
        train_encoder.train(examples, base, tmp_path / "ended", 1)


def test_unknown_labels_teach_nothing() -> None:
    import torch

    from kidsnanny.training.text.examples import LANGUAGES, TrainingText
    from kidsnanny.training.text.train_encoder import loss

    logits = torch.zeros(1, len(CATEGORIES) + len(LANGUAGES), requires_grad=True)
    loss(logits, [TrainingText("", (1, *[-1] * (len(CATEGORIES) - 1)), 0, 1.0)]).backward()
    found = logits.grad[0, : len(CATEGORIES)]
    assert found[0] < 0
    assert not found[1:].any()


def test_the_command_writes_a_model_that_is_read_back(
    data: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from kidsnanny.cli.app import app
    from kidsnanny.records import ModelId
    from kidsnanny.stage2.text_encoder import TextEncoder
    from kidsnanny.training.text import examples, train_encoder, train_text

    monkeypatch.setattr(train_text, "read_base", small_encoder)
    monkeypatch.setattr(examples, "NOISE", 20)
    monkeypatch.setattr(examples, "CORPUS_PASSES", 40)
    monkeypatch.setattr(train_encoder, "LEARNING_RATE", 2e-3)
    out = tmp_path / "out"
    command = ["train", "text", "--data", str(data), "--corpus", str(corpus), "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.iterdir()) == ["card.toml", "model.onnx", "tokenizer.json"]
    model = TextEncoder.load(out / "model.onnx", ModelId(name="mine"))
    harassment = model.categories.index("harassment")
    mean, kind = model.score([f"{MEAN} 7", f"{KIND} 7"])[:, harassment]
    assert mean > 0.5 > kind
    assert set(model.recall) == set(CATEGORIES)
    assert model.recall["harassment"][0][1] == 1


@pytest.mark.parametrize(("missing", "said"), [("data", "no *.csv.gz"), ("corpus", "no *.jsonl")])
def test_a_folder_without_its_files_is_named(data: Path, corpus: Path, tmp_path: Path, missing: str, said: str) -> None:
    from typer.testing import CliRunner

    from kidsnanny.cli.app import app

    folders = {"data": str(data), "corpus": str(corpus)} | {missing: str(tmp_path / "nothing")}
    command = ["train", "text", *(word for name, folder in folders.items() for word in (f"--{name}", folder))]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert done.exit_code == 3
    assert said in done.output
