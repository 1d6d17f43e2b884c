"""The parts of the daemon's file that say whom it tells, and how they are reached. Secrets stand in files of their own.

A secret is the content of a file beside the daemon's (without its last line break), or an environment variable:
``password_file: mqtt.password`` or ``password_file: $MQTT_PASSWORD``. It reaches no journal, log or error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from orchestrator import units
from orchestrator.config.quantities import Line, Quantity, Section
from orchestrator.errors import EXIT_REFUSED, LumiflowError

Occasion = Literal["finish", "trip", "reagent_low", "waiting"]
Seconds = Annotated[float, Quantity(units.TIME, ge=1.0, le=7 * 86_400.0)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class SecretMissing(LumiflowError):  # noqa: N818 - what is the case
    """A secret that the daemon's file names cannot be read."""

    exit_code = EXIT_REFUSED


def _unsound(words: str) -> PydanticCustomError:
    return PydanticCustomError("unsound", "{message}", {"message": words, "allowed": "", "suggestion": ""})


def _embedded(value: object) -> object:
    if value == "embedded":
        return {"embedded": True}
    if isinstance(value, str):
        raise _unsound("the word embedded, or a section with keys of its own, is wanted here")
    return value


_TOPIC = Field(
    pattern=r"^[^#+/\s][^#+\s]*[^#+/\s]$",
    description="two characters or more without space, + and #, and no / at its ends",
)
_URL = Field(pattern=r"^https?://[^\s/]+", description="an address that begins with http:// or https://")
Address = Annotated[Line, Field(pattern=r"^[^@\s]+@[^@\s]+$", description="a mail address")]


class MqttConfig(Section):
    """A broker. ``embedded``: the daemon brings its own, on loopback. ``topic``: what all topics begin with.

    ``commands``: whether commands are taken from TOPIC/command; that wants a broker that asks for a name.
    ``home_assistant``: announce every reading under homeassistant/.
    """

    embedded: bool = False
    host: Line = "127.0.0.1"
    port: Port = 1883
    username: Line | None = None
    password_file: Line | None = None
    tls: bool = False
    ca_file: Line | None = None
    topic: Annotated[Line, _TOPIC] = "lumiflow"
    commands: bool = False
    home_assistant: bool = False

    @model_validator(mode="after")
    def _sound(self) -> MqttConfig:
        if self.commands and self.username is None:
            raise _unsound("commands over MQTT need a broker that asks for a name: give username and password_file")
        if self.password_file is not None and self.username is None:
            raise _unsound("a password without a name is sent to nobody: give username too")
        if self.ca_file is not None and not self.tls:
            raise _unsound("ca_file is looked at with tls: true only; without, all is sent in the clear")
        if self.embedded and (self.username is not None or self.tls or self.host != "127.0.0.1"):
            raise _unsound("the embedded broker listens on loopback, for everybody: it knows no names, hosts or TLS")
        return self


Mqtt = Annotated[MqttConfig, BeforeValidator(_embedded)]
"""``mqtt: embedded``, or a section."""


class WebhookConfig(Section):
    """An address that takes a POST of JSON. ``token_file``: sent as ``Authorization: Bearer ...``."""

    url: Annotated[Line, _URL]
    token_file: Line | None = None


class EmailConfig(Section):
    """A mail server, and who gets mail. ``security``: how the connection is kept private."""

    host: Line
    port: Port = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Line | None = None
    password_file: Line | None = None
    sender: Address
    to: Annotated[tuple[Address, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _sound(self) -> EmailConfig:
        if self.password_file is not None and self.security == "none":
            raise _unsound("a password over a connection that everybody can read: use starttls or tls")
        if (self.password_file is None) != (self.username is None):
            raise _unsound("username and password_file are one thing to a mail server: give both or neither")
        return self


class NotifyConfig(Section):
    """Whom to tell of what. ``reagent_low``: the share left of a syringe at which it counts as low.

    ``waiting``: a rig that has waited for a person so long is told of. ``mqtt``: under TOPIC/notifications.
    """

    on: tuple[Occasion, ...] = ("finish", "trip", "reagent_low", "waiting")
    reagent_low: Annotated[float, Quantity(units.FRACTION, gt=0.0, lt=1.0)] = 0.1
    waiting_s: Seconds = 1800.0
    webhooks: tuple[WebhookConfig, ...] = ()
    emails: tuple[EmailConfig, ...] = ()
    mqtt: bool = False


def secret(name: str, beside: Path) -> str:
    """The secret in a file, or in a variable of the environment for ``$NAME``. Raises SecretMissing."""
    if name.startswith("$"):
        value = os.environ.get(name[1:])
        if value is None:
            raise SecretMissing(f"the environment has no variable {name[1:]}")
        return value
    path = beside / name
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise SecretMissing(f"{path} cannot be read: {type(error).__name__}") from error


def exposed(path: Path) -> bool:
    """Whether others on this machine can read a file that holds a secret."""
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def secret_files(config: Any) -> tuple[str, ...]:
    """The names of all secret files in a section, for checks."""
    found: list[str] = []
    if isinstance(config, Section):
        for name in type(config).model_fields:
            value = getattr(config, name)
            if name in ("password_file", "token_file") and isinstance(value, str):
                found.append(value)
            found += secret_files(value)
    elif isinstance(config, tuple):
        for item in config:
            found += secret_files(item)
    return tuple(found)
