"""The English sentences and words that parents are told. They are the keys of the catalogues in `locale/`.

`N_` marks a text for translators, as usual with gettext; what is in braces is filled in. A finding has no full stop,
since a quotation may follow. `tests/test_for_parents.py` tells what a catalogue lacks.
"""

from kidsnanny.errors import Cause
from kidsnanny.quotation import Hidden
from kidsnanny.taxonomy import Category


def N_(text: str) -> str:
    """The text; it is translated where it is used."""
    return text


BANDS = ((0.85, N_("almost certainly")), (0.65, N_("probably")), (0.0, N_("perhaps")))
"""From which score on a finding is called how sure. The scores are no frequencies, so that no number is told."""

SEEN: dict[Category, str] = {
    "sexual": N_("Something sexual can {how_sure} be seen {where}"),
    "nudity": N_("A naked body can {how_sure} be seen {where}"),
    "violence": N_("Violence can {how_sure} be seen {where}"),
    "gore": N_("Blood or bad injuries can {how_sure} be seen {where}"),
    "self_harm": N_("Somebody hurting themselves can {how_sure} be seen {where}"),
    "hate": N_("A sign of hatred against a group of people can {how_sure} be seen {where}"),
    "harassment": N_("Somebody being humiliated can {how_sure} be seen {where}"),
    "grooming": N_("A sign that somebody wants to win a child's trust can {how_sure} be seen {where}"),
    "substances": N_("Drugs, alcohol or tobacco can {how_sure} be seen {where}"),
    "weapons": N_("A weapon can {how_sure} be seen {where}"),
    "illegal": N_("A crime can {how_sure} be seen {where}"),
    "scam": N_("An attempt to cheat somebody can {how_sure} be seen {where}"),
}
"""What the picture shows."""
WRITTEN: dict[Category, str] = {
    "sexual": N_("{where} somebody {how_sure} writes about sex or makes a sexual offer"),
    "nudity": N_("{where} somebody {how_sure} writes about naked bodies or asks for naked pictures"),
    "violence": N_("{where} somebody {how_sure} makes a threat or writes about hurting people"),
    "gore": N_("{where} somebody {how_sure} writes about bloody injuries or cruelty"),
    "self_harm": N_("{where} somebody {how_sure} writes about hurting themselves or not wanting to live"),
    "hate": N_(
        "{where} somebody {how_sure} shows contempt for people, for example because of their origin or religion"
    ),
    "harassment": N_("{where} somebody is {how_sure} being insulted, bullied or put down"),
    "grooming": N_(
        "{where} somebody is {how_sure} trying to win a child's trust to get secrets, pictures or a meeting"
    ),
    "substances": N_("{where} somebody {how_sure} writes about drugs, alcohol or smoking"),
    "weapons": N_("{where} somebody {how_sure} writes about weapons"),
    "illegal": N_("{where} somebody {how_sure} writes about a crime such as theft or fraud"),
    "scam": N_("{where} somebody is {how_sure} trying to get money, passwords or personal details by deceit"),
}
"""What a text says."""
JUDGED = N_("{where} there is {how_sure} something that a child should not see: {topic}")
"""What the judge says, which has read about the picture and its text."""
TOPICS: dict[Category, str] = {
    "weapons": N_("weapons"),
    "violence": N_("violence"),
    "substances": N_("drugs and alcohol"),
    "self_harm": N_("self-harm"),
    "gore": N_("blood and injuries"),
    "nudity": N_("naked bodies"),
    "sexual": N_("sexual content"),
    "grooming": N_("people who seek a child's trust to harm it"),
    "harassment": N_("bullying and insults"),
    "hate": N_("hatred against groups of people"),
    "scam": N_("fraud"),
    "illegal": N_("crime"),
}
"""The same in a list; first what a parent should know first of what is not looked for."""
IN_MESSAGES: tuple[Category, ...] = ("self_harm", "grooming", "harassment", "violence", "sexual", "hate", "scam")
"""What a parent should know of if it is not looked for in messages."""

EVERYWHERE = N_("in the picture")
WHERE = {
    "text": N_("in the text of the picture"),
    "code": N_("in the QR code"),
    "anywhere": N_("in the picture or its text"),
    "message": N_("in the message"),
    "chat": N_("in message {number} of the chat"),
    "page": N_("on page {number} of {total}"),
    "text of page": N_("in the text on page {number} of {total}"),
    "animation": N_("in image {number} of {total} of the animation"),
    "text of animation": N_("in the text in image {number} of {total} of the animation"),
    "file": N_("in picture {number} of {total} in the file"),
    "text of file": N_("in the text of picture {number} of {total} in the file"),
}
"""Where something was found; pages, images and messages count from 1."""
PLACES = (
    (N_("in the upper left of the picture"), N_("at the top of the picture"), N_("in the upper right of the picture")),
    (N_("on the left of the picture"), N_("in the middle of the picture"), N_("on the right of the picture")),
    (
        N_("in the lower left of the picture"),
        N_("at the bottom of the picture"),
        N_("in the lower right of the picture"),
    ),
)
"""Thirds of the picture."""
LARGE = 0.5
"""A box that covers this share of the picture is everywhere in it."""
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")

MISSED: dict[Cause | None, tuple[str, str]] = {
    "file": (
        N_("The file could not be opened."),
        N_("Check that it is there and that you may open it."),
    ),
    "format": (
        N_("The file is of a kind that cannot be looked at."),
        N_("Open it yourself before the child does, or save it as JPEG or PNG."),
    ),
    "film": (
        N_("This is a film, and films are not looked at."),
        N_("Watch it yourself before the child does."),
    ),
    "raw photo": (
        N_("This is a raw photo of a camera, and these are not looked at."),
        N_("Save it as JPEG, or look at it yourself before the child does."),
    ),
    "document": (
        N_("This is a document, and the pictures in it were not looked at."),
        N_("Look through it yourself before the child does."),
    ),
    "archive": (
        N_("This is a packed file, and what is in it was not looked at."),
        N_("Unpack it and have the pictures in it checked."),
    ),
    "size": (
        N_("The picture is too large to be looked at."),
        N_("Make it smaller, or look at it yourself before the child does."),
    ),
    "damage": (
        N_("The file is damaged, so it could not be looked at in full."),
        N_("Get it again from where it came from, or look at it yourself before the child does."),
    ),
    "frames": (
        N_("There are more pictures in the file than were looked at."),
        N_("Look at the rest of it yourself before the child does."),
    ),
    "time": (
        N_("There was not enough time to look at all of it."),
        N_("Allow more time, or look at it yourself before the child does."),
    ),
    "unread": (
        "",  # it has a plural, which `kidsnanny.for_parents` forms
        N_("Read it yourself before the child does."),
    ),
    "language": (
        N_("Some of the writing is in a language that is not understood here."),
        N_("Have it read by somebody who knows the language."),
    ),
    "link": (
        N_("There is a QR code in it, and where it leads was not looked at."),
        N_("Find out yourself where it leads before the child does."),
    ),
    "length": (
        N_("There is more text in it than can be read."),
        N_("Read the rest of it yourself."),
    ),
    "empty": (
        N_("There is no text in it."),
        N_("Check whether the message is really empty."),
    ),
    "no text": (
        N_("This is no message that can be read."),
        N_("Look at it yourself."),
    ),
    "failure": (
        N_("A part of the program failed, so not all of it could be looked at."),
        N_("Try again, or look at it yourself before the child does."),
    ),
    "untrained": (
        N_("The program was set up for trials and cannot judge such pictures."),
        N_("Set it up for real use, or look at it yourself before the child does."),
    ),
    "judge": (
        N_("A second opinion on it was needed, and there is none."),
        N_("Try again, or look at it yourself before the child does."),
    ),
    "steering": (
        N_("The writing in it tries to influence programs like this one."),
        N_("Read it yourself before the child does."),
    ),
    None: (
        N_("A part of it could not be looked at."),
        N_("Look at it yourself before the child does."),
    ),
}
"""Kind of reason -> what could not be looked at, and what to do."""
LOOK = N_("Look at it yourself before the child does.")
READ = N_("Read it yourself and talk with the child about it.")
BLOCK = N_("Do not show it to the child.")
KEEP = N_("Talk with the child about it, and keep the message in case you need it later.")
SEPARATE: dict[Category, str] = {
    "grooming": N_(
        "Talk with the child without blame, let nobody answer, keep what was written, and ask the police or a child "
        "protection service for advice."
    ),
    "scam": N_("Talk with the child, who should not answer, pay anything or give any details."),
}
"""What to do about a text besides not showing it."""
SUPPORT = (
    N_("First of all talk with the child, calmly and without blame, because somebody may need help."),
    N_(
        "A doctor, a school counsellor or a helpline for children and parents can help you; if there is danger at this "
        "moment, call the emergency services."
    ),
)
HIDDEN: dict[Hidden, str] = {
    "number": N_("[number]"),
    "link": N_("[link]"),
    "address": N_("[address]"),
    "user name": N_("[user name]"),
}
"""What stands in a quotation for what is not quoted."""
