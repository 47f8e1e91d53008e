"""From a .pt, which is a program, to safetensors, which are data.

`convert` runs this module as a child process in namespaces of its own: no network, not even this machine's loopback,
and nothing that the program started outlives it. It may still read and change the user's files: the caller asks first.
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
"""The environment that the program gets: no tokens."""


def convert(source: Path, out: Path) -> None:
    """Run a .pt without a network and write its weights, float32, as safetensors: all of them or no file.

    Args:
        source: a state dict, alone or under `state_dict`, or a checkpoint of ultralytics. The latter's configuration
            and class names go into the metadata, as JSON under `yaml` and `names`.
        out: the file to write.

    Raises:
        WeightsError: this machine cannot isolate the program, a package is missing, or the file holds no weights.
    """
    for package in ("torch", "safetensors"):
        if not find_spec(package):
            mend = "run `pip install 'kidsnanny[yolo]'`"
            raise WeightsError(f"{source}: converting needs {package}, which is not installed; {mend}.")
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
                said = child.stderr.strip().splitlines() or [f"it ended with code {child.returncode}."]
                raise WeightsError(f"{source}: not converted: {said[-1][:300]}")
            _check(source, made)
            made.chmod(source.stat().st_mode & 0o666)
            os.replace(made, out)
    except OSError as error:
        raise WeightsError(f"{out}: it cannot be written ({error.strerror}); name another file with --out.") from error


def _isolated(source: Path) -> list[str]:
    """The command that runs another without a network, tried out."""
    unshare = shutil.which("unshare")
    reason = "unshare, of util-linux, is not installed"
    if unshare:
        trial = subprocess.run([unshare, *ISOLATION, "true"], capture_output=True, text=True, check=False)
        if not trial.returncode:
            return [unshare, *ISOLATION]
        reason = trial.stderr.strip().splitlines()[-1] if trial.stderr.strip() else "unshare fails"
    mend = "convert it in a virtual machine, or in a container that may create user namespaces"
    raise WeightsError(
        f"{source}: it is a program, and this machine cannot run it without a network ({reason}); {mend}."
    )


def _check(source: Path, made: Path) -> None:
    """What an untrusted program left behind is a regular file, and safetensors."""
    from safetensors import SafetensorError, safe_open

    try:
        if made.is_symlink() or not made.is_file():
            raise WeightsError(f"{source}: not converted: it left no file of weights; do not trust it.")
        with safe_open(made, "numpy"):
            pass
    except SafetensorError as error:
        raise WeightsError(f"{source}: not converted: what it left is no safetensors ({error}).") from error


def _load(source: str) -> Any:
    """What the .pt holds. Tensors alone are read as data; anything more runs the program."""
    import torch

    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except Exception:  # whatever torch says against it as data
        try:
            return torch.load(source, map_location="cpu", weights_only=False)
        except ModuleNotFoundError as error:
            sys.exit(f"it needs {error.name}, which is not installed; run `pip install 'kidsnanny[yolo]'`.")
        except Exception as error:  # whatever the program does
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
