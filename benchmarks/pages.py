"""Generated pictures with one line of text in a random place, on a plain, smooth or photo-like ground."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = (
    "the school trip is on friday we meet at gate please bring a packed lunch coat and good shoes nobody likes you "
    "here send me your address after dark money card number weather report train leaves platform seven blue mountain "
    "kitchen window orange garden secret promise"
).split()


def one_line(seed: int, size: tuple[int, int], letters: int) -> tuple[Image.Image, str]:
    """A picture of `size` and the line of three to seven words in it, `letters` px high (the font's size)."""
    random = np.random.default_rng(seed)
    width, height = size
    plain = tuple(random.integers(0, 256, 3).tolist())
    image = Image.new("RGB", size, plain)
    if seed % 3:
        image = Image.fromarray(random.integers(30, 226, (5, 8, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
    if seed % 3 == 2:
        texture = Image.fromarray(random.integers(0, 256, (height // 8, width // 8), dtype=np.uint8)).resize(size)
        grain = (np.asarray(texture, np.float32)[..., None] - 128) / 6 + random.normal(0, 4, (height, width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    text = " ".join(random.choice(WORDS, random.integers(3, 8)))
    font = ImageFont.load_default(letters)
    draw = ImageDraw.Draw(image)
    length = int(draw.textlength(text, font=font))
    x, y = int(random.integers(10, width - length - 10)), int(random.integers(10, height - letters - 20))
    ground = np.asarray(image.crop((x, y, x + length, y + 2 * letters))).mean((0, 1)) @ (0.299, 0.587, 0.114)
    draw.text((x, y), text, fill="black" if ground > 128 else "white", font=font)
    return image, text


def character_error(truth: str, read: str) -> float:
    """Levenshtein distance over the length of the truth, blanks left out."""
    truth, read = truth.replace(" ", ""), read.replace(" ", "")
    row = list(range(len(read) + 1))
    for i, a in enumerate(truth, 1):
        previous, row = row, [i]
        for j, b in enumerate(read, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
    return row[-1] / max(1, len(truth))
