"""The caller chooses the categories that are unsafe to them: only these count, and no other changes their scores."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.errors import DataError
from kidsnanny.models.cards import ProbeCard, make_card
from kidsnanny.models.store import digest
from kidsnanny.probes.linear_probe import LinearProbe
from kidsnanny.probes.perspective import Perspective, perspective
from kidsnanny.probes.probe_files import LoadedProbe, Weights, kind_of, load_probe, write_probe
from kidsnanny.probes.prompt_probe import PromptProbe
from kidsnanny.probes.q16 import Q16
from kidsnanny.taxonomy import UNSAFEBENCH

NAMES = tuple(UNSAFEBENCH)
DRAW = np.random.default_rng(0)
PROBES: dict[str, Weights] = {
    "linear": LinearProbe(np.eye(11), np.zeros(11)),
    "prompts": PromptProbe(np.concatenate([np.full((1, 11), 0.1), np.eye(11)]), np.zeros((4, 8))),
}


def row(**numbers: float) -> np.ndarray:
    """One picture's, with a number for each category; -1 for those that are not named."""
    return np.array([[numbers.get(name.split()[0].replace("-", "_"), -1) for name in NAMES]], np.float32)


def loaded(folder: Path, weights: Weights, *, random: bool = False) -> LoadedProbe:
    path = folder / "probe.safetensors"
    write_probe(weights, path, random=random)
    labels = {name: {} for name in NAMES} if kind_of(weights)[1] == 11 else {"fine": {}, "bad": {}}
    fields = {"role": "probe", "what": "x", "licence": "ours", "path": folder, "labels": labels, "encoder": "nobody's"}
    fields |= {"files": {path.name: {"sha256": digest(path)}}, "kind": kind_of(weights)[0]}
    card = make_card("my-probe", fields)
    assert isinstance(card, ProbeCard)
    return load_probe(card)


@pytest.fixture(params=PROBES)
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedProbe:
    return loaded(tmp_path, PROBES[request.param])


@pytest.mark.parametrize(
    ("chosen", "label", "category"),
    [
        (["Violence"], "Unsafe", "Violence"),
        (["Sexual"], "Safe", None),
        (["Sexual", "Spam"], "Safe", None),
        (["Sexual", "Violence"], "Unsafe", "Violence"),
        (["Hate", "Violence"], "Unsafe", "Hate"),
        (list(NAMES), "Unsafe", "Hate"),
    ],
)
def test_only_what_is_chosen_counts(probe: LoadedProbe, chosen: list[str], label: str, category: str | None) -> None:
    (found,) = perspective(probe, row(Violence=5, Hate=9), chosen)
    assert (found.label, found.category) == (label, category)
    assert list(found.scores) == chosen


@given(chosen=st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
def test_a_score_is_the_same_whatever_else_is_chosen(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[str]
) -> None:
    rows = np.random.default_rng(1).standard_normal((4, 11)).astype(np.float32)
    for weights in PROBES.values():
        probe = loaded(tmp_path_factory.mktemp("p"), weights)
        everything = perspective(probe, rows, NAMES)
        for found, all_of_them in zip(perspective(probe, rows, chosen), everything, strict=True):
            assert found.scores == {name: all_of_them.scores[name] for name in chosen}


def test_of_prompts_a_score_is_the_softmax_of_its_category_and_safe() -> None:
    features, rows = DRAW.standard_normal((4, 6)), DRAW.standard_normal((5, 6)).astype(np.float32)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (rows.astype(np.float64), features)]
    cosines = unit[0] @ unit[1].T
    for label in range(1, 4):
        both = np.exp(100 * cosines[:, [0, label]])
        expected = both[:, 1] / both.sum(axis=1)
        found = PromptProbe(features, np.zeros((2, 3))).probabilities(rows)[:, label - 1]
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_threshold_is_the_callers(probe: LoadedProbe) -> None:
    numbers = np.full((1, 11), 0.2, np.float32)
    (score,) = perspective(probe, numbers, ["Spam"])[0].scores.values()
    for threshold, label in ((score, "Unsafe"), (score + 0.01, "Safe")):
        assert perspective(probe, numbers, ["Spam"], threshold)[0].label == label


def test_random_weights_call_nothing_safe(tmp_path: Path) -> None:
    probe = loaded(tmp_path, PROBES["linear"], random=True)
    for numbers in (row(), row(Spam=9)):
        (found,) = perspective(probe, numbers, ["Spam"])
        assert (found.label, found.category) == (None, None)
        assert list(found.scores) == ["Spam"]


def test_a_row_without_a_direction_is_not_safe(tmp_path: Path) -> None:
    probe = loaded(tmp_path, PROBES["prompts"])
    assert perspective(probe, np.zeros((1, 11), np.float32), ["Spam"]) == [
        Perspective(label="Unsafe", category="Spam", scores={"Spam": 0.5})
    ]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ([], "no category is chosen; choose of Hate, "),
        (["Spam", "spam", "x"], "it knows no category spam, x; choose of"),
    ],
)
def test_a_choice_that_is_none_is_refused(probe: LoadedProbe, chosen: list[str], says: str) -> None:
    with pytest.raises(DataError, match=f"my-probe: {says}"):
        perspective(probe, row(), chosen)


def test_what_cannot_choose_is_refused(tmp_path: Path, probe: LoadedProbe) -> None:
    with pytest.raises(DataError, match="a q16 probe tells no categories apart; name a linear or a prompts probe"):
        perspective(loaded(tmp_path, Q16(np.eye(2, 11))), row(), ["fine"])
    with pytest.raises(ValueError, match="finite"):
        perspective(probe, row(Spam=np.nan), ["Spam"])


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(probe: LoadedProbe, threshold: float) -> None:
    """Above 1, or no number, it would call everything safe."""
    with pytest.raises(ValueError, match=r"threshold in 0\.\.1"):
        perspective(probe, row(Spam=9), ["Spam"], threshold)
