"""The report's section on one system."""

from collections.abc import Mapping

import numpy as np

from kidsnanny.evaluation.metrics import BINS, ConfusionMatrix
from kidsnanny.evaluation.report import charts
from kidsnanny.evaluation.report.tables import SHARES, row, shares, table, terms
from kidsnanny.evaluation.summary import EvaluationRun, Slice, SystemScores
from kidsnanny.reports.markup import fold, plural, untrusted, words


def section(number: int, name: str, run: EvaluationRun, measured: SystemScores) -> str:
    """What it is, its confusion matrix and curves, and where it fails."""
    parts = [
        _described(name, run, measured),
        _charts(name, run, measured),
        _slices("By source", measured.by_source),
        _slices("By category of the data set", measured.by_category),
        _counted("Unscored, by reason", measured.unscored_reasons, measured.all.pictures),
        _counted("Not inspected, by part and reason", measured.not_inspected, measured.all.pictures),
        _bins(measured),
    ]
    return f'<article id="system-{number}"><h3>{untrusted(name)}</h3>\n{"".join(parts)}</article>\n'


def _described(name: str, run: EvaluationRun, measured: SystemScores) -> str:
    about = run.descriptions.get(name)
    threshold = "–" if measured.threshold is None else f"{measured.threshold:g}"
    known = {}
    if about:
        regime = about.regime + (f", authority {about.authority}" if about.authority else "")
        known = {
            "regime": regime,
            "speaks about": ", ".join(map(words, about.categories)),
            "rule": untrusted(about.rule),
            "licence": untrusted(about.licence),
            "threshold": f"{threshold}: {untrusted(about.origin)}",
        }
    known |= {} if about else {"threshold": threshold}
    known |= {"models": "; ".join(map(untrusted, measured.models)) or "none named"}
    known |= {"policy": ", ".join(map(untrusted, measured.policies))} if measured.policies else {}
    decided = (f"{words(by)} {count}" for by, count in sorted(measured.decided_by.items()))
    known |= {"score above 0 decided by": ", ".join(decided)} if measured.decided_by else {}
    labels = (f"{label} {count}" for label, count in sorted(measured.labels.items()))
    known |= {"policy's labels": ", ".join(labels)} if measured.labels else {}
    return terms(known.items())


def _charts(name: str, run: EvaluationRun, measured: SystemScores) -> str:
    scored = [line for line in run.systems[name] if line.score is not None]
    unsafe = np.array([line.unsafe for line in scored], dtype=bool)
    scores = np.array([line.score for line in scored], dtype=float)
    counts = measured.all.scores.counts
    drawn = {f"{plural(counts.n, 'scored picture')}": _matrix(counts)}
    if measured.ranking.auroc.value is None:
        drawn["No curves"] = "<p>They need scored pictures of both labels.</p>"
    else:
        drawn["ROC"] = charts.roc(unsafe, scores, counts, name)
        drawn["Precision and recall"] = charts.precision_recall(unsafe, scores, counts, name)
    if measured.calibration.bins:
        drawn["Reliability"] = charts.reliability(measured.calibration, name)
    figures = (f"<figure><figcaption>{caption}</figcaption>{one}</figure>" for caption, one in drawn.items())
    return f'<div class="charts">{"".join(figures)}</div>\n'


def _matrix(counts: ConfusionMatrix) -> str:
    def cell(kind: str, count: int, name: str) -> str:
        return f'<td class="{kind}">{count}<small>{name}</small></td>'

    unsafe = cell("right", counts.tp, "TP") + cell("wrong", counts.fn, "FN")
    safe = cell("wrong", counts.fp, "FP") + cell("right", counts.tn, "TN")
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("", "called unsafe", "called safe"))
    return (
        f'<table class="matrix"><thead><tr>{heads}</tr></thead>'
        f'<tbody><tr><th scope="row">unsafe</th>{unsafe}</tr><tr><th scope="row">safe</th>{safe}</tr></tbody></table>'
    )


def _slices(title: str, slices: Mapping[str, Slice]) -> str:
    rows = (
        row(untrusted(name or "not said"), str(part.pictures), str(part.unscored), *shares(part.scores))
        for name, part in slices.items()
    )
    return f"<h4>{title}</h4>{table(('', 'N', 'unscored', *SHARES), ''.join(rows))}"


def _counted(title: str, reasons: Mapping[str, int], pictures: int) -> str:
    if not reasons:
        return ""
    rows = "".join(row(untrusted(reason), str(count), f"{count / pictures:.1%}") for reason, count in reasons.items())
    return fold(f"{title} ({len(reasons)})", table(("", "pictures", "of all"), rows))


def _bins(measured: SystemScores) -> str:
    found = measured.calibration
    if found.ece is None:
        return ""
    rows = "".join(
        row(f"{b.low:.1f}–{b.high:.1f}", str(b.n), f"{b.score:.3f}", f"{b.unsafe * 100:.1f} %") for b in found.bins
    )
    caption = (
        f"{BINS} bins of equal width, each with its upper edge; empty ones are left out. It reads the score as a "
        "probability, which not every system claims."
    )
    heads = ("score", "pictures", "mean score", "share unsafe")
    return fold(f"Calibration: expected error {found.ece:.3f}", table(heads, rows, caption=caption))
