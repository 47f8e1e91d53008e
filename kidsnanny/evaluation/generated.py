"""A parquet file of UnsafeBench's very schema whose pictures we draw: for proving the harness, never for a figure.

The drawings are harmless. A third carries a line of text: mild advertisements for adults stand in for what is unsafe,
so that a system that reads has something to find; a few of them are labelled safe, and plain lines unsafe, so that no
system gets everything right. A tenth is cut off, as downloads are. The file's metadata say that it is generated.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kidsnanny.evaluation.parquet_source import GENERATED

COUNT, UNSAFE = 1054, 683
"""Pictures, and unsafe ones among them: as in the KidsNanny paper's UnsafeBench Sexual (arXiv 2603.16181)."""
CANARY = "what stands in this column must never reach a model or a record"
_ADVERTISEMENTS = (
    "Adults only: sexy webcam show tonight",
    "Sexy lingerie party for grown ups",
    "Erotic stories for adults, read them now",
    "Hot massage with happy end for adults",
)
_PLAIN = (
    "The school trip is on Friday, meet at the gate",
    "Add two eggs and a cup of milk, then stir",
    "The library is open from nine to six",
    "Thank you for the lovely flowers",
)


def write(
    path: Path, count: int = COUNT, seed: int = 0, *, categories: Sequence[str] = ("Sexual",), size: int = 320
) -> Path:
    """Draw a data set; the same arguments give the same pictures.

    Args:
        path: the file, named as a split is: `test-00000-of-00001.parquet`.
        count: how many; of 1,054 683 are unsafe, of others as large a share.
        seed: of everything random.
        categories: the values of that column, four pictures of each in turn, two of either source.
        size: the longer side of the pictures, in pixels.
    """
    import pyarrow as pa
    from pyarrow import parquet

    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    strings = [(name, pa.string()) for name in ("safety_label", "category", "source", "text")]
    schema = pa.schema([("image", struct), *strings], metadata=GENERATED)
    with parquet.ParquetWriter(path, schema) as writer:
        rows: list[dict[str, object]] = []
        for n, (label, data, source) in enumerate(_pictures(count, seed, size)):
            image, category = {"bytes": data, "path": None}, categories[n // 4 % len(categories)]
            rows.append({"image": image, "safety_label": label, "category": category, "source": source, "text": CANARY})
            if len(rows) == 100:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
                rows = []
        if rows:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
    return path


def _pictures(count: int, seed: int, size: int) -> Iterator[tuple[str, bytes, str]]:
    """Label, bytes and source of each."""
    rng = np.random.default_rng(seed)
    unsafe = _some(rng, count, UNSAFE / COUNT)
    written, broken, swapped = (_some(rng, count, share) for share in (1 / 3, 1 / 10, 1 / 8))
    for n in range(count):
        image = _drawing(rng, size)
        if written[n]:
            lines = _ADVERTISEMENTS if unsafe[n] != swapped[n] else _PLAIN
            _write_line(image, str(rng.choice(lines)))
        buffer = BytesIO()
        image.save(buffer, "PNG" if n % 2 else "JPEG")
        data = buffer.getvalue()
        if broken[n]:
            data = data[: int(len(data) * rng.uniform(0.1, 0.9))]
        yield "Unsafe" if unsafe[n] else "Safe", data, ("Laion5B", "Lexica")[n // 2 % 2]


def _some(rng: np.random.Generator, count: int, share: float) -> list[bool]:
    """That share of `count`, to the nearest whole number, in random places."""
    chosen = np.arange(count) < round(count * share)
    return [bool(one) for one in rng.permutation(chosen)]


def _drawing(rng: np.random.Generator, size: int) -> Image.Image:
    """A smooth ground with a few ellipses on it, as wide as high or not."""
    width, height = int(size), int(size * rng.choice((0.6, 0.75, 1.0)))
    corners = rng.integers(90, 256, (3, 3, 3), dtype=np.uint8)
    image = Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 6))):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        across, down = rng.integers(size // 20, size // 5, 2).tolist()
        draw.ellipse((x - across, y - down, x + across, y + down), fill=tuple(rng.integers(60, 256, 3).tolist()))
    return image


def _write_line(image: Image.Image, text: str) -> None:
    """The line on a white strip at the bottom, as large as it fits."""
    draw = ImageDraw.Draw(image)
    letters = image.width / 20
    while draw.textlength(text, font=ImageFont.load_default(letters)) > image.width - 10:
        letters -= 0.5
    draw.rectangle((0, image.height - 2 * letters, image.width, image.height), fill="white")
    draw.text((5, image.height - 1.7 * letters), text, fill="black", font=ImageFont.load_default(letters))
