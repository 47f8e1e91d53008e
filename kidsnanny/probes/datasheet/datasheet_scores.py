"""What a probe says of each picture of a data set, from embeddings on disk."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError
from kidsnanny.probes.datasheet.audited_pictures import AuditedPicture
from kidsnanny.probes.embedding_cache import EmbeddedPicture, EmbeddingCache, embed
from kidsnanny.probes.encoders import Encoder
from kidsnanny.probes.probe_files import LoadedProbe
from kidsnanny.probes.q16 import Q16

Scores = npt.NDArray[np.float32]


class AuditEntry(NamedTuple):
    """A picture without its pixels."""

    name: str
    """Which one it is, as a person finds it."""
    group: str
    """Its class; empty if the data set names none."""
    caption: str
    """Empty if the data set has none."""
    sha256: str | None
    """Of its content; None: it could not be looked at."""
    why: str = ""
    """Why not."""
    problem: str = ""
    """Why its class or caption could not be read."""


class ScoredPictures(NamedTuple):
    """The pictures of a data set, and what a probe says of those that could be looked at."""

    judged: list[AuditEntry]
    """In the order of the data set."""
    not_judged: list[AuditEntry]
    """Nothing is known of these: they are not fine."""
    labels: tuple[str, ...]
    """Those that count."""
    by_label: Scores
    """(judged, labels) in 0..1: of each picture the highest score of its frames."""

    @property
    def scores(self) -> Scores:
        """(judged,) in 0..1: the highest of the labels."""
        return np.asarray(self.by_label.max(axis=1, initial=0.0), np.float32)


def embedded_entries(
    pictures: Iterable[AuditedPicture],
    encoder: Encoder,
    cache: EmbeddingCache,
    watch: Callable[[Iterator[EmbeddedPicture]], Iterable[EmbeddedPicture]] = iter,
) -> list[AuditEntry]:
    """Embed what the cache does not have yet. A run that is ended goes on from what the cache has.

    Args:
        pictures: the data set's, in order.
        encoder: the cache's.
        cache: where the embeddings are.
        watch: is given what was embedded, picture by picture, and hands it on; for a progress bar.

    Raises:
        ComponentError: the encoder fails.
        DataError: the pictures cannot be read, or the cache cannot be written.
    """
    waiting, entries = list[AuditedPicture](), list[AuditEntry]()

    def images() -> Iterator[bytes | Path]:
        for one in pictures:
            waiting.append(one._replace(image=b""))
            yield one.image

    for found in watch(embed(images(), encoder, cache)):
        one = waiting[len(entries)]
        entries.append(AuditEntry(one.name, one.group, one.caption, found.sha256, found.why or "", one.problem))
    return entries


def counted_labels(probe: LoadedProbe) -> tuple[str, ...]:
    """The labels whose score makes a picture potentially inappropriate: the second of Q16; of a linear probe those that
    mean a category.

    Raises:
        ComponentError: none does.
    """
    names = list(probe.card.labels)
    if isinstance(probe.weights, Q16):
        return (names[1],)
    if found := tuple(name for name in names if any(probe.card.labels[name].values())):
        return found
    raise ComponentError(
        f"{probe.card.name}: none of its labels means a category, so nothing would count; write which in its labels."
    )


def score_pictures(entries: Iterable[AuditEntry], probe: LoadedProbe, cache: EmbeddingCache) -> ScoredPictures:
    """What a probe says of pictures that are in the cache. A picture is as inappropriate as its worst frame.

    Args:
        entries: the pictures.
        probe: it reads the rows of the cache's encoder.
        cache: it has the rows of each picture that could be looked at.

    Raises:
        ComponentError: no label of the probe counts.
    """
    judged, not_judged = list[AuditEntry](), list[AuditEntry]()
    for one in entries:
        (not_judged if one.sha256 is None else judged).append(one)
    labels, names = counted_labels(probe), list(probe.card.labels)
    of_rows = probe.weights.probabilities(cache.matrix)[:, [names.index(label) for label in labels]]
    by_label = cache.highest([str(one.sha256) for one in judged], np.ascontiguousarray(of_rows))
    return ScoredPictures(judged, not_judged, labels, by_label)
