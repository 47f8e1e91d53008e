"""The check a backend makes before other children see an upload.

python examples/upload_gate.py examples/note_crisis.png
"""

import sys
from pathlib import Path

from kidsnanny import Pipeline

pipeline = Pipeline()  # one for children of all ages: each call names its policy


def offer_help(why: str) -> None:
    """Put your own here: show the child where to find help, and tell a trained person today."""
    print(f"support: {why}")


def ask_a_person(why: str) -> None:
    """Put your own here: a queue that a moderator looks through."""
    print(f"review: {why}")


def may_show(data: bytes, name: str, age: str) -> bool:
    """True only for "safe". "review" means nobody knows yet, so it stays hidden until a person has looked."""
    verdict = pipeline(data, policy=age, name=name)  # if this raises, nothing was checked: let it, and show nothing
    if verdict.action == "support":  # a child may be in danger: hidden from others, never punished
        offer_help(str(verdict))
        return False
    if verdict.label == "review":
        ask_a_person(str(verdict))
    return verdict.label == "safe"


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        print(path.name, "show" if may_show(path.read_bytes(), path.name, "child") else "hide")
