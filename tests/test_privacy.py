"""Nothing about a picture is written or sent, and only its hash, format, size and label are logged; the product runs
without a network and without a home.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, encoded, page

WATCHED = """
import json, logging, sys
touched = []

def watch(event, arguments):
    if event == "open":
        name, mode, flags = arguments
        if (flags or 0) & 0b11 or any(letter in (mode or "") for letter in "wax+"):
            touched.append(f"write {name}")
    elif event.split(".")[0] == "socket" and event != "socket.__new__":
        touched.append(event)
    elif event in ("os.mkdir", "os.rename", "os.remove", "shutil.copyfile", "subprocess.Popen"):
        touched.append(f"{event} {arguments[0]}")

sys.dont_write_bytecode = True
sys.addaudithook(watch)
logged = []

class Ears(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())

logging.getLogger().addHandler(Ears())
logging.getLogger().setLevel(logging.INFO)
from kidsnanny import Pipeline
verdict = Pipeline()(sys.argv[1])
text = [line.text for line in verdict.text]
print(json.dumps({"label": verdict.label, "touched": touched, "logged": logged, "text": text}))
"""


def test_a_check_writes_and_sends_nothing_and_logs_no_content(tmp_path: Path) -> None:
    picture = tmp_path / "secret.png"
    picture.write_bytes(encoded(page("my secret diary page")))
    cache = tmp_path / "cache"
    cache.mkdir()
    home = {
        "HOME": "/proc/no-home",
        "PATH": "/usr/bin:/bin",
        "TMPDIR": "/proc/no-tmp",
        "XDG_CACHE_HOME": str(cache),
    }
    result = subprocess.run(
        [sys.executable, "-c", WATCHED, str(picture)], capture_output=True, text=True, env=home, check=False
    )
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["label"] == "safe"
    assert seen["text"] == ["my secret diary page"]
    assert seen["touched"] == []
    sha256 = hashlib.sha256(picture.read_bytes()).hexdigest()
    assert seen["logged"] == [f"{sha256[:12]} PNG 640x480: safe"], "no name, no text"
    assert result.stderr == ""
    assert sorted(tmp_path.rglob("*")) == [cache, picture]


def test_onnx_runtime_does_not_report_home(tmp_path: Path) -> None:
    """Its builds do unless told otherwise, and keep a device id under the home directory."""
    code = 'from kidsnanny.stage1.detector import Yolo; Yolo("nudenet-320n")'
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], env=home, check=True)
    assert list(tmp_path.iterdir()) == []


def test_only_the_judges_client_and_the_weights_pull_know_a_network() -> None:
    clients = ("import httpx", "import requests", "urllib.request", "import socket", "import huggingface_hub")
    clients += ("from huggingface_hub",)
    found = {
        module.relative_to(ROOT / "kidsnanny").as_posix()
        for module in (ROOT / "kidsnanny").rglob("*.py")
        if any(client in module.read_text("utf-8") for client in clients)
    }
    judge = {f"stage2/judge/{name}.py" for name in ("openai_judge", "connection", "deadline", "serving")}
    assert found <= judge | {"models/hub.py"}
