"""HAProxy in front of relays, with the configuration that operators are given."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.certificates import make_certificate
from tests.live.free_ports import free_ports
from tests.live.proxy_process import (
    ProxyProcess,
    program,
    replaced,
)
from tests.live.relay_process import ROOT

_PROGRAM: Final = program("haproxy")

#: Why tests that need HAProxy are skipped; None if they are not.
HAPROXY_MISSING: Final = None if _PROGRAM else "haproxy is not installed"

#: What operators are given.
DEPLOYED: Final = ROOT / "deploy" / "haproxy" / "haproxy.cfg"

_LOADED: Final = "Loading success"
_MASTER: Final = "master.sock"
_TIMES: Final = 20
_SERVERS: Final = re.compile(r"(?m)^    server .*\n")


class HAProxy(ProxyProcess):
    """
    HAProxy before some nodes; made by :meth:`start`.

    Attributes:
        url: Where clients connect, without TLS unless that was asked for.
        certificate: What it shows with TLS.
    """

    def __init__(self, secure: bool, proxied: bool) -> None:
        super().__init__(free_ports(2))
        self.certificate = self.directory / "relay.pem"
        self.url = f"ws{'s' if secure else ''}://localhost:{self.ports[secure]}/"
        self._secure = secure
        self._option = " accept-proxy" if proxied else ""

    @classmethod
    async def start(
        cls,
        nodes: Sequence[tuple[str, int, int]],
        secure: bool = False,
        proxied: bool = False,
        changes: Mapping[str, str] | None = None,
    ) -> HAProxy:
        """
        Start it, and wait until it takes connections; which nodes are well is not
        known by then.

        Args:
            nodes: Host and port of each, which listens with ``haproxy:tcp:...``, and
                the port where it says whether it is ready. They are called ``node1``
                and so on.
            secure: Whether clients come with TLS.
            proxied: Whether those who come without it say whose connections they
                bring, in a header of their own.
            changes: Replacements in the configuration, beside those of ports,
                directories and nodes. Each must apply.

        Raises:
            ProxyDied: It ended instead.
        """
        assert _PROGRAM is not None
        proxy = cls(secure, proxied)
        make_certificate(proxy.certificate, proxy.certificate)
        proxy.write(nodes, changes)
        master = str(proxy.directory / _MASTER)
        file = str(proxy._file)
        await proxy.run([_PROGRAM, "-W", "-db", "-S", master, "-f", file])
        return proxy

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where clients connect."""
        return "127.0.0.1", self.ports[self._secure]

    @property
    def _file(self) -> Path:
        return self.directory / "haproxy.cfg"

    def write(
        self,
        nodes: Sequence[tuple[str, int, int]],
        changes: Mapping[str, str] | None = None,
    ) -> None:
        """Write the configuration; it counts from :meth:`reload` on."""
        text = deployed(
            {
                "bind :::80 v4v6": f"bind 127.0.0.1:{self.ports[0]}{self._option}",
                "bind :::443 v4v6": f"bind 127.0.0.1:{self.ports[1]}",
                "/etc/haproxy": str(self.directory),
                "/run/haproxy": str(self.directory),
            }
        )
        if not self._secure:
            text = replaced(
                text, {"    http-request redirect scheme https code 301": "#"}
            )
        servers = "".join(
            f"    server node{number} {host}:{port} port {pages}\n"
            for number, (host, port, pages) in enumerate(nodes, 1)
        )
        text = _SERVERS.sub("", text) + servers
        self._file.write_text(replaced(text, changes or {}))

    async def reload(self) -> None:
        """Take the configuration anew; connections stay with the old process."""
        await self.says(_LOADED)
        times = self.output.count(_LOADED)
        for _ in range(_TIMES):
            # Not by signal, for early ones are lost. For a moment after its start the
            # master does not listen, since it starts itself once more.
            with suppress(OSError):
                self._ask(_MASTER, "reload")
            with suppress(TimeoutError):
                await self.says(_LOADED, times + 1, seconds=1)
                return
        raise TimeoutError(self.output)

    def tell(self, command: str) -> str:
        """
        Send a command to the admin socket, as ``set server relay/node1 state drain``.

        Returns:
            The answer.
        """
        return self._ask("admin.sock", command)

    def _ask(self, name: str, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.directory / name))
            connection.sendall(f"{command}\n".encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()


def deployed(changes: Mapping[str, str]) -> str:
    """
    The configuration that operators are given, with some replacements.

    Who is not root cannot become another user, so then it runs as who it is.
    """
    text = replaced(DEPLOYED.read_text(), changes)
    if os.getuid() != 0:
        for line in ("user haproxy", "group haproxy", "chroot /var/lib/haproxy"):
            text = text.replace(f"    {line}\n", "")
    return text
