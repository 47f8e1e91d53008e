"""What we look for, and how other people's labels map onto it.

A table here maps every label of a foreign system to one of ours, or to None: *no mapping* is a legal value.
"""

from collections.abc import Collection
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
"""The name of one kind of harm. DEFINITIONS says what each is."""
CATEGORIES: tuple[Category, ...] = get_args(Category)
"""All of them, in the order in which they are listed."""


def ordered(categories: Collection[Category]) -> tuple[Category, ...]:
    """The categories in the order of CATEGORIES."""
    return tuple(category for category in CATEGORIES if category in categories)


DEFINITIONS: dict[Category, str] = {
    "sexual": "sexual acts, arousal or talk about them, or a sexual offer",
    "nudity": "bare breasts of a woman, genitals, buttocks or anus, outside of the contexts above",
    "violence": "people or animals being hurt, threats to hurt somebody, praise of hurting",
    "gore": "open wounds, much blood, mutilation, dead bodies",
    "self_harm": "suicide, cutting, starving oneself: wishing it, showing it, teaching it or praising it",
    "hate": "contempt for people because of their origin, skin, religion, sex, sexuality or disability",
    "harassment": "insults, humiliation, blackmail or bullying aimed at a person",
    "grooming": "an adult or stranger winning a child's trust, secrecy, pictures, address or a meeting",
    "substances": "drugs, alcohol, nicotine or misuse of medicines: offered, praised or taught",
    "weapons": "guns, knives as weapons, explosives: offered, praised, taught to make or pointed at somebody",
    "illegal": "theft, burglary, fraud, hacking or other crime: offered, praised or taught",
    "scam": "somebody trying to get money, passwords, codes or personal data by deceit",
}
"""One line each, for the judge's prompt. The words are ours."""

UNSAFEBENCH: dict[str, tuple[Category, ...] | None] = {
    "Hate": ("hate",),
    "Harassment": ("harassment",),
    "Violence": ("violence",),
    "Self-harm": ("self_harm",),
    "Sexual": ("sexual", "nudity"),
    "Shocking": ("gore",),
    "Illegal activity": ("substances", "illegal"),
    "Deception": None,
    "Political": None,
    "Public and personal health": None,
    "Spam": None,
}
"""UnsafeBench's 11 categories (arXiv 2405.03486). Conspiracies, campaigns, illness and bulk mail are not
what we look for."""

UNSAFEBENCH_DEFINITIONS: dict[str, str] = {
    "Hate": "contempt for people, or calls against them, because of who they are: origin, religion, sex or disability",
    "Harassment": "mocking, threatening or humiliating one person",
    "Violence": "people or animals being hurt or killed, or somebody praising that",
    "Self-harm": "suicide, cutting, or starving oneself",
    "Sexual": "sexual acts, arousal, bare breasts of a woman or genitals, except where health is taught",
    "Shocking": "blood, wounds, bodily waste or other things that most people find hard to look at",
    "Illegal activity": "drugs, theft, vandalism or another crime, being committed or praised",
    "Deception": "somebody being misled for gain: swindles, forged goods or papers, faked pictures of events",
    "Political": "politicians, parties, elections, campaigns or protests",
    "Public and personal health": "diagnosing, treating or passing on an illness, or false advice about health",
    "Spam": "advertising, chain letters and the like that nobody asked for",
}
"""One line each, for questions to a model that sees pictures. The words are ours, and not the paper's."""
