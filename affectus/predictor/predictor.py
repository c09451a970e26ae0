"""The predictor: recordings in, emotions out, by onnxruntime and numpy; never by torch.

It takes the model's own extractor, as recorded in the folder, so what it hears is what was trained
on. It knows nothing of manifests, stores or training. Nothing that it hears is kept or sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectus.adaptation import SpeakerProfile
from affectus.errors import ConfigError, MediaError
from affectus.media import Decoding, Limits, from_waveform, read_audio, take_samples
from affectus.model_folder import find_model, is_fused
from affectus.predictor.answers import Modality, Prediction, Reason
from affectus.predictor.ear import Ear
from affectus.predictor.eye import Eye
from affectus.predictor.film import predict_film, tell_only
from affectus.predictor.fused import FusedNetwork
from affectus.predictor.labelling import Labelling
from affectus.predictor.many import MANY, predict_apart
from affectus.predictor.network import Network, Waveform
from affectus.predictor.sound import Source, name_source, open_sound, take_in
from affectus.predictor.speech import SpeechDetection, find_detector
from affectus.predictor.stream import BATCH, AnyNetwork, Moment, Settings, Stream
from affectus.predictor.windows import CLIP_SECONDS, NOTHING, WINDOW, make_grid

_BATCH = 16  # clips that go through the network at once
_NOTHING: dict[tuple[Modality, ...], Reason] = {
    ("voice",): "no speech",
    ("face",): "no face",
    ("voice", "face"): "no speech and no face",
}
_LEAST_SECONDS = 0.25  # of a clip that a speaker is learnt from
_AHEAD = 64  # clips that are heard before the network is asked, so that batches are of like length


class Predictor:
    """A loaded model; safe to use from several threads.

    `labels` are in the order of its scores, `streams` what it answers from (voice, face or both),
    `facts` its model.json; `extractor` computes its voice's features. `threads` is how many
    processors one answer may use. `speech` says how speech is told from silence, noise and music:
    "auto" (Silero's network where the extra `vad` is installed, a gate over levels otherwise),
    "silero", "energy" or "off".

    Raises ModelError if the folder is incomplete or any file in it has changed.
    """

    def __init__(
        self,
        name_or_folder: Path | str = "voice",
        *,
        threads: int = 1,
        speech: SpeechDetection = "auto",
    ) -> None:
        folder = find_model(name_or_folder)
        kind = FusedNetwork if is_fused(folder) else Network
        self._network: AnyNetwork = kind(folder, threads=threads)
        self.facts = self._network.facts
        self.streams = self._network.streams
        self.labels = self.facts.labels
        self.extractor = self._network.extractor
        self._speech: SpeechDetection = speech
        self._detector = find_detector(speech, self.extractor.sample_rate)

    @property
    def face_rate(self) -> float:
        """How many frames of a film it looks at, a second; 0 for a model of voices."""
        return self._network.eyes[0].rate if self._network.eyes else 0.0

    def predict(
        self,
        source: Source,
        *,
        window: float | None = None,
        hop: float | None = None,
        labels: str | None = None,
        speaker: SpeakerProfile | None = None,
        abstain: float | None = None,
        smooth: bool = True,
        limits: Limits = Limits(),
        name: str | None = None,
        only: Modality | None = None,
    ) -> Prediction:
        """Return the emotion of a file, its bytes, or a (waveform [T] or [T, C], rate in Hz) pair.

        A recording of up to 10 s is answered as one clip; a longer one in windows of 3 s, a new one
        each 1.5 s, smoothed into segments; the scores of the whole are the mean over the windows
        with speech. `window` and `hop` (the window's length by default) set others, for short
        recordings, too; `smooth` False gives each window as a segment. Memory does not grow with
        the recording.

        `labels`: "six", "seven" or "eight" in place of the model's own. `speaker`: the profile of
        who speaks, of `learn_speaker`. `abstain`: the score below which there is no answer; the
        model's own by default, 0 for never. `name`: what to call bytes, as a path names a file.

        A model that looks at faces is given both streams of a film, or the one that there is; with
        `only`, the one that is asked for. What was used, and why, is in the answer. A stretch is
        seen where enough of its frames show a face, and heard where there is speech.

        Raises MediaError if the recording cannot be used, ConfigError if the model does not take
        the stream that is asked for.
        """
        settings = self._settings(window, hop, labels, speaker, abstain, smooth, limits)
        wanted = self._choose(only)
        if "face" in wanted:
            return predict_film(self._network, self._detector, source, settings, wanted, name)
        stream, moment = self._hear(source, settings, name)
        return stream.conclude(NOTHING if moment is None else stream.ask(moment))

    def predict_many(
        self,
        sources: Iterable[Source],
        *,
        window: float | None = None,
        hop: float | None = None,
        labels: str | None = None,
        speaker: SpeakerProfile | None = None,
        abstain: float | None = None,
        smooth: bool = True,
        limits: Limits = Limits(),
        workers: int = 1,
        only: Modality | None = None,
    ) -> Iterator[Prediction | MediaError]:
        """Yield the prediction, or the MediaError that stands in its place, of each in turn.

        Clips of like length go through the network together; scores are those of `predict` within
        1e-5. `workers` threads share the work, and from 256 recordings on as many child processes,
        in which a recording that crashes or hangs becomes a MediaError (E1603, E1604). Films are
        answered one by one.
        """
        settings = self._settings(window, hop, labels, speaker, abstain, smooth, limits)
        wanted = self._choose(only)
        sources = iter(sources)
        first = list(islice(sources, MANY if workers > 1 else 0))
        if len(first) == MANY:
            options = {
                "window": window, "hop": hop, "labels": labels, "speaker": speaker,
                "abstain": abstain, "smooth": smooth, "limits": limits, "only": only,
            }  # fmt: skip
            every, folder = chain(first, sources), self._network.folder
            yield from predict_apart(Predictor, folder, self._speech, every, options, workers)
            return
        remaining = chain(first, sources)
        if "face" in wanted or isinstance(self._network, FusedNetwork):
            yield from self._predict_each(
                remaining, workers, window=window, hop=hop, labels=labels, speaker=speaker,
                abstain=abstain, smooth=smooth, limits=limits, only=only,
            )  # fmt: skip
            return

        def hear(source: Source) -> tuple[Stream, Moment | None] | MediaError:
            try:
                return self._hear(source, settings)
            except MediaError as error:
                return error

        with ThreadPoolExecutor(workers) as pool:
            run = pool.map if workers > 1 else map
            while some := list(islice(remaining, _AHEAD)):
                heard = list(run(hear, some))
                clips = {
                    place: one[1].voice
                    for place, one in enumerate(heard)
                    if not isinstance(one, MediaError) and one[1] and one[1].voice is not None
                }
                logits = self._answer(clips, speaker, run)
                for place, one in enumerate(heard):
                    if isinstance(one, MediaError):
                        yield one
                    else:
                        known = place in logits
                        yield one[0].conclude(one[0].read(logits[place]) if known else NOTHING)

    def _predict_each(
        self, sources: Iterable[Source], workers: int, **settings: Any
    ) -> Iterator[Prediction | MediaError]:
        def predict(source: Source) -> Prediction | MediaError:
            try:
                return self.predict(source, **settings)
            except MediaError as error:
                return error

        remaining = iter(sources)
        with ThreadPoolExecutor(workers) as pool:
            run = pool.map if workers > 1 else map
            while some := list(islice(remaining, 2 * workers)):
                yield from run(predict, some)

    def _answer(
        self,
        clips: dict[int, NDArray[np.float32]],
        speaker: SpeakerProfile | None,
        run: Callable[..., Any],
    ) -> dict[int, NDArray[np.float64]]:
        """Return logits [K] of each clip, those of like length through the network together."""
        order = sorted(clips, key=lambda place: len(clips[place]))
        batches = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]

        def answer(batch: list[int]) -> NDArray[np.float64]:
            return self._network.logits([clips[place] for place in batch], speaker)

        return {
            place: row
            for batch, rows in zip(batches, run(answer, batches), strict=True)
            for place, row in zip(batch, rows, strict=True)
        }

    def stream(
        self,
        sample_rate: int,
        *,
        window: float | None = None,
        hop: float | None = None,
        labels: str | None = None,
        speaker: SpeakerProfile | None = None,
        abstain: float | None = None,
        smooth: bool = True,
        limits: Limits = Limits(),
        name: str = "stream",
        only: Modality | None = "voice",
    ) -> Stream:
        """Return a recording in the making, for a microphone or a socket: feed it, finish it.

        Settings are those of `predict`, and so is the answer in the end, whatever the pieces. With
        `only` None the stream is to `see` frames, too, and with "face" nothing else.
        """
        settings = self._settings(window, hop, labels, speaker, abstain, smooth, limits)
        take_samples(np.zeros(0, np.float32), sample_rate, name=name, limits=limits)  # the rate
        wanted, rate = self._choose(only), self.extractor.sample_rate
        ear = eye = None
        if "voice" in wanted:
            ear = Ear(self._detector, sample_rate, rate, name, limits)
        if "face" in wanted:
            eye = Eye(self._network.eyes, rate)
        without = {} if only is None else tell_only(self.streams, only)
        return Stream(self._network, replace(settings, without=without), name, ear=ear, eye=eye)

    def warm_up(self) -> None:
        """Ask the network about as much sound at once as a long recording or a late stream does.

        So the first answers are as quick as all others, and memory, which onnxruntime keeps, is at
        its level before the first of them. A network of faces alone is not asked.
        """
        if "voice" in self.streams:
            noise = np.random.default_rng(0).normal(
                0, 0.1, round(WINDOW * self.extractor.sample_rate)
            )
            self._network.logits([self._network.hear(noise.astype(np.float32))] * BATCH)

    def learn_speaker(
        self,
        clips: Iterable[Source],
        profile: SpeakerProfile | None = None,
        *,
        limits: Limits = Limits(),
    ) -> SpeakerProfile:
        """Return the profile of a speaker after hearing some more clips of theirs, unlabelled.

        Begin with none; clip by clip or all at once gives the same. Long recordings count as clips
        of 3 s; what holds no speech does not count. No clip is kept.

        Raises MediaError for a clip that cannot be used, ConfigError if there is no speech in any,
        or for a profile of other features.
        """
        spoken = (part for clip in clips for part in self._cut(self._read(clip, limits)))
        return self._network.learn_speaker(spoken, profile)

    def follow_speaker(
        self,
        clips: Iterable[Source],
        profile: SpeakerProfile | None = None,
        *,
        labels: str | None = None,
        abstain: float | None = None,
        limits: Limits = Limits(),
        only: Modality | None = None,
    ) -> Iterator[tuple[Prediction | MediaError, SpeakerProfile | None]]:
        """Yield the prediction of each clip of one speaker, and what is known of them by then.

        Each clip is learnt from before it is answered, so that answers become better from clip to
        clip. The last profile is what `learn_speaker` makes of all.
        """
        plain = "face" not in self._choose(only) and isinstance(self._network, Network)
        for clip in clips:
            try:
                if plain:
                    settings = self._settings(None, None, labels, profile, abstain, True, limits)
                    answer, profile = self._learn_and_answer(clip, settings)
                else:
                    profile = self._learn_more(clip, profile, limits)
                    answer = self.predict(
                        clip, labels=labels, speaker=profile, abstain=abstain, limits=limits,
                        only=only,
                    )  # fmt: skip
            except MediaError as error:
                yield error, profile
            else:
                yield answer, profile

    def _learn_and_answer(
        self, clip: Source, settings: Settings
    ) -> tuple[Prediction, SpeakerProfile | None]:
        """Return a clip's answer and its speaker's profile: decoded once, its features made once.

        A long recording is decoded again, to be learnt from in parts.
        """
        assert isinstance(self._network, Network)
        name, limits, profile = name_source(clip), settings.limits, settings.speaker
        with open_sound(clip, name, limits) as sound:
            first, left = [], CLIP_SECONDS * sound.rate
            for block in sound.blocks:
                first.append(block)
                left -= len(block)
                if left < 0:
                    break
            long = left < 0
            if long:
                profile = self._learn_more(clip, profile, limits)
                settings = replace(settings, speaker=profile)
            sound.blocks = chain(first, sound.blocks)
            stream, moment = self._listen(sound, settings, name)
        if long:
            return stream.conclude(NOTHING if moment is None else stream.ask(moment)), profile
        if moment is None or moment.voice is None:
            return stream.conclude(NOTHING), profile
        if stream.seconds >= _LEAST_SECONDS:
            profile = self._network.learn_frames([moment.voice], profile)
        logits = self._network.logits([moment.voice], profile)[0]
        return stream.conclude(stream.read(logits)), profile

    def _learn_more(
        self, clip: Source, profile: SpeakerProfile | None, limits: Limits
    ) -> SpeakerProfile | None:
        """Return what is known of a speaker after one more clip; the same without speech in it."""
        parts = self._cut(self._read(clip, limits))
        return self._network.learn_speaker(parts, profile) if parts else profile

    def _read(self, source: Source, limits: Limits) -> Waveform:
        rate = self.extractor.sample_rate
        if isinstance(source, tuple):
            return from_waveform(*source, sample_rate=rate, limits=limits).waveform
        return read_audio(source, sample_rate=rate, limits=limits).waveform

    def _cut(self, waveform: Waveform) -> list[Waveform]:
        """Return a clip, or a long recording in pieces, as far as there is speech in it."""
        rate = self.extractor.sample_rate
        length = len(waveform)
        if length > CLIP_SECONDS * rate:
            length = round(WINDOW * rate)
        pieces = [waveform[at : at + length] for at in range(0, len(waveform), length)]
        least = round(_LEAST_SECONDS * rate)
        return [piece for piece in pieces if len(piece) >= least and self._detector(piece)]

    def _settings(
        self,
        window: float | None,
        hop: float | None,
        labels: str | None,
        speaker: SpeakerProfile | None,
        abstain: float | None,
        smooth: bool,
        limits: Limits,
    ) -> Settings:
        self._network.check_profile(speaker)
        threshold = self.facts.abstain_below if abstain is None else abstain
        labelling = Labelling(self.labels, labels, threshold, _NOTHING[self.streams])
        return Settings(labelling, make_grid(window, hop, limits), smooth, speaker, limits)

    def _choose(self, only: Modality | None) -> tuple[Modality, ...]:
        """Return the streams that are to be used; ConfigError if the model takes none of them."""
        if only is None or only in self.streams:
            return self.streams if only is None else (only,)
        other = "a voice" if only == "face" else "faces"
        raise ConfigError(
            f"{only} only: model '{self.facts.name}' takes {other} alone; expected one that takes "
            f"a {only}. Leave it out, or choose another model."
        )

    def _hear(
        self, source: Source, settings: Settings, name: str | None = None
    ) -> tuple[Stream, Moment | None]:
        """Decode a sound into a stream; return it with the clip that is left to be asked about."""
        shown = name_source(source, name)
        with open_sound(source, shown, settings.limits) as sound:
            return self._listen(sound, settings, shown)

    def _listen(
        self, sound: Decoding, settings: Settings, name: str
    ) -> tuple[Stream, Moment | None]:
        asked = tell_only(self.streams, "voice")
        if sound.has_pictures and not asked:
            asked = {"face": "there are pictures, but this model looks at no face"}
        settings = replace(settings, without=asked)
        stream = take_in(self._network, self._detector, sound, settings, name)
        return stream, stream.close(sound.warnings)
