"""zerocloud from end to end on this machine: `make demo`, with `ONCE=1` or `BREAK=detector`, `notifier` or `reaper`.

moto plays AWS; zerocloud runs as it would anywhere, with durations of seconds. What became of every instance is read
from EC2 and the mailbox, never through zerocloud.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

from demo.breaks import BREAKS
from demo.run import run


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--zerocloud", type=Path, required=True, help="the program")
    parser.add_argument("--github", type=Path, required=True, help="the stand-in for GitHub")
    parser.add_argument("--once", action="store_true", help="one whole life, then the verdict")
    parser.add_argument("--break", dest="broken", choices=sorted(BREAKS), help="break this part; implies --once")
    arguments = parser.parse_args()
    zerocloud, github = arguments.zerocloud.absolute(), arguments.github.absolute()
    for program in (zerocloud, github):
        if not os.access(program, os.X_OK):
            parser.error(f"{program} is not a program; `make demo` builds it")
    if shutil.which("curl") is None:
        parser.error("curl is missing; it renews a lease in the demo")
    for name in [name for name in os.environ if name.startswith(("AWS_", "ZEROCLOUD_"))]:
        del os.environ[name]  # Nothing here is meant for a real AWS account.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        return run(zerocloud, github, arguments.once or arguments.broken is not None, arguments.broken)
    except KeyboardInterrupt:
        print("\nEnding what the demo started.")
        return 130 if arguments.once or arguments.broken else 0


if __name__ == "__main__":
    sys.exit(main())
