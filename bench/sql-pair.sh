#!/usr/bin/env bash
# Is the SQL front end quicker than at another commit? Builds both and runs them in turn over the same files; prints for
# each corpus the nanoseconds per byte of both (the quickest of 9 passes, the median of ROUNDS, 15) and the median of the rounds' own ratios.
#
#   bash bench/sql-pair.sh COMMIT [HOW] [FILE...]     HOW: parse (unless said otherwise), lex, split, script
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: bash bench/sql-pair.sh COMMIT [lex|parse|split|script] [FILE...]" >&2; exit 2; }
commit=$(git rev-parse --verify "$1^{commit}")
how="${2:-parse}"
shift; shift || true
target="${CARGO_TARGET_DIR:-$PWD/target}"
work=$(mktemp -d)
trap 'git worktree remove --force "$work/before"; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/before" "$commit"
# The program is the same on both sides, the parser is not.
cp crates/sql/examples/corpus.rs "$work/before/crates/sql/examples/corpus.rs"
cargo build --quiet --release -p cofferdam-sql --example corpus
(cd "$work/before" && CARGO_TARGET_DIR="$target/pair" cargo build --quiet --release -p cofferdam-sql --example corpus)

pair() {
  local name=$1
  shift
  for _ in $(seq "${ROUNDS:-15}"); do
    echo "$("$target/release/examples/corpus" "$how" 9 "$@") $("$target/pair/release/examples/corpus" "$how" 9 "$@")"
  done | awk -v name="$name" '
    function median(values, n,   i, j, swap) {
      for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (values[j] < values[i]) { swap = values[i]; values[i] = values[j]; values[j] = swap }
      return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
    }
    { now[NR] = $3; before[NR] = $7; ratio[NR] = $3 / $7; texts = $1 " " $5 }
    END { printf "%-14s %-14s now %7.3f  before %7.3f  ratio %.3f\n", name, texts, median(now, NR), median(before, NR), median(ratio, NR) }'
}

if [ $# -gt 0 ]; then
  for file in "$@"; do pair "$(basename "$file")" "$file"; done
  exit
fi
corpora="${COFFERDAM_CORPORA:-../shared/corpora}"
[ -d "$corpora" ] || { echo "SKIPPED: the corpora are missing; they are expected in $corpora" >&2; exit 77; }
pair tpch "$corpora"/tpch/queries/*.sql
pair regress "$corpora/postgresql/regress.nul"
