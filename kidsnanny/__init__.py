"""kidsnanny: may a child of this age see this picture, and if not, why?"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# ONNX Runtime's official builds report to their maker unless told otherwise before they are first imported. A program
# that looks at children's pictures does not.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from kidsnanny.decision import decide
    from kidsnanny.errors import ComponentError, InputError, KidsnannyError, PolicyError, WeightsError
    from kidsnanny.inspection import Inspection
    from kidsnanny.inspector import Inspector
    from kidsnanny.pipeline import Pipeline
    from kidsnanny.policy import Policy
    from kidsnanny.records import Detection, NotInspected, Reason, SceneGraph, TextLine, VisualFindings
    from kidsnanny.stage2.stage2 import Stage2
    from kidsnanny.taxonomy import CATEGORIES, Category
    from kidsnanny.verdict import Verdict

# Loaded when first asked for, so that `import kidsnanny` costs nothing.
_HOME = {
    "errors": ("ComponentError", "InputError", "KidsnannyError", "PolicyError", "WeightsError"),
    "pipeline": ("Pipeline",),
    "decision": ("decide",),
    "inspection": ("Inspection",),
    "inspector": ("Inspector",),
    "policy": ("Policy",),
    "records": ("Detection", "NotInspected", "Reason", "SceneGraph", "TextLine", "VisualFindings"),
    "verdict": ("Verdict",),
    "stage2.stage2": ("Stage2",),
    "taxonomy": ("CATEGORIES", "Category"),
}

__all__ = [
    "CATEGORIES",
    "Category",
    "ComponentError",
    "Detection",
    "InputError",
    "Inspection",
    "Inspector",
    "KidsnannyError",
    "NotInspected",
    "Pipeline",
    "Policy",
    "PolicyError",
    "Reason",
    "SceneGraph",
    "Stage2",
    "TextLine",
    "Verdict",
    "VisualFindings",
    "WeightsError",
    "decide",
]


def __getattr__(name: str) -> object:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"kidsnanny.{module}"), name)
    raise AttributeError(f"module 'kidsnanny' has no attribute {name!r}")
