import json
import subprocess
import sys

import pytest

import kidsnanny


def test_public_names() -> None:
    assert kidsnanny.__all__ == sorted(kidsnanny.__dir__())
    for name in kidsnanny.__all__:
        assert getattr(kidsnanny, name) is not None
    with pytest.raises(AttributeError, match="Nanny"):
        _ = kidsnanny.Nanny


def test_import_loads_no_engine() -> None:
    heavy = ["torch", "onnxruntime", "cv2", "httpx", "rapidocr", "sklearn", "typer"]
    code = f"import sys, json; from kidsnanny import *; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(loaded) == []
