"""The numbers of an evaluation, against the published ones and against formulas written out another way."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kidsnanny.errors import DataError
from kidsnanny.evaluation.metrics import (
    BINS,
    ClassificationScores,
    ConfusionMatrix,
    Proportion,
    best_threshold,
    calibration,
    f1,
    flips,
    holm,
    mcnemar_p,
    predicts_unsafe,
    ranking,
    repeatability,
    stage_latencies,
)
from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.evaluation.published import PublishedFigure, PublishedRow, published_results

PUBLISHED = published_results()
WITH_COUNTS = [row for row in PUBLISHED.rows if row.counts]
FIGURES: dict[str, Callable[[ConfusionMatrix], Fraction]] = {
    "accuracy": lambda c: Fraction(c.tp + c.tn, c.n),
    "precision": lambda c: Fraction(c.tp, c.tp + c.fp),
    "recall": lambda c: Fraction(c.tp, c.tp + c.fn),
    "f1": lambda c: Fraction(2 * c.tp, 2 * c.tp + c.fp + c.fn),
}
counts = st.builds(ConfusionMatrix, **dict.fromkeys(("tp", "fp", "fn", "tn"), st.integers(0, 400)))
judged = st.lists(st.tuples(st.booleans(), st.sampled_from([0, 0.05, 0.1, 0.25, 0.3, 0.5, 0.7, 0.75, 1])), max_size=60)


def name(row: PublishedRow) -> str:
    return f"{row.table}-{row.system}"


def prediction(picture: object, unsafe: bool, score: float | None, **more: Any) -> Prediction:
    given = {"system": "s", "category": "Sexual", "source": "Lexica", "threshold": 0.5} | more
    return Prediction(id=str(picture), unsafe=unsafe, score=score, **given)


def arrays(pairs: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([unsafe for unsafe, _ in pairs], bool), np.array([score for _, score in pairs], float)


def rounded(value: float | Fraction, like: PublishedFigure) -> str:
    """In per cent, half up, with as many decimals as were printed."""
    per_cent = Decimal(Fraction(value).numerator * 100) / Decimal(Fraction(value).denominator)
    if like.rounded_twice:
        per_cent = per_cent.quantize(Decimal("0.01"), ROUND_HALF_UP)
    decimals = len(like.printed.partition(".")[2])
    return str(per_cent.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


class TestPublished:
    @pytest.mark.parametrize("row", WITH_COUNTS, ids=name)
    def test_the_counts_give_the_figures_to_the_printed_digit(self, row: PublishedRow) -> None:
        scores = ClassificationScores.of(row.counts)
        for figure in FIGURES:
            if printed := getattr(row, figure):
                assert rounded(getattr(scores, figure).value, printed) == printed.printed, figure

    @pytest.mark.parametrize("row", WITH_COUNTS, ids=name)
    def test_the_counts_are_the_only_ones_that_do(self, row: PublishedRow) -> None:
        """Of whole numbers with that many unsafe and safe pictures, by the figures that are not derived themselves."""
        table = PUBLISHED.tables[row.table]
        given = {f: p for f in FIGURES if (p := getattr(row, f)) and p.mark != "D"}
        safe = table.pictures - table.unsafe
        tp, fp = np.mgrid[1 : table.unsafe + 1, : safe + 1]
        close = {
            "accuracy": (tp + safe - fp) / table.pictures,
            "precision": tp / (tp + fp),
            "recall": tp / table.unsafe,
            "f1": 2 * tp / (table.unsafe + tp + fp),
        }
        near = np.all([abs(close[f] * 100 - float(p.printed)) < 0.51 for f, p in given.items()], axis=0)
        tried = (
            ConfusionMatrix(tp=tp, fp=fp, fn=table.unsafe - tp, tn=safe - fp)
            for tp, fp in zip(tp[near], fp[near], strict=True)
        )
        assert [c for c in tried if all(rounded(FIGURES[f](c), p) == p.printed for f, p in given.items())] == [
            row.counts
        ]

    def test_one_figure_comes_from_no_whole_numbers(self) -> None:
        """Falconsai's precision is 91.148 %, printed as 91.2: rounded to 91.15 before."""
        twice = [(row, f) for row in PUBLISHED.rows for f in FIGURES if (p := getattr(row, f)) and p.rounded_twice]
        ((row, figure),) = twice
        assert (row.system, figure) == ("Falconsai nsfw_image_detection", "precision")
        assert (
            rounded(ClassificationScores.of(row.counts).precision.value, PublishedFigure(printed="91.2", mark="S"))
            == "91.1"
        )

    @pytest.mark.parametrize("row", [row for row in PUBLISHED.rows if not row.counts], ids=name)
    def test_rows_without_counts_say_how_many_were_right(self, row: PublishedRow) -> None:
        share = Proportion.of(row.correct, PUBLISHED.tables[row.table].pictures)
        assert rounded(share.value, row.accuracy) == row.accuracy.printed

    def test_which_rows_are_derived_in_part(self) -> None:
        derived = {(row.table, row.system, f) for row in PUBLISHED.rows for f in FIGURES if self._is_derived(row, f)}
        assert derived == {
            ("vision-only", "KidsNanny Stage 1", "precision"),
            ("vision-only", "KidsNanny Stage 1", "recall"),
            ("multimodal", "KidsNanny Stage 1+2", "precision"),
            ("multimodal", "KidsNanny Stage 1+2", "recall"),
            ("text-only", "KidsNanny Stage 1+2", "accuracy"),
            ("text-only", "ShieldGemma-2", "accuracy"),
        }

    @staticmethod
    def _is_derived(row: PublishedRow, figure: str) -> bool:
        printed = getattr(row, figure)
        return printed is not None and printed.mark == "D"

    def test_25_of_25_is_no_certainty(self) -> None:
        assert Proportion.of(25, 25).clopper_pearson[0] == pytest.approx(0.863, abs=5e-4)


class TestProportion:
    @given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
    def test_wilson_and_clopper_pearson(self, case: tuple[int, int]) -> None:
        k, n = case
        found = Proportion.of(k, n)
        z, p = stats.norm.ppf(0.975), k / n
        middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert found.wilson == pytest.approx([(middle + s * half) / (1 + z**2 / n) for s in (-1, 1)], abs=1e-12)
        low = stats.beta.ppf(0.025, k, n - k + 1) if k else 0
        high = stats.beta.ppf(0.975, k + 1, n - k) if k < n else 1
        assert found.clopper_pearson == pytest.approx((low, high), abs=1e-12)
        assert found.value == p

    def test_of_nothing(self) -> None:
        assert Proportion.of(0, 0).model_dump() == {
            "successes": 0,
            "n": 0,
            "value": None,
            "wilson": None,
            "clopper_pearson": None,
        }


class TestCounts:
    @given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=50))
    def test_of_labels_and_answers(self, pairs: list[tuple[bool, bool]]) -> None:
        found = ConfusionMatrix.of([unsafe for unsafe, _ in pairs], [said for _, said in pairs])
        assert found.n == len(pairs)
        assert found.tp + found.fn == sum(unsafe for unsafe, _ in pairs)
        assert found.tp + found.fp == sum(said for _, said in pairs)
        assert found.tp == sum(unsafe and said for unsafe, said in pairs)

    @given(counts)
    def test_undefined_is_none(self, given: ConfusionMatrix) -> None:
        scores = ClassificationScores.of(given)
        assert (scores.accuracy.value is None) == (given.n == 0)
        assert (scores.precision.value is None) == (given.tp + given.fp == 0)
        assert (scores.recall.value is None) == (given.tp + given.fn == 0)
        assert (scores.f1.value is None) == (given.tp + given.fp + given.fn == 0)
        if scores.f1.value:
            by_hand = stats.hmean([scores.precision.value, scores.recall.value])
            assert scores.f1.value == pytest.approx(by_hand)
            assert scores.f1.bootstrap[0] <= scores.f1.value <= scores.f1.bootstrap[1] or given.n < 30


class TestBootstrap:
    UNSAFE, SCORES = np.arange(200) % 3 > 0, np.sin(np.arange(200)) / 4 + 0.4 + (np.arange(200) % 3 > 0) * 0.2

    @pytest.mark.parametrize("what", ["f1", "auroc", "auprc"])
    def test_agrees_with_scipys(self, what: str) -> None:
        from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

        measure = {
            "f1": lambda unsafe, scores: f1_score(unsafe, scores >= 0.5),
            "auroc": roc_auc_score,
            "auprc": average_precision_score,
        }[what]
        counted = ConfusionMatrix.of(self.UNSAFE.tolist(), (self.SCORES >= 0.5).tolist())
        ours = f1(counted) if what == "f1" else getattr(ranking(self.UNSAFE, self.SCORES), what)
        theirs = stats.bootstrap(
            (self.UNSAFE, self.SCORES), measure, paired=True, vectorized=False, method="percentile",
            n_resamples=1000, rng=1,
        )  # fmt: skip
        assert ours.value == pytest.approx(measure(self.UNSAFE, self.SCORES))
        assert ours.bootstrap == pytest.approx(theirs.confidence_interval, abs=0.012)

    def test_the_same_again(self) -> None:
        assert ranking(self.UNSAFE, self.SCORES) == ranking(self.UNSAFE[::-1], self.SCORES[::-1])

    @pytest.mark.parametrize("unsafe", [[], [True, True], [False]])
    def test_one_label_ranks_nothing(self, unsafe: list[bool]) -> None:
        found = ranking(np.array(unsafe, bool), np.full(len(unsafe), 0.5))
        assert found.auroc.value is found.auprc.value is found.auroc.bootstrap is None

    @given(judged)
    def test_ties_count_half(self, pairs: list[tuple[bool, float]]) -> None:
        unsafe, scores = arrays(pairs)
        found = ranking(unsafe, scores)
        if unsafe.any() and not unsafe.all():
            order = stats.mannwhitneyu(scores[unsafe], scores[~unsafe]).statistic
            assert found.auroc.value == pytest.approx(order / (unsafe.sum() * (~unsafe).sum()))
            assert 0 <= found.auroc.bootstrap[0] <= found.auroc.bootstrap[1] <= 1


@given(judged)
def test_calibration(pairs: list[tuple[bool, float]]) -> None:
    unsafe, scores = arrays(pairs)
    found = calibration(unsafe, scores)
    assert sum(part.n for part in found.bins) == len(pairs)
    error = 0.0
    for part in found.bins:
        inside = (scores > part.low) & (scores <= part.high) | ((scores == 0) & (part.low == 0))
        assert part.n == inside.sum()
        assert (part.score, part.unsafe) == pytest.approx((scores[inside].mean(), unsafe[inside].mean()))
        assert part.high - part.low == pytest.approx(1 / BINS)
        error += inside.sum() * abs(unsafe[inside].mean() - scores[inside].mean())
    assert found.ece == (pytest.approx(error / len(pairs)) if pairs else None)


class TestPairs:
    @given(st.integers(0, 60), st.integers(0, 60))
    def test_mcnemar_is_a_sign_test(self, better: int, worse: int) -> None:
        expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
        assert mcnemar_p(better, worse) == pytest.approx(expected)

    def test_holm_is_step_down(self) -> None:
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
        assert holm([]) == []

    @given(st.lists(st.tuples(st.booleans(), *[st.sampled_from([None, 0.1, 0.5, 0.9])] * 2), max_size=30))
    def test_flips(self, pictures: list[tuple[bool, float | None, float | None]]) -> None:
        before = [prediction(i, unsafe, was) for i, (unsafe, was, _) in enumerate(pictures)]
        after = [prediction(i, unsafe, now) for i, (unsafe, _, now) in enumerate(pictures)]
        found = flips(("a", "b"), before, after[::-1])
        both = [(u, was >= 0.5, now >= 0.5) for u, was, now in pictures if was is not None and now is not None]
        assert (found.pairs, found.left_out) == (len(both), len(pictures) - len(both))
        assert len(found.cleared_rightly) == both.count((False, True, False))
        assert len(found.cleared_wrongly) == both.count((True, True, False))
        assert len(found.raised_rightly) == both.count((True, False, True))
        assert len(found.raised_wrongly) == both.count((False, False, True))
        assert found.better - found.worse == sum(u == now for u, _, now in both) - sum(u == was for u, was, _ in both)
        assert found.p == (mcnemar_p(found.better, found.worse) if both else None)

    def test_a_picture_that_one_did_not_see_is_left_out(self) -> None:
        found = flips(("a", "b"), [prediction(1, True, 0.9), prediction(2, True, 0.9)], [prediction(1, True, 0.1)])
        assert (found.pairs, found.left_out, found.cleared_wrongly) == (1, 1, ("1",))
        assert flips(("a", "b"), [prediction(1, True, 0.9)], [prediction(n, True, 0.9) for n in (1, 2)]).left_out == 1

    def test_repeatability(self) -> None:
        first = [prediction(i, True, score) for i, score in enumerate([0.1, 0.6, 0.9, None, 0.3])]
        second = [prediction(i, True, score) for i, score in enumerate([0.2, 0.4, 0.9, 0.3, 0.3])]
        found = repeatability(first, second)
        assert found.flipped == Proportion.of(1, 4)
        assert (found.flipped_ids, found.scored_once) == (("1",), 1)
        assert found.largest_change == pytest.approx(0.2)

    def test_nothing_repeats_nothing(self) -> None:
        found = repeatability([], [])
        assert found.flipped.value is found.largest_change is None


@pytest.mark.parametrize(("score", "says"), [(0.49, False), (0.5, True), (0.0, False), (1.0, True), (None, None)])
def test_the_decision_is_the_score_against_the_threshold(score: float | None, says: bool | None) -> None:
    assert predicts_unsafe(prediction(1, True, score)) is says


def test_latency_by_stage() -> None:
    found = stage_latencies(
        [prediction(i, True, 0.5, timings={"stage1": i} | ({"judge": 7} if i else {})) for i in range(101)]
    )
    assert {stage: (of.n, of.p50, of.p95) for stage, of in found.items()} == {
        "stage1": (101, 50, 95),
        "judge": (100, 7, 7),
    }


class TestBestThreshold:
    @given(judged)
    def test_no_other_reaches_more(self, pairs: list[tuple[bool, float]]) -> None:
        lines = [prediction(i, unsafe, score) for i, (unsafe, score) in enumerate(pairs)]
        if not any(unsafe and score for unsafe, score in pairs):
            with pytest.raises(DataError, match="choose it on more pictures"):
                best_threshold(lines, ())
            return
        found = best_threshold(lines, ())
        unsafe, scores = arrays(pairs)
        reached = {
            t: ClassificationScores.of(ConfusionMatrix.of(unsafe.tolist(), (scores >= t).tolist())).f1.value
            for t in set(scores[scores > 0])
        }
        assert found.f1 == pytest.approx(max(reached.values()))
        assert found.value == max(t for t, value in reached.items() if value == pytest.approx(found.f1))
        assert found.warning is None

    def test_on_the_reported_pictures_it_is_refused_or_stamped(self) -> None:
        """Pictures are told apart by their content: an id depends on the file that a data set lies in."""
        lines = [prediction(f"test/{n}", n == 0, score, sha256=f"{n}") for n, score in enumerate([0.9, 0.2, None])]
        assert best_threshold(lines, {"test/0", "test/1"}).warning is None
        with pytest.raises(DataError, match=r"^s: the threshold would be chosen on 2 of the pictures"):
            best_threshold(lines, {"0", "1", "2", "3"})
        forced = best_threshold(lines, {"0", "1", "2", "3"}, force=True)
        assert (forced.value, forced.n) == (0.9, 2)
        assert "chosen on 2 of the very pictures" in forced.warning
