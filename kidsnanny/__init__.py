"""kidsnanny: may a child of this age see this picture, and if not, why?"""

__version__ = "0.1.0"

from kidsnanny.errors import ComponentError, InputError, KidsnannyError, PolicyError, WeightsError
from kidsnanny.pipeline import Pipeline
from kidsnanny.policy import Policy, decide
from kidsnanny.records import Detection, NotInspected, Reason, TextLine, Verdict, VisualFindings
from kidsnanny.stage2 import Stage2
from kidsnanny.taxonomy import CATEGORIES, Category

__all__ = [
    "CATEGORIES",
    "Category",
    "ComponentError",
    "Detection",
    "InputError",
    "KidsnannyError",
    "NotInspected",
    "Pipeline",
    "Policy",
    "PolicyError",
    "Reason",
    "Stage2",
    "TextLine",
    "Verdict",
    "VisualFindings",
    "WeightsError",
    "decide",
]
