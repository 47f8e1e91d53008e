"""Charts as inline SVG, styled by `report.css` alone: classes, no style attributes."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from kidsnanny.evaluation.metrics import Calibration, ConfusionMatrix, Flags, Floats, Interval
from kidsnanny.reports.markup import escape

SIDE = 200
"""Of a plot's square, in units of its own."""
MARGIN = 34
LONGEST = 60
"""Letters of a name in the forest plot; the rest is in its tooltip and in the tables."""

Point = tuple[float, float]


def roc(unsafe: Flags, scores: Floats, counts: ConfusionMatrix, name: str) -> str:
    """The ROC curve of labels and scores, both (N,) with both labels, and a dot at the operating point."""
    false_alarms, recall, _ = roc_curve(unsafe, scores)
    dot = (counts.fp / (counts.fp + counts.tn), counts.tp / (counts.tp + counts.fn))
    path = "M" + " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(false_alarms, recall, strict=True))
    marks = _line("chance", (0, 0), (1, 1)) + _curve(path) + _dot(dot)
    return _plot(f"ROC curve of {name}", "false alarms", "recall", marks)


def precision_recall(unsafe: Flags, scores: Floats, counts: ConfusionMatrix, name: str) -> str:
    """The precision-recall curve, as the steps that the average precision sums, and the operating point."""
    precision, recall, _ = precision_recall_curve(unsafe, scores)
    points = list(zip(recall, precision, strict=True))[-2::-1]  # the last is (0, 1) by convention, and no threshold's
    path = f"M{_x(0):.1f},{_y(points[0][1]):.1f}" + "".join(f"V{_y(p):.1f}H{_x(r):.1f}" for r, p in points)
    share = float(unsafe.mean())
    marks = _line("chance", (0, share), (1, share)) + _curve(path)
    if counts.tp + counts.fp:
        marks += _dot((counts.tp / (counts.tp + counts.fn), counts.tp / (counts.tp + counts.fp)))
    return _plot(f"Precision-recall curve of {name}", "recall", "precision", marks)


def reliability(found: Calibration, name: str) -> str:
    """The share of unsafe pictures over the mean score of each bin; a dot's area is its share of the pictures."""
    total = sum(part.n for part in found.bins)
    dots = "".join(
        _dot((part.score, part.unsafe), 2 + 10 * (part.n / total) ** 0.5, f"{part.n} pictures") for part in found.bins
    )
    marks = _line("chance", (0, 0), (1, 1)) + dots
    return _plot(f"Reliability of {name}", "mean score", "share unsafe", marks)


def forest(rows: Sequence[tuple[str, float, Interval, bool]]) -> str:
    """Names with a proportion and its interval, 0..1, and whether it is published; one under the other."""
    start = max(0, int(min((interval[0] for _, _, interval, _ in rows), default=0) * 10)) / 10
    width, step = 330, 22
    names = 16 + round(6.4 * max((min(len(name), LONGEST) for name, *_ in rows), default=0))
    bottom = step * len(rows) + 4

    def at(value: float) -> float:
        return names + width * (value - start) / (1 - start) if start < 1 else names + width

    marks = "".join(
        f'<line class="grid" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="0" y2="{bottom}"/>'
        f'<text x="{at(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick:.0%}</text>'
        for tick in np.arange(start, 1.01, 0.1)
    )
    for place, (name, value, (low, high), printed) in enumerate(rows):
        y = step * place + 14
        short = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
        marks += (
            f'<g class="{"published" if printed else "measured"}"><title>{escape(name)}: {value:.2%}</title>'
            f'<text x="{names - 8}" y="{y + 4}" text-anchor="end">{escape(short)}</text>'
            f'<line class="interval" x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{y}" y2="{y}"/>'
            f'<circle cx="{at(value):.1f}" cy="{y}" r="4"/></g>'
        )
    box = f"0 0 {names + width + 20} {bottom + 20}"
    return f'<svg class="forest" viewBox="{box}" role="img" aria-label="Accuracy with its intervals">{marks}</svg>'


def _x(value: float) -> float:
    return MARGIN + SIDE * value


def _y(value: float) -> float:
    return 8 + SIDE * (1 - value)


def _line(kind: str, start: Point, end: Point) -> str:
    (x0, y0), (x1, y1) = start, end
    return f'<line class="{kind}" x1="{_x(x0):.1f}" y1="{_y(y0):.1f}" x2="{_x(x1):.1f}" y2="{_y(y1):.1f}"/>'


def _curve(path: str) -> str:
    return f'<path class="curve" d="{path}"/>'


def _dot(at: Point, radius: float = 4.5, title: str = "operating point") -> str:
    return f'<circle cx="{_x(at[0]):.1f}" cy="{_y(at[1]):.1f}" r="{radius:.1f}"><title>{title}</title></circle>'


def _plot(title: str, x_name: str, y_name: str, marks: str) -> str:
    """A square from 0 to 1 both ways, with its axes."""
    axes = "".join(
        _line("grid", (tick, 0), (tick, 1))
        + _line("grid", (0, tick), (1, tick))
        + f'<text x="{_x(tick):.1f}" y="{_y(0) + 14:.1f}" text-anchor="middle">{tick:g}</text>'
        + f'<text x="{_x(0) - 5:.1f}" y="{_y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in (0, 0.5, 1)
    )
    middle = _y(0.5)
    names = (
        f'<text x="{_x(0.5):.1f}" y="{_y(0) + 28:.1f}" text-anchor="middle">{x_name}</text>'
        f'<text transform="translate(9 {middle:.1f}) rotate(-90)" text-anchor="middle">{y_name}</text>'
    )
    box = f"0 0 {MARGIN + SIDE + 12} {SIDE + 44}"
    return f'<svg class="plot" viewBox="{box}" role="img" aria-label="{escape(title)}">{axes}{names}{marks}</svg>'
