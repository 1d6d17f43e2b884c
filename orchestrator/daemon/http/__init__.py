"""The daemon's HTTP interface: commands, state, runs and a stream of what happens, for whoever has a token.

FastAPI and uvicorn are imported when the first server is made, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.daemon.http.binding import ServerRefused
from orchestrator.daemon.http.tokens import Token, TokenBook, load_tokens, token_of

if TYPE_CHECKING:
    from orchestrator.daemon.config import LoadedDaemon
    from orchestrator.daemon.facade import Conductor
    from orchestrator.daemon.http.server import HttpServer

__all__ = ["ServerRefused", "Token", "TokenBook", "load_tokens", "prepare_http", "serve_http", "token_of"]


async def serve_http(conductor: Conductor, loaded: LoadedDaemon) -> HttpServer:
    """Listen as a daemon file says, in the running loop; the server answers when this returns.

    Raises ServerRefused as `prepare_http`.
    """
    server = prepare_http(conductor, loaded)
    await server.start()
    return server


def prepare_http(conductor: Conductor, loaded: LoadedDaemon) -> HttpServer:
    """The server that a daemon file asks for, its address taken; who connects is answered once it has been started.

    Raises ServerRefused where the token file is exposed, the address is taken, or others could listen in.
    """
    from orchestrator.daemon.http.server import HttpServer

    config = loaded.config.http
    tokens = load_tokens(loaded.beside(config.token_file))
    certificate = None if config.tls is None else loaded.beside(config.tls.certificate)
    key = None if config.tls is None else loaded.beside(config.tls.key)
    server = HttpServer(conductor, config, tokens, loaded.rig_texts, certificate=certificate, key=key)
    server.listen()
    return server
