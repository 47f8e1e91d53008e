"""For which scores a judge is worth its time, from pictures whose labels are known."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from kidsnanny.decision import decide, highest_text_score, judge_wanted, within
from kidsnanny.errors import DataError
from kidsnanny.inspection import Inspection
from kidsnanny.policy import Band, Policy
from kidsnanny.records import Record

TEXT_EDGES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Where a band of text scores may begin and end."""
STEPS = 5
"""Edges, evenly spaced over the policy's `image_grey`, where a band of the picture's scores may begin and end."""
NEVER: Band = (0.0, 0.0)
Labelled = Sequence[tuple[bool, Inspection]]
"""Whether a picture is harmful, and what was seen in it, with the judge's opinion."""


class JudgeBands(Record):
    """The bands that were found, and what they do to the pictures on which they were found."""

    image_grey: Band
    """Scores of the picture, 0..1, for which the judge is asked and which it may lower; inside the policy's."""
    text_asked: Band
    """Highest scores of the text, 0..1, for which the judge is asked."""
    pictures: int
    asked: int
    """Pictures about which the judge is asked."""
    found: int
    """Harmful pictures that are held back because the judge was asked."""
    missed: int
    """Harmful pictures that are safe because the judge was asked."""
    freed: int
    """Harmless pictures that are safe because the judge was asked."""
    held: int
    """Harmless pictures that are held back because the judge was asked."""

    @property
    def gain(self) -> int:
        """Pictures that the judge puts right, less those that it puts wrong."""
        return self.found + self.freed - self.missed - self.held


def choose_bands(judged: Labelled, policy: Policy, most: float) -> JudgeBands:
    """The bands in which the judge puts most pictures right, less those that it puts wrong; of several the ones that
    ask about fewest. They ask about nothing if it gains nothing.

    Args:
        judged: the pictures to learn from.
        policy: whose thresholds and ages count, and whose grey band of the picture is narrowed, never widened.
        most: share of the pictures, 0..1, about which the judge may be asked.

    Raises:
        DataError: there are no pictures, or one lacks the judge's opinion for the policy's ages.
    """
    _check(judged, policy)
    harmful = np.array([unsafe for unsafe, _ in judged])
    alone = _held_back(judged, _with_judge(policy, escalation="never"))
    text_scores = [highest_text_score(seen, policy) for _, seen in judged]
    found = []
    for image in _image_bands(policy.judge.image_grey):
        together = _held_back(judged, _with_judge(policy, escalation="always", image_grey=image))
        rules = _with_judge(policy, escalation="auto", image_grey=image, text_asked=NEVER)
        for_picture = np.array([judge_wanted(seen, rules) for _, seen in judged])
        for text in (NEVER, *combinations(TEXT_EDGES, 2)):
            asked = for_picture | [score is not None and within(text, score) for score in text_scores]
            bands = JudgeBands(
                image_grey=image,
                text_asked=text,
                pictures=len(judged),
                asked=int(asked.sum()),
                found=int((asked & harmful & together & ~alone).sum()),
                missed=int((asked & harmful & ~together & alone).sum()),
                freed=int((asked & ~harmful & ~together & alone).sum()),
                held=int((asked & ~harmful & together & ~alone).sum()),
            )
            if bands.asked <= most * len(judged):
                found.append(bands)
    return max(found, key=lambda bands: (bands.gain, -bands.asked))


def _check(judged: Labelled, policy: Policy) -> None:
    if not judged:
        raise DataError("There is no picture to learn from; name a run that has some.")
    for _, seen in judged:
        opinion = seen.opinion(policy.ages)
        if opinion is None or opinion.error:
            why = opinion.error if opinion else f"the judge was not asked about it for ages {policy.ages}"
            raise DataError(
                f"{seen.source}: {str(why).rstrip('.')}; run `kidsnanny eval` with a profile that has a judge, and "
                "this policy, to its end."
            )


def _image_bands(grey: Band) -> list[Band]:
    """Within the policy's; the empty one first."""
    edges = [round(float(edge), 3) for edge in np.linspace(*grey, STEPS)]
    return [NEVER, *(band for band in combinations(edges, 2) if band[0] < band[1])]


def _with_judge(policy: Policy, **rules: object) -> Policy:
    return policy.model_copy(update={"judge": policy.judge.model_copy(update=rules)})


def _held_back(judged: Labelled, policy: Policy) -> "np.ndarray[tuple[int], np.dtype[np.bool]]":
    """Whether each picture is not safe under a policy, (pictures,)."""
    return np.array([decide(seen, policy).label != "safe" for _, seen in judged])
