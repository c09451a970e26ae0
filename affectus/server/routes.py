"""The routes: recordings to answers, models, health, counts, and the pages."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from affectus.notice import find_acceptance
from affectus.server.counters import Counters
from affectus.server.forms import read_form
from affectus.server.gate import busy
from affectus.server.messages import Predict
from affectus.server.pool import Pool
from affectus.server.replies import RequestError, error_reply
from affectus.server.settings import Settings

_OPTIONS = {"model", "window", "hop", "labels", "name"}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_MAX_MODELS = 2  # side by side


class Service:
    """The routes over a pool."""

    def __init__(self, settings: Settings, pool: Pool, counters: Counters) -> None:
        self.settings, self.pool, self.counters = settings, pool, counters
        self._accepted = find_acceptance()

    # --- recordings ----------------------------------------------------------------------------

    async def predict(self, request: Request) -> Response:
        """Answer one recording (the body), or several (a multipart form)."""
        began = time.perf_counter()
        options = read_options(request, _OPTIONS)
        models = self._chosen(options.get("model", []))
        window, hop = _number(options, "window"), _number(options, "hop")
        labels = options.get("labels", [None])[0]
        content_type = request.headers.get("content-type", "")
        body = await request.body()
        if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
            recordings = read_form(content_type, body)
        else:
            recordings = [(options.get("name", ["recording"])[0][:255], body)]
        if self.pool.full:
            raise busy(self.pool)
        answers = await asyncio.gather(
            *(
                self.pool.predict(
                    lambda number, model=model, name=name: Predict(  # type: ignore[misc]
                        number, model, name, window, hop, labels
                    ),
                    data,
                )
                for name, data in recordings
                for model in models
            ),
            return_exceptions=True,
        )
        self.counters.took(time.perf_counter() - began)
        return _reply(answers, [name for name, _ in recordings for _ in models], self._accepted)

    def _chosen(self, names: Sequence[str]) -> list[str]:
        """Return the models that were asked for; the first there is where none was."""
        known = list(self.settings.models)
        for name in names:
            if name not in known:
                raise RequestError(
                    "options", f"no model '{name}'; known models: {', '.join(known)}."
                )
        if len(names) > _MAX_MODELS:
            raise RequestError("options", f"{len(names)} models; expected at most {_MAX_MODELS}.")
        return list(dict.fromkeys(names)) or known[:1]

    # --- models --------------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        """List the models, as their folders describe them."""
        found = [{"id": name, **self.pool.models.get(name, {})} for name in self.settings.models]
        return to_json({"models": found, "runs": self.settings.runs_dir is not None})

    async def card(self, request: Request) -> Response:
        """Return a model's card, in Markdown."""
        folder = self.settings.models.get(request.path_params["name"])
        if folder is None:
            raise RequestError("not-found", "no such model; /v1/models lists them.")
        text = (folder / "MODEL_CARD.md").read_bytes()
        return Response(text, media_type="text/markdown; charset=utf-8")

    # --- the service itself --------------------------------------------------------------------

    async def live(self, request: Request) -> Response:
        """Tell that the process answers."""
        return to_json({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Tell whether a recording would be answered."""
        if not self.pool.n_ready:
            raise RequestError("busy", "no worker is ready yet. Try again in a moment.")
        return to_json({"status": "ready", "workers": self.pool.n_ready, "held": self.pool.held})

    async def metrics(self, request: Request) -> Response:
        """Return counts for Prometheus; only where there is a token."""
        if self.settings.token is None:
            raise RequestError("not-found", "no counts without a token; start with --token.")
        gauges: dict[str, float] = {
            "workers_ready": self.pool.n_ready,
            "workers_lost": self.pool.n_lost,
            "waiting": self.pool.n_waiting,
        }
        text = self.counters.render(gauges)
        return Response(text, media_type="text/plain; version=0.0.4")


def read_options(request: HTTPConnection, known: set[str]) -> dict[str, list[str]]:
    """Return the query's values by name. Raises RequestError for a name that is not known."""
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise RequestError(
                "options", f"unknown option '{name}'; known: {', '.join(sorted(known))}."
            )
        found.setdefault(name, []).append(value)
    return found


def _number(options: dict[str, list[str]], name: str) -> float | None:
    if name not in options:
        return None
    try:
        return float(options[name][0])
    except ValueError:
        raise RequestError(
            "options", f"{name} is '{options[name][0]}'; expected a number of seconds."
        ) from None


def _reply(
    answers: Sequence[bytes | BaseException], names: Sequence[str], accepted: str | None
) -> Response:
    """Return what `affectus predict --json` prints; one recording's refusal is the reply's."""
    found: list[msgspec.Raw] = []
    failed: list[dict[str, str]] = []
    for answer, name in zip(answers, names, strict=True):
        if isinstance(answer, bytes):
            found.append(msgspec.Raw(answer))
        elif isinstance(answer, RequestError) and (len(answers) > 1 and answer.code != "options"):
            failed.append({"file": name, "code": answer.code, "error": answer.text})
        else:
            assert isinstance(answer, BaseException)
            raise answer
    return to_json({"predictions": found, "failed": failed, "use_accepted_on": accepted})


def to_json(value: object) -> Response:
    """Return a reply of indented JSON, as the command prints it."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    headers = {"cache-control": "no-store"}
    return Response(text, media_type="application/json", headers=headers)


# --- pages -------------------------------------------------------------------------------------


def page_routes() -> list[BaseRoute]:
    """Return a route for each file of the pages, read once: no request names a path on disk."""
    folder = files("affectus").joinpath("web")
    routes: list[BaseRoute] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        kind = _TYPES.get(Path(entry.name).suffix)
        if kind is None:
            continue
        content = entry.read_bytes()
        address = f"/web/{entry.name}"
        if kind.startswith("text/html"):
            address = "/" if entry.name == "index.html" else f"/{Path(entry.name).stem}"
        routes.append(Route(address, _page(content, kind), methods=["GET"]))
    return routes


def _page(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = {"etag": tag, "cache-control": "no-cache", "content-type": kind}

    async def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)

    return page


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "method" if error.status_code == 405 else "not-found"
    text = "nothing is here; expected an address of docs/service.md, such as POST /v1/predict."
    if code == "method":
        text = "not with this method; expected one of docs/service.md, such as POST /v1/predict."
    return error_reply(RequestError(code, text), request.state.request_id)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error_reply(error, request.state.request_id)


def make_app(service: Service, more: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the application of all routes."""
    routes: list[BaseRoute] = [
        Route("/v1/predict", service.predict, methods=["POST"]),
        Route("/v1/models", service.models),
        Route("/v1/models/{name}/card", service.card),
        Route("/health/live", service.live),
        Route("/health/ready", service.ready),
        Route("/metrics", service.metrics),
        *more,
        *page_routes(),
    ]
    if service.settings.dev:
        text = files("affectus").joinpath("server", "openapi.json").read_bytes()
        routes.append(Route("/openapi.json", _page(text, "application/json")))
    return Starlette(
        routes=routes,
        exception_handlers={404: _not_there, 405: _not_there, RequestError: _refused},
    )
