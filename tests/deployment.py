"""What is in deploy/, as tests read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import yaml
from twisted.trial.unittest import SkipTest

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"


def unit(path: Path) -> dict[str, list[str]]:
    """The settings of a systemd unit, each with its values in order."""
    settings: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator and not name.startswith(("#", "[")):
            settings.setdefault(name, []).append(value)
    return settings


def seconds(text: str) -> float:
    """A length of time as HAProxy and nginx write it."""
    match = re.fullmatch(r"(\d+)(ms|s|m|h)", text)
    assert match is not None, text
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]


def compose() -> Any:
    """The whole of compose.yaml."""
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text())


def prepared(directory: Path, host: str = "relay.example.com") -> Path:
    """
    A copy of deploy/compose that is ready to be started; made in ``directory``.

    Raises:
        SkipTest: There is no OpenSSL to make a certificate.
    """
    if shutil.which("openssl") is None:
        raise SkipTest("openssl is not installed")
    copy = directory / "compose"
    if not copy.exists():
        shutil.copytree(COMPOSE, copy, ignore=shutil.ignore_patterns("secrets", ".env"))
    subprocess.run([str(copy / "prepare"), host], check=True, capture_output=True)
    return copy


@attrs.frozen
class Dockerfile:
    """
    The instructions of the Dockerfile.

    Attributes:
        instructions: Each as its name and the rest, continued lines joined.
    """

    instructions: list[tuple[str, str]]

    @classmethod
    def read(cls) -> Dockerfile:
        """Read it."""
        lines = [
            line
            for line in (COMPOSE / "Dockerfile").read_text().splitlines()
            if line and not line.lstrip().startswith("#")
        ]
        text = "\n".join(lines).replace("\\\n", " ")
        parts = (line.partition(" ") for line in text.splitlines())
        return cls([(name, " ".join(rest.split())) for name, _, rest in parts])

    def all(self, name: str) -> list[str]:
        """What all instructions of this name say."""
        return [rest for each, rest in self.instructions if each == name]

    def command(self, name: str) -> list[str]:
        """The command in the last instruction of this name."""
        text = self.all(name)[-1]
        command: list[str] = json.loads(text[text.index("[") :])
        return command
