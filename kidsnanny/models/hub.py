"""From the Hugging Face Hub to a pinned file. Nothing else in kidsnanny downloads, and this only when asked."""

import errno
import os
from pathlib import Path

from kidsnanny.errors import WeightsError
from kidsnanny.models.cards import FORMATS, Card, Hub, home, pin_file, pinned, verified


def pull(card: Card) -> Path:
    """Download the card's file into the hub's own cache, verify it and pin it.

    A card that names no commit gets the one of its first pull again.

    Raises:
        WeightsError: the card has no hub file, or one that is a program; the download failed; or the file is not the
            one that the card or the lock file describes. Then nothing is pinned.
    """
    name, hub = card.name, card.hub
    if not hub:
        source = card.path or (f"the package {card.package}" if card.package else "kidsnanny itself")
        raise WeightsError(f"{name}: there is nothing to pull; its file comes from {source}.")
    file = Path(hub.file)
    if file.suffix not in FORMATS:
        why = f"a {file.suffix} is a program that runs when it is loaded"
        mend = f"download it yourself, then run `kidsnanny weights convert {file.name}`"
        raise WeightsError(f"{name}: {hub.file} is not pulled, because {why}; {mend}.")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # the library reads it when it is imported
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        mend = "run `pip install 'kidsnanny[hub]'`"
        raise WeightsError(f"{name}: pulling needs huggingface_hub, which is not installed; {mend}.") from error
    known = pinned(name)
    revision = hub.revision if hub.revision != "main" else known.revision or "main"
    try:
        path = Path(hf_hub_download(hub.repo, hub.file, revision=revision)).absolute()
    except Exception as error:  # the library's own errors, its HTTP client's, and the system's
        raise WeightsError(f"{name}: {_why(name, error, hub, revision)}.") from error
    if expected := card.sha256 or known.sha256:
        mend = "delete it and pull again"
        if not card.sha256:
            mend += f"; if you want the new file, first remove {name} from {home() / 'lock.json'}"
        verified(name, path.resolve(), expected, mend)
    commit = path.parts[-1 - len(file.parts)]  # the cache has it as snapshots/COMMIT/FILE
    pin_file(card, path, commit)
    return path


def _why(name: str, error: Exception, hub: Hub, revision: str) -> str:
    """Why a download failed, and the mend."""
    from huggingface_hub import constants, errors

    site = constants.ENDPOINT
    match error:
        case errors.GatedRepoError():
            return f"{hub.repo} is gated; accept its terms on {site}/{hub.repo} and run `hf auth login`"
        case errors.RepositoryNotFoundError():
            return f"there is no public repository {hub.repo} on {site}; mend the card, or run `hf auth login`"
        case errors.RevisionNotFoundError():
            return f"{hub.repo} has no revision {revision}; mend the card"
        case errors.LocalEntryNotFoundError():
            why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{site} does not answer"
            mend = f"pull where there is a network, or run `kidsnanny weights add FILE --like {name}` with a local file"
            return f"{why}, and {hub.file} is not in the hub's cache; {mend}"
        case errors.EntryNotFoundError():
            return f"{hub.repo} has no file {hub.file} at revision {revision}; mend the card"
        case OSError(errno=errno.ENOSPC):
            return "the disk is full; make room, or set HF_HOME to a folder on another disk"
        case OSError(errno=errno.EACCES | errno.EROFS | errno.EPERM):
            return f"{error.filename} cannot be written ({error.strerror}); set HF_HOME to a folder that can"
    reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return f"the download of {hub.file} from {hub.repo} failed ({reason.rstrip('.')}); pull again"
