"""The service does what its OpenAPI description says, whatever is sent: never a 5xx."""

import json

import pytest

from affectus.server.openapi import FILE, render_description

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

DESCRIPTION = schemathesis.openapi.from_dict(json.loads(FILE.read_text("utf-8")))
OPERATIONS = [found.ok() for found in DESCRIPTION.get_all_operations()]


def test_the_file_that_ships_is_what_the_code_says():
    assert FILE.read_text("utf-8") == render_description()


@pytest.mark.filterwarnings("ignore")  # of libraries below, not of the service
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda found: f"{found.method} {found.path}")
def test_whatever_is_sent_the_service_answers_as_described(service, operation):
    address = f"http://{service.host}:{service.port}"

    @settings(
        max_examples=60 if operation.method == "post" else 15,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy() | operation.as_strategy(GenerationMode.NEGATIVE))
    def send(case):
        case.call_and_validate(
            base_url=address,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    send()
