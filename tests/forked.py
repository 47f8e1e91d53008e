"""Code that runs in a forked child."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable


def in_child(what: Callable[[], bool], seconds: float = 60) -> str:
    """Run that in a forked child: "yes", "no", "fails", or "hangs" if it has not ended in time (it is then killed)."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        code = 2
        try:
            code = 0 if what() else 1
            gc.collect()
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return ("yes", "no", "fails")[os.waitstatus_to_exitcode(status)]
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"
