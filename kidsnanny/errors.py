"""Every error kidsnanny raises on purpose.

    KidsnannyError
    ├── InputError                  a picture cannot be looked at (in a verdict: one line of `not_inspected`)
    │   ├── UnsupportedSourceError  not a path, bytes, binary file, PIL image or HWC uint8 array; or a URL
    │   ├── UnreadableFileError     no such file, no permission, not a regular file
    │   ├── UnsupportedFormatError  not one of the picture formats on the allow-list
    │   ├── PictureTooLargeError    more bytes, pixels or a longer side than the limits allow
    │   └── CorruptPictureError     the header is fine, the rest does not decode
    ├── JudgeError                  the judge is down or gives no answer that counts (in a verdict: `not_inspected`)
    ├── PolicyError                 a policy file is missing, malformed or has unknown keys
    ├── DataError                   a data set, or a run that is to go on, is not what it should be
    └── ComponentError              a component could not be built
        ├── ProfileError            a profile's table has keys or values that its engine does not take
        └── WeightsError            weights are missing, or are not the file their card describes
            ├── CardError           a card has faults
            └── NotHereError        they are not on this machine

Each message is one sentence that names the thing, the reason and the fix; a CardError's, one for each fault.
"""

from collections.abc import Sequence
from typing import Literal

Cause = Literal[
    "file",
    "format",
    "film",
    "raw photo",
    "document",
    "archive",
    "size",
    "damage",
    "frames",
    "time",
    "unread",
    "language",
    "link",
    "length",
    "empty",
    "no text",
    "failure",
    "untrained",
    "judge",
    "steering",
]
"""Kinds of reason why something could not be looked at. `kidsnanny.for_parents` has words for each of them."""


class KidsnannyError(Exception):
    """Base of every error kidsnanny raises on purpose."""


class InputError(KidsnannyError):
    """A picture cannot be looked at.

    Args:
        reason: why, and what to do; it does not begin with the picture's name.
        name: the picture, with which the message begins; empty if the reason tells which one it is.
        cause: the kind of reason; by default that of the class.
    """

    cause: Cause = "failure"
    """The kind of reason."""

    def __init__(self, reason: str, *, name: str = "", cause: Cause | None = None) -> None:
        super().__init__(f"{name}: {reason}" if name else reason)
        self.reason = reason
        self.cause = cause or self.cause


class UnsupportedSourceError(InputError):
    """The source is not of a kind we read."""

    cause = "file"


class UnreadableFileError(InputError):
    """The file cannot be opened."""

    cause = "file"


class UnsupportedFormatError(InputError):
    """The bytes are not a picture in a format on the allow-list."""

    cause = "format"


class PictureTooLargeError(InputError):
    """The picture exceeds a limit that is checked before decoding."""

    cause = "size"


class CorruptPictureError(InputError):
    """The picture does not decode."""

    cause = "damage"


class JudgeError(KidsnannyError):
    """The judge is down, or gave no answer that counts as one."""


class PolicyError(KidsnannyError):
    """A policy cannot be loaded.

    Args:
        message: one sentence, which names everything that is wrong.
        faults: the same as a sentence each; by default the message is the only one.
    """

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults) or (message,)


class DataError(KidsnannyError):
    """A data set, or a run that is to go on, is not what it should be."""


class ComponentError(KidsnannyError):
    """A component could not be built."""


class ProfileError(ComponentError):
    """A profile's table has keys or values that its engine does not take."""


class WeightsError(ComponentError):
    """Weights are missing, or are not the file their card describes."""


class CardError(WeightsError):
    """A card has faults, each of which is told in a sentence."""

    def __init__(self, *faults: str) -> None:
        super().__init__(" ".join(faults))
        self.faults = faults


class NotHereError(WeightsError):
    """Weights are not on this machine."""
