"""The service described for machines: OpenAPI 3.1, from the same types that are sent.

`python -m affectus.server.openapi` writes the file that ships; a test holds it to the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

import affectus
from affectus.predictor import Prediction
from affectus.server.forms import MAX_FILES
from affectus.server.replies import ErrorReply

FILE = Path(__file__).parent / "openapi.json"

_WORDS = {
    400: "The request or the recording cannot be used.",
    401: "No token, or a wrong one.",
    403: "A page of another site asked.",
    404: "Nothing of that name.",
    413: "Too large, too long, or more than that once decoded.",
    415: "Not a recording, or a body that was compressed.",
    421: "A host name that is not this service's.",
    422: "Decoding it crashed or took too long.",
    429: "Too many requests; see Retry-After.",
    503: "Too busy at the moment; see Retry-After.",
}


class Failure(msgspec.Struct, frozen=True):
    """A recording among several that has no answer."""

    file: str
    code: str
    error: str


class Answers(msgspec.Struct, frozen=True):
    """What `affectus predict --json` prints: each recording is in one of the two lists.

    `use_accepted_on`: when whoever runs the service accepted the notice on use, if they did.
    """

    predictions: list[Prediction]
    failed: list[Failure]
    use_accepted_on: str | None


def describe_service() -> dict[str, Any]:
    """Return the description."""
    _, schemas = msgspec.json.schema_components(
        [Answers, ErrorReply], ref_template="#/components/schemas/{name}"
    )
    seconds = {"type": "number", "minimum": 0.01, "maximum": 600}
    name = {"type": "string", "maxLength": 100}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Affectus",
            "version": affectus.__version__,
            "description": "Recordings in, expressed emotion out. An answer is a statistical guess "
            "about a voice; it is not a person's feelings and not for decisions about people.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {
            "/v1/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Answer a recording, or several",
                    "parameters": [
                        _query("model", {"type": "array", "maxItems": 2, "items": name},
                               "A model of /v1/models; two are compared."),
                        _query("window", seconds, "Seconds of each stretch."),
                        _query("hop", seconds, "Seconds from one stretch to the next."),
                        _query("labels", {"enum": ["four", "six", "seven", "eight"]},
                               "Answer within these labels."),
                        _query("name", name, "What to call the recording that is the body."),
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/octet-stream": {
                                "schema": {"type": "string", "format": "binary"}
                            },
                            "multipart/form-data": {"schema": _form()},
                        },
                    },
                    "responses": _responses(
                        _json("Answers"), 400, 401, 403, 413, 415, 421, 422, 429, 503
                    ),
                }
            },
            "/v1/models": {"get": _get("models", "List the models", _json())},
            "/v1/models/{name}/card": {
                "get": {
                    **_get("card", "A model's card", {"text/markdown": {}}, 404),
                    "parameters": [{"name": "name", "in": "path", "required": True,
                                    "schema": {"type": "string", "minLength": 1}}],
                }
            },
            "/health/live": {"get": _get("live", "Whether the process answers", _json())},
            "/health/ready": {"get": _get("ready", "Whether recordings are taken", _json(), 503)},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }  # fmt: skip


def _query(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _form() -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": binary, "minItems": 1, "maxItems": MAX_FILES}
    return {"type": "object", "properties": {"file": files}, "required": ["file"]}


def _json(name: str | None = None) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"} if name else {"type": "object"}
    return {"application/json": {"schema": schema}}


def _get(operation: str, summary: str, content: dict[str, Any], *errors: int) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": _responses(content, 400, 401, 403, 421, 429, *errors),
    }


def _responses(content: dict[str, Any], *errors: int) -> dict[str, Any]:
    refused = {str(code): {"description": _WORDS[code], "content": _json("ErrorReply")}
               for code in sorted(set(errors))}  # fmt: skip
    return {"200": {"description": "An answer.", "content": content}, **refused}


def render_description() -> str:
    """Return the file's text."""
    return json.dumps(describe_service(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(render_description(), "utf-8")
