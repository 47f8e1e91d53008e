"""Cells and tables of the HTML report. Every argument called markup is; every other text is ours."""

from collections.abc import Iterable, Sequence

from kidsnanny.evaluation.metrics import ClassificationScores, Estimate, Interval, Proportion
from kidsnanny.reports.markup import untrusted

LISTED = 100
"""Ids shown in one list; all of them are in the JSON."""
SHARES = ("accuracy %", "precision %", "recall %", "F1 %")
"""The heads over `shares`."""


def items(markup: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in markup)}</ul>"


def terms(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and definitions, both markup."""
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{what}</dd>' for name, what in pairs)}</dl>"


def table(heads: Sequence[str], *groups: str, caption: str = "") -> str:
    """`groups` of rows, markup, with a line between them."""
    columns = "".join(f'<th scope="col">{head}</th>' for head in heads)
    named = f"<caption>{caption}</caption>" if caption else ""
    bodies = "".join(f"<tbody>\n{group}</tbody>" for group in groups)
    return f'<div class="wide"><table>{named}<thead><tr>{columns}</tr></thead>{bodies}</table></div>\n'


def heading(text: str, columns: int) -> str:
    """A row that names the rows of other people under it."""
    return f'<tr class="published"><th scope="rowgroup" colspan="{columns}">{text}</th></tr>\n'


def row(head: str, *cells: str, kind: str = "") -> str:
    """`head` and `cells` are markup."""
    of_kind = f' class="{kind}"' if kind else ""
    return f'<tr{of_kind}><th scope="row">{head}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'


def ends(interval: Interval | None) -> str:
    """Under a figure in per cent."""
    return f"<small>{interval[0] * 100:.1f}–{interval[1] * 100:.1f}</small>" if interval else ""


def percent(value: float | None, interval: Interval | None) -> str:
    return "–" if value is None else f"{value * 100:.2f}{ends(interval)}"


def share(part: Proportion, exact: bool = False) -> str:
    """With Wilson's interval, or the exact one."""
    return percent(part.value, part.clopper_pearson if exact else part.wilson)


def shares(scores: ClassificationScores, exact: bool = False) -> list[str]:
    """Accuracy, precision, recall and F1."""
    three = [share(part, exact) for part in (scores.accuracy, scores.precision, scores.recall)]
    return [*three, percent(scores.f1.value, scores.f1.bootstrap)]


def decimals(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    low_high = estimate.bootstrap
    return f"{estimate.value:.3f}" + (f"<small>{low_high[0]:.3f}–{low_high[1]:.3f}</small>" if low_high else "")


def p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "&lt;0.0001" if value < 1e-4 else f"{value:.4f}"


def ids(of: Sequence[str]) -> str:
    more = f" and {len(of) - LISTED} more" if len(of) > LISTED else ""
    return (", ".join(map(untrusted, of[:LISTED])) or "none") + more
