"""The service: a recording over HTTP, a microphone over a WebSocket, and the pages for both.

    connection   deadlines and caps of one connection
    gate         who may ask, decided before the body is read
    routes       recordings, models, health, counts, pages
    streams      live audio
    pool         the child processes and what waits for them
    child        in a process of its own: decode, answer
    confinement  what that process gives up first

Nothing that is uploaded is kept, or written to disk; nothing of it or its name is logged. `serve`
starts it all.
"""
