"""Thresholds that are chosen on the pictures of another run."""

from typing import Any

import pytest

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.predictions import DatasetContents, Example, Prediction, RunMetadata
from kidsnanny.evaluation.summary import EvaluationRun
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.evaluation.thresholds import choose_thresholds

ROWS = ("vision-only", "multimodal:asymmetric", "multimodal:judge")
ONE = Dataset("this", lambda: iter([Example("x", b"", True, "Sexual", "", "")]))


def judged(
    rows: tuple[str, ...], category: str = "Sexual", pictures: int = 5, system: str = "standard"
) -> EvaluationRun:
    """A run of a profile that has a judge, on five pictures."""
    lines = {
        row: tuple(
            Prediction(id=str(n), system=row, unsafe=n > 2, category=category, source="", threshold=0.5, score=n / 9)
            for n in range(5)
        )
        for row in (f"{system}:{row}" for row in rows)
    }
    contents = DatasetContents(pictures=pictures, unsafe=2, by={"category": {category: (3, 2)}}, digest="")
    more = {"contamination": (), "versions": {}, "hardware": "", "command": ""}
    return EvaluationRun(meta=RunMetadata(data="other", contents=contents, generated=False, **more), predictions=lines)


@pytest.mark.parametrize(
    ("there", "regimes", "authorities", "chosen"),
    [
        (ROWS, ("vision-only", "multimodal"), ("asymmetric", "judge"), ROWS),
        (ROWS, ("vision-only", "multimodal"), ("judge",), ("vision-only", "multimodal:judge")),
        (ROWS, ("multimodal",), ("asymmetric",), ("multimodal:asymmetric",)),
        (ROWS[:2], ("vision-only", "multimodal"), ("asymmetric", "judge"), "multimodal:judge"),
        (ROWS[1:], ("vision-only", "multimodal"), ("asymmetric", "judge"), "vision-only"),
    ],
)
def test_thresholds_are_chosen_for_the_rows_that_are_evaluated(
    there: tuple[str, ...], regimes: Any, authorities: Any, chosen: tuple[str, ...] | str
) -> None:
    """All or none: the policy's own threshold beside one that was chosen would be another kind of threshold."""
    asked = (judged(there), ["standard"], Options(regimes=regimes, authorities=authorities), ONE)
    if isinstance(chosen, str):
        with pytest.raises(DataError, match=f"lacks standard:{chosen}; evaluate the same there"):
            choose_thresholds(*asked)
    else:
        assert set(choose_thresholds(*asked)[0]) == {f"standard:{row}" for row in chosen}


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (judged(ROWS, category="Violence"), "is of Violence and this one of Sexual, whose score is another one"),
        (judged(ROWS, pictures=6), "other: the run to choose a threshold on lacks 3 lines; let it end"),
    ],
)
def test_thresholds_are_chosen_on_a_whole_run_of_the_same_score(run: EvaluationRun, says: str) -> None:
    with pytest.raises(DataError, match=says):
        choose_thresholds(run, ["standard"], Options(), ONE, force=True)


def test_a_system_that_was_not_there_keeps_its_own_threshold() -> None:
    chosen, stamps = choose_thresholds(judged(ROWS), ["freepik", "standard"], Options(), ONE)
    assert len(chosen) == 3
    assert stamps == ("freepik keeps its own threshold: the run to choose it on lacks it.",)


@pytest.mark.parametrize("system", ["rapidocr", "tesseract", "paddleocr", "keywords"])
def test_a_system_of_one_regime_lacks_no_other(system: str) -> None:
    chosen, stamps = choose_thresholds(judged(("multimodal",), system=system), [system], Options(), ONE)
    assert set(chosen) == {f"{system}:multimodal"}
    assert stamps == ()
