"""Text that was found and not read: when there is enough of it to count."""

from collections.abc import Sequence

from kidsnanny.policy import Policy, TextRules
from kidsnanny.records import NotInspected, TextLine
from kidsnanny.stage2.normalisation import is_record

SHORT = 3, 1.4
"""So many unread lines of at least this aspect are a text of short lines, though none alone is surely one."""


SENTENCE = 6
"""A line that is at least so many times longer than high, about twelve letters, may be a sentence and is no sign."""
FIGURES = (0.55, 0.78), (0.85, 0.5)
"""A line is figures if they are so much of its letters, read with at least that confidence."""


def unreadable_text(policy: Policy, lines: Sequence[TextLine]) -> list[NotInspected]:
    """Frames in which text that was found but not read covers at least the area floor; `minor` if it is
    not large, and short and part of a scene, which has no even ground, or of a receipt or table.

    What is hardly longer than high is a button, a wheel or a pupil more often than a line of text: it counts only in
    company. What a closer look did not find again does not count.

    Args:
        policy: with the floors.
        lines: everything that the OCR found, each with its `share`.
    """
    unread: dict[int, list[TextLine]] = {}
    for line in lines:
        if _unread(policy.text, line):
            unread.setdefault(line.frame, []).append(line)
    missed = []
    for frame, of_frame in unread.items():
        record = is_record(" ".join(line.text for line in lines if line.frame == frame))
        several = sum(_aspect(line) >= SHORT[1] for line in of_frame) >= SHORT[0]
        least = SHORT[1] if several else policy.text.aspect
        counted = [line for line in of_frame if _aspect(line) >= least]
        share = sum(1.0 if line.share is None else line.share for line in counted)
        if share and share >= policy.text.area:
            reason = f"text on {min(1.0, share):.1%} of the frame could not be read"
            sign = not any(line.even_ground or _aspect(line) >= SENTENCE for line in counted)
            minor = share < policy.text.large and (sign or record)
            missed.append(NotInspected(part="text", reason=reason, cause="unread", frame=frame, minor=minor))
    return missed


def _unread(floors: TextRules, line: TextLine) -> bool:
    """Whether less of a line was read than would fit in, or without confidence. Figures, such as the time at the top of
    a screen, need less of it."""
    letters = sum(not character.isspace() for character in line.text)
    share = sum(map(str.isdigit, line.text)) / max(1, letters)
    figures = letters >= 3 and any(share >= least and line.confidence >= sure for least, sure in FIGURES)
    sure = figures or line.confidence >= floors.read
    return line.confirmed and not (sure and letters >= _aspect(line) / 2)


def _aspect(line: TextLine) -> float:
    sides = sorted((line.box.x1 - line.box.x0, line.box.y1 - line.box.y0))
    return line.aspect or sides[1] / max(1, sides[0])
