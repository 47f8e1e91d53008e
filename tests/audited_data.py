"""Small data sets to audit, in every form, with a probe that finds red and an encoder that sees colours."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from conftest import encoded
from PIL import Image
from pyarrow import parquet

from kidsnanny.media.loader import RGB
from kidsnanny.models.store import digest
from kidsnanny.probes.linear_probe import LinearProbe
from kidsnanny.probes.probe_files import write_probe
from kidsnanny.probes.q16 import Q16
from kidsnanny.records import Caveat, ModelId

RED, DOUBTFUL, GREY = (255, 0, 0), (255, 91, 91), (128, 128, 128)
"""Scores of about 1, .72 and 0."""


class MeanColour:
    """An encoder whose row is the frame's mean colour; it counts frames, and fails when it has seen so many."""

    width = 3

    def __init__(self, fails_at: int | None = None, caveat: Caveat | None = None) -> None:
        self.model_id = ModelId(name="colours", revision="1", caveat=caveat)
        self.frames, self.fails_at = 0, fails_at

    def __call__(self, frames: Sequence[RGB]) -> np.ndarray:
        if self.fails_at is not None and self.frames + len(frames) > self.fails_at:
            raise KeyboardInterrupt
        self.frames += len(frames)
        return np.array([frame.mean((0, 1)) for frame in frames], np.float32).reshape(-1, 3)


def probe_in(folder: Path, weights: Q16 | LinearProbe | None = None, labels: Sequence[str] = ()) -> str:
    """A folder as `kidsnanny train probe` writes it; by default its probe is a Q16 that finds red.

    Args:
        folder: it is made.
        weights: of another probe.
        labels: its card's, as lines of TOML.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = weights or Q16(np.array([[1, 1, 1], [1, 0, 0]]))
    write_probe(held, folder / "probe.safetensors")
    lines = [
        "[my-probe]",
        'role = "probe"',
        'what = "red"',
        'licence = "ours"',
        'path = "probe.safetensors"',
        f'files = {{ "probe.safetensors" = {{ sha256 = "{digest(folder / "probe.safetensors")}" }} }}',
        f'kind = "{"q16" if isinstance(held, Q16) else "linear"}"',
        'encoder = "colours"',
        "[my-probe.labels]",
        *(labels or ("fine = {}", "inappropriate = {}")),
    ]
    (folder / "card.toml").write_text("\n".join(lines))
    return str(folder)


def plain(colour: tuple[int, int, int], width: int = 8) -> bytes:
    return encoded(Image.new("RGB", (width, 8), colour))


PICTURES = [
    ("art", "1", plain(RED, 8), "a red fire"),
    ("art", "2", plain(RED, 9), "a fire at night"),
    ("art", "3", plain(GREY, 10), "a grey wall"),
    ("zoo", "4", plain(DOUBTFUL, 11), "a grey seal"),
    ("zoo", "5", plain(GREY, 12), "a wall"),
    ("zoo", "6", plain(GREY, 13)[:40], "a broken wall"),
]
"""Class, name, file and caption. The last file is broken."""


def as_folder(root: Path) -> Path:
    for group, name, data, caption in PICTURES:
        (root / group).mkdir(parents=True, exist_ok=True)
        (root / group / f"{name}.png").write_bytes(data)
        (root / group / f"{name}.txt").write_text(caption)
    return root


def as_parquet(root: Path) -> Path:
    rows = [
        {"image": {"bytes": data, "path": None}, "category": group, "text": caption, "safety_label": "Safe"}
        for group, _, data, caption in PICTURES
    ]
    root.mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), root / "train.parquet")
    return root


def as_manifest(root: Path) -> Path:
    as_folder(root)
    lines = [
        {"path": f"{group}/{name}.png", "category": group, "caption": caption} for group, name, _, caption in PICTURES
    ]
    (root / "pictures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root / "pictures.jsonl"


def as_webdataset(root: Path) -> Path:
    """Two shards; in one the class is in .cls and the caption in .txt, in the other both are in .json."""
    root.mkdir()
    shard(
        root / "0.tar",
        [
            member
            for group, name, data, caption in PICTURES[:3]
            for member in ((f"{name}.cls", group.encode()), (f"{name}.txt", caption.encode()), (f"{name}.png", data))
        ],
    )
    shard(
        root / "1.tar",
        [
            member
            for group, name, data, caption in PICTURES[3:]
            for member in (
                (f"./{name}.png", data),
                (f"./{name}.json", json.dumps({"label": group, "caption": caption}).encode()),
            )
        ],
    )
    return root


def shard(file: Path, members: Sequence[tuple[str, bytes] | tarfile.TarInfo]) -> Path:
    """A .tar file with these members: files, or whatever else a TarInfo is."""
    with tarfile.open(file, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return file


FORMS = {"folder": as_folder, "tables": as_parquet, "manifest": as_manifest, "WebDataset": as_webdataset}
