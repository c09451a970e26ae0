"""Speech encoders: networks that others trained on thousands of hours, and what is known of them.

Weights are the user's; nothing is downloaded. `find_encoder` reads sizes and hashes without torch;
`affectus.encoders.loading` makes the network, `affectus.encoders.computing` runs it.
"""

from __future__ import annotations

from affectus.encoders.weights import ARCHITECTURES, SAMPLE_RATE, EncoderFiles, find_encoder

__all__ = ["ARCHITECTURES", "SAMPLE_RATE", "EncoderFiles", "find_encoder"]
