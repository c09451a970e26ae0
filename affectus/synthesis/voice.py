"""One voice: syllables, glottal pulses, noise and resonances to a waveform."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from affectus.emotions import parse_emotion
from affectus.errors import ConfigError
from affectus.media import SAMPLE_RATE

Waveform = NDArray[np.float32]
Floats = NDArray[np.float64]
Spectrum = NDArray[np.complex64]


class _Voice(NamedTuple):
    """How a clip is spoken. Every setting adds: speaker, emotion and chance are sums."""

    pitch: float  # mean, semitones above 100 Hz
    range: float  # of the pitch, octaves around 2 semitones
    final: float  # semitones that the pitch moves over the last syllables
    rate: float  # octaves around 5 syllables a second
    level: float  # of the speech, dB below full scale (RMS)
    bright: float  # cut-off of the glottal pulses, octaves around 3 kHz
    rough: float  # jitter and shimmer, octaves around 0.6 % and 3 %
    breath: float  # dB from the voice
    tremor: float  # of the pitch at 5.5 Hz, semitones
    tract: float  # all formants, octaves (a short tract or a smile: up)
    jaw: float  # first formant, octaves (an open mouth: up)
    nasal: float  # 0 to 1
    room: float  # steady noise, dB below full scale


_SEXES = {
    "male": _Voice(2.5, 0, -2, 0, -40, 0, 0, -26, 0.1, 0, 0, 0.1, -79),
    "female": _Voice(12.5, 0, -2, 0, -40, -0.2, 0, -23, 0.1, 0.23, 0, 0.1, -79),
}
# Standard deviations between speakers, and between the clips of one.
_SPEAKERS = _Voice(2, 0.2, 0.7, 0.1, 3.5, 0.25, 0.25, 2, 0.05, 0.04, 0.04, 0.06, 2)
_CLIPS = _Voice(0.5, 0.1, 0.5, 0.04, 1, 0.1, 0.12, 1, 0.03, 0.01, 0.015, 0.03, 0.5)
# What an emotion at normal intensity adds to the speaker's own voice, and how far a speaker's own
# measure of each cue departs from it (standard deviation of a factor).
_EFFECTS = {
    "neutral": _Voice(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "calm": _Voice(-1.5, -0.6, -1, -0.35, -5, -0.7, -0.3, 1, 0, -0.01, -0.05, 0, 0),
    "happy": _Voice(4, 0.6, 2, 0.15, 6, 0.5, -0.2, -2, 0, 0.1, 0.03, 0, 0),
    "sad": _Voice(-2, -0.6, -2, -0.3, -4, -0.9, 0.8, 8, 0.25, -0.02, -0.05, 0.2, 0),
    "angry": _Voice(4, 0.5, -2, 0.15, 10, 1.1, 1, -5, 0, -0.02, 0.18, 0, 0),
    "fearful": _Voice(6, -0.4, 0, 0.4, 3, 0, 0.8, 5, 0.8, 0.03, -0.05, 0, 0),
    "disgust": _Voice(-1, 0.1, -3, -0.25, 2, 0.2, 1, -1, 0, -0.05, 0.12, 0.7, 0),
    "surprised": _Voice(7, 1.1, 11, 0, 4, 0, 0, 4, 0, 0.02, 0.2, 0, 0),
}
_OWN_MEASURE = 0.12
STRENGTHS = {"low": 0.7, "normal": 1.0, "strong": 1.6}

# Three formants (Hz) of ten vowels. A phone has these columns: three formants, voicing, friction,
# its centre (Hz), nasality, seconds.
_VOWELS = np.array([
    (270, 2290, 3010), (390, 1990, 2550), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440),
    (570, 840, 2410), (440, 1020, 2240), (300, 870, 2240), (640, 1190, 2390), (490, 1350, 1690),
])  # fmt: skip
_CONSONANTS = np.array([
    (320, 1390, 2530, 0, 1, 5_500, 0, 0.09), (300, 1840, 2750, 0, 1, 3_000, 0, 0.09),  # s sh
    (340, 1100, 2080, 0, 0.3, 6_500, 0, 0.08), (240, 1390, 2530, 0.4, 0.5, 5_500, 0, 0.07),  # f z
    (480, 1270, 2130, 0.6, 0, 4_000, 1, 0.06), (480, 1340, 2470, 0.6, 0, 4_000, 1, 0.06),  # m n
    (310, 1050, 2880, 0.7, 0, 4_000, 0, 0.06), (310, 1060, 1380, 0.7, 0, 4_000, 0, 0.06),  # l r
    (400, 1100, 2150, 0, 0.3, 1_000, 0, 0.015), (400, 1600, 2600, 0, 0.8, 4_000, 0, 0.02),  # p t
    (300, 1990, 2850, 0, 0.8, 2_000, 0, 0.025), (200, 1600, 2600, 0.2, 0.4, 4_000, 0, 0.015),  # k d
])  # fmt: skip
_CLOSURE = 0.05  # seconds, before a consonant that is shorter than this: a burst
_UPPER_FORMANTS = (3_500, 4_500, 5_500, 6_500, 7_500)  # Hz
_CUT_OFF = 3_000.0  # Hz
_FRICTION = -10.0  # dB from the voice
_PEAK = 0.98  # a louder clip is turned down as a whole


def synthesize_voice(
    emotion: str,
    *,
    speaker: int,
    sex: str | None = None,
    intensity: str = "normal",
    sentence: int = 0,
    repetition: int = 1,
    seed: int = 0,
    sample_rate: int = SAMPLE_RATE,
) -> Waveform:
    """Return one clip: a waveform [T] float32 within −1 to 1, about two seconds long.

    The same `speaker` has the same voice, the same `sentence` the same syllables; any numbers do.
    `sex` is male or female, by default male for odd speakers. `intensity` is low, normal or strong
    and does nothing to neutral. `sample_rate` in Hz, 8,000 to 192,000. The same arguments give the
    same samples, whatever was called before.

    Raises LabelError for an unknown emotion, ConfigError for another value that is out of range.

    >>> synthesize_voice("angry", speaker=1).dtype
    dtype('float32')
    """
    emotion = parse_emotion(emotion)
    sex = sex or ("male" if speaker % 2 else "female")
    expect("sex", sex, sex in _SEXES, "male or female")
    expect("intensity", intensity, intensity in STRENGTHS, "low, normal or strong")
    expect_rate(sample_rate)
    person = seeded(seed, "speaker", speaker, sex).standard_normal(len(_SPEAKERS))
    measure = seeded(seed, "measure", speaker, sex, emotion).standard_normal(len(_SPEAKERS))
    chance = seeded(seed, "clip", speaker, sex, emotion, intensity, sentence, repetition)
    settings = (
        np.array(_SEXES[sex])
        + np.clip(person, -2, 2) * _SPEAKERS
        + STRENGTHS[intensity] * (1 + _OWN_MEASURE * np.clip(measure, -2, 2)) * _EFFECTS[emotion]
        + chance.standard_normal(len(_CLIPS)) * _CLIPS
    )
    voice = _Voice(*settings.tolist())
    return _speak(voice, _time_sentence(seed, sentence, voice.rate, chance), chance, sample_rate)


def seeded(*key: str | int) -> np.random.Generator:
    """Return a generator that the key alone decides, so that no clip depends on another."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def expect(what: str, value: object, fine: bool, expected: str) -> None:
    """Raise ConfigError in the package's form unless `fine`."""
    if not fine:
        raise ConfigError(f"{what} is '{value}'; expected {expected}. Change it.")


def expect_rate(sample_rate: int) -> None:
    """Refuse rates (Hz) at which a voice would lose its formants, or that no file has."""
    expect("sample_rate", sample_rate, 8_000 <= sample_rate <= 192_000, "8000 to 192000 Hz")


# --- from syllables to sound -------------------------------------------------------------------


class _Sentence(NamedTuple):
    """Phones in time: each holds its targets in its middle and moves to the next one's between."""

    starts: Floats  # [n], seconds
    ends: Floats
    accents: Floats  # [n], 0 to 1
    knots: Floats  # [2 n + 2], seconds
    targets: Floats  # [2 n + 2, 7], a phone's columns
    duration: float  # seconds, with the silence around

    def follow(self, column: int, times: Floats) -> Floats:
        """Return one column at the times (seconds) given."""
        return np.interp(times, self.knots, self.targets[:, column])


def _write_sentence(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Return phones [n, 8] and the accent [n] of each, 0 to 1: closure, consonant, vowel, …"""
    n_syllables = int(random.integers(7, 9))
    accents = np.where(np.arange(n_syllables) % 2, 0.0, random.uniform(0.5, 1.0, n_syllables))
    consonants = _CONSONANTS[random.integers(len(_CONSONANTS), size=n_syllables)]
    closures = consonants * (1, 1, 1, 0.5, 0, 1, 1, 1)
    closures[:, 7] = np.where(consonants[:, 7] < _CLOSURE, _CLOSURE, 0.0)
    vowels = np.zeros_like(consonants)
    vowels[:, :3] = _VOWELS[random.integers(len(_VOWELS), size=n_syllables)]
    vowels[:, 3], vowels[:, 5] = 0.7 + 0.3 * accents, consonants[:, 5]
    vowels[:, 7] = 0.09 + 0.06 * accents
    vowels[-1, 7] *= 1.6  # the last syllable of a phrase is long
    phones = np.stack([closures, consonants, vowels], axis=1).reshape(-1, 8)
    kept = phones[:, 7] > 0
    return phones[kept], np.repeat(accents, 3)[kept]


def _time_sentence(seed: int, sentence: int, rate: float, chance: np.random.Generator) -> _Sentence:
    """Give each phone its time at a speech rate (octaves), with silence before and after."""
    phones, accents = _write_sentence(seeded(seed, "sentence", sentence))
    before, after = chance.uniform(0.1, 0.25, 2)
    seconds = phones[:, 7] * 2**-rate * chance.uniform(0.93, 1.07, len(phones))
    ends = before + np.cumsum(seconds)
    starts = ends - seconds
    inner = np.stack([starts + 0.3 * seconds, ends - 0.3 * seconds], axis=1).ravel()
    targets = np.pad(np.repeat(phones[:, :7], 2, axis=0), ((1, 1), (0, 0)), mode="edge")
    targets[[0, -1], 3:5] = 0.0  # neither voice nor friction outside
    knots = np.concatenate([[before], inner, [ends[-1]]])
    return _Sentence(starts, ends, accents, knots, targets, float(ends[-1] + after))


def _speak(
    voice: _Voice, sentence: _Sentence, chance: np.random.Generator, sample_rate: int
) -> Waveform:
    """Return the waveform [T] of a sentence in a voice."""
    n_samples = round(sentence.duration * sample_rate)
    n_fft = 1 << int(np.ceil(np.log2(0.06 * sample_rate)))  # room for a formant to die away
    n_hops = n_samples * 4 // n_fft + 2
    times = np.arange(n_hops * n_fft // 4) / sample_rate
    noises = chance.standard_normal((2, len(times)), dtype=np.float32)
    voicing, friction = sentence.follow(3, times), sentence.follow(4, times)
    voiced = _transform(_pulse(voice, sentence, chance, len(times), sample_rate), n_fft)
    breath = _transform(noises[0] * (voicing + 0.3 * friction), n_fft)
    rubbed = _transform(noises[1] * friction, n_fft)
    frames = np.arange(1, n_hops) * (n_fft / 4) / sample_rate
    glottis, throat, hiss = _shape(voice, sentence, frames, n_fft, sample_rate)
    power = _power(breath).mean()  # of noise as strong as the voice shall be
    voiced *= glottis
    voiced *= np.float32(np.sqrt(power / _power(voiced).mean()))
    breath *= throat * np.float32(10 ** (voice.breath / 20))
    rubbed *= hiss * np.float32(10 ** (_FRICTION / 20))
    speech = _overlap_add(voiced + breath + rubbed, n_fft)[:n_samples]
    active = (sentence.ends[-1] - sentence.starts[0]) / sentence.duration
    speech *= np.float32(10 ** (voice.level / 20) / np.sqrt(_power(speech) / active))
    speech += noises[0, -n_samples:] * np.float32(10 ** (voice.room / 20))
    return speech * np.float32(min(1.0, _PEAK / float(np.abs(speech).max())))


def _power(values: NDArray[Any]) -> Floats:
    """Return the mean squares [...] of values [..., T], real or complex.

    Not by BLAS: its sums depend on the number of threads.
    """
    squares = np.square(values.real) + np.square(values.imag)
    power: Floats = np.mean(squares, axis=-1, dtype=np.float64)
    return power


def _pulse(
    voice: _Voice, sentence: _Sentence, chance: np.random.Generator, length: int, sample_rate: int
) -> Waveform:
    """Return the glottal pulses [length]: band-limited impulses with jitter and shimmer."""
    times = np.arange(0, sentence.duration, 0.002)
    middles = (sentence.starts + sentence.ends) / 2
    place = np.clip((times - middles[0]) / (middles[-1] - middles[0]), 0, 1)
    accents = np.interp(times, middles, sentence.accents * chance.uniform(0.7, 1.3, len(middles)))
    contour = 2 * 2**voice.range * (1.5 * accents - place)  # accents on a falling line
    contour += voice.final * np.maximum(0, place * 4 - 3)
    contour += max(0, voice.tremor) * np.sin(2 * np.pi * (5.5 * times + chance.random()))
    spoken = sentence.follow(3, times) > 0.3
    semitones = voice.pitch + contour - contour[spoken].mean()
    pitch = 100 * 2 ** (np.clip(semitones, -12, 36) / 12)  # 50 to 800 Hz
    cycles = np.cumsum(pitch) * 0.002
    at = np.interp(np.arange(1, int(cycles[-1])), cycles, times)
    jitter, shimmer = chance.standard_normal((2, len(at))) * 0.006 * 2**voice.rough
    heights = sentence.follow(3, at) * np.maximum(0, 1 + 5 * shimmer)
    at = (at + jitter / np.interp(at, times, pitch)) * sample_rate
    near = np.floor(at)[:, None] + np.arange(-7, 9)
    away = near - at[:, None]
    taps = heights[:, None] * np.sinc(away) * np.cos(np.pi * away / 17) ** 2
    inside = np.clip(near, 0, length - 1).astype(np.intp)
    return np.bincount(inside.ravel(), taps.ravel(), length).astype(np.float32)


def _shape(
    voice: _Voice, sentence: _Sentence, times: Floats, n_fft: int, sample_rate: int
) -> tuple[Spectrum, Spectrum, Spectrum]:
    """Return the filters of pulses, breath and friction: spectra [n_frames, n_fft // 2 + 1].

    Those of breath and friction have a mean power of 1.
    """
    delay = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) / n_fft).astype(np.complex64)  # z^-1

    def damp(hertz: Floats | float, bandwidth: float) -> Spectrum:
        """Return what a resonance with unit gain at 0 Hz divides by (Klatt's equation 2)."""
        radius = np.exp(-np.pi * bandwidth / sample_rate)
        middle = 2 * radius * np.cos(2 * np.pi * np.asarray(hertz)[..., None] / sample_rate)
        terms = np.array(np.broadcast_arrays(1.0, -middle, radius**2))
        constant, once, twice = (terms / terms.sum(axis=0)).astype(np.float32)
        damped: Spectrum = constant + delay * (once + delay * twice)
        return damped

    tract = 2**voice.tract
    first, second, third = (sentence.follow(column, times) * tract for column in range(3))
    fixed = np.array([270, *_UPPER_FORMANTS]) * tract
    throat = damp(first * 2**voice.jaw, 70)
    throat *= damp(fixed[fixed < 0.47 * sample_rate], 250).prod(axis=0)
    throat *= damp(second, 100)
    throat *= damp(third, 150)
    nasal = np.clip(voice.nasal + sentence.follow(6, times), 0, 1)
    throat = damp((270 + 230 * nasal) * tract, 100) / throat
    pitch = 100 * 2 ** (voice.pitch / 12)
    lag = np.exp(-2 * np.pi * min(_CUT_OFF * 2**voice.bright, 0.4 * sample_rate) / sample_rate)
    # The glottal formant lies near the pitch; 1 - delay is the radiation at the lips.
    glottis = (1 - delay) / (damp(pitch, 1.2 * pitch) * (1 - np.float32(lag) * delay))
    centre = np.minimum(sentence.follow(5, times) * tract, 0.45 * sample_rate)
    hiss = (1 - delay) / damp(centre, 1_500)
    hiss /= np.sqrt(_power(hiss))[:, None]
    breath = throat / np.float32(np.sqrt(_power(throat).mean()))
    return throat * glottis, breath, hiss


def _transform(signal: NDArray[Any], n_fft: int) -> Spectrum:
    """Return the spectra of overlapping Hann frames half as long as `n_fft`."""
    window = (0.5 - 0.5 * np.cos(4 * np.pi * np.arange(n_fft // 2) / n_fft)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float32), n_fft // 2)
    return np.fft.rfft(frames[:: n_fft // 4] * window, n_fft).astype(np.complex64, copy=False)


def _overlap_add(spectrum: Spectrum, n_fft: int) -> Waveform:
    """Return the signal of spectra, filtered or not, that `_transform` gave."""
    frames = np.fft.irfft(spectrum, n_fft).reshape(len(spectrum), 4, n_fft // 4)
    signal = np.zeros((len(frames) + 3, n_fft // 4), np.float32)
    for quarter in range(4):
        signal[quarter : quarter + len(frames)] += frames[:, quarter]
    return signal.ravel()
