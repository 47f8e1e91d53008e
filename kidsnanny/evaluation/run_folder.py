"""The folder of a run: where its files are, and reading them back."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from kidsnanny.decision import decide
from kidsnanny.errors import DataError
from kidsnanny.evaluation.example_fields import text_of
from kidsnanny.evaluation.predictions import (
    InspectedExample,
    LatencyMeasurement,
    Prediction,
    RunMetadata,
    SystemDescription,
)
from kidsnanny.faults import first_fault
from kidsnanny.inspection import Inspection
from kidsnanny.verdict import Verdict

if TYPE_CHECKING:
    from kidsnanny.evaluation.summary import EvaluationRun

LATENCIES = TypeAdapter(tuple[LatencyMeasurement, ...])


def replay(row: SystemDescription, prediction: Prediction, inspection: Inspection) -> Verdict:
    """The decision that a row's line of the predictions rests on, made again.

    Raises:
        DataError: the row is of a system that decides by no policy.
    """
    if prediction.policy is None:
        raise DataError(f"{row.name}: it decides by no policy, so there is nothing to replay.")
    seen = inspection.vision_only() if row.regime == "vision-only" else inspection
    return decide(seen, prediction.policy)


def inspections(out: Path, name: str) -> dict[str, Inspection]:
    """A picture's id -> what a system of ours saw in it; empty for any other system. A torn last line does not count.

    Raises:
        DataError: the file is not what a run writes.
    """
    path = inspections_path(out, name)
    try:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [InspectedExample.model_validate_json(line) for line in lines if line.endswith(b"\n")]
    except ValidationError as error:
        raise DataError(f"{path}: it holds no inspections ({first_fault(error)}); delete it.") from error
    return {line.id: line.inspection for line in whole}


def read(out: Path) -> "EvaluationRun":
    """A run from its folder, whether it ended or not.

    Raises:
        DataError: there is none, or a file of it is not what a run has.
    """
    from kidsnanny.evaluation.summary import EvaluationRun

    meta = read_metadata(out)
    if meta is None:
        raise DataError(f"{out}: there is no run; start one with `kidsnanny eval --out {out}`.")
    predictions: dict[str, tuple[Prediction, ...]] = {}
    repeats: dict[str, tuple[Prediction, ...]] = {}
    pairs: list[tuple[str, str]] = []
    for name, rows in meta.systems.items():
        predictions |= _predictions(predictions_path(out, name), rows)
        again = predictions_path(out, name, again=True)
        if again.exists():
            repeats |= _predictions(again, tuple(row for row in rows if row.regime == "multimodal"))
        before = [row.name for row in rows if row.ours and row.regime == "vision-only"]
        pairs += [(one, row.name) for one in before for row in rows if row.regime == "multimodal"]
    latency: list[LatencyMeasurement] = []
    for path in sorted((out / "latency").glob("*.json")):
        try:
            latency += LATENCIES.validate_json(path.read_bytes())
        except ValidationError as error:
            raise DataError(f"{path}: it holds no times ({first_fault(error)}); delete it.") from error
    return EvaluationRun(
        meta=meta, predictions=predictions, repeats=repeats, pairs=tuple(pairs), latency=tuple(latency)
    )


def read_metadata(out: Path) -> RunMetadata | None:
    path = out / "meta.json"
    try:
        return RunMetadata.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{text_of(path)}: it cannot be read ({error.strerror}); choose another folder.") from error
    except ValidationError as error:
        raise DataError(f"{path}: it is not that of a run ({first_fault(error)}); choose another --out.") from error


def predictions_path(out: Path, name: str, *, again: bool = False) -> Path:
    """Raises a DataError if the name, which a meta.json or a profile may give, is not that of a file in the folder."""
    return out / "predictions" / f"{_file_name(out, name)}{'.again' if again else ''}.jsonl"


def inspections_path(out: Path, name: str) -> Path:
    """Likewise."""
    return out / "inspections" / f"{_file_name(out, name)}.jsonl"


def latency_path(out: Path, name: str) -> Path:
    """Likewise."""
    return out / "latency" / f"{_file_name(out, name)}.json"


def _file_name(out: Path, name: str) -> str:
    if not name or name.startswith(".") or not name.isprintable() or {"/", "\\"} & set(name):
        raise DataError(f"{text_of(out)}: {name!r:.80} cannot be a file's name there; give the system another name.")
    return name


def _predictions(path: Path, rows: Sequence[SystemDescription]) -> dict[str, tuple[Prediction, ...]]:
    """Row -> its lines; a torn one at the end does not count."""
    found: dict[str, list[Prediction]] = {row.name: [] for row in rows}
    if path.exists():
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break
            try:
                prediction = Prediction.model_validate_json(line)
            except ValidationError as error:
                why = first_fault(error)
                raise DataError(
                    f"{path}: line {number} is no prediction ({why}); delete the file, run again."
                ) from error
            if prediction.system in found:
                found[prediction.system].append(prediction)
    return {name: tuple(lines) for name, lines in found.items()}
