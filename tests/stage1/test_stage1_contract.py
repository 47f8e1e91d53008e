"""The Stage 1 that is in the wheel keeps the contract."""

import numpy as np
import pytest
import skimage
from conftest import page
from PIL import Image
from stage1_contract import Stage1Contract

from kidsnanny.media.loader import RGB
from kidsnanny.stage1.detector import Yolo


@pytest.fixture(scope="module")
def stage1() -> Yolo:
    return Yolo("nudenet-320n")


@pytest.fixture(scope="module")
def frames() -> list[RGB]:
    """A page without people, and an astronaut in her suit, close enough for the suit to count as covered."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    return [np.asarray(page("nobody")), np.asarray(astronaut.crop((80, 0, 420, 512))), np.asarray(astronaut)]


class TestNudeNet(Stage1Contract):
    pass
