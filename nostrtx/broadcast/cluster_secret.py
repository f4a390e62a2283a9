# -*- test-case-name: tests.broadcast.test_cluster_secret -*-
"""The secrets that the nodes of one relay share, and where they are kept."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from nostrtx.settings.file import ConfigError

#: The environment variable that may hold the secrets instead of a file.
SECRET_VARIABLE: Final = "NOSTRTX_CLUSTER_SECRET"

_SECRET: Final = re.compile(r"[0-9A-Fa-f]{64}")

_log = Logger()


def load_secrets(path: str, variable: str) -> tuple[bytes, ...]:
    """
    The secrets in the file at ``path``; without one, those in ``variable``.

    Args:
        path: The setting ``cluster.secret_file``; empty for no file.
        variable: What the environment variable says; empty if it is not there.

    Returns:
        32 bytes each. The first one seals, all of them open.

    Raises:
        ConfigError: There is none, or one that is malformed; it is not shown.
    """
    if not path:
        if not variable.split():
            raise ConfigError(
                "cluster.redis needs a secret that all nodes share: name a file in "
                f"cluster.secret_file, or set {SECRET_VARIABLE}"
            )
        return _parse(variable, SECRET_VARIABLE)
    try:
        text = Path(path).read_text(encoding="ascii")
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise ConfigError(f"cluster.secret_file: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        text, mode = "?", 0
    if mode & stat.S_IROTH:
        _log.warn(
            "Everybody may read {path}, which holds the cluster's secrets; "
            "chmod o-r would end that.",
            path=path,
        )
    return _parse(text, f"cluster.secret_file: {path}")


def _parse(text: str, where: str) -> tuple[bytes, ...]:
    secrets = text.split()
    if not secrets:
        raise ConfigError(f"{where}: holds no secret")
    for number, secret in enumerate(secrets, 1):
        if _SECRET.fullmatch(secret) is None:
            raise ConfigError(f"{where}: secret {number} is not 64 hexadecimal digits")
    return tuple(map(bytes.fromhex, secrets))
