#!/bin/sh
# Says what the tests with real clients need and this machine lacks, and how to install it (names of Debian packages).
# Exit 2 when something is missing. LC_ALL: versions are read from what programs print.
export LC_ALL=C
missing=0

lacks() {
    echo "make test needs $1: install $2." >&2
    missing=2
}

# The number behind a word at the start of a line that a command prints, 0 when there is none.
version() {
    word=$1
    shift
    found=$("$@" 2>/dev/null | sed -n "s/^$word\([0-9][0-9]*\).*/\1/p" | head -n 1)
    echo "${found:-0}"
}

if [ "$(version v node --version)" -lt 20 ]; then
    lacks "Node 20 or later" "nodejs (before Debian 13 from nodejs.org, whose packages bring npm)"
fi
if [ "$(version '' npm --version)" -eq 0 ]; then
    lacks "npm" "npm"
fi
if [ "$(version 'javac ' javac -version)" -lt 17 ]; then
    lacks "a JDK, 17 or later" "openjdk-17-jdk-headless (since Debian 13 openjdk-21-jdk-headless)"
fi
if ! command -v mvn >/dev/null; then
    lacks "Maven" "maven"
elif [ "$(version 'Java version: ' mvn --batch-mode --version)" -lt 17 ]; then
    lacks "Maven on Java 17 or later" "a JDK as above, or point JAVA_HOME at it"
fi
exit $missing
