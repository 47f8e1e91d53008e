"""What machine a figure was measured on, for the name of its result file."""

import os
import platform
import re
from pathlib import Path


def hardware() -> str:
    """For example `2core-amd-epyc`: processors this process may use, and the processor's family."""
    try:
        model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text("utf-8"))
        name = model[1] if model else platform.machine()
    except OSError:
        name = platform.processor() or platform.machine()
    words = re.sub(r"\(.*?\)|[^A-Za-z0-9 ]", " ", name).lower().split()
    return f"{len(os.sched_getaffinity(0))}core-{'-'.join(words[:2])}"
