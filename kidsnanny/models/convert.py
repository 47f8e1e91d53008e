"""From a .pt, a pickle that can run any code when it is loaded, to safetensors, which are only data.

`convert` runs this module as a child process in Linux namespaces of its own: without a network, not even the loopback
interface, and nothing that the code starts outlives it. The code can still read and change the user's files, so the
caller asks first.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kidsnanny.errors import WeightsError

ISOLATION = ("--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--")
KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
"""The environment variables that the code gets: no tokens."""


def convert(source: Path, out: Path) -> None:
    """Load a .pt in an isolated process and write its weights, float32, as safetensors: all of them or no file.

    Args:
        source: a state dict, alone or under `state_dict`, or a checkpoint of ultralytics. The latter's configuration
            and class names go into the metadata, as JSON under `yaml` and `names`.
        out: the file to write.

    Raises:
        WeightsError: this machine cannot isolate the process, a package is missing, or the file holds no weights.
    """
    for package in ("torch", "safetensors"):
        if not find_spec(package):
            fix = "run `pip install 'kidsnanny[yolo]'`"
            raise WeightsError(f"{source}: converting needs {package}, which is not installed; {fix}.")
    isolated = _isolated(source)
    try:
        with tempfile.TemporaryDirectory(prefix=".kidsnanny-", dir=out.parent) as folder:
            made = Path(folder, "made.safetensors")
            environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {
                **dict.fromkeys(("HOME", "TMPDIR", "YOLO_CONFIG_DIR"), folder),
                "YOLO_OFFLINE": "true",
                "YOLO_AUTOINSTALL": "false",
            }
            child = subprocess.run(
                [*isolated, sys.executable, "-P", "-m", __name__, str(source.absolute()), str(made.absolute())],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                check=False,
            )
            if child.returncode:
                lines = child.stderr.strip().splitlines() or [f"it ended with code {child.returncode}."]
                raise WeightsError(f"{source}: not converted: {lines[-1][:300]}")
            _check(source, made)
            made.chmod(source.stat().st_mode & 0o666)
            os.replace(made, out)
    except OSError as error:
        raise WeightsError(f"{out}: it cannot be written ({error.strerror}); name another file with --out.") from error


def _isolated(source: Path) -> list[str]:
    """The command that runs another in isolation, after a trial that it works here."""
    unshare = shutil.which("unshare")
    reason = "unshare, of util-linux, is not installed"
    if unshare:
        trial = subprocess.run([unshare, *ISOLATION, "true"], capture_output=True, text=True, check=False)
        if not trial.returncode:
            return [unshare, *ISOLATION]
        reason = trial.stderr.strip().splitlines()[-1] if trial.stderr.strip() else "unshare fails"
    fix = "convert it in a virtual machine, or in a container that may create user namespaces"
    raise WeightsError(
        f"{source}: loading it may run code, and this machine cannot do that without a network ({reason}); {fix}."
    )


def _check(source: Path, made: Path) -> None:
    """Make sure that what untrusted code wrote is a regular file of safetensors."""
    from safetensors import SafetensorError, safe_open

    try:
        if made.is_symlink() or not made.is_file():
            raise WeightsError(f"{source}: not converted: it wrote no file of weights; do not trust it.")
        with safe_open(made, "numpy"):
            pass
    except SafetensorError as error:
        raise WeightsError(f"{source}: not converted: what it wrote is not safetensors ({error}).") from error


def _load(source: str) -> Any:
    """The content of the .pt. A file of tensors only is read as data; loading anything else runs its code."""
    import torch

    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except Exception:  # torch refuses to read it as data
        try:
            return torch.load(source, map_location="cpu", weights_only=False)
        except ModuleNotFoundError as error:
            sys.exit(f"it needs {error.name}, which is not installed; run `pip install 'kidsnanny[yolo]'`.")
        except Exception as error:  # whatever its code raises
            sys.exit(f"it does not load ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}).")


def _main(source: str, out: str) -> None:
    import torch
    from safetensors.torch import save_file

    held, facts = _load(source), {"format": "pt"}
    if isinstance(held, dict):
        held = next((held[key] for key in ("ema", "model", "state_dict") if held.get(key) is not None), held)
    if isinstance(held, torch.nn.Module):
        if hasattr(held, "yaml"):
            names = held.names
            ordered = [names[index] for index in sorted(names)] if isinstance(names, dict) else list(names)
            facts |= {"yaml": json.dumps(held.yaml), "names": json.dumps(ordered)}
        held = held.state_dict()
    tensors = {
        key: (value.float() if value.is_floating_point() else value).detach().clone().contiguous()
        for key, value in (held.items() if isinstance(held, dict) else ())
        if isinstance(value, torch.Tensor)
    }
    if not tensors:
        sys.exit("it holds no weights; name a file with a state dict, or a checkpoint of ultralytics.")
    save_file(tensors, out, facts)


if __name__ == "__main__":
    _main(*sys.argv[1:])
