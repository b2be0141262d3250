#!/bin/sh
# Says what the tests of the pages need and this machine lacks, and how to install it (names of Debian packages). Exit 2 when
# something is missing. Prints the path of Chromium.
missing=0

lacks() {
    echo "make test needs $1: install $2." >&2
    missing=2
}

major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p')
if [ "${major:-0}" -lt 20 ]; then
    lacks "Node 20 or later" "nodejs (before Debian 13 from nodejs.org, whose packages bring npm)"
fi
if ! command -v npm >/dev/null; then
    lacks "npm" "npm"
fi
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
if [ -z "$chromium" ] || [ ! -x "$chromium" ]; then
    lacks "Chromium" "chromium, or say where it is with CHROMIUM=path"
fi
[ "$missing" -eq 0 ] && echo "$chromium"
exit $missing
