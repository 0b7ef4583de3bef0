#!/usr/bin/env python3
"""Fills in PostgreSQL's answers in crates/functions/tests/answers.

    oracle/functions.py -h /tmp/server -U postgres [FILE …]

Arguments that begin with a hyphen go to psql, with what follows them. Each line of a file is a call, which is SQL; what stands behind its first tab is replaced by the type and
the value that the server gives, or by `!`, SQLSTATE and message. Lines that begin with `--` stay, and files whose first
line has the word "hand" are left alone.
"""

import pathlib
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


def main():
    arguments = sys.argv[1:]
    files = [pathlib.Path(name) for name in arguments if name.endswith(".txt")]
    connection = [name for name in arguments if not name.endswith(".txt")]
    for path in files or sorted(FOLDER.glob("*.txt")):
        fill(path, connection)


if __name__ == "__main__":
    main()
