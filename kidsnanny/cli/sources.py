"""What `kidsnanny check` is given: pictures, folders of pictures, standard input."""

import hashlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, cast

from kidsnanny.cli.console import Exit, fail, warn
from kidsnanny.media.loader import DEFAULT_LIMITS, Source
from kidsnanny.media.walk import is_media, walk
from kidsnanny.messages import Text, media, turns
from kidsnanny.records import encodable


class Item(NamedTuple):
    """A picture, a message or a conversation to check."""

    name: str
    """What its verdicts call it."""
    picture: Source | None = None
    text: Text = ""
    """The message or conversation, if there is no picture."""
    problem: str = ""
    """Why a line that should be a message is none."""

    def sha256(self) -> str | None:
        """As its verdicts have it; None if it cannot be read."""
        if self.problem:
            return None
        if self.picture is None:
            return media(turns(self.text)).sha256
        try:
            with open(cast("str", self.picture), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except (OSError, TypeError):  # of standard input as well, which has no second time
            return None


def pictures(paths: Sequence[str]) -> list[Item]:
    """The pictures behind the arguments, folders walked in name order; other files are counted on stderr."""
    found: list[Item] = []
    skipped: list[str] = []
    for path in paths:
        if path == "-":
            found.append(Item("-", _standard_input()))
        elif os.path.isdir(path):
            files, unwalked = walk(path)
            wanted = {file: is_media(file) for file in files}
            named = [*(file for file in files if wanted[file]), *unwalked]
            found += [Item(encodable(str(file)), file) for file in named]
            skipped += [file.name for file in files if not wanted[file]]
            if not named:
                fail(Exit.USAGE, f"There are no pictures in {path}; name a picture or a folder with pictures.")
        else:
            found.append(Item(encodable(path), path))
    if skipped:
        count = len(skipped)
        what = "1 file that is not a picture" if count == 1 else f"{count} files that are not pictures"
        names = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        warn(f"Skipped {what}: {names}")
    return found


def _standard_input() -> bytes:
    try:
        if not sys.stdin:
            fail(Exit.USAGE, "-: standard input is closed; send a picture to it, or name a file.")
        return sys.stdin.buffer.read(DEFAULT_LIMITS.bytes + 1)
    except OSError as error:
        fail(Exit.USAGE, f"-: standard input cannot be read ({error.strerror}); send a picture to it, or name a file.")
