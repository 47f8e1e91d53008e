"""A data set from its pictures to its card."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kidsnanny.errors import DataError
from kidsnanny.files import alone_in
from kidsnanny.models.runtime import Device
from kidsnanny.probes.datasheet.confirmations import read_answers
from kidsnanny.probes.datasheet.datasheet_scores import AuditEntry, counted_labels, embedded_entries, score_pictures
from kidsnanny.probes.datasheet.picture_sources import PictureSource, open_pictures
from kidsnanny.probes.datasheet.question_16 import Datasheet, make_datasheet
from kidsnanny.probes.datasheet.write_datasheet import WrittenDatasheet, flagged_pictures, write_datasheet
from kidsnanny.probes.embedding_cache import EmbeddedPicture, EmbeddingCache
from kidsnanny.probes.encoders import Encoder, load_encoder
from kidsnanny.probes.probe_files import LoadedProbe, check_fit, load_probe, probe_card


def audit_dataset(
    data: Path,
    probe: str,
    out: Path,
    *,
    threshold: float = 0.9,
    confirmed: Path | None = None,
    show: bool = False,
    embeddings: Path | None = None,
    device: Device = "auto",
    encoder: Encoder | None = None,
    watch: Callable[[Iterator[EmbeddedPicture]], Iterable[EmbeddedPicture]] = iter,
) -> tuple[Datasheet, WrittenDatasheet]:
    """Embed what is not embedded yet, score it, and write the card into `out`.

    Args:
        data: as for `open_pictures`.
        probe: the name of a card, or a folder that `kidsnanny train probe` wrote.
        out: the folder; it is made.
        threshold: the audit's, 0.5 to 1.
        confirmed: a list of flagged pictures with a person's answers.
        show: whether the card shows pictures as they are, and not as mosaics.
        embeddings: the folder of embeddings that are there already; by default one in `out`.
        device: what the encoder runs on.
        encoder: another than that of the probe's card, already loaded; it must be the same model.
        watch: see `embedded_entries`.

    Raises:
        DataError: the data or the answers cannot be read, there are no pictures, or `out` cannot be written.
        WeightsError: there is no such probe, or it or its encoder is missing, or they do not fit each other.
        ComponentError: a package is missing, the encoder fails, or no label of the probe counts.
    """
    answers = read_answers(confirmed) if confirmed else None
    source = open_pictures(data)
    loaded = load_probe(probe_card(probe))
    counted_labels(loaded)
    encoder = encoder or load_encoder(loaded.card.encoder, device=device)
    check_fit(loaded, encoder)
    try:
        out.mkdir(parents=True, exist_ok=True)
        cache = EmbeddingCache.of(encoder, embeddings or out / "embeddings")
        with alone_in(out), alone_in(cache.folder):
            entries = embedded_entries(source.read(), encoder, cache, watch)
            if not entries:
                raise DataError(f"{source.name}: it holds no pictures; name another.")
            return card_from_cache(
                entries,
                loaded,
                cache,
                out,
                source=source,
                threshold=threshold,
                answers=answers,
                show=show,
            )
    except OSError as error:
        where = error.filename or out
        raise DataError(f"{where}: it cannot be read or written ({error.strerror}); name another.") from error


def card_from_cache(
    entries: Sequence[AuditEntry],
    probe: LoadedProbe,
    cache: EmbeddingCache,
    out: Path,
    *,
    source: PictureSource,
    threshold: float = 0.9,
    answers: Mapping[str, bool] | None = None,
    show: bool = False,
) -> tuple[Datasheet, WrittenDatasheet]:
    """Score pictures that are embedded, and write the card. Errors are those of `audit_dataset`.

    Args:
        entries: the pictures.
        probe: it reads the rows of the cache's encoder.
        cache: it has the rows of each picture that could be looked at.
        out: the folder, which is there.
        source: where the pictures are, some of which the card shows.
        threshold, show: as in `audit_dataset`.
        answers: a person's, by checksum; None: nobody was asked.
    """
    scored = score_pictures(entries, probe, cache)
    sheet = make_datasheet(
        scored,
        data=source.name,
        form=source.form,
        probe=probe.model_id,
        kind=probe.card.kind,
        encoder=cache.model_id,
        threshold=threshold,
        answers=answers,
    )
    flagged = flagged_pictures(scored, threshold)
    return sheet, write_datasheet(sheet, flagged, out, pictures=source.read(), answers=answers, show=show)
