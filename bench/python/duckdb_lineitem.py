"""DuckDB's side of bench-store: one job a process, figures on standard output as lines "FIGURE name value".

    duckdb_lineitem.py size DATABASE TEXT          loads lineitem alone, and says how large that made the file
    duckdb_lineitem.py sum DATABASE                sums three columns by one thread, hot
    duckdb_lineitem.py load DATABASE TEXT MIB      loads lineitem under a limit, by one thread
"""

import os
import resource
import sys
import time

import duckdb

SUMS_COUNT = 20

CREATE = """CREATE TABLE lineitem (
    l_orderkey BIGINT NOT NULL, l_partkey BIGINT NOT NULL, l_suppkey BIGINT NOT NULL, l_linenumber INTEGER NOT NULL,
    l_quantity DECIMAL(15, 2) NOT NULL, l_extendedprice DECIMAL(15, 2) NOT NULL, l_discount DECIMAL(15, 2) NOT NULL,
    l_tax DECIMAL(15, 2) NOT NULL, l_returnflag VARCHAR NOT NULL, l_linestatus VARCHAR NOT NULL,
    l_shipdate DATE NOT NULL, l_commitdate DATE NOT NULL, l_receiptdate DATE NOT NULL,
    l_shipinstruct VARCHAR NOT NULL, l_shipmode VARCHAR NOT NULL, l_comment VARCHAR NOT NULL)"""
SUM = "SELECT sum(l_orderkey), sum(l_partkey), sum(l_suppkey) FROM lineitem"


def figure(name, value):
    """Prints one figure."""
    print("FIGURE", name, float(value))


def processor_seconds():
    """What this process has used, for itself and by the system for it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def load(path, text, settings):
    """Loads the table into a new file, checkpoints it, and says what that took."""
    cpu, wall = processor_seconds(), time.monotonic()
    with duckdb.connect(path, config=settings) as connection:
        connection.execute(CREATE)
        connection.execute("COPY lineitem FROM '{}' (DELIMITER '|')".format(text.replace("'", "''")))
        connection.execute("CHECKPOINT")
        figure("rows", connection.execute("SELECT count(*) FROM lineitem").fetchone()[0])
    figure("cpu_s", processor_seconds() - cpu)
    figure("wall_s", time.monotonic() - wall)


def empty_bytes(path):
    """The size of a database without tables."""
    with duckdb.connect(path) as connection:
        connection.execute("CHECKPOINT")
    size = os.path.getsize(path)
    os.remove(path)
    return size


def size(path, text):
    """The share of the table in a file that has nothing else."""
    load(path, text, {"threads": 1})
    figure("file_mib", (os.path.getsize(path) - empty_bytes(path + ".empty")) / (1 << 20))


def sums(path):
    """Processor time of the sums, after the first time."""
    with duckdb.connect(path, read_only=True, config={"threads": 1}) as connection:
        found = connection.execute(SUM).fetchone()
        cpu, wall = processor_seconds(), time.monotonic()
        for _ in range(SUMS_COUNT):
            if connection.execute(SUM).fetchone() != found:
                sys.exit("two passes had different sums")
        figure("cpu_ms", (processor_seconds() - cpu) * 1e3 / SUMS_COUNT)
        figure("wall_ms", (time.monotonic() - wall) * 1e3 / SUMS_COUNT)
    for index, value in enumerate(found):
        figure("sum_{}".format(index), value)


def main():
    """Does the job that the arguments name."""
    job, database = sys.argv[1:3]
    if job == "size":
        size(database, sys.argv[3])
    elif job == "sum":
        sums(database)
    else:
        load(database, sys.argv[3], {"threads": 1, "memory_limit": sys.argv[4] + "MiB"})


if __name__ == "__main__":
    try:
        main()
    except duckdb.Error as error:
        # The lines after the first are advice.
        sys.exit(str(error).splitlines()[0])
