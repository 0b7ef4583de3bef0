"""Random statements from the grammar of forms itself: every alternative that the grammar declares is taken in time.

Reads `crates/sql/grammar/*.syntax` (the notation is in the README there) and derives texts from the rule `statement`,
with samples for the nonterminals that are written by hand. What PostgreSQL rejects of them shows where the grammar is too
wide; `oracle.py print` over them shows what is printed wrongly; mutants of them show where it is too narrow.

    python oracle/oracle.py verdicts --derive 5000
    python oracle/generate.py --count 5000 --seed 1 > generated.nul

A nonterminal without samples is an error, whether a text needs it or not.
"""

import argparse
import random
import re
import sys
from pathlib import Path

GRAMMAR = Path(__file__).resolve().parent.parent / "crates" / "sql" / "grammar"

EXPRESSIONS = """1; 'x'; a; t.a; f(1); a + 1; NOT b; a IS NULL; (SELECT 1); -1; CASE WHEN a THEN b END; a IN (1, 2);
x::int; NULL; $1; ARRAY[1, 2]; CURRENT_DATE; a[1]; (r).f; count(*); a BETWEEN 1 AND 2; DEFAULT; ROW(1, 2); sum(a) OVER w;
a LIKE 'b%'; EXISTS (SELECT 1); extract(year FROM d); a = ANY (b); 'a' COLLATE "C"; t.*; a AND b OR c""".split(";")
SIMPLE = "1; a; t.a; f(1); a + 1; -1; x::int; 'x'; (a AND b); a IS DISTINCT FROM b".split(";")
PRIMARY = "1; a; f(1); (a); 'x'; (SELECT 1); $1; CURRENT_DATE; ARRAY[1]; CASE WHEN a THEN b END".split(";")
CALLS = "f(); f(1, 2); s.f(a); coalesce(a, b); CURRENT_DATE; substring(a FROM 1); CAST(a AS int)".split(";")
QUERIES = """SELECT 1; SELECT a, b FROM t WHERE a = 1; VALUES (1, 2), (3, 4); TABLE t; (SELECT 1); SELECT 1 UNION SELECT 2;
WITH c AS (SELECT 1) SELECT * FROM c; SELECT a FROM t ORDER BY a LIMIT 1; SELECT * FROM a JOIN b USING (c)""".split(";")
TABLES = "t; s.t; t AS x; f(1) AS x; (SELECT 1) x; a JOIN b ON true; ONLY t; LATERAL f(1) x; a CROSS JOIN b".split(";")
TYPES = """int; text; numeric(10, 2); varchar(3); timestamp with time zone; int[]; s.ty; double precision; interval day to hour;
bit varying(3); char; "T"; ty(1); time(3); int ARRAY[3]; national character varying(2)""".split(";")
NAMES = 'a; b; c; "Q r"; name; abort; data; value; key; x1; action; über'.split(";")
COLUMN_NAMES = NAMES + "between; coalesce; setof; values".split("; ")
FUNCTION_NAMES = NAMES + "left; binary; overlaps; ilike".split("; ")
SAMPLES = {
    "expr": EXPRESSIONS,
    "item": EXPRESSIONS + [" *", " a AS b", " a b"],
    "sort_key": EXPRESSIONS + ["a DESC", "a NULLS FIRST", "a USING >", "a USING OPERATOR(s.<) NULLS LAST"],
    "json_encoding": ["utf8", "UTF16", "utf32"],
    "json_key": PRIMARY + ["a || b"],
    "const": ["1", "'x'", "TRUE", "NULL", "1.5", "-2", "B'1'", "int '1'", "interval '1' day", "f(1) 'x'"],
    "b_expr": SIMPLE,
    "c_expr": PRIMARY,
    "func_expr": CALLS,
    "func_application": ["f()", "f(1)", "s.f(a, b)", "f(VARIADIC a)"],
    "query": QUERIES,
    "table": TABLES,
    "type": TYPES,
    "func_type": TYPES + ["SETOF int", "t.a%TYPE", "SETOF s.t.a%TYPE"],
    "simple_type": [kind for kind in TYPES if "[" not in kind and "ARRAY" not in kind],
    "col_id": COLUMN_NAMES,
    "type_function_name": FUNCTION_NAMES,
    "nonreserved_word": COLUMN_NAMES + FUNCTION_NAMES,
    "col_label": COLUMN_NAMES + FUNCTION_NAMES + ["select", "table", "all"],
    "identifier": ["a", '"B"'],
    "option_name": ["a", "toast.a", "select", "fillfactor", "table.all"],
    "reserved_word": ["select", "all", "on", "true"],
    "role_flag": ["superuser", "nologin", "bypassrls", "noinherit", '"createdb"'],
    "any_name": ["t", "s.t", "c.s.t", '"T".x'],
    "qualified_name": ["t", "s.t", "c.s.t", '"T".x'],
    "func_name": ["f", "s.f", "left"],
    "routine_name": ["f", "s.f"],
    "role_name": ["r", "CURRENT_USER", "SESSION_USER", "CURRENT_ROLE", '"R"', "public"],
    "role_id": ["r", '"R"', "abort"],
    "target": ["a", "a.b", "a[1]", "a[1:2].c", "name"],
    "any_operator": ["+", "s.+", "<>", "@@", "a.b.||"],
    "operator": ["+", "<>", "@@", "||", "=", "*"],
    "string": ["'x'", "E'\\\\t'", "$$y$$", "U&'\\0041'", "''''"],
    "integer": ["1", "0", "42", "0x1F", "1_000"],
    "number": ["1.5", "1e3", "99999999999"],
    "signed_integer": ["1", "-1", "+2"],
    "signed_number": ["1", "-1.5", "+2e3"],
    "bit_string": ["B'01'", "X'1F'"],
    "parameter": ["$1"],
    "setting_name": ["a", "a.b", "work_mem"],
    "setting_value": ["1", "'x'", "on", "off", "-1", "a", "true"],
    "setting_word": ["on", "a", "true", "x"],
    "json_encoding": ["utf8", "UTF16", "utf32"],
    "word_or_string": ["a", "'x'"],
    "statement": ["SELECT 1", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t"],
    "any_statement": ["SELECT 1", "INSERT INTO t VALUES (1)", "CREATE TABLE t ()", "NOTIFY a", "ROLLBACK"],
    "rule_action": ["SELECT 1", "INSERT INTO t VALUES (1)", "NOTIFY a"],
}
WORD = re.compile(r"'[^']*'|<[^>]*>|\.\.\.|->|\[!|&!\(|&\(|[A-Za-z_][A-Za-z_0-9]*|#[^\n]*|\S")


def read_rules():
    """Rule name -> words of its body. Each nonterminal among them has samples."""
    rules = {}
    for path in sorted(GRAMMAR.glob("*.syntax")):
        current = None
        for line in path.read_text().splitlines():
            if not line.strip() or line.startswith(("#", "@")):
                current = None if not line.startswith(" ") else current
                continue
            if not line.startswith(" "):
                head, body = line.split("=", 1)
                current = head.split('"')[0].strip()
                rules[current] = body
            else:
                rules[current] += "\n" + line
    words = {name: [word for word in WORD.findall(body) if not word.startswith("#")] for name, body in rules.items()}
    used = {word[1:-1] for body in words.values() for word in body if re.fullmatch("<[a-z_]+>", word)}
    if missing := sorted(used - SAMPLES.keys()):
        raise SystemExit(f"there are no samples for {', '.join(missing)}")
    return words


class Reader:
    """The words of a rule as nested tuples."""

    def __init__(self, words):
        self.words, self.at = words, 0

    def peek(self):
        return self.words[self.at] if self.at < len(self.words) else None

    def take(self):
        self.at += 1
        return self.words[self.at - 1]

    def choice(self):
        alternatives = [self.sequence()]
        while self.peek() == "|":
            self.take()
            alternatives.append(self.sequence())
        return ("choice", alternatives)

    def sequence(self):
        items = []
        while self.peek() not in (None, "|", ")", "]", "}"):
            item = self.item()
            if item:
                items.append(item)
        return items

    def item(self):
        word = self.take()
        if word in ("[", "[!"):
            item = ("optional", self.choice())
            self.take()
        elif word == "(":
            item = self.choice()
            self.take()
        elif word == "{":
            item = ("repeat", self.choice())
            self.take()
        elif word in ("&(", "&!("):
            while self.take() != ")":
                pass
            return None
        elif word == "->":
            item = ("become", self.take())
        elif self.peek() == ":":
            self.take()
            return self.item()
        elif word.startswith("'"):
            # A word that is no keyword of PostgreSQL's is none of its grammar either.
            item = ("own" if word[1:-1].isalpha() else "text", word[1:-1])
        elif word.startswith("<"):
            item = ("hook", word[1:-1])
        elif word.upper() == word:
            item = ("text", word.removesuffix("_LA"))
        else:
            item = ("rule", word)
        if self.peek() == "...":
            self.take()
            item = ("list", item)
        return item


def theirs(choice):
    """The alternatives without those that only this project's grammar has."""
    kind, alternatives = choice
    return (kind, [items for items in alternatives if all(item[0] != "own" for item in items)])


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.rules = {name: theirs(Reader(words).choice()) for name, words in read_rules().items()}
        self.taken = {}

    def statement(self, rule="statement"):
        self.budget = 60
        words = []
        self.rule(rule, words, 0)
        return " ".join(words)

    def rule(self, name, words, depth):
        self.node(self.rules[name], words, depth + 1)

    def node(self, node, words, depth):
        kind, value = node
        self.budget -= 1
        is_short = self.budget < 0 or depth > 40
        if kind == "text":
            words.append(value)
        elif kind == "hook":
            words.append(self.random.choice(SAMPLES[value]).strip())
        elif kind == "rule":
            self.rule(value, words, depth)
        elif kind == "become":
            if value in self.rules:
                self.rule(value, words, depth)
        elif kind == "choice":
            # The alternative that was taken least often so far, mostly.
            counts = self.taken.setdefault(id(node), [0] * len(value))
            fewest = min(counts)
            least = [index for index, count in enumerate(counts) if count <= fewest + 2]
            index = self.random.choice(least if self.random.random() < 0.8 else range(len(value)))
            if is_short:
                index = min(range(len(value)), key=lambda index: len(value[index]))
            counts[index] += 1
            for item in value[index]:
                self.node(item, words, depth)
        elif kind == "optional":
            if not is_short and self.random.random() < 0.5:
                self.node(value, words, depth)
        elif kind == "repeat":
            while not is_short and self.random.random() < 0.5 and self.budget > 0:
                self.node(value, words, depth)
        elif kind == "list":
            self.node(value, words, depth)
            while not is_short and self.random.random() < 0.35 and self.budget > 0:
                words.append(",")
                self.node(value, words, depth)


def statements(count, seed, rule="statement"):
    """As many texts that derive from the rule."""
    generator = Generator(seed)
    if rule not in generator.rules:
        raise SystemExit(f"there is no rule {rule} in {GRAMMAR}")
    return [generator.statement(rule) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rule", default="statement", help="derive from this rule instead")
    options = parser.parse_args()
    sys.stdout.write("\0".join(statements(options.count, options.seed, options.rule)))


if __name__ == "__main__":
    main()
