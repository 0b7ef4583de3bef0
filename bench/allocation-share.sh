#!/usr/bin/env bash
# Which share of the instructions of parsing is allocation: the bump, its check, the reset, and the reads and writes of
# the arena's cells. Counts with valgrind, so the figure does not depend on the machine's load.
#
#   bash bench/allocation-share.sh FILE.sql...
#
# Inlined code is told apart by the source file that its debug information names.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: bash bench/allocation-share.sh FILE.sql..." >&2; exit 2; }
command -v valgrind >/dev/null || { echo "valgrind is needed (Debian: apt-get install valgrind)" >&2; exit 77; }
target="${CARGO_TARGET_DIR:-target}"
CARGO_PROFILE_RELEASE_DEBUG=true cargo build --quiet --release -p cofferdam-sql --example parse_repeatedly
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
valgrind --quiet --tool=callgrind --callgrind-out-file="$counts" "$target/release/examples/parse_repeatedly" "$@"
callgrind_annotate --auto=no --threshold=100 "$counts" | awk '
  /^ *[0-9,]+ \(.*%\) +[^ ]+:/ {
    count = $1; gsub(",", "", count); all += count
    if ($0 ~ /crates\/arena\/|library\/core\/src\/cell\.rs:/) ours += count
  }
  END { printf "allocation: %d of %d instructions, %.2f %%\n", ours, all, 100 * ours / all }'
