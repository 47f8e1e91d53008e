"""What the charts of the report show, in their own units; `charts.html.j2` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from kidsnanny.evaluation.metrics import Calibration, ConfusionMatrix, Flags, Floats, Interval

SIDE = 200
"""Of a plot's square, in units of its own."""
MARGIN = 34
LONGEST = 60
"""Letters of a name in the forest plot; the rest is in its tooltip and in the tables."""

Point = tuple[float, float]
ForestEntry = tuple[str, float, Interval, bool]
"""A name, its proportion, the interval, and whether its dot is hollow: published figures, and what is compared with."""


@dataclass(frozen=True)
class Dot:
    """A point of a plot, 0..1 both ways, with its radius in units of the plot."""

    x: float
    y: float
    radius: float = 4.5
    title: str = "operating point"


@dataclass(frozen=True)
class Plot:
    """A square from 0 to 1 both ways."""

    title: str
    caption: str
    """What it shows, with the figures that a reader would otherwise have to measure."""
    x_name: str
    y_name: str
    chance: tuple[Point, Point]
    """The line that a score without information would give, from and to, 0..1."""
    curve: str = ""
    """An SVG path in units of the plot."""
    dots: tuple[Dot, ...] = ()

    size = (MARGIN + SIDE + 12, SIDE + 44)

    @staticmethod
    def x(value: float) -> float:
        return MARGIN + SIDE * value

    @staticmethod
    def y(value: float) -> float:
        return 8 + SIDE * (1 - value)


def roc(unsafe: Flags, scores: Floats, counts: ConfusionMatrix, name: str) -> Plot:
    """The ROC curve of labels and scores, both (N,) with both labels, and a dot at the operating point."""
    false_alarms, recall, _ = roc_curve(unsafe, scores)
    points = zip(false_alarms, recall, strict=True)
    path = "M" + " ".join(f"{Plot.x(x):.1f},{Plot.y(y):.1f}" for x, y in points)
    dot = Dot(counts.fp / (counts.fp + counts.tn), counts.tp / (counts.tp + counts.fn))
    caption = (
        f"ROC curve: recall over false alarms at every threshold. The dot is the system's own threshold, with recall "
        f"{dot.y:.2f} and false alarms {dot.x:.2f}; the dashed line is guessing."
    )
    return Plot(f"ROC curve of {name}", caption, "false alarms", "recall", ((0, 0), (1, 1)), path, (dot,))


def precision_recall(unsafe: Flags, scores: Floats, counts: ConfusionMatrix, name: str) -> Plot:
    """The precision-recall curve, as the steps that the average precision sums, and the operating point."""
    precision, recall, _ = precision_recall_curve(unsafe, scores)
    points = list(zip(recall, precision, strict=True))[-2::-1]  # the last is (0, 1) by convention, and no threshold's
    steps = "".join(f"V{Plot.y(p):.1f}H{Plot.x(r):.1f}" for r, p in points)
    path = f"M{Plot.x(0):.1f},{Plot.y(points[0][1]):.1f}{steps}"
    share = float(unsafe.mean())
    called = counts.tp + counts.fp
    dots = (Dot(counts.tp / (counts.tp + counts.fn), counts.tp / called),) if called else ()
    at = f"with recall {dots[0].x:.2f} and precision {dots[0].y:.2f}" if dots else "left out, for it calls none unsafe"
    caption = (
        f"Precision over recall at every threshold. The dot is the system's own threshold, {at}; the dashed line is "
        f"guessing, which is right as often as pictures are unsafe ({share:.2f})."
    )
    return Plot(
        f"Precision-recall curve of {name}", caption, "recall", "precision", ((0, share), (1, share)), path, dots
    )


def reliability(found: Calibration, name: str) -> Plot:
    """The share of unsafe pictures over the mean score of each bin; a dot's area is its share of the pictures."""
    total = sum(part.n for part in found.bins)
    dots = tuple(
        Dot(part.score, part.unsafe, 2 + 10 * (part.n / total) ** 0.5, f"{part.n} pictures") for part in found.bins
    )
    caption = (
        "Reliability: the share of unsafe pictures over the mean score, bin by bin; a larger dot stands for more "
        "pictures. On the dashed line scores are probabilities. The figures are in the table under Calibration."
    )
    return Plot(f"Reliability of {name}", caption, "mean score", "share unsafe", ((0, 0), (1, 1)), dots=dots)


@dataclass(frozen=True)
class ForestRow:
    """A proportion and its interval, in units of the plot."""

    name: str
    title: str
    y: int
    x: float
    low: float
    high: float
    published: bool


@dataclass(frozen=True)
class Forest:
    """Proportions with their intervals, in units of the plot."""

    rows: tuple[ForestRow, ...]
    ticks: tuple[tuple[float, str], ...]
    names: int
    """Width of the column of names."""
    width: int
    bottom: int


def forest(rows: Sequence[ForestEntry]) -> Forest:
    """Names with a proportion and its interval, 0..1, and whether it is published; one under the other."""
    start = max(0, int(min((interval[0] for _, _, interval, _ in rows), default=0) * 10)) / 10
    width, step = 330, 22
    names = 16 + round(6.4 * max((min(len(name), LONGEST) for name, *_ in rows), default=0))

    def at(value: float) -> float:
        return names + width * (value - start) / (1 - start) if start < 1 else names + width

    return Forest(
        rows=tuple(
            ForestRow(
                name=name if len(name) <= LONGEST else name[: LONGEST - 1] + "…",
                title=f"{name}: {value:.2%}",
                y=step * place + 14,
                x=at(value),
                low=at(low),
                high=at(high),
                published=published,
            )
            for place, (name, value, (low, high), published) in enumerate(rows)
        ),
        ticks=tuple((at(tick), f"{tick:.0%}") for tick in np.arange(start, 1.01, 0.1)),
        names=names,
        width=names + width + 20,
        bottom=step * len(rows) + 4,
    )
