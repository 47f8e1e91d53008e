"""The audit of a run that `kidsnanny eval` has just made."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.summary import EvaluationRun
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.evaluation.text_audit.audit import GIVEN, MULTIMODAL, OURS, TextAudit, audit
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText, judged
from kidsnanny.evaluation.text_audit.painted_out import measure_painted_out
from kidsnanny.evaluation.text_audit.read_texts import read_texts
from kidsnanny.pipeline import Pipeline


def known_texts(dataset: Dataset) -> dict[str, AuditedText]:
    """A picture's id -> its text, if the data set has it, with its source as the look and its category as the topic.

    Raises:
        DataError: the data cannot be read.
    """
    return {one.id: AuditedText(one.text, one.source, one.category) for one in dataset}


def audit_run(
    run: EvaluationRun,
    dataset: Dataset,
    texts: Mapping[str, AuditedText],
    options: Options,
    out: Path,
    *,
    paint: bool = False,
    command: str = "",
    console: Console | None = None,
) -> TextAudit:
    """See `audit`; our own text model says where recall is lost.

    Args:
        run, out: the run and its folder.
        dataset: its pictures, and `texts` what is written in them.
        options: the run's.
        paint: whether flagged pictures are shown again with their text painted out, in OUT/painted-out;
            left out, and said to be, where the run has no row of ours that reads.
        command, console: as for `evaluate`.

    Raises:
        ComponentError: our own text model cannot be loaded.
        DataError: a run cannot be read, written or gone on with.
    """
    painted = None
    if paint and run.systems.get(MULTIMODAL):
        pictures = judged(run.systems[MULTIMODAL], texts)
        found = read_texts(out, OURS)
        painted = measure_painted_out(dataset, pictures, found, options, out, command=command, console=console)
    if not (run.systems.get(GIVEN) and run.systems.get(MULTIMODAL)):
        return audit(run, out, texts, None, painted)
    with Pipeline(OURS, policy=options.policy) as pipeline:
        return audit(run, out, texts, pipeline, painted)
