"""`kidsnanny export`: a network as ONNX."""

from pathlib import Path
from typing import Annotated

import typer

from kidsnanny.cli.console import exit_on_error


def export_weights(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a card, from `kidsnanny weights list`.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; by default onnx/NAME.onnx in kidsnanny's home.")
    ] = None,
) -> None:
    r"""Write a card's network as ONNX, so that it runs on a CPU without torch, and faster.

    Needs `pip install 'kidsnanny\[vit]'` (or `\[yolo]`, `\[student]`). The file is used only if its outputs match
    torch's.

    Example: kidsnanny weights pull marqo-nsfw-384 && kidsnanny export marqo-nsfw-384

    Example: kidsnanny weights add my-student/model.safetensors --like senben-tiny --name mine && kidsnanny export mine
    """
    from kidsnanny.models.cards import Card, find_card
    from kidsnanny.models.onnx_export import export

    with exit_on_error():
        print(export(find_card(name, Card), out))
