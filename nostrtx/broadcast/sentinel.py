# -*- test-case-name: tests.broadcast.test_sentinel -*-
"""Redis Sentinels, which know what server is the master at present."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from nostrtx.broadcast.connection import RedisConnection, connect
from nostrtx.broadcast.servers import Found
from nostrtx.redis_url import RedisAddress

#: How long one Sentinel may take to answer.
_SECONDS: Final = 2.0


class NoMaster(Exception):
    """No Sentinel told where the master is; the text says what each said instead."""


class Sentinels:
    """
    Asks the Sentinels one by one, beginning with another one each time.

    Of those that are asked now, one may not know of a failover yet. Whoever finds no
    master where it says there is one asks again, and thereby the next.

    Args:
        sentinels: Where they are; at least one.
        service: What they call the master.
        redis: How to log in at the master; its host and port are not used.
        endpoint_of: How to get to an address.
        clock: Bounds how long one may take.
    """

    def __init__(
        self,
        sentinels: Sequence[RedisAddress],
        service: str,
        redis: RedisAddress,
        endpoint_of: Callable[[RedisAddress], IStreamClientEndpoint],
        clock: IReactorTime,
    ) -> None:
        self._sentinels = list(sentinels)
        self._service = service
        self._redis = redis
        self._endpoint_of = endpoint_of
        self._clock = clock

    async def find(self) -> Found:
        """
        The master.

        Raises:
            NoMaster: Nobody knows.
        """
        self._sentinels.append(self._sentinels.pop(0))
        faults = []
        for sentinel in list(self._sentinels):
            asking = Deferred.fromCoroutine(self._ask(sentinel))
            try:
                host, port = await asking.addTimeout(_SECONDS, self._clock)
            except CancelledError:
                raise
            except Exception as error:
                faults.append(f"{sentinel}: {error or type(error).__name__}")
            else:
                master = attrs.evolve(self._redis, host=host, port=port)
                return Found(self._endpoint_of(master), str(master), True)
        raise NoMaster("; ".join(faults))

    async def _ask(self, sentinel: RedisAddress) -> tuple[str, int]:
        connection = await connect(
            RedisConnection, self._endpoint_of(sentinel), sentinel
        )
        try:
            answer = await connection.sentinel_get_master_addr_by_name(self._service)
        finally:
            connection.abort("it was asked")
        if answer is None:
            raise NoMaster(f"knows no {self._service}")
        host, port = answer
        return host.decode(), int(port)
