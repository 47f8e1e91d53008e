"""Hand-made runs on pictures with text in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kidsnanny.evaluation.predictions import (
    DatasetContents,
    InspectedExample,
    Prediction,
    RunMetadata,
    SystemDescription,
)
from kidsnanny.evaluation.summary import EvaluationRun
from kidsnanny.evaluation.text_audit.audit_scores import Judged
from kidsnanny.inspection import ChannelSignals, Inspection
from kidsnanny.records import Box, Label, Reason, TextLine

BOTH, ALONE, GIVEN, PEER = "embedded:multimodal", "embedded:vision-only", "text-given", "nudenet"


def ours(
    picture: str, system: str, unsafe: bool, flagged: bool, label: Label | None = None, **more: object
) -> Prediction:
    """A line of a system with a policy; `label` where the verdict is not what the flag makes of it."""
    score = 0.9 if flagged else 0.1
    reason = Reason(category="harassment", channel="text", source="text", score=score, what="a line")
    given: dict[str, object] = {
        "category": "harassment",
        "source": "",
        "threshold": 0.5,
        "score": score,
        "label": label or ("unsafe" if flagged else "safe"),
        "reasons": (reason,) if flagged else (),
        "timings": {"decode": 1.0, "ocr": 20.0 + len(picture)},
    }
    return Prediction(id=picture, system=system, unsafe=unsafe, **given | more)


def theirs(picture: str, system: str, unsafe: bool, score: float | None) -> Prediction:
    """A line of a system without one."""
    return Prediction(
        id=picture, system=system, unsafe=unsafe, category="harassment", source="", threshold=0.5, score=score
    )


def seen(picture: str, unsafe: bool, flagged: bool, text: str = "", look: str = "", held: bool | None = None) -> Judged:
    return Judged(picture, text or picture, look, "", unsafe, flagged, flagged if held is None else held, False)


def run_of(rows: Mapping[str, Sequence[Prediction]]) -> EvaluationRun:
    """A run with these rows, each described by its name."""
    systems: dict[str, tuple[SystemDescription, ...]] = {}
    for name in rows:
        described = SystemDescription(
            name=name,
            regime="multimodal" if name in (BOTH, GIVEN) or name.endswith("multimodal") else "vision-only",
            ours=name in (BOTH, ALONE, GIVEN),
            categories=("harassment",),
            rule="The largest score.",
            licence="Apache-2.0",
            threshold=0.5,
            origin="ours",
            models={},
        )
        system = name.partition(":")[0]
        systems[system] = (*systems.get(system, ()), described)
    ids = {line.id: line.unsafe for lines in rows.values() for line in lines}
    unsafe = sum(ids.values())
    contents = DatasetContents(
        pictures=len(ids), unsafe=unsafe, by={"category": {"harassment": (len(ids) - unsafe, unsafe)}}, digest="c0ffee"
    )
    meta = RunMetadata(
        data="texts.csv", contents=contents, generated=False, contamination=(), versions={}, hardware="2 cores",
        command="kidsnanny eval", systems=systems,
    )  # fmt: skip
    return EvaluationRun(meta=meta, predictions={name: tuple(lines) for name, lines in rows.items()})


def inspection(*lines: str | TextLine) -> Inspection:
    """What was read: lines under each other."""
    read = tuple(
        one
        if isinstance(one, TextLine)
        else TextLine(text=one, confidence=0.9, box=Box(0, 30 * row, 200, 30 * row + 20))
        for row, one in enumerate(lines)
    )
    return Inspection(source="a", text=read, text_signals=ChannelSignals(looked_for={"text": ("harassment",)}))


def write_inspections(out: Path, system: str, seen_in: Mapping[str, Inspection]) -> None:
    path = out / "inspections" / f"{system}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (InspectedExample(id=picture, inspection=one) for picture, one in seen_in.items())
    path.write_text("".join(f"{line.model_dump_json(exclude_defaults=True)}\n" for line in lines), "utf-8")
