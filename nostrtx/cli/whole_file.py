# -*- test-case-name: tests.cli.test_whole_file -*-
"""A file that is written to its end, or is as it was before."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO


@contextmanager
def whole_file(path: str) -> Iterator[IO[bytes]]:
    """
    What is written to takes the place of the file at ``path`` at the end.

    If the context ends with an exception, nothing has changed.

    Args:
        path: Of the file; ``-`` is standard output. What is there and is no file,
            such as a pipe, is written to as it is.

    Raises:
        OSError: It cannot be written.
    """
    if path == "-":
        out = sys.stdout.buffer
        yield out
        out.flush()
        return
    # What a link points to is replaced, and not the link.
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
        return
    directory, name = os.path.split(path)
    beside = os.path.join(directory, f".{name}.{os.getpid()}.part")
    try:
        with open(beside, "wb") as file:
            if os.path.exists(path):
                shutil.copymode(path, beside)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(beside)
        if isinstance(error, OSError) and error.filename == beside:
            # Nobody has heard of that name.
            error.filename = path
        raise
