"""Files that come into a folder, each when it has been written completely."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import NamedTuple

from kidsnanny.errors import DataError
from kidsnanny.media.walk import is_media, walk

SETTLED = 2.0
"""Seconds for which a file must stay as it is before it counts as written."""
RESCAN = 60.0
"""Seconds after which the whole folder is gone through: not every file system tells of every change."""
TICK = 0.5
"""Seconds between two looks at what is not settled yet."""
UNFINISHED = frozenset((".part", ".partial", ".crdownload", ".download", ".opdownload", ".tmp", ".temp"))
"""How the name of a file ends that a browser or a copying program has not finished."""


class _State(NamedTuple):
    size: int
    changed: int
    """Nanoseconds."""
    inode: int


class _Noticed(NamedTuple):
    state: _State
    since: float


class FolderWatch:
    """The files of a folder and everything below it: those that are there, and each that comes or changes.

    Hidden files and folders are left out, and so are names of unfinished downloads, until they are renamed. Links are
    not followed.

    Args:
        folder: what to watch.
        existing: also look at what is there already.

    Raises:
        DataError: it is no folder, or cannot be watched.
        ImportError: watchfiles is not installed.
    """

    def __init__(self, folder: Path, *, existing: bool = True) -> None:
        import watchfiles  # noqa: F401  # before anything is loaded

        self.folder = folder.resolve()
        if not self.folder.is_dir():
            raise DataError(f"{folder}: there is no such folder; name one that is there.")
        self._identity = self._inode()
        self._known: dict[Path, _State] = {}
        self._changed: dict[Path, _Noticed] = {}
        self._found: dict[Path, _Noticed] = {}
        """By going through the folder: what changes is looked at before it."""
        self._events: SimpleQueue[list[str] | Exception] = SimpleQueue()
        if not existing:
            self._scan()
            self._known = {path: one.state for path, one in self._found.items()}
            self._found.clear()

    def files(self) -> Iterator[Path]:
        """Each picture, or what may be one, when it is settled; it never ends. A link, and a folder that cannot be
        opened, come as well: nobody can look at them.

        Raises:
            DataError: the folder is not there any more, or cannot be watched.
        """
        scanned = None
        path = None
        with self._listening():
            while True:
                self._take(0 if path else TICK)
                if self._inode() != self._identity:
                    raise DataError(f"{self.folder}: the folder is not there any more; watch the one that is.")
                if scanned is None or time.monotonic() - scanned > RESCAN:
                    self._scan()
                    scanned = time.monotonic()
                path = self._settled(self._changed) or self._settled(self._found)
                if path and (path.is_symlink() or path.is_dir() or is_media(path)):
                    yield path

    def unchanged(self, path: Path) -> bool:
        """Whether a file is still what it was when it came from `files`."""
        return _state(path) == self._known.get(path)

    def _inode(self) -> int | None:
        try:
            return os.stat(self.folder).st_ino
        except OSError:
            return None

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Collect changes in a thread, so that none waits for the models."""
        ended = Event()
        thread = Thread(target=self._listen, args=(ended,), name="watch", daemon=True)
        thread.start()
        try:
            self._take(None)  # it has begun, so that nothing comes between it and the first scan
            yield
        finally:
            ended.set()
            thread.join()

    def _listen(self, ended: Event) -> None:
        from watchfiles import watch

        begun = False
        try:
            for changes in watch(
                self.folder,
                watch_filter=None,
                stop_event=ended,
                rust_timeout=100,
                debounce=200,
                yield_on_timeout=True,
                raise_interrupt=False,
                ignore_permission_denied=True,
            ):
                if changes or not begun:
                    self._events.put([path for _, path in changes])
                    begun = True
        except Exception as error:
            self._events.put(error)

    def _take(self, seconds: float | None) -> None:
        """Note the changes that have come, after waiting so long for one; None waits for ever."""
        try:
            changes = self._events.get(seconds != 0, seconds)
            while True:
                if isinstance(changes, Exception):
                    raise DataError(
                        f"{self.folder}: it cannot be watched ({changes}); watch a smaller folder, or set "
                        "WATCHFILES_FORCE_POLLING=1 to have it gone through again and again."
                    ) from changes
                for path in changes:
                    self._notice(Path(path), self._changed)
                changes = self._events.get_nowait()
        except Empty:
            pass

    def _scan(self, folder: Path | None = None) -> None:
        files, unwalked = walk(folder or self.folder)
        into = self._changed if folder else self._found
        for path in (*files, *unwalked):
            self._notice(path, into, again=False)

    def _notice(self, path: Path, into: dict[Path, _Noticed], *, again: bool = True) -> None:
        """Put it among those that are to settle, unless it is known as it is; a folder that has come is gone through.

        Args:
            path: of a change, or of a file.
            into: where to.
            again: whether to go through a folder.
        """
        try:
            inner = path.relative_to(self.folder)
        except ValueError:
            return
        if any(part.startswith(".") for part in inner.parts) or path.suffix.lower() in UNFINISHED:
            return
        if any((self.folder / parent).is_symlink() for parent in list(inner.parents)[:-1]):
            return
        state = _state(path)
        if state is None:
            self._known.pop(path, None)
        elif again and path.is_dir() and not path.is_symlink():
            if inner.parts:
                self._scan(path)
        elif state != self._known.get(path) and path not in self._changed and path not in self._found:
            into[path] = _Noticed(state, time.monotonic())

    def _settled(self, noticed: dict[Path, _Noticed]) -> Path | None:
        """The first that has stayed as it is for long enough."""
        for path, (before, since) in list(noticed.items()):
            state = _state(path)
            if state is None:
                del noticed[path]
            elif state != before:
                noticed[path] = _Noticed(state, time.monotonic())
            elif time.monotonic() - since >= SETTLED:
                del noticed[path]
                self._known[path] = state
                return path
        return None


def _state(path: Path) -> _State | None:
    """Size, time and identity, of a link itself; None for what is not there, and what is neither file nor folder."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return None
    return _State(found.st_size, found.st_mtime_ns, found.st_ino)
