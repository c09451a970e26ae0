"""The low-level descriptors: what each column is called, its unit, and where it comes from."""

from __future__ import annotations

from typing import NamedTuple

from affectus.features.formants import N_FORMANTS
from affectus.features.spectral import ROLL_OFFS

N_MELS = 26
N_MFCC = 21


class Descriptor(NamedTuple):
    """A column: its name, unit, whether only voiced frames have it, and where it comes from."""

    name: str
    unit: str
    voiced: bool
    source: str


_GEMAPS = "GeMAPS (Eyben et al. 2016)"
_BOERSMA = "Boersma 1993"
_PEETERS = "Peeters 2004"
DESCRIPTORS = (
    Descriptor("f0_hz", "Hz", True, _BOERSMA),
    Descriptor("f0_semitones", "semitones above 27.5 Hz", True, _GEMAPS),
    Descriptor("jitter", "1", True, "local jitter, Praat's manual"),
    Descriptor("shimmer_db", "dB", True, "local shimmer, Praat's manual"),
    Descriptor("h1_h2_db", "dB", True, _GEMAPS),
    Descriptor("h1_a3_db", "dB", True, _GEMAPS),
    *(Descriptor(f"f{n}_hz", "Hz", True, "Makhoul 1975") for n in range(1, N_FORMANTS + 1)),
    *(Descriptor(f"b{n}_hz", "Hz", True, "Makhoul 1975") for n in range(1, N_FORMANTS + 1)),
    Descriptor("voicing", "1", False, _BOERSMA),
    Descriptor("hnr_db", "dB", False, _BOERSMA),
    Descriptor("level_db", "dB of full scale", False, "root mean square of the windowed frame"),
    Descriptor("loudness", "1", False, "Hermansky 1990"),
    Descriptor("alpha_ratio_db", "dB", False, _GEMAPS),
    Descriptor("hammarberg_db", "dB", False, _GEMAPS),
    Descriptor("slope_0_500", "dB/kHz", False, _GEMAPS),
    Descriptor("slope_500_1500", "dB/kHz", False, _GEMAPS),
    Descriptor("centroid_hz", "Hz", False, _PEETERS),
    Descriptor("spread_hz", "Hz", False, _PEETERS),
    Descriptor("skewness", "1", False, _PEETERS),
    *(Descriptor(f"roll_off_{round(100 * p)}_hz", "Hz", False, _PEETERS) for p in ROLL_OFFS),
    Descriptor("flatness_db", "dB", False, _PEETERS),
    Descriptor("entropy", "1", False, _PEETERS),
    Descriptor("flux", "1", False, _PEETERS),
    *(Descriptor(f"mfcc_{n:02d}", "dB", False, "DCT-II, orthonormal") for n in range(N_MFCC)),
    *(Descriptor(f"mel_{n:02d}_db", "dB", False, "Slaney 1998") for n in range(N_MELS)),
)
N_VOICED = sum(descriptor.voiced for descriptor in DESCRIPTORS)  # these come first
_OF_CYCLES = ("jitter", "shimmer_db")
_PLACES = {descriptor.name: place for place, descriptor in enumerate(DESCRIPTORS)}


def place(first: str, last: str | None = None) -> slice:
    """Return where the columns from one name to another are, or one alone."""
    return slice(_PLACES[first], _PLACES[last or first] + 1)


def find_places(cycles: bool) -> list[int]:
    """Return where the descriptors are, with or without those that cycles of the voice tell."""
    left_out = () if cycles else _OF_CYCLES
    return [number for name, number in _PLACES.items() if name not in left_out]
