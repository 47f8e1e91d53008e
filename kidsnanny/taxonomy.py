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

# NudeNet 320n label -> (category, weight). The weight times the detector's score is the category's score: an exposed
# part counts in full, a covered one only as a hint that can reach `review` under a strict policy, a bare male chest or
# belly is what a beach photo shows. None is context (faces, feet, armpits): written down, never held against a picture.
# The order is the model's class order.
NUDENET: dict[str, tuple[Category, float] | None] = {
    "FEMALE_GENITALIA_COVERED": ("nudity", 0.35),
    "FACE_FEMALE": None,
    "BUTTOCKS_EXPOSED": ("nudity", 0.9),
    "FEMALE_BREAST_EXPOSED": ("nudity", 1.0),
    "FEMALE_GENITALIA_EXPOSED": ("nudity", 1.0),
    "MALE_BREAST_EXPOSED": ("nudity", 0.15),
    "ANUS_EXPOSED": ("nudity", 1.0),
    "FEET_EXPOSED": None,
    "BELLY_COVERED": None,
    "FEET_COVERED": None,
    "ARMPITS_COVERED": None,
    "ARMPITS_EXPOSED": None,
    "FACE_MALE": None,
    "BELLY_EXPOSED": ("nudity", 0.15),
    "MALE_GENITALIA_EXPOSED": ("nudity", 1.0),
    "ANUS_COVERED": ("nudity", 0.35),
    "FEMALE_BREAST_COVERED": ("nudity", 0.25),
    "BUTTOCKS_COVERED": ("nudity", 0.3),
}
