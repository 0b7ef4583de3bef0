#!/usr/bin/env bash
# Instructions per byte of the SQL front end: lexing alone, parsing statement by statement and where in it they are,
# splitting a script, and parsing straight through it. Counted with valgrind, so the figures do not depend on the machine's load; a few seconds. Only accepted statements count.
#
#   bash bench/sql-instructions.sh              the shared corpora: TPC-H, PostgreSQL's regression tests
#   bash bench/sql-instructions.sh FILE...      these files: scripts, or *.nul with NUL bytes between statements
#   TOP=25 bash bench/sql-instructions.sh ...   and the functions with most instructions of their own
#
# `lexer` is code of lexer.rs, keyword.rs, token.rs, text.rs and the searches they call; `nodes` that of node.rs and of
# the arena; `parser` the rest. Inlined code is told apart by the source file that its debug information names.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is needed (Debian: apt-get install valgrind)" >&2; exit 77; }
target="${CARGO_TARGET_DIR:-target}"
cargo build --quiet --release -p cofferdam-sql --example corpus
counts=$(mktemp -d)
trap 'rm -rf "$counts"' EXIT

# count HOW FILE...: the instructions of one pass, by file and function, and the bytes passed over.
count() {
  local how=$1
  shift
  valgrind --quiet --tool=callgrind --callgrind-out-file="$counts/$how" --toggle-collect='corpus::pass' \
    "$target/release/examples/corpus" "$how" 1 "$@" >"$counts/$how.line"
  callgrind_annotate --auto=no --threshold=100 "$counts/$how" >"$counts/$how.text"
}

measure() {
  local name=$1
  shift
  for how in lex parse split script; do count $how "$@" & done
  wait
  awk -v name="$name" -v OFS='' '
    FILENAME ~ /\.line$/ { how = FILENAME; sub(/.*\//, "", how); sub(/\.line$/, "", how); texts[how] = $1; bytes[how] = $2 }
    FILENAME ~ /\.text$/ && /^ *[0-9,]+ \(.*%\) +[^ ]+:/ {
      how = FILENAME; sub(/.*\//, "", how); sub(/\.text$/, "", how)
      count = $1; gsub(",", "", count); all[how] += count
      if (how != "parse") next
      file = $0; sub(/:[^\/]*$/, "", file)
      # Code of the standard library belongs to the function that it was inlined into.
      place = file ~ /\/library\// ? $0 : file
      if (place ~ /\/sql\/src\/(lexer|keyword|token|text)\.rs|sql::(lexer|keyword|token|text)::|memchr/) part["lexer"] += count
      else if ($0 ~ /\/arena\/src\/|\/sql\/src\/node\.rs:|core\/src\/cell\.rs:/) part["nodes"] += count
      else part["parser"] += count
    }
    END {
      printf "%-14s %8d %9d %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f\n", name, texts["parse"], bytes["parse"],
        all["lex"] / bytes["lex"], all["parse"] / bytes["parse"], part["lexer"] / bytes["parse"],
        part["parser"] / bytes["parse"], part["nodes"] / bytes["parse"], all["split"] / bytes["split"], all["script"] / bytes["script"]
    }' "$counts"/*.line "$counts"/*.text
  [ -z "${TOP:-}" ] || awk -v top="$TOP" '/^ *[0-9,]+ \(/ && seen++ <= top { sub(/ \[.*/, ""); print }' "$counts/parse.text"
}

printf '%-14s %8s %9s %8s %8s %8s %8s %8s %8s %8s\n' "per byte" texts bytes lex parse =lexer +parser +nodes split script
if [ $# -gt 0 ]; then
  measure "$(basename "$1")" "$@"
  exit
fi
corpora="${COFFERDAM_CORPORA:-../shared/corpora}"
[ -d "$corpora" ] || { echo "SKIPPED: the corpora are missing; they are expected in $corpora" >&2; exit 77; }
measure tpch "$corpora"/tpch/queries/*.sql
measure regress "$corpora/postgresql/regress.nul"
