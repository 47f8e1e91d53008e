"""Stage 1's findings as text: what a person can read, a language model can reason over, and `parse` can read back.

Grammar (one row a line, at most 1,200 characters in all):

    findings  = picture { LF detection } [ LF cut ]
    picture   = "picture " WIDTH "x" HEIGHT ", " FRAMES " frame" [ "s" ] " screened by " MODELS ":" [ " nothing found" ]
    detection = "- " LABEL " " SCORE ( " at " box | " overall" ) [ " in frame " FRAME ] [ " by " MODEL ]
    box       = X0 "," Y0 "," X1 "," Y1
    cut       = "- " COUNT " more not listed"

SCORE has two decimals, boxes are whole pixels, `overall` is a classifier's word on the frame as a whole, MODELS is
separated by "+" and has each one's revision, which MODEL leaves out. The row order is fixed: what weighs most comes
first, so that no crowd of faces can push a finding out of the text.
"""

import re
from typing import NamedTuple

from kidsnanny.records import Box, Detection, VisualFindings
from kidsnanny.weights import cards

MAX_CHARACTERS = 1_200

_PICTURE = re.compile(r"picture (\d+)x(\d+), (\d+) frames? screened by (\S+):( nothing found)?")
_DETECTION = re.compile(
    r"- (\S+) ([01]\.\d\d) (?:at (-?\d+),(-?\d+),(-?\d+),(-?\d+)|overall)(?: in frame (\d+))?(?: by (\S+))?"
)
_CUT = re.compile(r"- (\d+) more not listed")


class Parsed(NamedTuple):
    """What `parse` read back, and how many detections the text left out."""

    findings: VisualFindings
    omitted: int


def render(findings: VisualFindings) -> str:
    """The findings as text, the same for the same findings."""
    plural = "frame" if findings.frames == 1 else "frames"
    models = "+".join(findings.models) or "nobody"
    rows = [f"picture {findings.width}x{findings.height}, {findings.frames} {plural} screened by {models}:"]
    if not findings.detections:
        return rows[0] + " nothing found"
    seen = sorted(findings.detections, key=lambda d: (-_weight(d), -d.score, d.label, d.frame, d.model, d.box or ()))
    room = MAX_CHARACTERS - len(rows[0]) - len(f"\n- {len(seen)} more not listed")
    for index, detection in enumerate(seen):
        row = _row(detection)
        room -= len(row) + 1
        if room < 0:
            rows.append(f"- {len(seen) - index} more not listed")
            break
        rows.append(row)
    return "\n".join(rows)


def parse(text: str) -> Parsed:
    """Read back what `render` wrote; scores come back with two decimals.

    Raises:
        ValueError: a row is not of the grammar; the message quotes it.
    """
    head, *rows = text.split("\n")
    if not (picture := _PICTURE.fullmatch(head)):
        raise ValueError(f"Not a findings header: {head[:80]!r}.")
    width, height, frames = map(int, picture.group(1, 2, 3))
    models = () if picture[4] == "nobody" else tuple(picture[4].split("+"))
    detections: list[Detection] = []
    omitted = 0
    for row in rows:
        if found := _DETECTION.fullmatch(row):
            detections.append(
                Detection(
                    label=found[1],
                    score=float(found[2]),
                    box=Box(*map(int, found.group(3, 4, 5, 6))) if found[3] else None,
                    frame=int(found[7] or 0),
                    model=found[8] or "",
                )
            )
        elif cut := _CUT.fullmatch(row):
            omitted = int(cut[1])
        else:
            raise ValueError(f"Not a row of findings: {row[:80]!r}.")
    findings = VisualFindings(width=width, height=height, frames=frames, models=models, detections=tuple(detections))
    return Parsed(findings, omitted)


def _row(seen: Detection) -> str:
    where = f"at {','.join(map(str, seen.box))}" if seen.box else "overall"
    frame = f" in frame {seen.frame}" if seen.frame else ""
    return f"- {seen.label} {seen.score:.2f} {where}{frame}{f' by {seen.model}' if seen.model else ''}"


def _weight(seen: Detection) -> float:
    card = cards().get(seen.model)
    return seen.score * max((card.labels.get(seen.label, {}) if card else {}).values(), default=0.0)
