"""The store through long histories: the machine of tests/test_store_history.py, at length."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.test_store_history import History


def torture_history(folder: Path, n_histories: int = 500, n_steps: int = 60) -> dict[str, object]:
    """Return how many histories were lived through, and the first fault, made short."""
    lived = 0

    class Counted(History):
        def teardown(self) -> None:
            nonlocal lived
            lived += 1
            super().teardown()

    faults = []
    try:
        run_state_machine_as_test(
            Counted,
            settings=settings(
                max_examples=n_histories,
                stateful_step_count=n_steps,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except Exception as error:  # noqa: BLE001 - whatever the store raised
        faults.append("\n".join([repr(error), *getattr(error, "__notes__", [])]))
    return {"histories": lived, "steps at most": n_steps, "faults": faults}
