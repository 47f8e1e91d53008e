"""The pictures of a WebDataset: .tar shards in which members of one name, up to its first dot, belong together.

Nothing is extracted to the disk: members are read from the shard, and only those that are files of their own. A
member's name is a name and no path, whatever stands in it.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from kidsnanny.errors import DataError
from kidsnanny.evaluation.example_fields import inside, text_of
from kidsnanny.media.loader import DEFAULT_LIMITS
from kidsnanny.media.signatures import by_name
from kidsnanny.probes.datasheet.audited_pictures import CAPTION_BYTES, AuditedPicture, caption_in, class_in

TEXTS = ("cls", "txt", "json")
"""The endings of members that say something of the picture: its class, its caption, or both."""
UNREADABLE = (OSError, tarfile.TarError, ValueError, ArithmeticError, LookupError, RecursionError)
"""What Python's reader raises of a damaged or hostile shard."""


def read_shards(root: Path, shards: list[Path]) -> Iterator[AuditedPicture]:
    """The pictures of the shards, in order. One that is larger than a picture may be is cut off, so that it is refused.

    Args:
        root: the data set's folder.
        shards: .tar files in it.

    Raises:
        DataError: a shard cannot be read to its end, or is a link that leads out of the folder.
    """
    for shard in shards:
        inside(root, shard, str(root))
        name = text_of(shard.relative_to(root).as_posix())
        try:
            with tarfile.open(shard, "r:") as archive:
                yield from _samples(archive, name)
                assert archive.fileobj
                archive.fileobj.seek(archive.offset)
                if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                    raise tarfile.ReadError("its end is missing")
        except UNREADABLE as error:
            raise DataError(f"{text_of(shard)}: it is no whole .tar file ({error}); get it again.") from error


def _samples(archive: tarfile.TarFile, shard: str) -> Iterator[AuditedPicture]:
    """The pictures of members that follow each other and are named alike."""
    pictures, texts, current, end = list[tarfile.TarInfo](), dict[str, bytes](), "", -1
    while member := archive.next():
        if archive.offset <= end:
            raise tarfile.ReadError("a member has no size")  # Python would read it for ever
        end = archive.offset
        if not member.isreg():
            continue
        folder, slash, file = member.name.rpartition("/")
        stem, _, ending = file.partition(".")
        ending = ending.lower()
        if (key := f"{folder}{slash}{stem}") != current:
            yield from _pictures(archive, shard, pictures, texts)
            pictures, texts, current = [], {}, key
        if ending in TEXTS:
            texts[ending] = _read(archive, member, CAPTION_BYTES)
        elif by_name(member.name):
            pictures.append(member)
    yield from _pictures(archive, shard, pictures, texts)


def _pictures(
    archive: tarfile.TarFile, shard: str, members: list[tarfile.TarInfo], texts: dict[str, bytes]
) -> Iterator[AuditedPicture]:
    problems, said = [], dict[str, object]()
    for ending, data in texts.items():
        try:
            text = data.decode("utf-8-sig").strip()
            found = json.loads(text) if ending == "json" else {{"cls": "class", "txt": "caption"}[ending]: text}
            said = {**found, **said} if ending == "json" else {**said, **found}
        except (ValueError, TypeError, RecursionError):
            problems.append(f"its .{ending} cannot be read")
    for member in members:
        image = _read(archive, member, DEFAULT_LIMITS.bytes + 1)
        name = text_of(f"{shard}/{member.name}")
        yield AuditedPicture(name, image, class_in(said), caption_in(said), ", ".join(problems))


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    file = archive.extractfile(member)
    assert file  # it is a file of its own
    with file:
        return file.read(limit)
