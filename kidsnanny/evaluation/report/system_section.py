"""The report's section on one system."""

from typing import TYPE_CHECKING

import numpy as np

from kidsnanny.evaluation.metrics import BINS
from kidsnanny.evaluation.report import charts
from kidsnanny.evaluation.summary import EvaluationRun, SystemScores
from kidsnanny.reports.pages import render

if TYPE_CHECKING:
    from markupsafe import Markup

SHARES = ["accuracy %", "precision %", "recall %", "F1 %"]
"""The heads over the cells of `shares` in `tables.html.j2`."""


def section(number: int, name: str, run: EvaluationRun, measured: SystemScores) -> "Markup":
    """What the system is, its confusion matrix and curves, and where it fails."""
    return render(
        "evaluation/report/templates/system_section.html.j2",
        number=number,
        name=name,
        about=run.descriptions.get(name),
        measured=measured,
        threshold="–" if measured.threshold is None else f"{measured.threshold:g}",
        plots=_plots(name, run, measured),
        share_heads=SHARES,
        bins=BINS,
    )


def _plots(name: str, run: EvaluationRun, measured: SystemScores) -> list[charts.Plot]:
    scored = [line for line in run.systems[name] if line.score is not None]
    unsafe = np.array([line.unsafe for line in scored], dtype=bool)
    scores = np.array([line.score for line in scored], dtype=float)
    counts = measured.all.scores.counts
    plots: list[charts.Plot] = []
    if measured.ranking.auroc.value is not None:
        plots += charts.roc(unsafe, scores, counts, name), charts.precision_recall(unsafe, scores, counts, name)
    if measured.calibration.bins:
        plots.append(charts.reliability(measured.calibration, name))
    return plots
