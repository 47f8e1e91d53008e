"""What we look for, and how other people's labels map onto it.

A crosswalk maps every label of a foreign system to one of ours, or to None: *no mapping* is a legal value.
"""

from typing import Literal, get_args

Category = Literal[
    "sexual",
    "nudity",
    "violence",
    "gore",
    "self_harm",
    "hate",
    "harassment",
    "grooming",
    "substances",
    "weapons",
    "illegal",
    "scam",
]
CATEGORIES: tuple[Category, ...] = get_args(Category)
