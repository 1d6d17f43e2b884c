"""The command line's end of the HTTP API: finds the daemon by its file, speaks with a token of its token file."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from orchestrator.daemon.config import LoadedDaemon
from orchestrator.daemon.http.tokens import OPERATOR, token_of
from orchestrator.errors import EXIT_REFUSED, LumiflowError, in_words

PATIENCE_S = 30.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class NoDaemon(LumiflowError):  # noqa: N818 - a fact
    """Nobody answers where the daemon's file says that it listens."""


class CommandRefused(LumiflowError):  # noqa: N818 - an answer
    """The daemon has refused, and says why."""

    exit_code = EXIT_REFUSED


@dataclass(frozen=True)
class Client:
    """Speaks to the daemon of a file. ``name``: whose token of its token file."""

    loaded: LoadedDaemon
    name: str = OPERATOR

    @property
    def url(self) -> str:
        """Where the daemon listens."""
        http = self.loaded.config.http
        return f"{'http' if http.tls is None else 'https'}://{http.host}:{http.port}"

    def state(self) -> dict[str, Any]:
        """The daemon as `orchestrator.daemon.facade.DaemonState` says it."""
        return self._ask("GET", "/api/state")

    def command(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for something; the outcome. Raises CommandRefused when it is refused."""
        outcome = self._ask("POST", "/api/commands", dict(command))
        if not outcome["accepted"]:
            raise CommandRefused(outcome["detail"])
        return outcome

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request; its answer. Raises NoDaemon, CommandRefused, and ServerRefused for a token that is not there."""
        token_file = self.loaded.beside(self.loaded.config.http.token_file)
        if not token_file.is_file():
            raise NoDaemon(f"{token_file} does not exist: the daemon of {self.loaded.path} has never run here")
        headers = {"Authorization": f"Bearer {token_of(token_file, self.name)}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.connect()
            self._recognise(connection)
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise NoDaemon(f"no daemon answers at {self.url}: {error}; start it with: lumiflow serve FILE") from error
        finally:
            connection.close()
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise CommandRefused(f"{self.url}{path}: {status}, and no JSON: {text[:200]!r}")
        if status >= 400 and "accepted" not in said:
            raise CommandRefused(f"{said['error'].get('message', text) if 'error' in said else text} ({status})")
        return said

    def _connection(self) -> HTTPConnection:
        http = self.loaded.config.http
        host = _EVERYWHERE.get(http.host, http.host)
        if http.tls is None:
            return HTTPConnection(host, http.port, timeout=PATIENCE_S)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is known by `_recognise`
        return HTTPSConnection(host, http.port, timeout=PATIENCE_S, context=context)

    def _recognise(self, connection: HTTPConnection) -> None:
        """That it is the daemon of this file that answers, by the very certificate that the file names.

        Its names are for those who come from elsewhere, and who has signed it need not be known here. Raises
        CommandRefused; then nothing has been sent, no token either.
        """
        tls = self.loaded.config.http.tls
        if tls is None:
            return
        path = self.loaded.beside(tls.certificate)
        try:
            expected = ssl.PEM_cert_to_DER_cert(_first_certificate(path.read_text("ascii")))
        except (OSError, ValueError) as error:
            raise CommandRefused(f"http: certificate {path} cannot be used: {in_words(error)}") from error
        if not isinstance(connection.sock, ssl.SSLSocket) or connection.sock.getpeercert(binary_form=True) != expected:
            raise CommandRefused(f"who answers at {self.url} does not show the certificate {path}; nothing was sent")


def _first_certificate(text: str) -> str:
    """The server's own of a PEM file. Raises ValueError."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, found, rest = text.partition(begin)
    body, closed, _ = rest.partition(end)
    if not (found and closed):
        raise ValueError("it holds no certificate in PEM")
    return f"{begin}{body}{end}\n"


def client_of(path: Path, name: str = OPERATOR) -> Client:
    """The client for a daemon's file. Raises ConfigError."""
    from orchestrator.daemon.config import load_daemon

    return Client(load_daemon(path), name)


def words_of(state: Mapping[str, Any]) -> str:
    """The daemon's state for a person."""
    lines = [f"daemon {state['boot_id']}, up since {state['started_utc']}, Lumiflow {state['version']}"]
    for name, rig in state["rigs"].items():
        doing = f"{rig['state']}" + (f" ({rig['detail']})" if rig["detail"] else "")
        lines.append(f"{name} ({rig['mode']}): {doing}")
        if rig["trip"] is not None:
            trip = rig["trip"]
            lines.append(
                f"  INTERLOCK {trip['interlock']} on {trip['device']}: {trip['value']} {trip['unit']}, {trip['utc']};"
                " look at the rig, then: lumiflow clear"
            )
        if rig["job"] is not None:
            best = "" if rig["best_error_mev"] is None else f", best {rig['best_error_mev']:+.2f} meV off"
            lines.append(f"  {rig['job']}: {rig['told']} experiments{best}")
        if rig["experiment"] is not None:
            recipe = ", ".join(f"{key} {value:.4g}" for key, value in rig["experiment"]["recipe"].items())
            lines.append(f"  experiment {rig['experiment']['n']} ({rig['experiment']['stage']}): {recipe}")
        lines += [
            f"  {job['place']}. {job['job']}, submitted {job['submitted_utc']} by {job['by']}" for job in rig["queue"]
        ]
        low = [
            f"{pump} {syringe['left_ul'] / 1000:.1f} mL"
            for pump, syringe in rig["syringes"].items()
            if syringe["left_ul"] is not None and syringe["left_ul"] < 0.2 * syringe["volume_ul"]
        ]
        if low:
            lines.append(f"  running low: {', '.join(low)}")
    return "\n".join(lines)
