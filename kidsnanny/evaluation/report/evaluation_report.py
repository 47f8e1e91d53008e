"""An evaluation as one HTML file that loads nothing and needs no script.

Everything that comes from a data set, a system or a command line is escaped and set apart in <bdi>; the policy in the
file's head lets no style work but ours, which it names by its hash, no script at all, and no picture load but what the
file itself holds.
"""

import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from string import Template

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import pictures
from kidsnanny.evaluation.metrics import RESAMPLES, Flips, Interval, Scores, Spent, says_unsafe
from kidsnanny.evaluation.predictions import About
from kidsnanny.evaluation.published import Printed, published
from kidsnanny.evaluation.report import charts
from kidsnanny.evaluation.report.system_section import section
from kidsnanny.evaluation.report.tables import (
    SHARES,
    decimals,
    ends,
    heading,
    ids,
    items,
    p_value,
    row,
    share,
    shares,
    table,
    terms,
)
from kidsnanny.evaluation.summary import Beside, Measured, Run, Summary, other_pictures
from kidsnanny.reports.markup import checksum, escape, fold, plural, untrusted
from kidsnanny.stage1.stage1 import CAVEATS

_HOW_TO_READ = (
    "Unsafe is positive. A picture is called unsafe when its score reaches the system's threshold. What is undefined "
    "is a dash.",
    "Intervals are 95 %: Wilson's for accuracy, precision and recall (Clopper and Pearson's exact ones are in the fold "
    f"under the table), and the percentile bootstrap over {RESAMPLES:,} resamples of the pictures for F1, AUROC and "
    "AUPRC. A bootstrap of a figure of 0 or 100 % has no width: read recall's exact interval instead.",
    "Intervals say how much a figure would move on other pictures of the same kind, and nothing about other kinds. Two "
    "that overlap neither show nor rule out a difference; systems that saw the same pictures are compared by the "
    "paired test below. Published rows cannot be: their answers picture by picture are not public.",
    "A picture that could be looked at only in part (damaged, unread text, a later frame missing) has the score of "
    "what was seen and may count as called safe here; the policy's label, below, makes it `review`.",
    "The published 1,054 pictures are the category Sexual of UnsafeBench's training and test splits together; the test "
    "split alone has 211 (150 unsafe). What was trained on the training split has seen 843 of them.",
    "The effect of the published Stage 2 is 12 more pictures right of 1,054, net; which ones is not public, and the "
    "two intervals overlap.",
    "Published figures are marked P (printed in the paper), S (quoted by a secondary source) or D (derived by us). "
    "Every confusion matrix behind them, and so every interval on them, is derived. Their thresholds, and how levels "
    "or boxes became a yes or no, are not public; ours are stated below, system by system.",
    "How the paper chose its text-only and text+visual subsets is not public. A subset here is its labeller's.",
    "Our systems ask the judge, where they have one, about every picture, so their policy has another version here "
    "than in `kidsnanny check`.",
    "Nothing is scored by chance: an answer that cannot be read is unscored, and counted both ways below.",
    "Published times are of other hardware, under a protocol that is not public.",
)


def render(run: Run, thumbnails: Sequence[tuple[str, str]] = (), *, counterfactual: str = "") -> str:
    """The report, one HTML document.

    Args:
        run: what to report.
        thumbnails: ids of pictures, each with a `data:` URI of its mosaic; none by default. Whoever hands them over
            answers for what can be seen in them.
        counterfactual: `counterfactual.section`, markup, if that was measured.

    Raises:
        DataError: a thumbnail is not a PNG or JPEG in a `data:` URI, or its id is not in the run.
    """
    found = run.measured
    style = files("kidsnanny.reports").joinpath("templates", "page.css").read_text("utf-8") + _asset("css")
    return Template(_asset("html")).substitute(
        style=style,
        style_sum=checksum(style),
        head=_head(run, found),
        headline=_headline(run, found),
        caveats=items(map(escape, _HOW_TO_READ)),
        pairs=_pairs(found),
        counterfactual=counterfactual,
        undecided=_undecided(found),
        systems="".join(section(n, name, run, found.systems[name]) for n, name in enumerate(found.systems, 1)),
        latency=_latency(run, found),
        repeats=_repeats(found),
        pictures=_pictures(run, thumbnails),
        made_with=_made_with(run),
    )


def _asset(kind: str) -> str:
    return files("kidsnanny.evaluation.report").joinpath(f"evaluation_report.{kind}").read_text("utf-8")


def _head(run: Run, found: Summary) -> str:
    meta, contents = run.meta, run.meta.contents
    subset = f", subset {untrusted(run.subset)}" if run.subset else ""
    warnings = [f"<strong>Read this first.</strong> {untrusted(stamp)}" for stamp in meta.stamps]
    if meta.generated:
        warnings.append(
            "<strong>The pictures are drawn and the labels are stand-ins:</strong> no figure here says anything about "
            "a system, only that the machinery works."
        )
    for mark, why in CAVEATS.items():
        if guessing := [untrusted(name) for name, about in run.abouts.items() if mark in about.caveats]:
            warnings.append(f"<strong>Weights:</strong> those of {', '.join(guessing)} {why}.")
    warnings += [f"<strong>Contamination:</strong> {untrusted(warning)}" for warning in meta.contamination]
    warnings += [
        f"<strong>Incomplete:</strong> {untrusted(name)} has no line for {missing} of {contents.pictures} pictures."
        for name, missing in found.incomplete.items()
    ]
    warnings += [f"<strong>Not evaluated:</strong> {untrusted(told)}" for told in meta.not_evaluated.values()]
    groups = (
        "".join(
            row(f"{column}: {untrusted(value or 'not said')}", str(safe + unsafe), str(unsafe), str(safe))
            for value, (safe, unsafe) in values.items()
        )
        for column, values in contents.by.items()
    )
    safe = contents.pictures - contents.unsafe
    return (
        f"<p><strong>{untrusted(meta.data)}{subset}: {pictures(contents.pictures)}, {contents.unsafe:,} unsafe and "
        f"{safe:,} safe by its labels; {plural(len(found.systems), 'system')}.</strong></p>"
        + "".join(f'<p class="warning">{warning}</p>\n' for warning in warnings)
        + fold("What is in the data set", table(("", "pictures", "unsafe", "safe"), *groups))
    )


def _headline(run: Run, found: Summary) -> str:
    heads = ("system", "N", "unscored", *SHARES, "AUROC", "AUPRC")
    measured = "".join(
        row(
            _named(name, run.abouts.get(name)),
            str(of.all.pictures),
            str(of.all.unscored),
            *shares(of.all.scores),
            decimals(of.ranking.auroc),
            decimals(of.ranking.auprc),
        )
        for name, of in found.systems.items()
    )
    printed = (
        heading(f"{title}, {other_pictures(rows[0])}", len(heads))
        + "".join(row(escape(beside.row.system), *_printed_cells(beside), kind="published") for beside in rows)
        for title, rows in _by_table(found).items()
    )
    notes = [f"{escape(b.row.system)}: {escape(b.row.note)}" for b in found.published if b.row.note]
    caption = "Small figures are 95 % intervals. P, S, D: where a published figure is from."
    return (
        table(heads, measured, *printed, caption=caption)
        + _not_the_same_pictures(run)
        + _forest(found)
        + fold("The same with Clopper and Pearson's exact intervals", _exact(found))
        + (fold("Notes on the published rows", items(notes)) if notes else "")
    )


def _by_table(found: Summary) -> dict[str, list[Beside]]:
    tables: dict[str, list[Beside]] = {}
    for beside in found.published:
        tables.setdefault(beside.table, []).append(beside)
    return tables


def _named(name: str, about: About | None) -> str:
    return untrusted(name) + (f"<strong>{about.caveat}</strong>" if about and about.caveat else "")


def _printed_cells(beside: Beside) -> list[str]:
    """N to AUPRC of a published row: as printed, with intervals from the derived counts."""
    printed, scores = beside.row, beside.scores
    four = [
        _printed(printed.accuracy, beside.accuracy.wilson if beside.accuracy else None),
        _printed(printed.precision, scores.precision.wilson if scores else None),
        _printed(printed.recall, scores.recall.wilson if scores else None),
        _printed(printed.f1, scores.f1.bootstrap if scores else None),
    ]
    return [str(beside.accuracy.n) if beside.accuracy else "–", "–", *four, "–", "–"]


def _printed(cell: Printed | None, interval: Interval | None) -> str:
    if cell is None:
        return "–"
    return f"{escape(cell.printed)} <sup>{cell.mark}</sup>{ends(interval)}"


def _not_the_same_pictures(run: Run) -> str:
    contents = run.meta.contents
    tables = [table for table, rows in published().beside(run.subset, contents.by.get("category", ())) if rows]
    if "Sexual" not in contents.by.get("category", ()):
        return "<p class=\"quiet\">The paper's figures are of UnsafeBench's Sexual, which this run is not of.</p>"
    if not tables:
        return '<p class="quiet">The paper has no figures on this subset.</p>'
    wanted = tables[0]
    if (contents.pictures, contents.unsafe) == (wanted.pictures, wanted.unsafe):
        same = "as many as here; whether they are the same ones cannot be told from that"
    else:
        same = f"<strong>not the {contents.pictures:,} ({contents.unsafe:,} unsafe) of this run</strong>"
    of = f"{wanted.pictures:,} pictures ({wanted.unsafe} unsafe)"
    return f'<p class="quiet">The published rows are of {of}: {same}.</p>'


def _forest(found: Summary) -> str:
    ours = [(name, measured.all.scores.accuracy, False) for name, measured in found.systems.items()]
    theirs = [(b.row.system, b.accuracy, True) for b in found.published if b.accuracy]
    rows = [
        (name, part.value, part.wilson, printed)
        for name, part, printed in (*ours, *theirs)
        if part.value is not None and part.wilson is not None
    ]
    if not rows:
        return ""
    caption = "Accuracy with Wilson's 95 % interval; hollow: published, from counts that we derived."
    return f'<figure>{charts.forest(rows)}<figcaption class="quiet">{caption}</figcaption></figure>'


def _exact(found: Summary) -> str:
    ours = "".join(row(untrusted(name), *shares(of.all.scores, exact=True)) for name, of in found.systems.items())
    theirs = "".join(
        row(f"{escape(b.row.system)}, {b.table}: published, counts derived", *shares(b.scores, exact=True))
        for b in found.published
        if b.scores
    )
    return table(("system", *SHARES), ours, theirs, caption="F1 has the bootstrap's interval here, too.")


def _pairs(found: Summary) -> str:
    if not found.comparisons:
        return "<p>There are no two systems to compare.</p>"
    rows = "".join(
        row(
            f"{untrusted(pair.a)} <em>and</em> {untrusted(pair.b)}",
            *map(str, (pair.pairs, pair.only_a, pair.only_b)),
            p_value(pair.p),
            p_value(pair.p_holm),
        )
        for pair in found.comparisons
    )
    caption = "McNemar's exact test, two-sided. Holm: adjusted for the number of rows."
    heads = ("systems", "pictures both scored", "only the first is right", "only the second is", "p", "p, Holm")
    return "".join(_flips(pair, found) for pair in found.flips) + table(heads, rows, caption=caption)


def _flips(pair: Flips, found: Summary) -> str:
    thresholds = [found.systems[name].threshold for name in (pair.before, pair.after)]
    before, after = ("–" if threshold is None else f"{threshold:g}" for threshold in thresholds)
    caption = f"At thresholds of {before} and {after}. Left out: pictures that not both scored."
    kinds = {
        "cleared rightly": pair.cleared_rightly,
        "cleared wrongly": pair.cleared_wrongly,
        "raised rightly": pair.raised_rightly,
        "raised wrongly": pair.raised_wrongly,
    }
    counts = [str(len(of)) for of in kinds.values()]
    cells = [*counts, f"{pair.better - pair.worse:+d}".replace("-", "−"), p_value(pair.p), str(pair.left_out)]
    heads = ("pictures both scored", *kinds, "net gain", "p", "left out")
    return (
        f"<h3>From {untrusted(pair.before)} to {untrusted(pair.after)}</h3>"
        + table(heads, row(str(pair.pairs), *cells), caption=caption)
        + fold("Which pictures", terms((kind, ids(of)) for kind, of in kinds.items()))
    )


_WAYS: dict[str, Callable[[Measured], Scores]] = {
    "left out": lambda of: of.all.scores,
    "counted as unsafe": lambda of: of.unscored_as_unsafe,
    "counted as safe": lambda of: of.unscored_as_safe,
}
_REVIEW: dict[str, Callable[[Measured], Scores]] = {
    "review counted as unsafe": lambda of: of.review_as_unsafe,
    "review counted as safe": lambda of: of.review_as_safe,
}


def _undecided(found: Summary) -> str:
    told = "<p>Every system scored every picture it was shown.</p>" if found.systems else "<p>No system ran.</p>"
    if any(of.all.unscored for of in found.systems.values()):
        unscored = {name: of for name, of in found.systems.items() if of.all.unscored}
        told = table(("unscored pictures", *SHARES), *_both_ways(unscored, _WAYS))
    labelled = {name: of for name, of in found.systems.items() if of.labels}
    if not labelled:
        return told
    caption = (
        "By the policy's label instead of the score: over all categories, with the policy's own thresholds, and a "
        "picture that was not inspected in full is review at least."
    )
    return told + table(("the policy's label", *SHARES), *_both_ways(labelled, _REVIEW), caption=caption)


def _both_ways(systems: dict[str, Measured], ways: dict[str, Callable[[Measured], Scores]]) -> list[str]:
    return [
        "".join(row(f"{untrusted(name)}, {way}", *shares(count(of))) for way, count in ways.items())
        for name, of in systems.items()
    ]


def _latency(run: Run, found: Summary) -> str:
    def spent(name: str, of: Spent) -> str:
        return row(name, str(of.n), f"{of.p50:.1f}", f"{of.p95:.1f}")

    heads = ("milliseconds", "pictures", "median", "95th percentile")
    beside = published().beside(run.subset, run.meta.contents.by.get("category", ()))
    hardware = {table.title: table.hardware for table, _ in beside}
    theirs = [
        heading(f"Published, {title}: {hardware[title]}; median or mean is not public", len(heads))
        + "".join(row(escape(b.row.system), "–", _printed(b.row.ms, None), "–", kind="published") for b in rows)
        for title, rows in _by_table(found).items()
        if any(b.row.ms for b in rows)
    ]
    told = "<p>No latency was measured apart from the run.</p>"
    if found.latency:
        protocols = dict.fromkeys(row.protocol for row in run.latency)
        measured = "".join(spent(untrusted(name), of) for name, of in found.latency.items())
        told = items(map(untrusted, protocols)) + table(heads, measured, *theirs)
    elif theirs:
        told += table(heads, *theirs)
    groups = [
        "".join(spent(f"{untrusted(name)}: {untrusted(stage)}", of) for stage, of in stages.items())
        for name, stages in found.stages.items()
        if stages
    ]
    caption = f"On {escape(run.meta.hardware)}, in the run itself: in batches, with whatever else ran beside it."
    return told + (fold("By stage, in the run itself", table(heads, *groups, caption=caption)) if groups else "")


def _repeats(found: Summary) -> str:
    if not found.repeats:
        return "<p>Nothing was run twice.</p>"
    rows = "".join(
        row(
            untrusted(name),
            str(of.flipped.n),
            str(of.flipped.successes),
            share(of.flipped),
            str(of.scored_once),
            "–" if of.largest_change is None else f"{of.largest_change:.3f}",
        )
        for name, of in found.repeats.items()
    )
    heads = ("system", "scored twice", "flipped", "flip rate %", "scored once only", "largest change of a score")
    which = terms((untrusted(name), ids(of.flipped_ids)) for name, of in found.repeats.items())
    return table(heads, rows) + fold("Which pictures flipped", which)


def _pictures(run: Run, thumbnails: Sequence[tuple[str, str]]) -> str:
    """Each with its label and what the systems say."""
    said: dict[str, list[str]] = {}
    labels: dict[str, bool] = {}
    for name, lines in run.systems.items():
        for line in lines:
            labels[line.id] = line.unsafe
            score = "unscored" if line.score is None else f"{line.score:.2f}, {_WORDS[bool(says_unsafe(line))]}"
            said.setdefault(line.id, []).append(f"{untrusted(name)}: {score}")
    figures = ""
    for place, (picture, uri) in enumerate(thumbnails, 1):
        if not re.fullmatch(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}", uri):
            raise DataError(f"{picture}: its thumbnail is not a PNG or JPEG in a data URI; give it as one.")
        if picture not in said:
            raise DataError(f"{picture}: there is a thumbnail of it but no prediction; leave the thumbnail out.")
        figures += (
            f'<figure><img src="{uri}" alt="Mosaicked thumbnail {place}"><figcaption class="quiet">'
            f"{untrusted(picture)}: labelled {_WORDS[labels[picture]]}{items(said[picture])}</figcaption></figure>"
        )
    if not figures:
        return ""
    return f'<section id="pictures">\n<h2>Pictures, mosaicked</h2>\n<div class="thumbnails">{figures}</div>\n</section>'


_WORDS = {True: "unsafe", False: "safe"}


def _made_with(run: Run) -> str:
    meta = run.meta
    known = {
        "command": f"<code>{escape(meta.command)}</code>",
        "hardware": untrusted(meta.hardware),
        "data": f"{untrusted(meta.data)}, digest {untrusted(meta.contents.digest)}",
        "versions": ", ".join(f"{untrusted(name)} {untrusted(version)}" for name, version in meta.versions.items()),
    }
    return terms((name, what or "none") for name, what in known.items())
