#!/usr/bin/env python3
"""Fills in PostgreSQL's answers in crates/functions/tests/answers, or draws calls for tests/resolution.txt.

    oracle/functions.py -h /tmp/server -U postgres [FILE …]
    oracle/functions.py resolution -h /tmp/server -U postgres

Arguments that begin with a hyphen go to psql, with what follows them. Each line of a file is a call, which is SQL; what stands behind its first tab is replaced by the type and
the value that the server gives, or by `!`, SQLSTATE and message. Lines that begin with `--` stay, and files whose first
line has the word "hand" are left alone.
"""

import pathlib
import random
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent.parent / "crates/functions/tests/answers"

ANSWER = r"""
set timezone = 'UTC';
set datestyle = 'ISO, MDY';
create function pg_temp.shown(value text) returns text language sql as $$
    select replace(replace(replace(replace(value, E'\\', E'\\\\'), E'\n', E'\\n'), E'\t', E'\\t'), E'\r', E'\\r')
$$;
create function pg_temp.answer(call text) returns text language plpgsql as $$
declare
    kind text; value text; code text; message text;
begin
    execute 'select pg_typeof(x)::text, case when x is null then ''NULL'' else pg_temp.shown(format(''%s'', x)) end from (select '
        || call || ' as x) q' into kind, value;
    return replace(replace(kind, 'character varying', 'text'), 'name', 'text') || E'\t' || value;
exception when others then
    get stacked diagnostics code = returned_sqlstate, message = message_text;
    return '! ' || code || E'\t' || pg_temp.shown(message);
end $$;
"""


def fill(path, connection):
    lines = path.read_text().split("\n")
    if "hand" in lines[0]:
        return
    calls = [line.split("\t")[0] for line in lines]
    asked = [at for at, call in enumerate(calls) if call and not call.startswith("--")]
    script = ANSWER
    for at in asked:
        script += f"select '{at}@' || pg_temp.answer($call${calls[at]}$call$);\n"
    run = subprocess.run(
        ["psql", "-X", "-At", "-q", *connection], input=script, capture_output=True, text=True, check=True
    )
    if run.stderr:
        sys.exit(run.stderr)
    for line in run.stdout.split("\n"):
        if "@" in line:
            at, answer = line.split("@", 1)
            lines[int(at)] = f"{calls[int(at)]}\t{answer}"
    path.write_text("\n".join(lines))


TYPES = """boolean smallint integer bigint numeric real double~precision text character bytea date
time~without~time~zone timestamp~without~time~zone timestamp~with~time~zone interval uuid json jsonb integer[] text[]
double~precision[] unknown unknown unknown integer text""".replace("~", " ")
TYPES = re.findall(r"(?:double precision|\w+ without time zone|\w+ with time zone|\w+)(?:\[\])?", TYPES)
# Written in a way of their own, or of another type here.
SPECIAL = {"setseed", "pg_typeof", "current_user", "session_user", "current_role", "current_catalog", "user",
           "current_schema", "current_database", "erf", "erfc", "current_date", "current_timestamp", "localtime",
           "localtimestamp", "text", "date"}
# These have more overloads there, for types that we do not have.
CROWDED = {"&&", "<@", "@>", "?|", "+", "age", "bit_count", "get_bit", "set_bit", "trunc", "length", "substring"}
SHORT = {"double": "double precision", "time": "time without time zone", "timestamp": "timestamp without time zone",
         "timestamptz": "timestamp with time zone", "any": "text", "anyelement": "integer", "anynonarray": "integer",
         "anyarray": "integer[]", "anycompatible": "bigint", "anycompatiblearray": "integer[]"}

RESOLVE = r"""
create function pg_temp.kind(call text) returns text language plpgsql as $$
declare
    kind text; code text;
begin
    execute 'select pg_typeof(x)::text from (select ' || call || ' as x) q' into kind;
    return kind;
exception when others then
    get stacked diagnostics code = returned_sqlstate;
    return code;
end $$;
"""


def drawn_calls():
    """Names and types of arguments, from what the documentation lists."""
    page = (FOLDER.parent.parent.parent.parent / "docs/COMPATIBILITY.md").read_text()
    page = page.split("### Functions that give rows")[0].replace("\\|", "|")
    draw = random.Random(7)
    calls = set()
    for call in re.findall(r"`([^`]+)` →", page):
        function = re.match(r"(\w+)\((.*)\)$", call)
        if function:
            name, inside = function.groups()
            is_array = "[]" in inside
            needed = inside.count(",") + bool(inside) if is_array else inside.split("[")[0].count(",") + bool(inside.split("[")[0])
            params = [part.strip(" []…") + ("[]" if "[]" in part else "") for part in inside.split(",") if part.strip(" []…")]
        else:
            words = call.split()
            symbols = [at for at, word in enumerate(words) if not re.match(r"[\w\[\]]+$", word)]
            if len(symbols) != 1:
                continue
            name = words[symbols[0]]
            params = [" ".join(part) for part in (words[: symbols[0]], words[symbols[0] + 1 :]) if part]
            needed = len(params)
        for size in range(needed, len(params) + 1):
            for _ in range(7 if size else 1):
                types = []
                for param in params[:size]:
                    own = SHORT.get(param, param)
                    types.append(draw.choice([own] * 6 + ["unknown"] * 3 + [draw.choice(TYPES)] * 2))
                calls.add((name, tuple(types)))
    return sorted(call for call in calls if call[0] not in SPECIAL)


def resolution(connection):
    calls = drawn_calls()
    script = RESOLVE
    for at, (name, types) in enumerate(calls):
        values = ["NULL" if kind == "unknown" else f"NULL::{kind}" for kind in types]
        if name[0].isalpha():
            call = f'pg_catalog."{name}"({", ".join(values)})'
        else:
            call = f"{values[0]} {name} {values[1]}" if len(values) == 2 else f"{name} {values[0]}"
        script += f"select '{at}@' || pg_temp.kind($call${call}$call$);\n"
    run = subprocess.run(
        ["psql", "-X", "-At", "-q", *connection], input=script, capture_output=True, text=True, check=True
    )
    lines = ["-- What PostgreSQL 15 makes of calls with these types: written by oracle/functions.py."]
    for line in run.stdout.split("\n"):
        if "@" not in line:
            continue
        at, kind = line.split("@", 1)
        name, types = calls[int(at)]
        is_refused = re.match(r"[0-9A-Z]{5}$", kind)
        if is_refused and kind not in ("42883", "42725", "42804"):
            continue
        if kind == "42725" and name in CROWDED:
            continue
        lines.append(f"{name}\t{','.join(types)}\t{kind}")
    (FOLDER.parent / "resolution.txt").write_text("\n".join(lines) + "\n")


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["resolution"]:
        return resolution(arguments[1:])
    files = [pathlib.Path(name) for name in arguments if name.endswith(".txt")]
    connection = [name for name in arguments if not name.endswith(".txt")]
    for path in files or sorted(FOLDER.glob("*.txt")):
        fill(path, connection)


if __name__ == "__main__":
    main()
