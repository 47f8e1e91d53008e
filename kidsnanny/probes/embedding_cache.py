"""Embeddings of pictures on disk, so that each is computed once.

A cache is a folder for one encoder: `rows.f32`, a row of float32 after another, and `keys.bin`, which says of each row
whose it is. Both only grow, rows first, so a run that is killed loses the pictures of its last batch at most. Pictures
are known by their checksum; neither their names nor their pixels are kept.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import DataError, InputError
from kidsnanny.media.loader import RGB, Picture, Source, open_picture
from kidsnanny.probes.encoders import Encoder
from kidsnanny.records import ModelId

Rows = npt.NDArray[np.float32]
MANY = 100
"""Pictures that wait at most until they are reported, even if all of them are there already."""
KEY = np.dtype([("sha256", "V32"), ("frame", "<u4"), ("frames", "<u4")])
"""Of a row: whose it is, which of the picture's frames, counted from 0, and how many these are."""
BATCH, BATCH_PIXELS = 32, 32_000_000
"""Frames, and pixels in them, that wait at most until they are embedded at once and written."""


class EmbeddingCache:
    """The embeddings of one encoder in a folder.

    A picture has a row for each frame and, if it is transparent, for each of its views: on white, on black.

    Args:
        folder: it is made if need be. One process may write there at a time: see `kidsnanny.files.alone_in`.
        model_id: the encoder's.
        width: of its rows.

    Raises:
        DataError: the folder cannot be read or written, or holds the rows of another encoder.
    """

    def __init__(self, folder: Path, model_id: ModelId, width: int) -> None:
        self.folder, self.model_id, self.width = folder, model_id, width
        self._count = 0
        self._places: dict[bytes, tuple[int, int]] = {}
        self._matrix: Rows = np.zeros((0, width), np.float32)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._claim()
            self._read()
        except OSError as error:
            raise DataError(
                f"{folder}: embeddings cannot be kept there ({error.strerror}); name another folder."
            ) from error

    @classmethod
    def of(cls, encoder: Encoder, folder: Path) -> Self:
        """The cache of an encoder in a subfolder that is named after it.

        Args:
            encoder: whose rows it has.
            folder: where the caches of all encoders are.

        Raises:
            DataError: as for the class.
        """
        return cls(folder / f"{encoder.model_id.name}-{encoder.model_id.revision}", encoder.model_id, encoder.width)

    def __len__(self) -> int:
        """How many pictures it has."""
        return len(self._places)

    def __contains__(self, sha256: str) -> bool:
        return bytes.fromhex(sha256) in self._places

    def rows(self, sha256: str) -> Rows:
        """(frames, width): the rows of one picture.

        Raises:
            KeyError: it has none.
        """
        start, frames = self._places[bytes.fromhex(sha256)]
        return self.matrix[start : start + frames]

    def first_rows(self, sha256s: Sequence[str]) -> Rows:
        """(N, width): the first row of each picture, in the order that was asked for.

        Raises:
            KeyError: a picture has none.
        """
        starts = [self._places[bytes.fromhex(one)][0] for one in sha256s]
        return np.ascontiguousarray(self.matrix[starts])

    def highest(self, sha256s: Sequence[str], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The highest of the scores of each picture's frames: (rows, …) -> (N, …).

        Args:
            sha256s: the pictures.
            scores: a score, or several, for each row of `matrix`.

        Raises:
            KeyError: a picture has no rows.
        """
        places = np.array([self._places[bytes.fromhex(one)] for one in sha256s], np.int64).reshape(-1, 2)
        found = scores[places[:, 0]]
        for n in np.flatnonzero(places[:, 1] > 1):
            start, frames = places[n]
            found[n] = scores[start : start + frames].max(axis=0)
        return found

    @property
    def matrix(self) -> Rows:
        """(rows, width) of all pictures, in the order in which they were added; memory-mapped, and read-only."""
        if len(self._matrix) != self._count:
            shape = self._count, self.width
            self._matrix = np.memmap(self._rows_file, dtype=np.float32, mode="r", shape=shape)
        return self._matrix

    def add(self, pictures: Sequence[tuple[str, Rows]]) -> None:
        """Append pictures by their checksum, in hex, with (frames, width) rows each. One that is there stays as it is.

        Raises:
            DataError: they cannot be written.
            ValueError: rows have another shape, or are not finite.
        """
        new = {bytes.fromhex(sha256): rows for sha256, rows in pictures if sha256 not in self}
        for rows in new.values():
            if rows.ndim != 2 or rows.shape[1] != self.width or not len(rows) or not np.isfinite(rows).all():
                raise ValueError(f"expected (frames, {self.width}) finite numbers, got {rows.shape}")
        if not new:
            return
        keys = np.array([(sha256, frame, len(rows)) for sha256, rows in new.items() for frame in range(len(rows))], KEY)
        added = np.concatenate(list(new.values())).astype(np.float32)
        try:
            for path, data, size in (
                (self._rows_file, added.tobytes(), 4 * self.width),
                (self._keys_file, keys.tobytes(), KEY.itemsize),
            ):
                with path.open("ab") as file:
                    file.truncate(self._count * size)  # what was not written to its end
                    file.write(data)
        except OSError as error:
            raise DataError(
                f"{self.folder}: embeddings cannot be written there ({error.strerror}); make room."
            ) from error
        self._note(keys)

    @property
    def _rows_file(self) -> Path:
        return self.folder / "rows.f32"

    @property
    def _keys_file(self) -> Path:
        return self.folder / "keys.bin"

    def _claim(self) -> None:
        """Write whose rows these are, or make sure that they are this encoder's."""
        file, own = self.folder / "encoder.json", {"model": str(self.model_id), "width": self.width}
        try:
            found = json.loads(file.read_bytes())
        except FileNotFoundError:
            from kidsnanny.files import write_atomically

            write_atomically(file, json.dumps(own).encode())
            return
        except ValueError:
            found = None
        if found != own:
            theirs = found.get("model") if isinstance(found, dict) else "nobody knows what"
            raise DataError(
                f"{self.folder}: it holds embeddings of {theirs}, not of {self.model_id}; name another folder."
            )

    def _read(self) -> None:
        """Read the keys of what was written to its end. Nothing is changed: somebody may be writing."""
        if not (self._rows_file.exists() and self._keys_file.exists()):
            return
        whole = min(self._keys_file.stat().st_size // KEY.itemsize, self._rows_file.stat().st_size // (4 * self.width))
        keys = np.fromfile(self._keys_file, KEY, whole)
        ends = np.flatnonzero(keys["frame"] + 1 == keys["frames"])
        self._note(keys[: ends[-1] + 1 if len(ends) else 0])  # without a picture of which frames are missing

    def _note(self, keys: npt.NDArray[np.void]) -> None:
        firsts = np.flatnonzero(keys["frame"] == 0)
        owners = keys["sha256"][firsts].tobytes()
        for n, (first, frames) in enumerate(zip(firsts.tolist(), keys["frames"][firsts].tolist(), strict=True)):
            self._places[owners[32 * n : 32 * n + 32]] = self._count + first, frames
        self._count += len(keys)


class EmbeddedPicture(NamedTuple):
    """What became of one picture."""

    name: str
    """Its path, or `sha256:…`."""
    sha256: str | None
    """By which its rows are found in the cache; None if it has none."""
    why: str | None = None
    """Why it has none: nobody may take it for harmless."""


def embed(sources: Iterable[Source], encoder: Encoder, cache: EmbeddingCache) -> Iterator[EmbeddedPicture]:
    """Embed what the cache does not have yet; each picture comes out when its rows are on disk, in order.

    A picture of which a frame could not be looked at gets no rows. A run that is killed goes on where it was when it is
    started again.

    Args:
        sources: paths, bytes, PIL images or arrays.
        encoder: the cache's.
        cache: where the rows go.

    Raises:
        ComponentError: the encoder fails.
        DataError: the cache cannot be written.
    """
    waiting: list[tuple[EmbeddedPicture, list[RGB]]] = []
    for source in sources:
        waiting.append(_frames(source, cache, {one.sha256 for one, frames in waiting if frames}))
        frames = [frame for _, of_picture in waiting for frame in of_picture]
        pixels = sum(frame.shape[0] * frame.shape[1] for frame in frames)
        if len(frames) >= BATCH or pixels >= BATCH_PIXELS or len(waiting) >= MANY:
            yield from _written(waiting, encoder, cache)
            waiting = []
    yield from _written(waiting, encoder, cache)


def _frames(source: Source, cache: EmbeddingCache, waiting: set[str | None]) -> tuple[EmbeddedPicture, list[RGB]]:
    """The frames of a picture that is not in the cache, and not waiting to be."""
    picture: Picture | None = None
    try:
        picture = open_picture(source)
        found = EmbeddedPicture(picture.name, picture.sha256)
        if picture.sha256 in cache or picture.sha256 in waiting:
            return found, []
        frames = [frame.rgb for frame in picture.frames()]
    except InputError as error:
        name = picture.name if picture else source if isinstance(source, str | os.PathLike) else ""
        return EmbeddedPicture(str(name), None, error.reason), []
    if picture.skipped:
        return EmbeddedPicture(picture.name, None, picture.skipped[0].reason), []
    return found, frames


def _written(
    waiting: Sequence[tuple[EmbeddedPicture, list[RGB]]], encoder: Encoder, cache: EmbeddingCache
) -> list[EmbeddedPicture]:
    """Their rows written, all frames of all of them embedded together."""
    frames = [frame for _, of_picture in waiting for frame in of_picture]
    rows = encoder(frames) if frames else np.zeros((0, cache.width), np.float32)
    added, start = list[tuple[str, Rows]](), 0
    for picture, of_picture in waiting:
        if picture.sha256 and of_picture:
            added.append((picture.sha256, rows[start : start + len(of_picture)]))
        start += len(of_picture)
    cache.add(added)
    return [picture for picture, _ in waiting]
