"""Two pictures that are to be seen differently never share an inspection, whatever of them is equal."""

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
from conftest import ScriptedOcr, ScriptedStage1, ScriptedTextModel, gradient
from PIL import Image, ImageCms

from kidsnanny import Inspector, Pipeline, Stage2
from kidsnanny.inspection import Inspection


def plain() -> Image.Image:
    return gradient(24, 16)


def turned(orientation: int) -> Image.Image:
    image, exif = plain(), Image.Exif()
    exif[0x0112] = orientation
    image.info["exif"] = exif.tobytes()
    return image


@cache
def profile(name: str) -> bytes:
    """Made once, since it says when."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def profiled(name: str) -> Image.Image:
    image = plain()
    image.info["icc_profile"] = profile(name)
    return image


def paletted(seed: int, transparency: object = None) -> Image.Image:
    image = Image.fromarray(np.arange(24 * 16, dtype=np.uint8).reshape(16, 24) % 16, "L").convert("P")
    image.putpalette(np.random.default_rng(seed).integers(0, 256, 48).tolist())
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def grey(mode: str) -> Image.Image:
    return Image.fromarray(np.arange(24 * 16, dtype=np.uint8).reshape(16, 24)).convert(mode)


def through(transparency: object) -> Image.Image:
    image = plain()
    image.info["transparency"] = transparency
    return image


def with_gamma(gamma: float) -> Image.Image:
    image = plain()
    image.info["gamma"] = gamma
    return image


UNLIKE: dict[str, Callable[[], Image.Image]] = {
    "plain": plain,
    "turned 3": lambda: turned(3),
    "turned 6": lambda: turned(6),
    "profile sRGB": lambda: profiled("sRGB"),
    "profile LAB": lambda: profiled("LAB"),
    "palette 0": lambda: paletted(0),
    "palette 1": lambda: paletted(1),
    "palette 0 with a transparent colour": lambda: paletted(0, 3),
    "palette 0 with half transparent colours": lambda: paletted(0, b"\0\x80"),
    "grey": lambda: grey("L"),
    "black and white": lambda: grey("1"),
    "one transparent colour": lambda: through((0, 0, 0)),
    "another transparent colour": lambda: through((255, 0, 0)),
}


def inspector() -> Inspector:
    stage2 = Stage2(ScriptedOcr("hello"), ScriptedTextModel())
    return Inspector(stage1=ScriptedStage1(), stage2=stage2, cache=99)


def test_pixels_that_are_shown_differently_have_keys_of_their_own() -> None:
    look = inspector()
    keys: dict[str, str | None] = {name: look.inspect(make()).key for name, make in UNLIKE.items()}
    same = [(one, other) for one, other in itertools.combinations(keys, 2) if keys[one] == keys[other]]
    assert same == []
    assert {name: look.inspect(make()).key for name, make in UNLIKE.items()} == keys, "and the same again"


def test_gamma_has_a_key_of_its_own() -> None:
    look = inspector()
    assert look.inspect(with_gamma(0.45455)).key != look.inspect(with_gamma(1.0)).key


def test_a_policy_is_no_part_of_an_inspection() -> None:
    look = inspector()
    seen: list[Inspection] = []
    for policy in ("child", "teen"):
        pipeline = Pipeline(look, policy=policy)
        verdict = pipeline(Image.new("RGB", (16, 16), (150, 0, 0)))
        seen.append(verdict.inspection)
        assert verdict.provenance.policy.startswith(f"{policy}@")
    assert seen[0].key == seen[1].key
    assert [one.findings for one in seen] == [seen[0].findings] * 2
