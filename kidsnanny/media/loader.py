"""The one loader of pictures: every frame that comes out of it is 8-bit sRGB, upright, and within limits.

A picture is sniffed by content (never by name), measured before it is decoded, turned by its EXIF orientation,
converted through its ICC profile, and handed on frame by frame.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from kidsnanny.budget import SECONDS, out_of_time
from kidsnanny.errors import (
    CorruptPictureError,
    InputError,
    PictureTooLargeError,
    UnsupportedFormatError,
    UnsupportedSourceError,
)
from kidsnanny.media.animation import composed
from kidsnanny.media.colours import RGB as RGB
from kidsnanny.media.decoders import FORMATS as FORMATS
from kidsnanny.media.decoders import open_image
from kidsnanny.media.embedded import THUMBNAIL, Embedded, contents, same
from kidsnanny.media.gate import gate
from kidsnanny.media.integrity import damage, decode_jpeg, frame_count
from kidsnanny.media.lazy_frames import LazyFrames
from kidsnanny.media.limits import DEFAULT_LIMITS as DEFAULT_LIMITS
from kidsnanny.media.limits import Limits as Limits
from kidsnanny.media.limits import bytes_per_pixel, check_memory, check_size, too_large
from kidsnanny.media.signatures import HEAD, by_content, check_kind, is_text
from kidsnanny.media.source_bytes import read
from kidsnanny.media.strips import in_rows, views
from kidsnanny.media.work import excess
from kidsnanny.records import NotInspected, TextLine

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | RGB


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame. One with transparency comes as two views with the same index: 0 on white, 1 on black."""

    index: int
    rgb: RGB
    view: int = 0
    alone: bool = False
    """Whether the file has no other frame, its further pictures aside."""
    layer: tuple[TextLine, ...] = ()
    """The text layer of a PDF's page, some of which may not be visible."""


@dataclass(slots=True)
class Picture:
    """An opened picture: measured, not yet decoded."""

    name: str
    """The path, or `sha256:…` of what was handed over."""
    sha256: str
    image: Image.Image
    limits: Limits
    skipped: list[NotInspected] = field(default_factory=list)
    """Frames that were not looked at, and damage that decoders pass over; complete once `frames()` is exhausted."""
    data: bytes = field(default=b"", repr=False)
    """The file; empty for a PIL image or an array, whose pixels somebody else decoded."""
    remarks: list[str] = field(default_factory=list)
    """What else is in the file, such as a video behind its end; complete once `frames()` is exhausted."""
    nested: bool = False
    """Whether it was found in another picture; it is not searched for more."""
    _embedded: list[Embedded] = field(default_factory=list, repr=False)
    _pixels: int = 0
    """Of the frames so far."""
    _canvases: Iterator[tuple[Image.Image, bool]] = field(default=iter(()), repr=False)
    """The frames of an animation that are still to come."""

    def frames(self) -> Iterator[Frame]:
        """Decode frame after frame, up to the limits; after them, the file's further pictures, such as a thumbnail
        that differs, as further frames.

        Raises:
            InputError: the first frame exceeds a limit or does not decode. When a later one does, it goes to
                `skipped` with all that follow it.
        """
        start = self.image.tell()
        try:
            yield from self._frames()
        finally:
            if not self.data:  # an animation that is the caller's: leave it where it stood
                with contextlib.suppress(Exception):
                    self.image.seek(start)

    def _frames(self) -> Iterator[Frame]:
        total, index = None, 0
        while True:
            try:
                if index == 0:
                    total = frame_count(self.image, self.data)
                    if total == 0:
                        raise CorruptPictureError("it has no frames, so there is nothing to look at.", name=self.name)
                if not self._is_frame(index, total):
                    break
                self._check_frame(index)
                views, view = self._decode(index), 0
                size = self.image.width * self.image.height * bytes_per_pixel(self.image)
                with gate.holding(size, 2 * (self.limits.seconds or SECONDS)):
                    while (rgb := next(views, None)) is not None:
                        if index == view == 0:
                            self._search(rgb)
                        layer = self.image.lines if isinstance(self.image, LazyFrames) else ()
                        frame, rgb = Frame(index, rgb, view, alone=total == 1, layer=layer), None
                        yield frame
                        del frame  # its pixels, before the next view's
                        view += 1
            except Exception as error:  # decoders raise anything from OSError to SyntaxError
                broken = error if isinstance(error, InputError) else _corrupt(self.name, error)
                if index == 0:
                    raise broken  # noqa: B904 (the context is the cause)
                which = "the frames" if total is None else f"{total - index} of {total} frames"
                reason = f"{which}, from frame {index} on: {broken.reason}"
                self.skipped.append(NotInspected(part="frames", reason=reason, cause=broken.cause, frame=index))
                return
            index += 1
        if total and index != total:
            reason = f"it holds {total} frames and shows {index}."
            self.skipped.append(NotInspected(part="picture", reason=reason, cause="damage"))
        yield from self._further(index)

    def _is_frame(self, index: int, total: int | None) -> bool:
        """Go to a frame, if it is there and may be looked at."""
        if index == total:
            return False
        if not (index and self._is_composed()):
            try:
                self.image.seek(index)
            except EOFError:
                if index and total is None:
                    return False
                raise
        if index == self.limits.frames:
            raise PictureTooLargeError(f"past the cap of {self.limits.frames} frames", cause="frames")
        if index and out_of_time():
            raise PictureTooLargeError(f"past its {self.limits.seconds:g} s", cause="time")
        return True

    def _check_frame(self, index: int) -> None:
        """Raise if the current frame is too large, alone or with those before it."""
        check_size(self.name, self.image.size, self.limits)
        check_memory(self.name, self.image, self.limits)
        self._pixels += self.image.width * self.image.height
        if index and self._pixels > self.limits.total_pixels:
            raise PictureTooLargeError(f"past the cap of {self.limits.total_pixels:,} pixels in all", cause="frames")

    def _decode(self, index: int) -> Iterator[RGB]:
        """The current frame's views. What is wrong with it although it decodes goes to `skipped`."""
        pixels = reason = None
        if self.data and self.image.format in ("JPEG", "MPO"):
            try:
                pixels = decode_jpeg(self.image, self.data)
            except ValueError as error:
                reason = f"its data are damaged ({error})"
        elif self.data and (not index or isinstance(self.image, LazyFrames)):
            self.image.load()
            reason = None if index else damage(self.image, self.data)
            reason = "; ".join(filter(None, (reason, getattr(self.image, "missed", None)))) or None
        shown = self.image
        if self._is_composed():
            shown, clipped = self._composed(index)
            reason = reason or ("a part of this frame lies outside the canvas" if clipped else None)
        if reason:
            self.skipped.append(NotInspected(part="picture", reason=f"{reason}.", cause="damage", frame=index))
        if pixels is None or self.image.mode == "CMYK":
            del pixels
            yield from views(shown, data=self.data)
        elif not self.image.info.get("icc_profile") and self.image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            yield pixels
        else:
            yield from views(self.image, pixels[..., 0] if self.image.mode == "L" else pixels)

    def _search(self, main: RGB) -> None:
        """Find the file's further pictures, and leave those that show the same.

        Args:
            main: the first view of the first frame.
        """
        if not self.data or self.nested:
            return
        found = contents(self.image, self.data)
        self.remarks += found.remarks
        self._embedded += [one for one in found.pictures if not self._shows(main, one)]
        self.skipped += [NotInspected(part="frames", reason=reason, cause="frames") for reason in found.missed]

    def _shows(self, main: RGB, one: Embedded) -> bool:
        """Whether a further picture is a thumbnail that shows what the first frame shows."""
        try:
            picture = open_picture(one.data, self.limits)
            still = not getattr(picture.image, "is_animated", False)
            if not still or picture.image.width * picture.image.height > THUMBNAIL:
                return False
            for key in ("icc_profile", "exif", "xmp"):  # a thumbnail is turned and coloured as its picture
                if key in self.image.info:
                    picture.image.info.setdefault(key, self.image.info[key])
            return same(main, next(picture._decode(0)))
        except Exception:  # it will fail again where it is named
            return False

    def _further(self, index: int) -> Iterator[Frame]:
        """The frames of the file's further pictures, numbered on from `index`."""
        for name, data in self._embedded:
            first = index
            try:
                picture = open_picture(data, self.limits._replace(frames=max(1, self.limits.frames - index)))
                picture.nested, picture._pixels = True, self._pixels
                if index >= self.limits.frames:
                    raise PictureTooLargeError(f"past the cap of {self.limits.frames} frames", cause="frames")
                if out_of_time():
                    raise PictureTooLargeError(f"past its {self.limits.seconds:g} s", cause="time")
                for frame in picture.frames():
                    index = first + frame.index + 1
                    yield Frame(first + frame.index, frame.rgb, frame.view)
                self._pixels = picture._pixels
                self.skipped += [missed for missed in picture.skipped if missed.part == "frames"]
            except PictureTooLargeError as error:
                self.skipped.append(NotInspected(part="frames", reason=f"{name}: {error.reason}", cause=error.cause))
            except InputError:
                self.remarks.append(f"{name} does not decode")
            if index > first:
                which = f"frame {first} is" if index == first + 1 else f"frames {first} to {index - 1} are"
                self.remarks.append(f"{which} {name}")

    def _is_composed(self) -> bool:
        """Whether frames lie on one another. Those of TIFF are pages, and Pillow composes AVIF as browsers do."""
        animated = getattr(self.image, "is_animated", False) and self.image.format in ("PNG", "WEBP")
        return bool(self.data) and (animated or self.image.format == "GIF")

    def _composed(self, index: int) -> tuple[Image.Image, bool]:
        """The frame of an animation, and whether viewers differ on how much of it is shown."""
        if index == 0:
            self._canvases = composed(self.image, self.data)
        shown, clipped = next(self._canvases, (None, False))
        if shown is None:
            raise CorruptPictureError("it has fewer frames than it says; get the original again.", name=self.name)
        shown.info = {name: value for name, value in self.image.info.items() if name != "transparency"}
        return shown, clipped


def open_picture(source: Source, limits: Limits = DEFAULT_LIMITS, name: str | None = None) -> Picture:
    """Sniff and measure `source` without decoding it.

    Args:
        source: a path, the bytes of a file, a binary file object, a PIL image, or an (H, W, 3) uint8 RGB array.
        limits: what is accepted.
        name: what it is called in messages, by default the path or `sha256:…`.

    Raises:
        InputError: one of its children; the message names the input, the reason and the fix.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
            raise UnsupportedSourceError(
                f"An array of shape {source.shape} and type {source.dtype} is no picture; give (H, W, 3) uint8, RGB."
            )
        height, width, _ = source.shape
        check_size(name or f"The array {width}x{height}", (width, height), limits)
        return _from_pil(Image.fromarray(np.ascontiguousarray(source)), limits, name, ours=True)
    if isinstance(source, Image.Image):
        return _from_pil(source, limits, name)
    path, data = read(source, limits, name)
    digest = hashlib.sha256(data).hexdigest()
    name = name or path or f"sha256:{digest}"
    if not data:
        raise CorruptPictureError("it is empty; get the original again.", name=name)
    check_kind(name, by_content(data[:HEAD]))
    if reason := excess(data):
        raise PictureTooLargeError(f"{reason}; save it again with a program that edits pictures.", name=name)
    try:
        image = open_image(data, limits)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large(name, f"it has more than {limits.pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        if data.startswith(_BEGINNINGS):
            raise _corrupt(name, ValueError("its beginning is damaged")) from error
        hint = ", or check text with --text" if is_text(data[:HEAD]) and not by_content(data[:HEAD]) else ""
        reason = f"its content is none of {_LISTED}; convert it to one of them{hint}."
        raise UnsupportedFormatError(reason, name=name) from error
    except InputError as error:
        raise type(error)(f"{error.reason}.", name=name, cause=error.cause) from error
    except Exception as error:
        raise _corrupt(name, error) from error
    check_size(name, image.size, limits)
    check_memory(name, image, limits)
    return Picture(name, digest, image, limits, data=data)


def checked_source(source: Source) -> Source:
    """The source, if a picture can be of its type.

    Raises:
        TypeError: it cannot.
    """
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray)
    if isinstance(source, kinds) or callable(getattr(source, "read", None)):
        return source
    raise TypeError(
        f"source is a {type(source).__name__}; expected a path, bytes, a binary file, a PIL image or a uint8 array."
    )


def _from_pil(image: Image.Image, limits: Limits, given: str | None, *, ours: bool = False) -> Picture:
    name = given or f"The PIL image {image.mode} {image.width}x{image.height}"
    check_size(name, image.size, limits)
    check_memory(name, image, limits)
    digest = hashlib.sha256()
    start, pixels = image.tell(), 0
    for index in range(limits.frames):
        try:
            image.seek(index)
            pixels += image.width * image.height
            if index and (pixels > limits.total_pixels or out_of_time()):
                break
            header = (image.mode, image.size, image.getpalette(), image.info.get("transparency"))
            digest.update(repr(header).encode())
            for rows in in_rows(image):
                digest.update(rows.tobytes())
        except Exception as error:
            if index == 0:
                raise _corrupt(name, error) from error
            break  # the last frame; or `frames()` will come to the same end and say so
    with contextlib.suppress(Exception):
        image.seek(start)
    # A copy, so that nothing turns the caller's own image; an animated one cannot be copied.
    image = image if ours or getattr(image, "is_animated", False) else image.copy()
    return Picture(given or f"sha256:{digest.hexdigest()}", digest.hexdigest(), image, limits)


_LISTED = ", ".join(FORMATS)
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def _corrupt(name: str, error: Exception) -> CorruptPictureError:
    brief = re.sub(r"\s+", " ", str(error))[:100] or type(error).__name__
    return CorruptPictureError(f"it does not decode ({brief}); get the original again.", name=name)
