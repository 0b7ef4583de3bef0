"""DuckDB and SQLite for bench-engine: runs a script on a database and says what that took.

    queries.py ENGINE DATABASE SCRIPT ANSWER MIB THREADS SECONDS

ENGINE is duckdb or sqlite. The rows of the script's last statement go to ANSWER, fields between `|`, below a line of names. MIB is a
limit of memory, SECONDS one of time; 0 is none. Prints "FIGURE cpu_s value": processor time from opening the database to the last
row, without the interpreter's start.
"""

import re
import resource
import sqlite3
import sys
import threading
import time

BATCH_ROWS = 1000
COPY = re.compile(r"\s*COPY\s+(\w+)\s+FROM\s+'((?:[^']|'')*)'", re.IGNORECASE)


def processor_seconds():
    """What this process has used, for itself and by the system for it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def statements(script):
    """The statements of a script in which no semicolon is quoted."""
    return [statement for statement in script.split(";") if statement.strip()]


def text(value):
    """A value as all engines write it."""
    return "" if value is None else str(value)


def write(path, names, batches):
    """Writes an answer."""
    with open(path, "w", encoding="utf-8") as answer:
        print("|".join(names), file=answer)
        for rows in batches:
            for row in rows:
                print("|".join(map(text, row)), file=answer)


def batches_of(cursor):
    """The rows of a cursor in batches."""
    while rows := cursor.fetchmany(BATCH_ROWS):
        yield rows


def run_duckdb(database, script, answer, mib, threads, seconds):
    """DuckDB, with the script as it is."""
    import duckdb

    config = {"threads": threads}
    if mib:
        config["memory_limit"] = "{}MiB".format(mib)
    with duckdb.connect(database, config=config) as connection:
        if seconds:
            timer = threading.Timer(seconds, connection.interrupt)
            timer.daemon = True
            timer.start()
        for statement in statements(script):
            connection.execute(statement)
        names = [column[0] for column in connection.description or []]
        write(answer, names, batches_of(connection))


def for_sqlite(statement):
    """The statement as SQLite understands it: dates are texts, and some functions have other names."""
    statement = re.sub(r"CAST\(('[-0-9]+') AS date\)", r"\1", statement, flags=re.IGNORECASE)
    statement = re.sub(r"\bdate\s+('[-0-9]+')", r"\1", statement, flags=re.IGNORECASE)
    statement = re.sub(
        r"extract\(year FROM (\w+)\)", r"CAST(substr(\1, 1, 4) AS integer)", statement, flags=re.IGNORECASE
    )
    statement = re.sub(
        r"substring\((\w+) FROM (\d+) FOR (\d+)\)", r"substr(\1, \2, \3)", statement, flags=re.IGNORECASE
    )
    # The names of a derived table's columns stand in its list.
    return re.sub(
        r"count\(o_orderkey\)(\s.*?)\s+AS c_orders \(c_custkey,\s*c_count\)",
        r"count(o_orderkey) AS c_count\1 AS c_orders",
        statement,
        flags=re.DOTALL,
    )


def rows_of(path, columns):
    """The rows of a file of the generator, whose lines may end in a separator."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n").split("|")[:columns]


def run_sqlite(database, script, answer, mib, _threads, seconds):
    """SQLite, with a cache of half of the limit, or of 64 MiB without one."""
    with sqlite3.connect(database, isolation_level=None) as connection:
        connection.execute("PRAGMA cache_size = {}".format(-(mib * 512 if mib else 65536)))
        if seconds:
            end = time.monotonic() + seconds
            connection.set_progress_handler(lambda: time.monotonic() > end, 100000)
        cursor = connection.cursor()
        connection.execute("BEGIN")
        for statement in statements(script):
            copied = COPY.match(statement)
            if copied:
                table, path = copied.group(1), copied.group(2).replace("''", "'")
                columns = len(cursor.execute("PRAGMA table_info({})".format(table)).fetchall())
                places = ", ".join("?" * columns)
                cursor.executemany("INSERT INTO {} VALUES ({})".format(table, places), rows_of(path, columns))
            else:
                cursor.execute(for_sqlite(statement))
        write(answer, [column[0] for column in cursor.description or []], batches_of(cursor))
        connection.execute("COMMIT")


def main():
    """Does what the arguments say."""
    engine, database, script, answer = sys.argv[1:5]
    mib, threads, seconds = map(int, sys.argv[5:8])
    if engine == "duckdb":
        import duckdb  # before the clock starts
        del duckdb
    with open(script, encoding="utf-8") as file:
        script = file.read()
    cpu = processor_seconds()
    run = run_duckdb if engine == "duckdb" else run_sqlite
    run(database, script, answer, mib, threads, seconds)
    print("FIGURE cpu_s", processor_seconds() - cpu)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # whatever the engine says is the result
        sys.exit("{}: {}".format(type(error).__name__, str(error).splitlines()[0] if str(error) else ""))
