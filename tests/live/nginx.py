"""nginx in front of relays, with the configurations that operators are given."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGHUP
from typing import Final

from tests.certificates import make_certificate
from tests.live.free_ports import free_ports
from tests.live.proxy_process import (
    ProxyProcess,
    program,
    replaced,
)
from tests.live.relay_process import ROOT

_PROGRAM: Final = program("nginx")
_STREAM_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def _has_stream() -> bool:
    """Whether nginx passes on bytes, of itself or with a module."""
    if _PROGRAM is None:
        return False
    built = subprocess.run([_PROGRAM, "-V"], capture_output=True, text=True).stderr
    return "--with-stream " in built or _STREAM_MODULE.exists()


#: Why tests that need nginx are skipped; None if they are not.
NGINX_MISSING: Final = None if _PROGRAM else "nginx is not installed"

#: The same where it is to pass on bytes.
STREAM_MISSING: Final = None if _has_stream() else "nginx has no stream module"

#: What operators are given, for an nginx that knows HTTP and one that passes bytes.
HTTP: Final = ROOT / "deploy" / "nginx" / "nostrtx.conf"
STREAM: Final = ROOT / "deploy" / "nginx" / "nostrtx-stream.conf"

_SERVERS: Final = re.compile(r"server 10\.0\.0\.\d+:7447(.*)\n")
_TEMPORARY: Final = "client_body proxy fastcgi uwsgi scgi".split()


class Nginx(ProxyProcess):
    """
    nginx before some nodes; made by :meth:`start`.

    Attributes:
        url: Where clients connect, with TLS unless they speak for others.
        certificate: What it shows.
    """

    def __init__(self, stream: bool, proxied: bool) -> None:
        super().__init__(free_ports(1 if stream else 2))
        self.certificate = self.directory / "relay.pem"
        self.url = f"ws{'' if proxied else 's'}://localhost:{self.ports[0]}/"
        self._stream = stream
        self._proxied = proxied

    @classmethod
    async def start(
        cls,
        nodes: Sequence[tuple[str, int]],
        stream: bool = False,
        proxied: bool = False,
        changes: Mapping[str, str] | None = None,
    ) -> Nginx:
        """
        Start it, and wait until it takes connections.

        Args:
            nodes: Host and port of each. With ``stream`` they listen with
                ``haproxy:tcp:...``.
            stream: Whether it passes on bytes, and says whose they are.
            proxied: Whether clients come without TLS and say whose connections they
                bring, in a header of their own (PROXY protocol).
            changes: Replacements in the configuration, beside those of ports,
                directories and nodes. Each must apply.

        Raises:
            ProxyDied: It ended instead.
        """
        assert _PROGRAM is not None
        proxy = cls(stream, proxied)
        make_certificate(proxy.certificate, proxy.directory / "relay.key")
        proxy.write(nodes, changes)
        file = str(proxy.directory / "nginx.conf")
        await proxy.run([_PROGRAM, "-p", str(proxy.directory), "-c", file])
        return proxy

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where clients connect."""
        return "127.0.0.1", self.ports[0]

    def write(
        self, nodes: Sequence[tuple[str, int]], changes: Mapping[str, str] | None = None
    ) -> None:
        """Write the configuration; it counts from :meth:`reload` on."""
        text = (STREAM if self._stream else HTTP).read_text()
        text = replaced(
            text,
            {
                "listen 443": f"listen 127.0.0.1:{self.ports[0]}",
                "/etc/nginx": str(self.directory),
            },
        )
        if self._proxied:
            option = "proxy_protocol;\nset_real_ip_from 127.0.0.1;"
            if not self._stream:
                option += "\nreal_ip_header proxy_protocol;"
            text = replaced(text, {" ssl;": f" {option}"})
        if not self._stream:
            text = replaced(text, {"listen 80": f"listen 127.0.0.1:{self.ports[1]}"})
        options = _SERVERS.findall(text)[0]
        servers = "\n".join(f"server {host}:{port}{options}" for host, port in nodes)
        first, *others = _SERVERS.finditer(text)
        text = text[: first.start()] + servers + "\n" + text[others[-1].end() :]
        text = replaced(text, changes or {})
        main = [
            "daemon off;",
            "pid nginx.pid;",
            "error_log stderr notice;",
            "events { worker_connections 1024; }",
        ]
        if os.getuid() == 0:
            main.append("user root;")
        if self._stream:
            if _STREAM_MODULE.exists():
                main.insert(0, f"load_module {_STREAM_MODULE};")
            main.append(text)
        else:
            main.append("http {")
            main += [f"{each}_temp_path {each};" for each in _TEMPORARY]
            main += [text, "}"]
        (self.directory / "nginx.conf").write_text("\n".join(main))

    async def reload(self) -> None:
        """Take the configuration anew; connections stay with the old processes."""
        started = self.output.count("start worker process ")
        self.signal(SIGHUP)
        await self.says("start worker process ", started + 1)
