"""Probes as safetensors: what is written is read again, and what is no probe is refused."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kidsnanny.errors import WeightsError
from kidsnanny.probes.linear_probe import LinearProbe
from kidsnanny.probes.probe_files import read_probe, write_probe
from kidsnanny.probes.prompt_probe import PromptProbe
from kidsnanny.probes.q16 import Q16

DRAW = np.random.default_rng(0)


def test_a_probe_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "probe.safetensors"
    rows = DRAW.standard_normal((5, 6)).astype(np.float32)
    for probe in (
        Q16(DRAW.standard_normal((2, 6))),
        LinearProbe(DRAW.standard_normal((3, 6)), DRAW.standard_normal(3)),
        PromptProbe(DRAW.standard_normal((4, 6)), DRAW.standard_normal((16, 8))),
    ):
        write_probe(probe, path)
        found = read_probe(path)
        assert type(found) is type(probe)
        assert np.array_equal(found.probabilities(rows), probe.probabilities(rows))


def test_vectors_in_half_precision_are_read(tmp_path: Path) -> None:
    """As the published ones are."""
    prompts = DRAW.standard_normal((2, 6)).astype(np.float16)
    save_file({"prompts": prompts}, tmp_path / "p.safetensors")
    found = read_probe(tmp_path / "p.safetensors")
    assert isinstance(found, Q16)
    assert np.array_equal(found.prompts, prompts.astype(np.float32))


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"prompts": np.ones((3, 4), np.float32)}, r"expected \(2, d\)"),
        ({"prompts": np.full((2, 4), np.inf, np.float32)}, "finite"),
        ({"weight": np.ones((2, 4), np.float32)}, "it holds weight"),
        ({"features": np.ones((1, 4), np.float32), "context": np.ones((2, 3), np.float32)}, r"expected \(1 \+ labels"),
        ({"features": np.zeros((2, 4), np.float32), "context": np.ones((2, 3), np.float32)}, "no direction"),
        ({"features": np.ones((2, 4), np.float32), "context": np.full((2, 3), np.nan, np.float32)}, "finite"),
        ({"weight": np.ones((2, 4), np.float32), "bias": np.ones(3, np.float32)}, "biases"),
        ({"prompts": np.ones((2, 4), np.float32), "more": np.ones(1, np.float32)}, "it holds more, prompts"),
        ({}, "it holds nothing"),
    ],
)
def test_what_is_no_probe_is_refused(tmp_path: Path, tensors: dict[str, np.ndarray], says: str) -> None:
    save_file(tensors, tmp_path / "p.safetensors")
    with pytest.raises(WeightsError, match=rf"p\.safetensors: it is no probe \(.*{says}.*; train one with"):
        read_probe(tmp_path / "p.safetensors")


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"\xff" * 20])
def test_what_is_no_safetensors_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="it is no probe"):
        read_probe(tmp_path / "p.safetensors")
    with pytest.raises(WeightsError, match="it is no probe"):
        read_probe(tmp_path / "none.safetensors")
