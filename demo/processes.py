"""What the demo starts, and that it ends with the demo: also on failure, on a signal, and when the demo is killed."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 25.0
"""Seconds that a process gets to end by itself; zerocloud finishes what it does within 20."""


class Failure(Exception):
    """The demo cannot go on; the text is for people."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _die_with_parent() -> None:
    """Linux: SIGTERM when the demo is gone, however it went (prctl PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Processes:
    """A context: on the way out everything is ended, the last one started first."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, *command: str, env: dict[str, str] | None = None) -> None:
        """Starts a process of its own session, so that Ctrl-C reaches the demo alone, which then ends it in order."""
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.running.append((name, process))

    def log(self, name: str) -> Path:
        """Where its output goes."""
        return self.logs / f"{name}.log"

    def tail(self, name: str, lines: int) -> list[str]:
        """The last lines that it wrote."""
        return self.log(name).read_text(errors="replace").splitlines()[-lines:] if self.log(name).exists() else []

    def alive(self) -> None:
        """Fails when one of them has ended."""
        for name, process in self.running:
            if process.poll() is not None:
                raise Failure(f"{name} ended with {process.returncode}")

    def until_ready(self, name: str, url: str, seconds: float) -> None:
        """Waits until it says 200 there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.alive()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise Failure(f"{name} does not answer at {url} after {seconds:.0f} s")

    def until_said(self, name: str, seconds: float) -> dict[str, str]:
        """Waits for the line of JSON that it prints when it is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.alive()
            lines = self.tail(name, 1)
            if lines and lines[0].startswith("{") and lines[0].endswith("}"):
                return dict(json.loads(lines[0]))
            time.sleep(0.1)
        raise Failure(f"{name} does not say that it is ready after {seconds:.0f} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, where: TracebackType | None
    ) -> None:
        # A second Ctrl-C must not leave anything behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for _, process in reversed(self.running):
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
