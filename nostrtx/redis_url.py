# -*- test-case-name: tests.test_redis_url -*-
"""
Where a Redis server is and how to log in there, as a URL says it.

No error repeats what it was given: a URL may hold a password.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379

_MOST_DATABASE: Final = 2**31 - 1

#: Options of a URL with TLS, and the attributes that hold them.
_FILES: Final = ("ca_file", "cert_file", "key_file")


class RedisURLError(ValueError):
    """A text says not where a Redis server is; the error tells why, not the text."""


@attrs.frozen
class RedisAddress:
    """
    Where a Redis server is, and how to log in there.

    Attributes:
        host: Its name or address; empty if it is at a UNIX socket.
        port: Its port.
        path: Its UNIX socket; empty if it is at a host.
        user: The user to log in as; empty for the default one.
        password: The password to log in with; empty to do without.
        database: The number of the database.
        tls: Whether to speak TLS, with a server whose certificate is good.
        ca_file: Certificates to trust, PEM; empty for those the system trusts.
        cert_file: Our own certificate, PEM; empty to show none.
        key_file: Its key, PEM; empty if that is in ``cert_file`` too.
    """

    host: str = ""
    port: int = _PORT
    path: str = ""
    user: str = ""
    password: str = attrs.field(default="", repr=False)
    database: int = 0
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def __str__(self) -> str:
        """The address as a log may tell it: without user and password."""
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}"


def _database(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= _MOST_DATABASE:
        return int(text)
    raise RedisURLError("must have a number for the database")


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        # The error may quote a password that should have been percent-encoded.
        raise RedisURLError(
            "is no URL; in a password, write @ : / ? # and % as %40 %3A %2F %3F %23 %25"
        ) from None


def _options(parts: SplitResult, known: tuple[str, ...]) -> dict[str, str]:
    options = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known or name in options:
            raise RedisURLError(
                f"may have these options, each once: {', '.join(known)}"
            )
        options[name] = value
    return options


def parse_redis_url(url: str) -> RedisAddress:
    """
    Where ``redis://user:password@host:port/database`` is.

    Also ``rediss://`` with TLS and the options ``ca_file``, ``cert_file`` and
    ``key_file``, and ``unix://user:password@/path?db=database``. User, password, port
    and database may be left out.

    Raises:
        RedisURLError: It is no such URL.
    """
    parts, port = _split(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise RedisURLError("must begin with redis://, rediss:// or unix://")
    if parts.fragment:
        raise RedisURLError("must have # written as %23")
    if parts.username and not parts.password:
        raise RedisURLError("has a user but no password; write :password@ without user")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            raise RedisURLError("must be unix:// and a path that begins with /")
        options = _options(parts, ("db",))
        return RedisAddress(
            path=unquote(parts.path),
            user=user,
            password=password,
            database=_database(options.get("db", "0")),
        )
    if not parts.hostname:
        raise RedisURLError("must name a host")
    tls = parts.scheme == "rediss"
    options = _options(parts, ("db", *_FILES) if tls else ("db",))
    database = options.pop("db", "")
    if database and parts.path.strip("/"):
        raise RedisURLError("must not name a database twice")
    if options.get("key_file") and not options.get("cert_file"):
        raise RedisURLError("has a key_file but no cert_file")
    return RedisAddress(
        host=parts.hostname,
        port=_PORT if port is None else port,
        user=user,
        password=password,
        database=_database(database or parts.path.strip("/") or "0"),
        tls=tls,
        **options,
    )


def parse_sentinel(text: str) -> RedisAddress:
    """
    Where a Sentinel is: ``host:port``, or a URL if it wants TLS or a password.

    Raises:
        RedisURLError: It is neither.
    """
    url = text if "://" in text else f"redis://{text}"
    parts, port = _split(url)
    if parts.scheme not in ("redis", "rediss") or parts.path.strip("/"):
        raise RedisURLError('must be "host:port", or a redis:// or rediss:// URL')
    address = parse_redis_url(url)
    return attrs.evolve(address, port=_SENTINEL_PORT if port is None else port)
