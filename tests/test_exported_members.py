import json
import subprocess
import sys

import kidsnanny


def test_public_names_are_exactly_all() -> None:
    public = {name for name in vars(kidsnanny) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(kidsnanny, name)).__name__ == "module"}
    assert sorted(public - modules) == sorted(kidsnanny.__all__)


def test_import_loads_no_engine() -> None:
    heavy = ["torch", "onnxruntime", "cv2", "httpx", "rapidocr", "sklearn", "typer"]
    code = f"import kidsnanny, sys, json; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(loaded) == []
