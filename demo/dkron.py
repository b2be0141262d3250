"""A stand-in for Dkron, the scheduler: `POST /v1/jobs` makes or replaces a job, which posts to its URL once, at its `@at`.

`DELETE /v1/jobs/{name}` takes one away, `GET /v1/jobs` lists them. Each call stands in the log, without its URL.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TICK = 0.05
RETRY_AFTER = 1.0
AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class Job:
    """A call to be made."""

    body: dict[str, Any]
    name: str
    due: float
    url: str
    tries: int


def read(body: dict[str, Any]) -> Job:
    """The job, or a ValueError that says what Dkron would not take."""
    name, schedule, executor = (str(body.get(field, "")) for field in ("name", "schedule", "executor"))
    config = body.get("executor_config")
    if not re.fullmatch(r"[a-z0-9_-]+", name):
        raise ValueError("name must be lowercase letters, digits, - and _")
    if not schedule.startswith("@at "):
        raise ValueError("only @at schedules are known here")
    if executor != "http" or not isinstance(config, dict) or config.get("method") != "POST":
        raise ValueError("only posts by the executor http are known here")
    due = datetime.fromisoformat(schedule.removeprefix("@at ")).timestamp()
    return Job(body, name, due, str(config["url"]), 1 + int(body.get("retries", 0)))


class Jobs:
    """Those that have not run yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.jobs: dict[str, Job] = {}

    def put(self, job: Job) -> None:
        """In the place of the one of the same name."""
        with self.lock:
            self.jobs[job.name] = job

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        with self.lock:
            return self.jobs.pop(name, None) is not None

    def all(self) -> list[dict[str, Any]]:
        """As they were sent."""
        with self.lock:
            return [job.body for job in self.jobs.values()]

    def due(self) -> list[Job]:
        """Takes out what is due; all are ephemeral."""
        with self.lock:
            due = [job for job in self.jobs.values() if job.due <= time.time()]
            for job in due:
                del self.jobs[job.name]
        return due

    def run(self) -> None:
        """For ever."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while True:
                for job in self.due():
                    pool.submit(call, job)
                time.sleep(TICK)


def call(job: Job) -> None:
    """Posts, and again when that was not answered with 200."""
    for _ in range(job.tries):
        try:
            with urllib.request.urlopen(urllib.request.Request(job.url, b"", method="POST"), timeout=10) as answer:
                said = str(answer.status)
        except urllib.error.HTTPError as error:
            said = str(error.code)
        except OSError as error:
            said = type(error).__name__
        print(f"called for {job.name}: {said}", flush=True)
        if said == "200":
            return
        time.sleep(RETRY_AFTER)


class Api(BaseHTTPRequestHandler):
    """The REST API."""

    jobs = Jobs()

    def do_GET(self) -> None:  # noqa: N802 (http.server's name)
        """Every job."""
        self._answer(200 if self.path == "/v1/jobs" else 404, self.jobs.all())

    def do_POST(self) -> None:  # noqa: N802
        """Makes or replaces one."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            job = read(json.loads(body))
        except (ValueError, KeyError) as why:
            self._answer(400, {"error": str(why)})
            return
        self.jobs.put(job)
        self._answer(201, job.body)

    def do_DELETE(self) -> None:  # noqa: N802
        """Takes one away."""
        known = self.jobs.remove(self.path.rpartition("/")[2])
        self._answer(200 if known else 404, {})

    def _answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Calls alone are told."""


if __name__ == "__main__":
    threading.Thread(target=Api.jobs.run, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Api).serve_forever()
