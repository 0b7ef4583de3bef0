#!/usr/bin/env bash
# Compile time in release of cofferdam-sql and of sqlparser-rs, each alone with its own dependencies, from a clean build
# directory with one job: processor seconds (user and system) of cargo and all that it starts. `crate` is the crate
# itself, with its build script if it has one; `all` includes its dependencies. Takes minutes, nearly all of them the
# peer's. ROUNDS=3 repeats it and takes the least of each, which load on the machine disturbs least.
#
#   bash bench/compile-time.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_INCREMENTAL=0
unset CARGO_TARGET_DIR
version=$(sed -n '/^name = "sqlparser"$/{n;s/version = "\(.*\)"/\1/p}' bench/Cargo.lock)

# program NAME DEPENDENCY: an empty program with one dependency, which is what a user compiles.
program() {
  mkdir -p "$work/$1/src"
  touch "$work/$1/src/lib.rs"
  printf '[package]\nname = "alone"\nedition = "2024"\n[dependencies]\n%s\n[workspace]\n' "$2" >"$work/$1/Cargo.toml"
  cargo fetch --quiet --manifest-path "$work/$1/Cargo.toml"
}

# build NAME CRATE: the processor seconds of building what is not built yet.
build() {
  { TIMEFORMAT='%U %S'; time cargo build --quiet --offline --release --jobs 1 -p "$2" --manifest-path "$work/$1/Cargo.toml"; } 2>&1 |
    awk '{ print $1 + $2 }'
}

# measure NAME CRATE: NAME, all, crate.
measure() {
  local all
  rm -rf "$work/$1/target"
  all=$(build "$1" "$2")
  cargo clean --quiet --offline --release -p "$2" --manifest-path "$work/$1/Cargo.toml"
  echo "$1 $all $(build "$1" "$2")"
}

program ours "cofferdam-sql = { path = \"$PWD/crates/sql\" }"
program peer "sqlparser = \"=$version\""
for _ in $(seq "${ROUNDS:-1}"); do
  measure ours cofferdam-sql
  measure peer sqlparser
done | awk -v version="$version" '
  function least(values, who, seconds) { if (!(who in values) || seconds < values[who]) values[who] = seconds }
  function row(name, values) {
    printf "ROW sql/%s unit=s ours=%.2f peer=sqlparser-rs:%.2f ratio=%.3f bar=1.000 goal=0.333 pass=%s\n", name,
      values["ours"], values["peer"], values["ours"] / values["peer"], values["ours"] < values["peer"] ? "yes" : "no"
  }
  { least(all, $1, $2); least(crate, $1, $3) }
  END {
    printf "%-22s %8s %8s\n", "processor seconds", "all", "crate"
    printf "%-22s %8.2f %8.2f\n", "cofferdam-sql", all["ours"], crate["ours"]
    printf "%-22s %8.2f %8.2f\n", "sqlparser " version, all["peer"], crate["peer"]
    row("compile", all)
    row("compile_crate", crate)
  }'
