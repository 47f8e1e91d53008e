"""kidsnanny: may a child of this age see this picture, and if not, why?"""

import os
from typing import TYPE_CHECKING

import lazy_loader

__version__ = "0.1.0"

# ONNX Runtime's official builds report to their maker unless told otherwise before they are first imported. A program
# that looks at children's pictures does not.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from kidsnanny.decision import decide
    from kidsnanny.errors import ComponentError, InputError, KidsnannyError, PolicyError, WeightsError
    from kidsnanny.inspection import Inspection
    from kidsnanny.inspector import Inspector
    from kidsnanny.media.limits import Limits
    from kidsnanny.pipeline import Pipeline
    from kidsnanny.policy import Policy
    from kidsnanny.records import Detection, ModelId, NotInspected, Reason, SceneGraph, TextLine, VisualFindings
    from kidsnanny.stage2.stage2 import Stage2
    from kidsnanny.taxonomy import CATEGORIES, Category
    from kidsnanny.verdict import Verdict

__all__ = [
    "CATEGORIES",
    "Category",
    "ComponentError",
    "Detection",
    "InputError",
    "Inspection",
    "Inspector",
    "KidsnannyError",
    "Limits",
    "ModelId",
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

# Loaded when first asked for, so that `import kidsnanny` costs nothing.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "decision": ["decide"],
        "errors": ["ComponentError", "InputError", "KidsnannyError", "PolicyError", "WeightsError"],
        "inspection": ["Inspection"],
        "inspector": ["Inspector"],
        "media.limits": ["Limits"],
        "pipeline": ["Pipeline"],
        "policy": ["Policy"],
        "records": ["Detection", "ModelId", "NotInspected", "Reason", "SceneGraph", "TextLine", "VisualFindings"],
        "stage2.stage2": ["Stage2"],
        "taxonomy": ["CATEGORIES", "Category"],
        "verdict": ["Verdict"],
    },
)
