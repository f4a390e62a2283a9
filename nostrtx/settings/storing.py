# -*- test-case-name: tests.settings.test_file -*-
"""Where events are kept and found, and by which processes."""

from __future__ import annotations

import attrs

from nostrtx.settings.checks import (
    at_least,
    channel,
    empty_or_redis_url,
    node_name,
    positive,
    sentinels,
)


@attrs.frozen
class StoreSettings:
    """
    ``[store]``: where events are kept.

    Attributes:
        url: ``lmdb:PATH`` (a directory), ``postgresql://...`` (shared by nodes) or
            ``memory:`` (lost on exit).
        max_gigabytes: Most that an LMDB store may grow to; the file is only as
            large as its content.
        replica_url: A PostgreSQL that follows the one in ``url`` and may answer
            queries; empty for none.
        connections: Connections of each process to PostgreSQL for queries, and
            as many to its replica. Some more are for writing.
    """

    url: str = attrs.field(default="lmdb:data", repr=False)
    max_gigabytes: int = attrs.field(default=1024, validator=at_least(1, 65_536))
    replica_url: str = attrs.field(default="", repr=False)
    connections: int = attrs.field(default=4, validator=at_least(1, 1000))

    @property
    def directory(self) -> str | None:
        """Where a store on this machine lies; None for any other."""
        scheme, _, path = self.url.partition(":")
        return path if scheme == "lmdb" and path else None

    @property
    def is_shared(self) -> bool:
        """Whether nodes on several machines may use the store: it is a PostgreSQL."""
        return self.url.startswith(("postgresql://", "postgres://"))


@attrs.frozen
class SearchSettings:
    """
    ``[search]``: finding events by words (NIP-50).

    Attributes:
        enabled: Whether events are indexed for it. An LMDB store needs the extra
            ``nostrtx[search]``; without it there is no search.
    """

    enabled: bool = True


@attrs.frozen
class ClusterSettings:
    """
    ``[cluster]``: the processes that are one relay together.

    Attributes:
        workers: Processes that serve clients on this machine, over one store; 0 for
            one per core.
        node: What this machine is called among the others; empty for its host name.
        redis: Where news travels between nodes: ``redis://``, ``rediss://`` or
            ``unix://``; empty for none.
        sentinels: Hosts and ports of Redis Sentinels that know where it is, instead
            of the host in ``redis``.
        sentinel_service: What they call it.
        channel: Begins the names of all that the relay has in Redis.
        secret_file: A file with the cluster's secrets, 64 hexadecimal digits each on
            a line of its own: news is sealed with the first and accepted with any.
        poll_seconds: How often the store is asked for what news did not tell.
    """

    workers: int = attrs.field(default=1, validator=at_least(0, 256))
    node: str = attrs.field(default="", validator=node_name)
    redis: str = attrs.field(default="", repr=False, validator=empty_or_redis_url)
    sentinels: tuple[str, ...] = attrs.field(
        default=(), repr=False, validator=sentinels
    )
    sentinel_service: str = "mymaster"
    channel: str = attrs.field(default="nostrtx", validator=channel)
    secret_file: str = ""
    poll_seconds: float = attrs.field(default=1.0, validator=positive)
