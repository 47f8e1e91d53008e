"""Check one picture and print what was found.

python examples/quickstart.py examples/chat_grooming.png
"""

import sys

from kidsnanny import Pipeline


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python quickstart.py PICTURE", file=sys.stderr)
        return 2

    pipeline = Pipeline()  # or Pipeline(policy="child"); build it once and keep it, loading is the slow part
    verdict = pipeline(sys.argv[1])

    print(verdict)  # the paragraph for people; verdict.model_dump_json() is the same for programs
    return 0 if verdict.label == "safe" else 1


if __name__ == "__main__":
    sys.exit(main())
