"""Check one picture and print what was found.

python examples/quickstart.py examples/chat_grooming.png child
"""

import sys
from pathlib import Path

from kidsnanny import Pipeline


def main() -> int:
    if len(sys.argv) not in {2, 3}:
        print("usage: python quickstart.py PICTURE [child|preteen|teen]", file=sys.stderr)
        return 2
    picture, age = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "preteen"

    pipeline = Pipeline()  # build it once and keep it: loading is the slow part
    verdict = pipeline(picture, policy=age, name=picture.name)  # without a name it is called by its path

    print(verdict)  # the paragraph for people; verdict.model_dump_json() is the same for programs
    return 0 if verdict.label == "safe" else 1


if __name__ == "__main__":
    sys.exit(main())
