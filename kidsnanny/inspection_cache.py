"""Inspections of pictures that may come again, in memory."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from PIL import ExifTags

from kidsnanny import __version__
from kidsnanny.engines import renew_after_fork
from kidsnanny.inspection import Inspection
from kidsnanny.inspection_job import Job
from kidsnanny.media.loader import Limits, Picture
from kidsnanny.records import ModelId


class InspectionCache:
    """The inspections that were asked for last, by their key. What could not be looked at in full is not kept.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[str, Inspection] = OrderedDict()
        self._lock = Lock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A thread of the parent may have held the lock."""
        self._lock = Lock()

    def recall(self, job: Job) -> Inspection | None:
        """The inspection of the same picture, under this one's name, if it is kept."""
        with self._lock:
            if not job.key or not (known := self._kept.get(job.key)):
                return None
            self._kept.move_to_end(job.key)
        timings = {stage: round(ms, 3) for stage, ms in job.timings.items()}
        return known.model_copy(update={"source": job.name, "timings": timings})

    def keep(self, inspection: Inspection) -> None:
        """Keep it, in place of the one that was not asked for the longest, if all of it was inspected."""
        signals = (inspection.image_signals, inspection.text_signals)
        missed = inspection.not_inspected or any(
            not one.minor for said in signals if said for one in said.not_inspected
        )
        failed_judge = any(opinion.error for opinion in inspection.opinions)
        if self._size and inspection.key and not missed and not failed_judge:
            with self._lock:
                self._kept[inspection.key] = inspection
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)


def cache_key(
    picture: Picture, models: Mapping[str, tuple[ModelId, ...]], limits: Limits, min_confidence: float
) -> str:
    """See `Inspection.key`. The pixels of a PIL image do not say how it is turned and which colours they are."""
    pixels: tuple[object, ...] = (picture.sha256,)
    if not picture.data:
        orientation = picture.image.getexif().get(ExifTags.Base.Orientation)
        told = ("icc_profile", "gamma", "chromaticity")  # what becomes of colours; alpha is among the pixels
        pixels += (orientation, *map(picture.image.info.get, told))
    named = {part: list(map(str, of_part)) for part, of_part in models.items()}
    everything = (pixels, named, limits, min_confidence, __version__)
    return hashlib.sha256(repr(everything).encode()).hexdigest()
