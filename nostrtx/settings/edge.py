# -*- test-case-name: tests.settings.test_file -*-
"""Where clients connect, how messages travel, and what an operator sees."""

from __future__ import annotations

import attrs

from nostrtx.settings.checks import at_least, not_empty, one_of, origins, proxies


@attrs.frozen
class ListenSettings:
    """
    ``[listen]``: where clients connect.

    Attributes:
        endpoints: Twisted endpoint descriptions.
        trusted_proxies: HTTP proxies whose word on where a client comes from counts:
            addresses, networks, ``unix`` for whoever connects to a UNIX socket.
        client_header: The header that they say it with: ``x-forwarded-for`` or
            ``forwarded`` (RFC 7239).
        takeover: A UNIX socket at which the next relay process gets these ports; empty
            if there is none.
    """

    endpoints: tuple[str, ...] = attrs.field(
        default=("tcp:7447:interface=127.0.0.1",), validator=not_empty
    )
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), validator=proxies)
    client_header: str = attrs.field(
        default="x-forwarded-for", validator=one_of("x-forwarded-for", "forwarded")
    )
    takeover: str = ""


@attrs.frozen
class WebSocketSettings:
    """
    ``[websocket]``: how messages travel.

    Attributes:
        compression: Whether a client that offers permessage-deflate may send
            compressed messages, and gets live events compressed.
        allowed_origins: Where web pages that connect may come from; none for
            anywhere. Who is no web page has no origin, and may connect.
    """

    compression: bool = True
    allowed_origins: tuple[str, ...] = attrs.field(default=(), validator=origins)


@attrs.frozen
class AdminSettings:
    """
    ``[admin]``: metrics and health, on ports of their own.

    Attributes:
        endpoints: Twisted endpoint descriptions; none if there are none. Whoever can
            connect there may read all of it, so name a private address.
    """

    endpoints: tuple[str, ...] = ()


@attrs.frozen
class LogSettings:
    """
    ``[log]``: what is written to twistd's log besides changes of state and faults.

    Attributes:
        format: ``text``, or ``json`` for a JSON object on each line.
        connections: Whether every connection that ends gets a line: how long it
            lasted, what went in and out, why it ended.
        addresses: How that line names the client's address: ``none``, ``plain``, or
            ``hashed`` with a key that is forgotten every day.
        slow_query_seconds: A query for which the store works so long gets a line, at
            most one a second: the shape of its filters, and no values. 0 for none.
    """

    format: str = attrs.field(default="text", validator=one_of("text", "json"))
    connections: bool = False
    addresses: str = attrs.field(
        default="none", validator=one_of("none", "hashed", "plain")
    )
    slow_query_seconds: float = attrs.field(default=1.0, validator=at_least(0))
