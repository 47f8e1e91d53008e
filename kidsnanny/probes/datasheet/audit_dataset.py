"""A data set from its pictures to its card."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kidsnanny.errors import DataError
from kidsnanny.evaluation.example_fields import text_of
from kidsnanny.files import alone_in
from kidsnanny.models.runtime import Device
from kidsnanny.probes.datasheet.confirmations import read_answers
from kidsnanny.probes.datasheet.datasheet_scores import counted_labels, embedded_entries, score_pictures
from kidsnanny.probes.datasheet.picture_sources import open_pictures
from kidsnanny.probes.datasheet.question_16 import Datasheet, make_datasheet
from kidsnanny.probes.datasheet.write_datasheet import WrittenDatasheet, flagged_pictures, write_datasheet
from kidsnanny.probes.embedding_cache import EmbeddedPicture, EmbeddingCache
from kidsnanny.probes.encoders import Encoder, load_encoder
from kidsnanny.probes.probe_files import check_fit, load_probe, probe_card


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
                raise DataError(f"{text_of(data)}: it holds no pictures; name another.")
            scored = score_pictures(entries, loaded, cache)
            sheet = make_datasheet(
                scored,
                data=text_of(data),
                form=source.form,
                probe=loaded.model_id,
                kind=loaded.card.kind,
                encoder=encoder.model_id,
                threshold=threshold,
                answers=answers,
            )
            flagged = flagged_pictures(scored, threshold)
            written = write_datasheet(sheet, flagged, out, pictures=source.read(), answers=answers, show=show)
    except OSError as error:
        raise DataError(f"{out}: it cannot be written ({error.strerror}); name another folder.") from error
    return sheet, written
