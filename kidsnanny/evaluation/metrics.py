"""The numbers of an evaluation and how sure they are; what is not defined is None, never 0 or 1.

Positive is *unsafe* throughout; every interval is a 95 % one. Needs scikit-learn, scipy and statsmodels
(`pip install 'kidsnanny[eval]'`).
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from kidsnanny.errors import DataError
from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.records import Record

Interval = tuple[float, float]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

ALPHA = 0.05
RESAMPLES = 2_000
"""Of the bootstrap. The seed is fixed, so that the same predictions give the same intervals."""
SEED = 0
BATCH = 100
"""Resamples drawn at once; bounds memory."""
BINS = 10
"""Of the calibration: of equal width, each without its lower edge, the first with it."""


class Proportion(Record):
    """`successes` of `n`: an accuracy, a precision, a recall, a flip rate."""

    successes: int
    n: int
    value: float | None
    wilson: Interval | None
    """The score interval: close to 95 % on average."""
    clopper_pearson: Interval | None
    """The exact interval: 95 % or more whatever the truth is, so wider."""

    @classmethod
    def of(cls, successes: int, n: int) -> Self:
        if n == 0:
            return cls(successes=0, n=0, value=None, wilson=None, clopper_pearson=None)
        wilson = proportion_confint(successes, n, alpha=ALPHA, method="wilson")
        exact = proportion_confint(successes, n, alpha=ALPHA, method="beta")
        return cls(successes=successes, n=n, value=successes / n, wilson=wilson, clopper_pearson=exact)


class Estimate(Record):
    """A number that is no proportion, with the percentile interval of a bootstrap over pictures."""

    value: float | None
    bootstrap: Interval | None

    @classmethod
    def of(cls, value: float | None, resampled: Floats) -> Self:
        """`resampled` may hold NaN, where a resample leaves the number undefined; those are left out."""
        known = resampled[~np.isnan(resampled)]
        if value is None or not len(known):
            return cls(value=value, bootstrap=None)
        low, high = np.quantile(known, (ALPHA / 2, 1 - ALPHA / 2))
        return cls(value=value, bootstrap=(float(low), float(high)))


class ConfusionMatrix(Record):
    """A confusion matrix of pictures."""

    tp: int = Field(ge=0)
    fp: int = Field(ge=0)
    fn: int = Field(ge=0)
    tn: int = Field(ge=0)

    @classmethod
    def of(cls, unsafe: Sequence[bool], flagged: Sequence[bool]) -> Self:
        """Of the labels and what a system said, picture by picture."""
        pairs = list(zip(unsafe, flagged, strict=True))
        tp, fp, fn, tn = (pairs.count(pair) for pair in ((True, True), (False, True), (True, False), (False, False)))
        return cls(tp=tp, fp=fp, fn=fn, tn=tn)

    @property
    def n(self) -> int:
        return self.tp + self.fp + self.fn + self.tn


class ClassificationScores(Record):
    """What a confusion matrix amounts to."""

    counts: ConfusionMatrix
    accuracy: Proportion
    precision: Proportion
    recall: Proportion
    f1: Estimate

    @classmethod
    def of(cls, counts: ConfusionMatrix) -> Self:
        tp, fp, fn, tn = counts.tp, counts.fp, counts.fn, counts.tn
        return cls(
            counts=counts,
            accuracy=Proportion.of(tp + tn, counts.n),
            precision=Proportion.of(tp, tp + fp),
            recall=Proportion.of(tp, tp + fn),
            f1=f1(counts),
        )


def f1(counts: ConfusionMatrix) -> Estimate:
    """F1 = 2 TP / (2 TP + FP + FN); resampling pictures is drawing TP, FP + FN and TN from a multinomial."""
    wrong = counts.fp + counts.fn
    if counts.tp + wrong == 0:
        return Estimate(value=None, bootstrap=None)
    shares = np.array([counts.tp, wrong, counts.tn]) / counts.n
    tp, missed, _ = np.random.default_rng(SEED).multinomial(counts.n, shares, RESAMPLES).T
    with np.errstate(invalid="ignore"):
        return Estimate.of(2 * counts.tp / (2 * counts.tp + wrong), 2 * tp / (2 * tp + missed))


class Ranking(Record):
    """How well the scores sort unsafe pictures before safe ones, at any threshold."""

    auroc: Estimate
    auprc: Estimate
    """Average precision; a random order has the share of unsafe pictures."""


def ranking(unsafe: Flags, scores: Floats) -> Ranking:
    """Of labels and scores, both (N,). Undefined unless there are pictures of both labels."""
    if not unsafe.any() or unsafe.all():
        undefined = Estimate(value=None, bootstrap=None)
        return Ranking(auroc=undefined, auprc=undefined)
    auroc, auprc = np.concatenate([_areas(cells) for cells in _resampled(unsafe, scores)], axis=1)
    return Ranking(
        auroc=Estimate.of(float(roc_auc_score(unsafe, scores)), auroc),
        auprc=Estimate.of(float(average_precision_score(unsafe, scores)), auprc),
    )


def _resampled(unsafe: Flags, scores: Floats) -> Iterator[npt.NDArray[np.int64]]:
    """Batches of (B, 2, distinct scores): safe and unsafe pictures at each score, highest first, in each resample."""
    distinct, place = np.unique(-scores, return_inverse=True)
    cells = np.zeros((2, len(distinct)))
    np.add.at(cells, (unsafe.astype(int), place), 1)
    generator = np.random.default_rng(SEED)
    for _ in range(RESAMPLES // BATCH):
        yield generator.multinomial(len(scores), cells.ravel() / len(scores), BATCH).reshape(BATCH, *cells.shape)


def _areas(cells: npt.NDArray[np.int64]) -> Floats:
    """AUROC and average precision of each resample, (2, B); NaN where it holds one label only."""
    safe, unsafe = cells[:, 0], cells[:, 1]
    found = unsafe.cumsum(axis=1)
    flagged = found + safe.cumsum(axis=1)
    precision = found / np.maximum(flagged, 1)
    with np.errstate(invalid="ignore"):
        auroc = (safe * (found - unsafe / 2)).sum(axis=1) / (unsafe.sum(axis=1) * safe.sum(axis=1))
        auprc = (unsafe * precision).sum(axis=1) / unsafe.sum(axis=1)
    return np.stack([auroc, np.where(np.isnan(auroc), np.nan, auprc)])


class CalibrationBin(Record):
    """The pictures whose score lies between `low` (exclusive, but 0) and `high`."""

    low: float
    high: float
    n: int
    score: float
    """Their mean."""
    unsafe: float
    """The share that is."""


class Calibration(Record):
    """Whether a score of .8 means that eight in ten are unsafe."""

    bins: tuple[CalibrationBin, ...]
    """Those with pictures."""
    ece: float | None
    """Expected calibration error: the mean distance of `unsafe` from `score`, bins weighted by their pictures."""


def calibration(unsafe: Flags, scores: Floats) -> Calibration:
    """Of labels and scores, both (N,), in `BINS` bins of equal width."""
    if not len(scores):
        return Calibration(bins=(), ece=None)
    edges = np.linspace(0, 1, BINS + 1)
    members = np.bincount(np.searchsorted(edges[1:-1], scores), minlength=BINS)
    shares, means = calibration_curve(unsafe, scores, n_bins=BINS, pos_label=True)
    bins = tuple(
        CalibrationBin(
            low=float(edges[place]), high=float(edges[place + 1]), n=int(members[place]), score=mean, unsafe=share
        )
        for place, mean, share in zip(np.flatnonzero(members), means.tolist(), shares.tolist(), strict=True)
    )
    return Calibration(bins=bins, ece=sum(b.n * abs(b.unsafe - b.score) for b in bins) / len(scores))


def predicts_unsafe(prediction: Prediction) -> bool | None:
    """The binary decision: the score against the operating point; None for what has no score."""
    return None if prediction.score is None else prediction.score >= prediction.threshold


class Flips(Record):
    """Where two systems, or a system and itself with Stage 2, disagree on the same pictures. Ids are sorted."""

    before: str
    after: str
    pairs: int
    """Pictures that both scored."""
    left_out: int
    """Pictures that only one of them scored, or neither."""
    cleared_rightly: tuple[str, ...]
    """Safe; `before` said unsafe, `after` does not."""
    cleared_wrongly: tuple[str, ...]
    raised_rightly: tuple[str, ...]
    raised_wrongly: tuple[str, ...]
    p: float | None
    """McNemar's exact test: how often two systems that are equally often right would disagree so one-sidedly."""

    @property
    def better(self) -> int:
        """Pictures that only `after` has right."""
        return len(self.cleared_rightly) + len(self.raised_rightly)

    @property
    def worse(self) -> int:
        """Pictures that only `before` has right."""
        return len(self.cleared_wrongly) + len(self.raised_wrongly)


def flips(names: tuple[str, str], before: Sequence[Prediction], after: Sequence[Prediction]) -> Flips:
    """What changes from one system to the other, called `names`, paired by the pictures' ids."""
    said = {prediction.id: predicts_unsafe(prediction) for prediction in before}
    ids = said.keys() | {prediction.id for prediction in after}
    found: dict[tuple[bool, bool], list[str]] = {(was, unsafe): [] for was in (True, False) for unsafe in (True, False)}
    pairs = 0
    for prediction in sorted(after, key=lambda prediction: prediction.id):
        was, now = said.get(prediction.id), predicts_unsafe(prediction)
        if was is None or now is None:
            continue
        pairs += 1
        if was != now:
            found[was, prediction.unsafe].append(prediction.id)
    better, worse = len(found[True, False] + found[False, True]), len(found[True, True] + found[False, False])
    return Flips(
        before=names[0],
        after=names[1],
        pairs=pairs,
        left_out=len(ids) - pairs,
        cleared_rightly=tuple(found[True, False]),
        cleared_wrongly=tuple(found[True, True]),
        raised_rightly=tuple(found[False, True]),
        raised_wrongly=tuple(found[False, False]),
        p=mcnemar_p(better, worse) if pairs else None,
    )


def mcnemar_p(better: int, worse: int) -> float:
    """Two-sided exact McNemar test on the discordant pairs; 1 when there are none."""
    return float(mcnemar([[0, better], [worse, 0]], exact=True).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number, by Holm's method."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if p_values else []


class Repeatability(Record):
    """How far a second run of the same system on the same pictures differs from the first."""

    flipped: Proportion
    """Decisions that differ, of the pictures scored in both runs."""
    flipped_ids: tuple[str, ...]
    scored_once: int
    """Pictures that one run scored and the other did not, or did not see."""
    largest_change: float | None
    """Of a score."""


def repeatability(first: Sequence[Prediction], second: Sequence[Prediction]) -> Repeatability:
    """Of two runs, paired by the pictures' ids."""
    runs = [{p.id: p for p in run if p.score is not None} for run in (first, second)]
    both = sorted(runs[0].keys() & runs[1].keys())
    ids = tuple(i for i in both if predicts_unsafe(runs[0][i]) != predicts_unsafe(runs[1][i]))
    changes = [abs((runs[0][i].score or 0.0) - (runs[1][i].score or 0.0)) for i in both]
    return Repeatability(
        flipped=Proportion.of(len(ids), len(both)),
        flipped_ids=ids,
        scored_once=len(runs[0].keys() ^ runs[1].keys()),
        largest_change=max(changes, default=None),
    )


class LatencySummary(Record):
    """Milliseconds that a stage took, over the pictures that went through it."""

    n: int
    p50: float
    p95: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Self:
        p50, p95 = np.quantile(milliseconds, (0.5, 0.95)).tolist()
        return cls(n=len(milliseconds), p50=p50, p95=p95)


def stage_latencies(predictions: Sequence[Prediction]) -> dict[str, LatencySummary]:
    """Stage -> what it took, in the order in which stages first appear."""
    spent: dict[str, list[float]] = {}
    for prediction in predictions:
        for stage, ms in prediction.timings.items():
            spent.setdefault(stage, []).append(ms)
    return {stage: LatencySummary.of(times) for stage, times in spent.items()}


class ChosenThreshold(NamedTuple):
    """An operating point, and the warning that a report on it must carry."""

    value: float
    f1: float
    """What it reaches on the pictures it was chosen on."""
    n: int
    """How many these are: those with a score."""
    warning: str | None


def best_threshold(
    predictions: Sequence[Prediction], reported: Collection[str], *, force: bool = False
) -> ChosenThreshold:
    """The threshold with the largest F1 on the scored `predictions`: one of their scores, the highest of equals.

    Args:
        predictions: one system's, on the pictures to choose on.
        reported: sha256 of the pictures that will be reported on, whatever they are called there.
        force: choose it on pictures that are reported on all the same; the result then carries a warning.

    Raises:
        DataError: pictures to choose on are reported on, too; or none of them has a score above 0 and is unsafe.
    """
    system = predictions[0].system if predictions else "the system"
    scored = [prediction for prediction in predictions if prediction.score is not None]
    scores = np.array([prediction.score for prediction in scored], dtype=float)
    unsafe = np.array([prediction.unsafe for prediction in scored], dtype=bool)
    if not scores[unsafe].any():
        raise DataError(
            f"{system}: none of the {len(predictions)} pictures to choose a threshold on is unsafe and has a score "
            "above 0; choose it on more pictures."
        )
    shared = {prediction.sha256 for prediction in scored} & set(reported)
    if shared and not force:
        raise DataError(
            f"{system}: the threshold would be chosen on {len(shared)} of the pictures that are reported on, which "
            "flatters the system; choose it on another split, or force it and the report will say so."
        )
    distinct, place = np.unique(-scores[scores > 0], return_inverse=True)
    flagged = np.bincount(place).cumsum()
    right = np.bincount(place, weights=unsafe[scores > 0]).cumsum()
    reached = 2 * right / (flagged + unsafe.sum())
    best = int(reached.argmax())
    warning = (
        f"The threshold of {system} was chosen on {len(shared)} of the very pictures that are reported on: its figures "
        "flatter it, and are no estimate for other pictures."
    )
    return ChosenThreshold(float(-distinct[best]), float(reached[best]), len(scored), warning if shared else None)
