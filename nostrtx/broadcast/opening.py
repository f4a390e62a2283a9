# -*- test-case-name: tests.broadcast.test_opening -*-
"""The broadcaster that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nostrtx.broadcast.cluster_secret import SECRET_VARIABLE, load_secrets
from nostrtx.broadcast.envelope import INSTANCE_BYTES
from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.interfaces.processes import BroadcasterUnusable, IBroadcaster
from nostrtx.redis_url import parse_redis_url, parse_sentinel
from nostrtx.settings.storing import ClusterSettings


def open_broadcaster(
    settings: ClusterSettings,
    name: str,
    shares_store: bool,
    facts: Mapping[str, str],
    reactor: Any,
    random_bytes: Callable[[int], bytes],
    environment: Mapping[str, str],
    on_refused: Callable[[BroadcasterUnusable], None],
) -> IBroadcaster:
    """
    A broadcaster that uses Redis if ``cluster.redis`` is set; else nobody is told.

    To be called in the process that will use it: no two may have been made from the
    same random bytes.

    Args:
        settings: The table ``[cluster]``.
        name: What this process is called; unique among all that use one channel.
        shares_store: Whether all processes of the relay read one embedded store.
        facts: What all must agree in, each with its name: the store, the schema.
        reactor: For connections and time.
        random_bytes: Tells this start of the process from all others.
        environment: Where the secrets may stand instead of in a file.
        on_refused: Called if this process may not join the others, when that comes
            out after it was started: it should end.

    Raises:
        ConfigError: The secret or a certificate cannot be used.
    """
    if not settings.redis:
        return LocalBroadcaster(name)
    secrets = load_secrets(settings.secret_file, environment.get(SECRET_VARIABLE, ""))
    # Only here, for it brings libraries that a relay of one process does without.
    from nostrtx.broadcast.redis import RedisBroadcaster
    from nostrtx.broadcast.sentinel import Sentinels
    from nostrtx.broadcast.servers import FixedServer, Found, Servers, endpoint_of

    address = parse_redis_url(settings.redis)
    endpoint = endpoint_of(address, reactor)
    servers: Servers = FixedServer(Found(endpoint, str(address)))
    if settings.sentinels:
        sentinels = [parse_sentinel(each) for each in settings.sentinels]
        for each in sentinels:
            endpoint_of(each, reactor)
        servers = Sentinels(
            sentinels,
            settings.sentinel_service,
            address,
            lambda address: endpoint_of(address, reactor),
            reactor,
        )
    return RedisBroadcaster(
        name,
        shares_store,
        servers,
        address,
        settings.channel,
        secrets,
        facts,
        random_bytes(INSTANCE_BYTES),
        reactor,
        random_bytes,
        on_refused,
    )
