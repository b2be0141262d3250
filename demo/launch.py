"""Launches one more instance into a running demo: `python -m demo.launch URL Name=mine owner=lin`."""

from __future__ import annotations

import sys

from demo.cloud import Cloud
from demo.seed import DEV, REGIONS, Fate, Machine


def main() -> None:
    """The first argument is moto's URL, the others are tags."""
    if len(sys.argv) < 2 or not sys.argv[1].startswith("http") or not all("=" in tag for tag in sys.argv[2:]):
        sys.exit("usage: python -m demo.launch URL [TAG=VALUE ...]")
    tags = dict(tag.split("=", 1) for tag in sys.argv[2:])
    name = tags.pop("Name", "mine")
    machine = Machine(name, DEV, REGIONS[0], frozenset(), Fate.ENDED, tags)
    print(Cloud(sys.argv[1], sys.argv[1]).launch(machine), "was launched; zerocloud sees it within two seconds")


if __name__ == "__main__":
    main()
