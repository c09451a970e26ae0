"""What a pretrained encoder has heard before: clips it was trained on judge its memory."""

from __future__ import annotations

from affectus.encoders.known import check_heard
from affectus.errors import AuditError
from affectus.experiment import Experiment
from affectus.features import create_extractor
from affectus.manifest import Manifest


def check_encoder(
    experiment: Experiment, manifest: Manifest, *, imported: bool, allow_leak: bool
) -> tuple[list[str], bool]:
    """Return cautions on what the experiment's encoder has heard, and whether it is a leak.

    The encoder is that of the features or of the model `speech_encoder`; features that were
    `imported` tell nothing of where they come from. Raises AuditError if it was trained on a
    corpus of the manifest, unless a leak is allowed.
    """
    corpora = manifest.corpora
    encoder = str(experiment.model.get("encoder", ""))
    found: list[str] = []
    cautions: list[str] = []
    if encoder:
        found, cautions = check_heard((encoder,), corpora)
    elif not imported:
        extractor = create_extractor(**experiment.features)
        encoder = str(experiment.features.get("model", extractor.name))
        if hasattr(extractor, "check_heard"):
            found, cautions = extractor.check_heard(corpora)
    if not found:
        return cautions, False
    text = f"the encoder '{encoder}' was trained on {', '.join(found)}"
    if not allow_leak:
        raise AuditError(
            f"{text}; expected corpora it has not heard. Take another encoder or corpus, or add "
            f"--allow-leak: every report will then say so."
        )
    return [f"{text[0].upper()}{text[1:]}: the score is of its memory.", *cautions], True
