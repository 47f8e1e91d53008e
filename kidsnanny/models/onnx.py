"""ONNX Runtime sessions on the CPU."""

from pathlib import Path
from typing import TYPE_CHECKING

from kidsnanny.errors import WeightsError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def onnx_session(path: Path) -> "InferenceSession":
    """An ONNX Runtime session on the CPU. Sessions may be run from several threads at once.

    Raises:
        WeightsError: ONNX Runtime does not accept the file.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for a program that imported it before kidsnanny could say no
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: nothing about a picture goes to stderr
    # Several sessions take turns: threads that go on spinning after a call take the processor from the next session.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError(f"{path}: ONNX Runtime cannot load it ({error}); get the file again.") from error
