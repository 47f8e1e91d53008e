"""nsfwjs (MobileNetV2, five classes) in a Node process of its own, fed our pixels.

The user installs it: `npm install nsfwjs@4 @tensorflow/tfjs@4 buffer@6` in a folder. Its weights are in the package.
"""

import json
import shutil
import struct
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.system import HALF, Answer, Baseline, Options, Shown
from kidsnanny.records import ModelId

UNSAFE = ("Porn", "Hentai")
"""Of its classes Drawing, Hentai, Neutral, Porn and Sexy: the choice is ours."""
GET = "run `npm install nsfwjs@4 @tensorflow/tfjs@4 buffer@6` in it"


def nsfwjs(options: Options) -> Baseline:
    """The package in a folder.

    Raises:
        ComponentError: the folder is not named, or Node or a package is missing or does not start.
    """
    folder = options.folder("nsfwjs", GET)
    version = _version(folder)
    node = _Node(folder)

    def look(shown: Sequence[Shown]) -> list[Answer]:
        return [Answer(min(1.0, sum(node.ask(one)[label] for label in UNSAFE))) for one in shown]

    threshold, origin = options.threshold("nsfwjs", HALF, "ours: half of the scale")
    about = SystemDescription(
        name="nsfwjs",
        regime="vision-only",
        categories=("sexual", "nudity"),
        rule="P(Porn) + P(Hentai) of the MobileNetV2 in its package; unsafe from the threshold on",
        licence="MIT",
        threshold=threshold,
        origin=origin,
        models={
            "nsfwjs": (ModelId(name="nsfwjs", revision=str(version)),),
            "tfjs": (ModelId(name=f"tfjs-{node.loaded['backend']}", revision=str(node.loaded["tfjs"])),),
        },
    )
    return Baseline(about, look, batch=1)


def _version(folder: Path) -> str:
    package = folder / "node_modules" / "nsfwjs" / "package.json"
    try:
        version = str(json.loads(package.read_text("utf-8"))["version"])
        major = int(version.partition(".")[0])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ComponentError(f"nsfwjs: there is no {package}, or no version in it; {GET}.") from error
    if major < 4:
        raise ComponentError(f"nsfwjs: {folder} has version {version}, which downloads its weights; {GET}.")
    return version


class _Node:
    """The process: starts at once, ends with us."""

    def __init__(self, folder: Path) -> None:
        node = shutil.which("node")
        if node is None:
            raise ComponentError("nsfwjs: there is no `node` on the path; install Node.js 18 or newer.")
        script = Path(__file__).with_name("nsfwjs.cjs")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  a pipe that nobody reads would stop it once it is full
        self._process = subprocess.Popen(
            [node, str(script), str(folder.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._ended = weakref.finalize(self, _end, self._process, self._errors)
        self.loaded = self._line()

    def ask(self, one: Shown) -> Any:
        """Class -> probability."""
        height, width = one.frame.shape[:2]
        assert self._process.stdin
        try:
            self._process.stdin.write(struct.pack("<II", width, height) + one.frame.tobytes())
            self._process.stdin.flush()
        except OSError as error:
            raise ComponentError(f"nsfwjs: its Node process ended ({self._said()}).") from error
        return self._line()

    def _line(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise ComponentError(f"nsfwjs: its Node process ended ({self._said()}); {GET}.")
        return json.loads(line)

    def _said(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read(500).decode("utf-8", "replace").strip() or "without a word"


def _end(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, errors):
        if pipe:
            pipe.close()
