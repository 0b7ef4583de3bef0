"""Asks PostgreSQL's own parser whether `cofferdam sql` is right. README.md beside this file has the commands.

The exit code is 0 where every bar holds, 1 where one does not, and 2 where nothing can be asked because something is
missing.
"""

import argparse
import itertools
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass

import corpus
import generate
from postgres import Accepted, Missing, NoVerdict, Postgres, Rejected
from subject import Subject

MUTANTS_COUNT = 20_000
BATCH = 5_000
QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Row:
    """A line of the summary: `part` of `whole`, and the share that it must be at least or at most."""

    name: str
    part: int
    whole: int
    bar: float | None = None
    at_least: bool = True

    @property
    def percent(self):
        """The share; all of nothing is all."""
        return 100 * self.part / self.whole if self.whole else (100.0 if self.at_least else 0.0)

    @property
    def holds(self):
        """Whether the bar is kept."""
        return self.bar is None or (self.percent >= self.bar if self.at_least else self.percent <= self.bar)

    def __str__(self):
        bar = "" if self.bar is None else f"{'>=' if self.at_least else '<='} {self.bar:g} %"
        verdict = "" if self.bar is None else ("holds" if self.holds else "MISSED")
        return f"{self.name:<44} {self.part:>7} of {self.whole:>7} {self.percent:>8.3f} %  {bar:>9}  {verdict}"


class Oracle:
    """Both parsers and the texts that they are asked about."""

    def __init__(self, options):
        self.options = options
        self.subject = Subject(options.program)
        self.postgres = Postgres()
        derived = generate.statements(options.derive, options.seed)
        self.texts = derived + (corpus.load(options.corpus) if options.corpus or not derived else [])
        self.truth = list(self.postgres.each("verdict", [(text,) for text in self.texts]))
        print(f"{len(self.texts)} texts, {self.subject.program}, {self.postgres.version}\n")

    def accepted(self):
        """The texts that PostgreSQL accepts."""
        return [text for text, truth in zip(self.texts, self.truth) if isinstance(truth, Accepted)]

    def tokens(self, texts):
        """Where the tokens of the texts stand."""
        return [places or [] for places in self.postgres.each("tokens", [(text,) for text in texts])]

    def verdicts(self):
        """The corpus as it is."""
        verdicts = list(zip(self.texts, self.truth, self.subject.check(self.texts)))
        right = [(text, ours) for text, truth, ours in verdicts if isinstance(truth, Accepted)]
        wrong = [(text, truth, ours) for text, truth, ours in verdicts if isinstance(truth, Rejected)]
        missed = [(text, ours) for text, ours in right if not ours.accepts]
        taken = [(text, truth) for text, truth, ours in wrong if ours.accepts]
        self.groups(
            "accepted by PostgreSQL and rejected",
            [((first_words(text), general(ours.message)), at(text, ours.offset)) for text, ours in missed],
        )
        self.groups(
            "rejected by PostgreSQL and accepted",
            [((first_words(text), general(truth.message)), at(text, truth.offset)) for text, truth in taken],
        )
        unknown = sum(isinstance(truth, NoVerdict) for truth in self.truth)
        if unknown:
            print(f"PostgreSQL has no verdict on {unknown} texts\n")
        return [
            Row("accepted of what PostgreSQL accepts", len(right) - len(missed), len(right), 99.5),
            Row("accepted of what PostgreSQL rejects", len(taken), len(wrong), 3, at_least=False),
            Row("rejected at PostgreSQL's offset", *same_offsets(wrong)),
        ]

    def mutants(self):
        """Texts with a mistake: as many as asked for that PostgreSQL rejects, and those it accepts along the way."""
        texts = self.accepted()
        source = corpus.mutants(texts, self.tokens(texts), self.options.seed)
        rejected, missed, valid = defaultdict(list), defaultdict(list), Counter()
        count = 0
        while count < self.options.count and (batch := list(itertools.islice(source, BATCH))):
            truths = self.postgres.each("verdict", [(text,) for _, text in batch])
            for (kind, text), truth, ours in zip(batch, truths, self.subject.check([text for _, text in batch])):
                if isinstance(truth, Rejected) and count < self.options.count:
                    rejected[kind].append((text, truth, ours))
                    count += 1
                elif isinstance(truth, Accepted):
                    valid[kind] += 1
                    if not ours.accepts:
                        missed[kind].append((text, ours))
        self.show_mutants(rejected, missed)
        return list(self.rows_of_mutants(rejected, missed, valid))

    def rows_of_mutants(self, rejected, missed, valid):
        """The figures of each kind and of all."""
        everything = [case for cases in rejected.values() for case in cases]
        taken = lambda cases: sum(ours.accepts for _, _, ours in cases)
        for kind in sorted(rejected):
            yield Row(f"token {kind}: wrongly accepted", taken(rejected[kind]), len(rejected[kind]), at_least=False)
            yield Row(f"token {kind}: wrongly rejected", len(missed[kind]), valid[kind], at_least=False)
            bar = 90 if kind == "deleted" else None
            yield Row(f"token {kind}: PostgreSQL's offset", *same_offsets(rejected[kind]), bar)
        yield Row("all mutants: wrongly accepted", taken(everything), len(everything), 3, at_least=False)
        yield Row("all mutants: PostgreSQL's offset", *same_offsets(everything))

    def show_mutants(self, rejected, missed):
        """What is wrong with the answers to mutants, by kind of statement and message."""
        everything = [case for cases in rejected.values() for case in cases]
        self.groups(
            "mutants that are wrongly accepted",
            [
                ((first_words(text), general(truth.message)), at(text, truth.offset))
                for text, truth, ours in everything
                if ours.accepts
            ],
        )
        self.groups(
            "mutants that are wrongly rejected",
            [
                ((first_words(text), general(ours.message)), at(text, ours.offset))
                for cases in missed.values()
                for text, ours in cases
            ],
        )
        self.groups(
            "mutants that are rejected elsewhere (<<P>> is PostgreSQL's place, <<C>> ours)",
            [
                ((first_words(text), general(ours.message)), at(text, truth.offset, ours.offset))
                for text, truth, ours in everything
                if not ours.accepts and truth.offset is not None and truth.offset != ours.offset
            ],
        )

    def print(self):
        """What is printed means the same to PostgreSQL."""
        printed = self.subject.print(self.texts)
        pairs = [
            (text, after)
            for text, truth, ours, after in zip(self.texts, self.truth, self.subject.check(self.texts), printed)
            if isinstance(truth, Accepted) and ours.accepts
        ]
        differences = [
            (text, after, "PostgreSQL's parser crashed" if difference is None else difference)
            for (text, after), difference in zip(pairs, self.postgres.each("compare", pairs))
            if difference != ""
        ]
        self.groups(
            "printed with another meaning",
            [
                ((first_words(text), general(difference)), f"{text}\n-> {after}")
                for text, after, difference in differences
            ],
        )
        return [Row("PostgreSQL's tree of the printed text is equal", len(pairs) - len(differences), len(pairs), 100)]

    def fingerprints(self):
        """Texts have one fingerprint exactly where they have one for PostgreSQL."""
        texts = self.accepted()
        variants = map(corpus.with_other_literals, texts, self.tokens(texts), itertools.repeat(self.options.seed))
        texts = list(dict.fromkeys([*texts, *variants]))
        theirs = self.postgres.each("fingerprint", [(text,) for text in texts])
        known = [
            (text, their, our)
            for text, their, our in zip(texts, theirs, self.subject.fingerprint(texts))
            if their is not None and our is not None
        ]
        by_theirs, by_ours = defaultdict(dict), defaultdict(dict)
        for text, their, our in known:
            by_theirs[their].setdefault(our, text)
            by_ours[our].setdefault(their, text)
        apart = [list(ours.values()) for ours in by_theirs.values() if len(ours) > 1]
        together = [list(theirs.values()) for theirs in by_ours.values() if len(theirs) > 1]
        self.groups("one to PostgreSQL, several to us", [((first_words(g[0]),), "\n".join(g[:2])) for g in apart])
        self.groups("several to PostgreSQL, one to us", [((first_words(g[0]),), "\n".join(g[:2])) for g in together])
        return [
            Row("PostgreSQL's classes that are ours", len(by_theirs) - len(apart), len(by_theirs), 100),
            Row("our classes that are PostgreSQL's", len(by_ours) - len(together), len(by_ours), 100),
        ]

    def all(self):
        """Everything."""
        return [row for part in (self.verdicts, self.mutants, self.print, self.fingerprints) for row in part()]

    def groups(self, title, cases):
        """Shows (key, example) by key, the most frequent first."""
        if not cases:
            return
        examples, counts = {}, Counter()
        for key, example in cases:
            counts[key] += 1
            # The shortest example says the most.
            examples[key] = min(examples.get(key, example), example, key=len)
        print(f"## {title}: {len(cases)} in {len(counts)} groups")
        for key, count in counts.most_common(self.options.show):
            example = cut(examples[key]).replace("\n", "\n          ")
            print(f"{count:>6}  {'  |  '.join(key)}\n          {example}")
        if len(counts) > self.options.show:
            print(f"   ...  {len(counts) - self.options.show} more groups (--show {len(counts)})")
        print()


def same_offsets(cases):
    """Of those with a place that PostgreSQL names, how many are rejected at that place, and how many there are."""
    placed = [(truth, ours) for _, truth, ours in cases if truth.offset is not None]
    return sum(not ours.accepts and truth.offset == ours.offset for truth, ours in placed), len(placed)


def first_words(text):
    """The words that say what kind of statement it is."""
    lines = (line.split("--")[0] for line in text.splitlines())
    words = " ".join(lines).replace("(", " ( ").split()
    count = 2 if words and words[0].upper() in ("CREATE", "ALTER", "DROP", "COMMENT", "SET") else 1
    return " ".join(words[:count]).upper()


def general(message):
    """A message without what was expected instead, and without the case of words and the text of literals."""
    what = message.split("; expected")[0]
    return QUOTED.sub(lambda found: found[0].upper() if found[0][1:-1].isidentifier() else '"..."', what)


def at(text, theirs, ours=None):
    """The text with marks at the places."""
    marks = [(theirs, b"<<P>>"), (ours, b"<<C>>")] if ours is not None else [(theirs, b"<<!>>")]
    content = text.encode()
    for offset, mark in sorted((mark for mark in marks if mark[0] is not None), reverse=True):
        content = content[:offset] + mark + content[offset:]
    return content.decode(errors="replace")


def cut(text, limit=400):
    """A text of bounded length around the first mark, fit for a terminal."""
    first = max(0, text.find("<<") - limit // 2)
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text[first : first + limit])
    return ("..." if first else "") + shown + ("..." if first + limit < len(text) else "")


def options():
    """The command line."""
    parser = argparse.ArgumentParser(description="Asks PostgreSQL's own parser whether `cofferdam sql` is right.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--corpus", action="append", default=[], metavar="FILE", help="texts, separated by NUL bytes")
    common.add_argument(
        "--derive", type=int, default=0, metavar="N", help="ask about N statements that derive from the grammar"
    )
    common.add_argument("--program", metavar="PATH", help="the program; by default that of the release build")
    common.add_argument("--show", type=int, default=20, metavar="N", help="how many groups of failures are shown")
    common.add_argument("--seed", type=int, default=1, metavar="S", help="the seed of what is chosen by chance")
    common.add_argument(
        "--count", type=int, default=MUTANTS_COUNT, metavar="N", help="how many mutants that PostgreSQL rejects"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("verdicts", "mutants", "print", "fingerprints", "all"):
        commands.add_parser(name, parents=[common], help=getattr(Oracle, name).__doc__)
    return parser.parse_args()


def main():
    """Gives the exit code."""
    chosen = options()
    try:
        rows = getattr(Oracle(chosen), chosen.command)()
    except Missing as missing:
        print(f"error: {missing}", file=sys.stderr)
        return 2
    print(*rows, sep="\n")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
