"""Watches a folder, and moves what is not safe out of it.

    python examples/folder_watcher.py INBOX HELD

INBOX is watched with the folders in it; HELD lies elsewhere, and is for a grown-up to look through.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from watchfiles import Change, watch

from kidsnanny import Pipeline

QUIET = 2.0
"""Seconds without a change after which a file counts as complete."""
UNFINISHED = {".part", ".crdownload", ".download", ".tmp"}
"""What programs call a file while they write it; they rename it at the end."""


def complete(inbox: Path) -> Iterator[Path]:
    """The files that are there, and each that comes or changes, as soon as nobody has written to it for QUIET."""
    changed: dict[Path, float] = {}
    came = [inbox]  # the first look, when the watch has begun, so that nothing falls between the two
    for changes in watch(inbox, watch_filter=None, rust_timeout=500, yield_on_timeout=True):
        came += [Path(name) for change, name in changes if change != Change.deleted]
        for path in came:
            for file in path.rglob("*") if path.is_dir() else [path]:  # a folder that was moved here comes as one
                changed[file] = time.monotonic()
        came = []
        for file in [file for file, at in changed.items() if time.monotonic() - at >= QUIET]:
            del changed[file]
            if file.is_file() and file.suffix.lower() not in UNFINISHED:
                yield file


def main() -> int:
    folders = [Path(name).resolve() for name in sys.argv[1:]]
    if len(folders) != 2 or not folders[0].is_dir() or folders[1].is_relative_to(folders[0]):
        print("usage: python folder_watcher.py INBOX HELD, two folders, HELD not inside INBOX", file=sys.stderr)
        return 2
    inbox, held = folders
    held.mkdir(parents=True, exist_ok=True)
    with Pipeline() as pipeline:
        print(f"watching {inbox}", flush=True)
        for file in complete(inbox):
            verdict = pipeline(file)  # what is no picture is "review": nobody knows what it is
            if verdict.label != "safe":
                with suppress(FileNotFoundError):  # somebody took it away
                    shutil.move(file, held / f"{time.time_ns()}-{file.name}")
            print(f"{verdict.label}, {verdict.action}: {file.relative_to(inbox)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
