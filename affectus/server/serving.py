"""Start everything, serve, and stop in good order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import time
from collections.abc import Generator
from typing import Any

from affectus.errors import ConfigError
from affectus.memory import release_freed_memory
from affectus.server.pool import Pool
from affectus.server.settings import Settings, check_settings

_DRAIN_SECONDS = 10
_IDLE_SECONDS = 30
_WAITING_PER_CHILD = 16
_MAX_FILES = 8_192  # open at a time: each client is one
_COLLECT_SECONDS, _COLLECT_SHARE = 10, 0.001  # between two looks; of all time, at most


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what was taken in by then is still answered.

    Raises ConfigError for settings that are unsafe, or a port that is taken.
    """
    asyncio.run(_serve(check_settings(settings)))


async def _serve(settings: Settings) -> None:
    with contextlib.closing(_listen(settings)) as listening:
        _raise_file_limit()
        pool = Pool(
            {name: str(folder.absolute()) for name, folder in settings.models.items()},
            n_children=settings.n_children,
            max_waiting=settings.max_waiting or _WAITING_PER_CHILD * settings.n_children,
            max_seconds=settings.max_seconds,
            memory_bytes=settings.memory_bytes,
        )
        pool.start()
        await asyncio.sleep(0)  # the children begin to load while we do
        try:
            await _serve_with(settings, pool, listening)
        finally:
            await pool.close()


async def _serve_with(settings: Settings, pool: Pool, listening: socket.socket) -> None:
    import uvicorn  # here, since it takes as long as the children take to load
    from starlette.routing import BaseRoute

    from affectus.server.connection import Connection
    from affectus.server.counters import Counters
    from affectus.server.frames import FrameSocket
    from affectus.server.gate import Gate, report
    from affectus.server.routes import Service, make_app
    from affectus.server.streams import Streams, stream_route

    class Server(uvicorn.Server):
        """uvicorn's, whose signals are ours."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    counters = Counters()
    more: list[BaseRoute] = [stream_route(Streams(settings, pool, counters))]
    if settings.runs_dir is not None:
        from affectus.server.runs import run_routes

        more += run_routes(settings.runs_dir)
    app = make_app(Service(settings, pool, counters), more)
    gate = Gate(app, settings, pool, counters)
    config = uvicorn.Config(
        gate,
        http=Connection,
        ws=FrameSocket,
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        loop="asyncio",
    )
    server = Server(config)

    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not gate.draining:
            loop.call_later(_DRAIN_SECONDS - 1, pool.give_up)
            loop.call_later(_DRAIN_SECONDS + 1, _abort_all, server)
        gate.draining = True
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    watching = [loop.create_task(_watch(server, gate)), loop.create_task(collect_ended())]
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    report(f"http://{shown}:{port} (Ctrl-C stops it)")
    try:
        await server.serve(sockets=[listening])
    finally:
        for task in watching:
            task.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _watch(server: Any, gate: Any) -> None:
    """Look at every connection's deadlines."""
    from affectus.server.connection import Connection

    while True:
        await asyncio.sleep(1.0)
        now = time.monotonic()
        for connection in list(server.server_state.connections):
            if isinstance(connection, Connection):
                connection.check(now, stopping=gate.draining)


async def collect_ended() -> None:
    """Free what ended connections leave: cycles, 12 KB for each live stream.

    Python's own collector looks at what is older than some seconds once 70,000 more objects have
    come than gone: 8 MB of streams. What is there now is never looked at again, so a look is short;
    with 400 streams open it takes 30 ms. What a crowd of waiting recordings took goes back to the
    system, too.
    """
    gc.freeze()
    pause: float = _COLLECT_SECONDS
    try:
        while True:
            await asyncio.sleep(pause)
            began = time.perf_counter()
            gc.collect()
            release_freed_memory()
            took = time.perf_counter() - began
            pause = max(_COLLECT_SECONDS, took / _COLLECT_SHARE)
    finally:
        gc.unfreeze()


def _abort_all(server: Any) -> None:
    """End what is open still: clients that do not read, or that sent half a request."""
    for connection in list(server.server_state.connections):
        if connection.transport is not None:
            connection.transport.abort()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, since asyncio sends small packets at once over what it knows to be TCP alone: a reply's
    # body waited 40 ms for the client to acknowledge its head.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host.strip("[]"), settings.port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"serve: {settings.host} port {settings.port}: {error.strerror or error}; expected a "
            f"free port of this machine. Choose another with --port."
        ) from None
    listening.listen(1024)
    return listening


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(_MAX_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
