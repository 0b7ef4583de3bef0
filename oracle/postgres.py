"""PostgreSQL's own parser, in a process of its own.

`Postgres.each(verb, requests)` gives one answer for each request, in order. The requests go to a worker (this file, run
as a program) through a file and the answers come back a line each, so that neither side waits for the other. pglast is a
C library: what makes it crash ends the worker and not the run. The worker is then started again behind the request that
it died of, whose answer is `Crash`.

| verb | request | answer |
|---|---|---|
| verdict | (text,) | Accepted, Rejected with message and offset, or NoVerdict |
| tokens | (text,) | a list of (start, end) in characters, comments left out; [] if the text has no tokens |
| compare | (text, text) | "" if PostgreSQL's trees are equal but for locations, else where they differ first |
| fingerprint | (text,) | the fingerprint, or None if it is rejected |
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass

# What PostgreSQL says of texts that are too deep for it: no verdict on the grammar.
LIMITS = ("memory exhausted", "stack depth limit exceeded")

# Fields of PostgreSQL's tree that say where something stood. Inside of a string a quote is escaped, so that one right
# after `{` or `,` begins a key.
LOCATION_KEY = r'"(?:\w*location|stmt_len|\w*list_start|\w*list_end)":-?\d+'
LOCATION = re.compile(rf",{LOCATION_KEY}|(?<=\{{){LOCATION_KEY}(?:,{LOCATION_KEY})*,?")


@dataclass(frozen=True)
class Accepted:
    """The text is PostgreSQL's SQL."""


@dataclass(frozen=True)
class Rejected:
    """The text is not. `offset` is in bytes; None where PostgreSQL names no place."""

    message: str
    offset: int | None


@dataclass(frozen=True)
class NoVerdict:
    """PostgreSQL's parser met a limit of its own, or crashed."""

    message: str


CRASH = NoVerdict("the parser crashed")


class Missing(Exception):
    """What the run needs is not there."""


class Postgres:
    """Answers of PostgreSQL's parser."""

    def __init__(self):
        probe = subprocess.run([sys.executable, __file__], capture_output=True, text=True)
        if probe.returncode != 0:
            raise Missing(
                "the Python package pglast is missing, which is PostgreSQL's own parser:\n"
                "  python -m venv VENV && VENV/bin/pip install -r oracle/requirements.txt\n"
                "and run this program with VENV/bin/python"
            )
        self.version = probe.stdout.strip()

    def each(self, verb, requests):
        """One answer for each request."""
        with tempfile.NamedTemporaryFile(suffix=".nul") as file:
            file.write(b"\0".join(text.encode() for request in requests for text in request))
            file.flush()
            done, carefully = 0, False
            while done < len(requests):
                # A careful worker writes each answer at once, so that it is known which request killed it.
                for answer in self._worker(verb, file.name, done, carefully):
                    done += 1
                    yield _answer(verb, answer)
                if done < len(requests):
                    if carefully:
                        done += 1
                        yield CRASH if verb == "verdict" else None
                    carefully = not carefully

    def _worker(self, verb, path, start, carefully):
        command = [sys.executable, __file__, verb, path, str(start), "careful" if carefully else "fast"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            for line in worker.stdout:
                if line.endswith(b"\n"):
                    yield json.loads(line)
        if worker.returncode > 0:
            raise RuntimeError("the worker failed; its error is above")


def _answer(verb, answer):
    if verb != "verdict":
        return [tuple(token) for token in answer] if verb == "tokens" else answer
    if answer is None:
        return Accepted()
    message, offset = answer
    return NoVerdict(message) if message.startswith(LIMITS) else Rejected(message, offset)


# ---- the worker


def work(verb, path, start, carefully):
    """Answers the requests of a file from number `start` on."""
    answer = {"verdict": verdict, "tokens": tokens, "compare": compare, "fingerprint": fingerprint}[verb]
    arity = 2 if verb == "compare" else 1
    with open(path, "rb") as file:
        texts = file.read().decode().split("\0")
    for index in range(start * arity, len(texts), arity):
        print(json.dumps(answer(*texts[index : index + arity])), flush=carefully)


def verdict(text):
    """None, or a message and an offset in bytes."""
    try:
        pg.parse_sql_protobuf(text)
        return None
    except pg.ParseError as error:
        message, location = error.args
        if location is not None:
            return message, len(text[:location].encode())
        return message, len(text.encode()) if message.endswith("at end of input") else None


def tokens(text):
    """Where the tokens stand, in characters."""
    try:
        return [(token.start, token.end + 1) for token in pg.scan(text) if not token.name.endswith("_COMMENT")]
    except pg.ParseError:
        return []


def fingerprint(text):
    """The fingerprint of a whole text."""
    try:
        return pg.fingerprint(text)
    except pg.ParseError:
        return None


def compare(original, printed):
    """Where PostgreSQL's trees of two texts differ."""
    try:
        left = pg.parse_sql_json(original)
    except pg.ParseError as error:
        return f"PostgreSQL rejects the original: {error.args[0]}"
    try:
        right = pg.parse_sql_json(printed)
    except pg.ParseError as error:
        return f"PostgreSQL rejects what was printed: {error.args[0]}"
    left, right = LOCATION.sub("", left), LOCATION.sub("", right)
    return "" if left == right else first_difference(left, right)


def first_difference(left, right):
    """The path to the first difference of two trees, and both sides of it."""
    try:
        stack = [("", json.loads(left), json.loads(right))]
    except RecursionError:
        return "the trees differ, and are too deep to say where"
    while stack:
        path, left, right = stack.pop()
        if left == right:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            pairs = [(f"{path}.{key}", left.get(key), right.get(key)) for key in sorted({*left, *right})]
        elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
            pairs = [(f"{path}[]", *pair) for pair in zip(left, right)]
        else:
            return f"{path}: {json.dumps(left)[:60]} is now {json.dumps(right)[:60]}"
        stack += reversed(pairs)
    return "the trees differ in the order of their fields"


if __name__ == "__main__":
    try:
        import pglast.parser as pg
    except ImportError:
        sys.exit(3)
    if len(sys.argv) == 1:
        print(f"PostgreSQL {pg.get_postgresql_version()[0]}")
    else:
        work(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "careful")
        sys.stdout.flush()
        # The library's own clean-up is not worth waiting for.
        os._exit(0)
