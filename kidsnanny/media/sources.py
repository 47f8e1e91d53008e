"""The bytes of what somebody hands over: a path, bytes or a file object. No URL is ever fetched."""

import os
import re
import stat

from kidsnanny.errors import UnreadableFileError, UnsupportedFormatError, UnsupportedSourceError
from kidsnanny.media.limits import Limits, too_large
from kidsnanny.media.signatures import HEAD, NOT_LOOKED_AT, by_content, media_kind
from kidsnanny.records import encodable


def read(source: object, limits: Limits) -> tuple[str | None, bytes]:
    """The name (None if it has none) and all bytes of a source that is not an image object."""
    if isinstance(source, bytes | bytearray | memoryview):
        name, data = None, bytes(source)
    elif isinstance(source, str) and re.match(r"[a-z][a-z0-9+.-]*://|data:", source, re.IGNORECASE):
        raise UnsupportedSourceError(f"{source[:80]}: URLs are never fetched; download it and give the bytes.")
    elif isinstance(source, str | os.PathLike):
        return _read_file(source, limits)
    elif callable(read := getattr(source, "read", None)):
        try:
            if getattr(source, "seekable", bool)():  # the picture is the whole file, wherever its reader stands
                source.seek(0)  # type: ignore[attr-defined]
            name, data = None, read(limits.bytes + 1)
        except Exception as error:
            raise UnreadableFileError(f"The file object cannot be read ({error}); open it in binary mode.") from error
        if not isinstance(data, bytes):
            raise UnsupportedSourceError("A file object opened as text is no picture; open it in binary mode.")
    else:
        raise UnsupportedSourceError(
            f"{type(source).__name__} is no picture; give a path, bytes, a binary file, a PIL image or a uint8 array."
        )
    if len(data) > limits.bytes:
        raise too_large("The picture", f"it has more than {limits.bytes:,} bytes")
    return name, data


def _read_file(source: str | os.PathLike[str], limits: Limits) -> tuple[str, bytes]:
    name = encodable(os.fsdecode(source)) or "''"
    try:
        status = os.stat(source)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError(f"{name}: it is {_no_file(source, status.st_mode)}.")
        with open(source, "rb") as file:
            head = file.read(HEAD)
            if (kind := media_kind(source, head)) in NOT_LOOKED_AT and by_content(head):
                raise UnsupportedFormatError(f"{name}: it is {NOT_LOOKED_AT[kind]}.")
            if status.st_size > limits.bytes:
                raise too_large(name, f"it has more than {limits.bytes:,} bytes")
            return name, head + file.read(limits.bytes + 1 - len(head))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFileError(f"{name}: it cannot be read ({reason}); check the path and permissions.") from error


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
