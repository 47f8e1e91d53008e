import base64
import io

import pytest
from conftest import encoded, gradient
from PIL import Image

from kidsnanny.errors import InputError
from kidsnanny.reports.thumbnails import mosaic_thumbnail


@pytest.mark.parametrize(
    ("size", "blocks"), [((800, 400), (8, 4)), ((300, 1200), (2, 8)), ((4, 2), (8, 4)), ((1000, 1), (8, 1))]
)
def test_a_thumbnail_is_a_mosaic_of_eight_blocks(size: tuple[int, int], blocks: tuple[int, int]) -> None:
    head, _, data = mosaic_thumbnail(encoded(gradient(*size))).partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == blocks


def test_a_picture_that_does_not_decode_is_an_error() -> None:
    with pytest.raises(InputError):
        mosaic_thumbnail(b"\x89PNG")
