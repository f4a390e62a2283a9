# -*- test-case-name: tests.test_config -*-
"""
Settings: one TOML file, read once into a tree of frozen values.

Every setting has a default, so an empty file (or none) is a working relay on the
loopback interface. Units stand in the names. The limits that the information
document announces (NIP-11) are the very fields that are enforced.

No other module reads the environment or a settings file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import cattrs
from attrs import validators
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError


class ConfigError(Exception):
    """The settings cannot be used; the text says which, and why."""


def _at_least(least: float) -> Any:
    return validators.ge(least)


@attrs.frozen
class RelaySettings:
    """
    ``[relay]``: what the relay says of itself (NIP-11). Empty means unsaid.

    Attributes:
        url: The URL clients use, when it is not the one the relay listens on.
        name: Shorter than 30 characters.
        description: Any length.
        contact: A URI, such as ``mailto:operator@example.com``.
        pubkey: The operator's public key, 64 hexadecimal digits.
        icon: URL of a square picture.
        banner: URL of a wide picture.
        terms_of_service: URL of the terms.
    """

    url: str = ""
    name: str = "nostrtx"
    description: str = ""
    contact: str = ""
    pubkey: str = attrs.field(
        default="", validator=validators.matches_re(r"([0-9a-f]{64})?")
    )
    icon: str = ""
    banner: str = ""
    terms_of_service: str = ""


@attrs.frozen
class ListenSettings:
    """
    ``[listen]``: where clients connect.

    Attributes:
        endpoints: Twisted endpoint descriptions.
    """

    endpoints: tuple[str, ...] = attrs.field(
        default=("tcp:7447:interface=127.0.0.1",), validator=validators.min_len(1)
    )


@attrs.frozen
class StoreSettings:
    """
    ``[store]``: where events are kept.

    Attributes:
        url: ``lmdb:PATH`` (a directory) or ``memory:`` (lost on exit).
        max_gigabytes: Most that an LMDB store may grow to; the file is only as
            large as its content.
    """

    url: str = "lmdb:data"
    max_gigabytes: int = attrs.field(default=1024, validator=_at_least(1))


@attrs.frozen
class LimitSettings:
    """
    ``[limits]``: what one client may ask for. Announced in NIP-11 where it can be.

    Attributes:
        max_message_bytes: Longest message of a client.
        max_subscriptions: Open subscriptions per connection.
        max_filters: Filters per REQ.
        max_filter_values: Values in one list of a filter.
        max_limit: Most stored events per filter; larger limits are lowered to it.
        default_limit: Stored events for a filter that states no limit.
        max_event_tags: Tags per event.
        max_content_length: Unicode characters in an event's content.
        created_at_lower_seconds: How old an event may be; 0 for any age.
        created_at_upper_seconds: How far in the future an event may be dated.
        max_connections: Connections in all; 0 for no limit.
        max_connections_per_address: Connections from one address (IPv6: one /64);
            0 for no limit. Loopback addresses are not counted: a proxy sits there.
        max_outbound_bytes: What may wait for one slow reader before it is cut off.
    """

    max_message_bytes: int = attrs.field(default=512_000, validator=_at_least(1024))
    max_subscriptions: int = attrs.field(default=200, validator=_at_least(1))
    max_filters: int = attrs.field(default=100, validator=_at_least(1))
    max_filter_values: int = attrs.field(default=5000, validator=_at_least(1))
    max_limit: int = attrs.field(default=5000, validator=_at_least(1))
    default_limit: int = attrs.field(default=500, validator=_at_least(1))
    max_event_tags: int = attrs.field(default=10_000, validator=_at_least(0))
    max_content_length: int = attrs.field(default=400_000, validator=_at_least(0))
    created_at_lower_seconds: int = attrs.field(default=0, validator=_at_least(0))
    created_at_upper_seconds: int = attrs.field(default=900, validator=_at_least(0))
    max_connections: int = attrs.field(default=0, validator=_at_least(0))
    max_connections_per_address: int = attrs.field(default=100, validator=_at_least(0))
    max_outbound_bytes: int = attrs.field(
        default=8 * 1024 * 1024, validator=_at_least(65536)
    )


@attrs.frozen
class TimingSettings:
    """
    ``[timing]``: how long things may take.

    Attributes:
        handshake_seconds: From connecting to the end of the request's head.
        ping_seconds: How often a silent client is pinged; one that stays silent
            for as long again is cut off. 0 turns pings off.
        query_slice_seconds: How long stored queries run before the relay turns to
            other clients.
        query_budget_seconds: How long all scanning for one REQ may take; after
            that it is closed with what was found.
        expiry_sweep_seconds: How often expired events are removed from the store.
        shutdown_seconds: How long stopping may wait for clients to take what is
            queued for them.
    """

    handshake_seconds: float = attrs.field(default=10.0, validator=validators.gt(0))
    ping_seconds: float = attrs.field(default=50.0, validator=_at_least(0))
    query_slice_seconds: float = attrs.field(default=0.005, validator=validators.gt(0))
    query_budget_seconds: float = attrs.field(default=2.0, validator=validators.gt(0))
    expiry_sweep_seconds: float = attrs.field(default=5.0, validator=validators.gt(0))
    shutdown_seconds: float = attrs.field(default=5.0, validator=_at_least(0))


@attrs.frozen
class IngestSettings:
    """
    ``[ingest]``: the way of an event into the store.

    Attributes:
        verifier_processes: Processes that check signatures; -1 for one per core
            but one, at least one. 0 checks them all in the relay's own process.
        max_batch_events: Most events in one transaction.
    """

    verifier_processes: int = attrs.field(default=-1, validator=_at_least(-1))
    max_batch_events: int = attrs.field(default=256, validator=_at_least(1))


@attrs.frozen
class Settings:
    """All settings, one attribute per table of the TOML file."""

    relay: RelaySettings = RelaySettings()
    listen: ListenSettings = ListenSettings()
    store: StoreSettings = StoreSettings()
    limits: LimitSettings = LimitSettings()
    timing: TimingSettings = TimingSettings()
    ingest: IngestSettings = IngestSettings()


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(kind: type) -> Any:
        def structure(value: Any, _: type) -> Any:
            if type(value) is kind:
                return value
            if kind is float and type(value) is int:
                return float(value)
            raise TypeError(f"must be of type {kind.__name__}, not {value!r}")

        return structure

    for kind in (str, int, float, bool):
        converter.register_structure_hook(kind, exactly(kind))
    return converter


_CONVERTER = _converter()


def _complaints(error: BaseException, where: str = "") -> list[str]:
    """One line for each fault that cattrs found, named as the file names it."""
    if isinstance(error, ForbiddenExtraKeysError):
        return [f"{where}unknown setting {key!r}" for key in sorted(error.extra_fields)]
    if isinstance(error, ClassValidationError):
        with_notes, without = error.group_exceptions()
        lines = [line for inner in without for line in _complaints(inner, where)]
        for inner, note in with_notes:
            deeper = isinstance(inner, ClassValidationError)
            lines += _complaints(inner, f"{where}{note.name}{'.' if deeper else ': '}")
        return lines
    return [f"{where}{error.args[0] if error.args else error}"]


def parse_settings(text: str) -> Settings:
    """
    The settings that a TOML text states; defaults for the rest.

    Raises:
        ConfigError: Not TOML, an unknown name, or a value out of range; all faults
            are listed, one a line.
    """
    try:
        return _CONVERTER.structure(tomllib.loads(text), Settings)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    except (ClassValidationError, ForbiddenExtraKeysError) as error:
        raise ConfigError("\n".join(_complaints(error))) from None


def load_settings(path: str | None) -> Settings:
    """
    The settings in the file at ``path``; the defaults if there is none to read.

    Raises:
        ConfigError: The file cannot be read or used.
    """
    if not path:
        return Settings()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        return parse_settings(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
