"""What a user reads when something is refused."""

import pytest


def message(kind, call):
    """The one line of the error of this kind that `call()` raises."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text
