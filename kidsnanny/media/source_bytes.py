"""The bytes of what somebody hands over: a path, bytes or a file object. No URL is ever fetched."""

import os
import re
import stat

from kidsnanny.errors import UnreadableFileError, UnsupportedSourceError
from kidsnanny.media.limits import Limits, too_large
from kidsnanny.media.signatures import HEAD, by_content, check_kind, media_kind
from kidsnanny.records import encodable


def read(source: object, limits: Limits, given: str | None) -> tuple[str | None, bytes]:
    """The path (None if it has none) and all bytes of a source that is not an image object.

    Args:
        source: as in `open_picture`.
        limits: what is accepted.
        given: what it is called in messages; None for its path, or for no name at all.
    """
    if isinstance(source, str) and re.match(r"[a-z][a-z0-9+.-]*://|data:", source, re.IGNORECASE):
        raise UnsupportedSourceError("URLs are never fetched; download it and give the bytes.", name=source[:80])
    if isinstance(source, str | os.PathLike):
        return _read_file(source, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif callable(read := getattr(source, "read", None)):
        try:
            if getattr(source, "seekable", bool)():  # the picture is the whole file, wherever its reader stands
                source.seek(0)  # type: ignore[attr-defined]
            data = read(limits.bytes + 1)
        except Exception as error:
            raise UnreadableFileError(f"{given or 'The file'} cannot be read ({error}); open it as binary.") from error
        if not isinstance(data, bytes):
            raise UnsupportedSourceError("A file object opened as text is no picture; open it in binary mode.")
    else:
        raise UnsupportedSourceError(
            f"{type(source).__name__} is no picture; give a path, bytes, a binary file, a PIL image or a uint8 array."
        )
    if len(data) > limits.bytes:
        raise too_large(given or "The picture", f"it has more than {limits.bytes:,} bytes")
    return None, data


def _read_file(source: str | os.PathLike[str], limits: Limits) -> tuple[str, bytes]:
    name = encodable(os.fsdecode(source)) or "''"
    try:
        status = os.stat(source)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError(f"it is {_no_file(source, status.st_mode)}.", name=name)
        with open(source, "rb") as file:
            head = file.read(HEAD)
            if by_content(head):
                check_kind(name, media_kind(source, head))
            if status.st_size > limits.bytes:
                raise too_large(name, f"it has more than {limits.bytes:,} bytes")
            return name, head + file.read(limits.bytes + 1 - len(head))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        reason = f"it cannot be read ({why}); check the path and permissions."
        raise UnreadableFileError(reason, name=name) from error


def _no_file(source: str | os.PathLike[str], mode: int) -> str:
    """What there is instead of a regular file, and what to do."""
    if not stat.S_ISDIR(mode):
        return "not a regular file; give the path of a picture file"
    try:
        with os.scandir(source):
            pass
    except OSError as error:
        return f"a folder that cannot be opened ({error.strerror}), so nothing in it was looked at; give permission"
    link = "a link to a folder, which is not followed" if os.path.islink(source) else "a folder"
    return f"{link}; give the path of {'the folder itself' if os.path.islink(source) else 'a picture file'}"
