"""ultralytics brings another build of OpenCV than ours, and one overwrites the other: either way round must work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.torch

LOOK = """
import json, sys
import skimage
from kidsnanny.stage1.detector import Yolo
from kidsnanny.models.runtime import quiet_ultralytics
from kidsnanny.models.cards import cards
(seen,) = Yolo("nudenet-320n").screen([skimage.data.astronaut()])
model = quiet_ultralytics().YOLO(str(cards()["nudenet-320n"].locate()), task="detect")
(theirs,) = model.predict(skimage.data.astronaut()[:, :, ::-1], imgsz=320, verbose=False)
print(json.dumps([[s.label, round(s.score, 4), *s.box] for s in seen] + [len(theirs.boxes)]))
"""


def look(folder: Path, *installs: str) -> list[object]:
    """What a fresh environment sees after these installations, one after the other."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    for install in (*installs, "scikit-image"):
        pip = [str(folder / "bin/pip"), "--disable-pip-version-check", "-q", "install", install]
        subprocess.run(pip, check=True, cwd=ROOT)
    result = subprocess.run([str(folder / "bin/python"), "-c", LOOK], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: list[object] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_base_and_yolo_see_the_same_in_both_orders(tmp_path: Path) -> None:
    ours_first = look(tmp_path / "ours", ".", ".[yolo]")
    theirs_first = look(tmp_path / "theirs", "ultralytics>=8.3.50", ".")
    assert ours_first == theirs_first
    assert len(ours_first) > 1
