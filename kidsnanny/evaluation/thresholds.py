"""Choosing operating points: the threshold with the best F1 on the pictures of another run."""

from collections.abc import Sequence

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import Dataset, sha256_of
from kidsnanny.evaluation.metrics import best_threshold
from kidsnanny.evaluation.summary import EvaluationRun
from kidsnanny.evaluation.systems.registry import ONE_REGIME
from kidsnanny.evaluation.systems.system import Options


def choose_thresholds(
    run: EvaluationRun, systems: Sequence[str], options: Options, dataset: Dataset, *, force: bool = False
) -> tuple[dict[str, tuple[float, str]], tuple[str, ...]]:
    """The threshold with the best F1 in another run, for each row of these systems.

    Args:
        run: the run to choose on.
        systems: names of SYSTEMS.
        options: the regimes and authorities that are evaluated.
        dataset: the pictures that will be reported on.
        force: choose even on pictures that will be reported on; a stamp then says so.

    Returns:
        Row -> (threshold in 0..1, where it comes from), and stamps for the report. A system or row that the run gives
        no basis for is left out, and a stamp says so.

    Raises:
        DataError: the run shares pictures with the data set and `force` is not set; or it is of other categories, is
            incomplete, or lacks a regime or an authority, for which another kind of threshold would then be used.
    """
    reported = _comparable(run, systems, dataset)
    found: dict[str, tuple[float, str]] = {}
    stamps: list[str] = []
    for system in systems:
        rows = {name: lines for name, lines in run.systems.items() if name.partition(":")[0] == system}
        if not rows:
            stamps.append(f"{system} keeps its own threshold: the run to choose it on lacks it.")
            continue
        wanted = _evaluated_rows(system, options, judged=any(name.count(":") == 2 for name in rows))
        if rows.keys() != {system} and (missing := sorted(wanted - rows.keys())):
            raise DataError(
                f"{system}: the run to choose its threshold on lacks {', '.join(missing)}; evaluate the same there, or "
                f"give --threshold {system}=…"
            )
        for name in sorted(rows.keys() & {system, *wanted}):
            lines = rows[name]
            if not any(line.score and line.unsafe for line in lines):
                stamps.append(
                    f"{name} keeps its own threshold: it scored no unsafe picture above 0 in the run to choose it on."
                )
                continue
            best = best_threshold(lines, reported, force=force)
            found[name] = (best.value, f"the best F1 ({best.f1:.3f}) on {best.n} pictures of {run.meta.data}")
            stamps += [best.warning] if best.warning else []
    return found, tuple(stamps)


def _comparable(run: EvaluationRun, systems: Sequence[str], dataset: Dataset) -> set[str]:
    """Check that the run is complete and of the data set's categories; the sha256 of the data set's pictures."""
    incomplete = run.summary.incomplete.items()
    if missing := sum(lines for name, lines in incomplete if name.partition(":")[0] in systems):
        raise DataError(f"{run.meta.data}: the run to choose a threshold on lacks {missing} lines; let it end.")
    shown = [(example.category, sha256_of(example.image)) for example in dataset]
    here, there = {category for category, _ in shown}, run.meta.contents.by["category"].keys()
    if here != there:
        raise DataError(
            f"{run.meta.data}: the run to choose a threshold on is of {', '.join(sorted(there))} and this one of "
            f"{', '.join(sorted(here))}, whose score is another one; evaluate the same with --category."
        )
    return {digest for _, digest in shown if digest}


def _evaluated_rows(system: str, options: Options, *, judged: bool) -> set[str]:
    """The rows that one of our systems has with these options; `judged`: it has a judge."""
    return {
        f"{system}:{regime}{authority}"
        for regime in (("multimodal",) if system in ONE_REGIME else options.regimes)
        for authority in ([f":{a}" for a in options.authorities] if judged and regime == "multimodal" else [""])
    }
