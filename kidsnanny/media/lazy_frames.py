"""Files that Pillow does not read itself, as images of Pillow's whose frames are decoded when they are asked for."""

from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image

from kidsnanny.records import TextLine


class Header(NamedTuple):
    """What is known of a frame before it is decoded."""

    mode: str
    size: tuple[int, int]
    """Width and height, upright, in pixels."""
    info: dict[str | tuple[int, int], Any]
    """As Pillow's: `icc_profile` is all that matters."""


class Decoded(NamedTuple):
    """A frame."""

    image: Image.Image
    lines: tuple[TextLine, ...] = ()
    """Its text layer."""
    missed: str | None = None
    """What is wrong with it although it was decoded."""


class LazyFrames(Image.Image):
    """The frames of a file.

    Args:
        kind: the name of its format.
        count: how many frames there are.
        header: a frame's header by its number.
        decode: a frame by its number; it raises what it likes where that fails.
    """

    def __init__(
        self, kind: str, count: int, header: Callable[[int], Header], decode: Callable[[int], Decoded]
    ) -> None:
        super().__init__()
        self.format = kind
        self.n_frames = count
        self.is_animated = count > 1
        self.lines: tuple[TextLine, ...] = ()
        self.missed: str | None = None
        self._header, self._decode = header, decode
        self._at = -1
        self.seek(0)

    def tell(self) -> int:
        return self._at

    def seek(self, frame: int) -> None:
        if frame == self._at:
            return
        if not 0 <= frame < self.n_frames:
            raise EOFError(f"it has no frame {frame}")
        self._mode, self._size, self.info = self._header(frame)
        self._at, self._im, self._exif = frame, None, None
        self.lines, self.missed = (), None

    def load(self) -> Any:
        """Decode the current frame.

        Raises:
            OSError: it does not have the size and the mode of its header.
        """
        if self._im is None:
            found, self.lines, self.missed = self._decode(self._at)
            if (found.mode, found.size) != (self.mode, self.size):
                told = f"{self.mode} {self.width}x{self.height}"
                raise OSError(f"it is {told} by its header and {found.mode} {found.width}x{found.height} decoded")
            self._im = found.im
            self.info = {**self.info, **found.info}
        return super().load()
