"""The wheel, installed in an empty environment, carries what it needs and looks at a picture."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("kidsnanny-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([str(folder / "venv/bin/pip"), "-q", "install", str(wheel)], check=True)
    return folder / "venv"


def test_the_installed_command_looks_at_the_examples(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bin/kidsnanny"), "check", "--jsonl", str(ROOT / "examples")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 10, result.stderr
    verdicts = {Path(v["source"]).name: v for v in map(json.loads, result.stdout.splitlines())}
    assert len(verdicts) >= 8
    assert verdicts["card_birthday.png"]["label"] == "safe"
    assert all(verdict["coverage"] for verdict in verdicts.values())


def test_the_installed_command_speaks_to_parents_in_their_language(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bin/kidsnanny"), "check", "--for-parent", "--language"]
    said = [
        subprocess.run([*command, language, "missing.png"], capture_output=True, text=True, cwd=tmp_path, check=False)
        for language in ("en", "de", "fr", "es")
    ]
    assert [one.returncode for one in said] == [11] * 4
    assert len({one.stdout for one in said}) == 4


def test_prompts_weights_and_types_are_in_the_wheel(environment: Path, tmp_path: Path) -> None:
    code = (
        "import kidsnanny, pathlib; from kidsnanny.models.cards import cards;"
        "from kidsnanny.models.store import data_dir;"
        "root = pathlib.Path(kidsnanny.__file__).parent;"
        "print(all(p.is_relative_to(root) and any(p.iterdir()) for p in map(data_dir, ('prompts', 'weights'))),"
        "(root / 'py.typed').exists(), len(cards()) >= 3, 'torch' in __import__('sys').modules)"
    )
    output = subprocess.run(
        [str(environment / "bin/python"), "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    ).stdout
    assert output.split() == ["True", "True", "True", "False"]
