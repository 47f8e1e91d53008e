"""Which files of a folder are looked at."""

import os
from pathlib import Path

from kidsnanny.media.signatures import HEAD, by_name, media_kind


def walk(folder: str | os.PathLike[str]) -> tuple[list[Path], list[Path]]:
    """All files below a folder in name order, and the folders that were not walked: closed ones, and links."""
    closed: list[OSError] = []
    files: list[Path] = []
    links: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=closed.append):
        files += [Path(root, name) for name in names]
        links += [Path(root, name) for name in folders if os.path.islink(os.path.join(root, name))]
    return sorted(files), [*links, *(Path(error.filename) for error in closed)]


def is_media(path: str | os.PathLike[str]) -> bool:
    """Whether a walk through a folder should look at this file, or say that it cannot: it is a picture, a film, a raw
    photo or a collection of pictures by its content, or its name promises one."""
    if os.path.exists(path) and not os.path.isfile(path):
        return by_name(path) is not None  # a pipe would be waited for
    try:
        with open(path, "rb") as file:
            return media_kind(path, file.read(HEAD)) is not None
    except OSError:  # it cannot even be opened: let its verdict say why
        return True
