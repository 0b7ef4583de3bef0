//! Random statements: what the generator writes must parse, survive printing, and, with a token changed, never panic.

use std::fmt::Write;

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{Error, Lexer, TokenKind, parse};

use crate::assert_round_trip;

/// A small generator of random numbers (xorshift64*), so that a seed names a statement.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Writes a random statement of the grammar.
struct Writer {
    random: Random,
    text: String,
    /// How many more constructs may nest.
    fuel: u32,
}

const NAMES: &[&str] =
    &["a", "Bc", "\"De\"", "\"f\"\"g\"", "t1", "name", "value", "é", "x_y$z", "U&\"\\0061b\""];
const TYPES: &[&str] = &[
    "integer",
    "INT",
    "bigint",
    "decimal(10, 2)",
    "numeric",
    "double precision",
    "text",
    "varchar(3)",
    "timestamp(3) with time zone",
    "interval day to second(2)",
    "date[]",
    "s.mytype(1, -2)",
    "char",
    "float(8)",
];

impl Writer {
    fn new(seed: u64) -> Writer {
        Writer { random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1), text: String::new(), fuel: 40 }
    }

    fn word(&mut self, word: &str) {
        let blank = self.random.pick(&[" ", " ", " ", " ", "\n", "\t ", " /* c */ ", " -- c\n"]);
        self.text.push_str(blank);
        match self.random.below(3) {
            0 if word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                self.text.push_str(&word.to_lowercase())
            }
            _ => self.text.push_str(word),
        }
    }

    fn words(&mut self, words: &str) {
        words.split(' ').for_each(|word| self.word(word));
    }

    fn maybe(&mut self, percent: u64, words: &str) -> bool {
        let is_there = self.random.chance(percent);
        if is_there {
            self.words(words);
        }
        is_there
    }

    fn name(&mut self) {
        let name = self.random.pick(NAMES);
        self.word(name);
    }

    fn list(&mut self, limit: u64, mut element: impl FnMut(&mut Writer)) {
        element(self);
        for _ in 0..self.random.below(limit) {
            self.word(",");
            element(self);
        }
    }

    fn in_parens(&mut self, inside: impl FnOnce(&mut Writer)) {
        self.word("(");
        inside(self);
        self.word(")");
    }

    fn query(&mut self) {
        self.fuel = self.fuel.saturating_sub(1);
        if self.maybe(10, "WITH") {
            self.maybe(30, "RECURSIVE");
            self.list(2, |w| {
                w.name();
                if w.random.chance(30) {
                    w.in_parens(|w| w.list(3, Writer::name));
                }
                w.word("AS");
                let materialized = w.random.pick(&["", "MATERIALIZED", "NOT MATERIALIZED"]);
                w.words(materialized);
                w.in_parens(Writer::query);
                w.maybe(10, "SEARCH DEPTH FIRST BY a, b SET c");
                w.maybe(10, "CYCLE a SET b TO TRUE DEFAULT 'x' USING c");
            });
        }
        // A query in parentheses that stands alone must not get clauses a second time.
        let is_in_parens = self.fuel > 0 && self.random.chance(10);
        if is_in_parens {
            self.in_parens(Writer::query);
            self.word("UNION");
            self.query_operand();
        } else {
            self.simple_query();
        }
        while self.fuel > 0 && self.random.chance(15) {
            let operator =
                self.random.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT DISTINCT"]);
            self.words(operator);
            self.query_operand();
        }
        let is_ordered = self.maybe(30, "ORDER BY");
        if is_ordered {
            self.list(3, |w| {
                w.expr();
                let order = w.random.pick(&[
                    "",
                    "ASC",
                    "DESC",
                    "NULLS FIRST",
                    "DESC NULLS LAST",
                    "USING >=",
                    "USING OPERATOR( s . <#> ) NULLS LAST",
                ]);
                w.words(order);
            });
        }
        let locks_first = self.random.chance(5);
        if locks_first {
            self.locks();
        }
        self.limits(is_ordered);
        if !locks_first && self.random.chance(10) {
            self.locks();
        }
    }

    fn limits(&mut self, is_ordered: bool) {
        let offset_first = self.maybe(5, "OFFSET");
        if offset_first {
            self.operand();
        }
        match self.random.below(10) {
            0 => self.words("LIMIT ALL"),
            1 | 2 => {
                self.word("LIMIT");
                self.expr();
            }
            3 => {
                let fetch = self.random.pick(&["FETCH FIRST ROW ONLY", "FETCH NEXT - 3.5 ROWS ONLY"]);
                self.words(fetch);
            }
            4 if is_ordered => {
                self.words("FETCH FIRST (");
                self.expr();
                self.words(") ROWS WITH TIES");
            }
            _ => {}
        }
        if !offset_first && self.maybe(10, "OFFSET") {
            if self.random.chance(30) { self.words("3 ROWS") } else { self.expr() }
        }
    }

    fn locks(&mut self) {
        if self.maybe(10, "FOR READ ONLY") {
            return;
        }
        for _ in 0..=self.random.below(2) {
            let lock = self.random.pick(&["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"]);
            self.word("FOR");
            self.words(lock);
            if self.maybe(30, "OF") {
                self.list(2, Writer::name);
            }
            self.maybe(20, "NOWAIT");
        }
    }

    fn query_operand(&mut self) {
        let is_in_parens = self.fuel > 0 && self.random.chance(10);
        if is_in_parens { self.in_parens(Writer::query) } else { self.simple_query() }
    }

    fn simple_query(&mut self) {
        match self.random.below(10) {
            0 => {
                self.word("VALUES");
                self.list(3, |w| w.in_parens(|w| w.list(3, Writer::expr)));
            }
            1 => {
                let table =
                    self.random.pick(&["TABLE t", "TABLE ONLY s . t", "TABLE ONLY ( t )", "TABLE t *"]);
                self.words(table);
            }
            _ => self.select(),
        }
    }

    fn select(&mut self) {
        self.word("SELECT");
        match self.random.below(10) {
            0 => self.word("ALL"),
            1 => self.word("DISTINCT"),
            2 => {
                self.words("DISTINCT ON");
                self.in_parens(|w| w.list(2, Writer::expr));
            }
            _ => {}
        }
        self.list(4, |w| match w.random.below(8) {
            0 => w.word("*"),
            1 => {
                w.name();
                w.word(".");
                w.word("*");
            }
            _ => {
                w.expr();
                let alias = w.random.pick(&["", "", "AS x", "y", "AS \"order\"", "AS select", "AS between"]);
                w.words(alias);
            }
        });
        if self.maybe(3, "INTO") {
            let kind = self.random.pick(&["", "TABLE", "TEMP", "LOCAL TEMPORARY TABLE", "UNLOGGED"]);
            self.words(kind);
            self.word("made");
        }
        if self.maybe(80, "FROM") {
            self.list(2, Writer::table);
        }
        if self.maybe(40, "WHERE") {
            self.expr();
        }
        if self.maybe(20, "GROUP BY") {
            let kind = self.random.pick(&["", "", "ALL", "DISTINCT"]);
            self.words(kind);
            self.list(3, Writer::group);
        }
        if self.maybe(10, "HAVING") {
            self.expr();
        }
        if self.maybe(5, "WINDOW") {
            self.list(2, |w| {
                w.name();
                w.word("AS");
                w.in_parens(Writer::window);
            });
        }
    }

    fn group(&mut self) {
        self.fuel = self.fuel.saturating_sub(1);
        match if self.fuel == 0 { 9 } else { self.random.below(10) } {
            0 => self.words("( )"),
            1 => {
                let set = self.random.pick(&["ROLLUP", "CUBE"]);
                self.word(set);
                self.in_parens(|w| w.list(2, Writer::expr));
            }
            2 => {
                self.words("GROUPING SETS");
                self.in_parens(|w| w.list(2, Writer::group));
            }
            _ => self.expr(),
        }
    }

    fn window(&mut self) {
        if self.random.chance(30) {
            self.name();
        }
        if self.maybe(30, "PARTITION BY") {
            self.list(2, Writer::expr);
        }
        if self.maybe(30, "ORDER BY") {
            self.list(2, Writer::expr);
        }
        if self.random.chance(50) {
            let kind = self.random.pick(&["ROWS", "RANGE", "GROUPS"]);
            self.word(kind);
            if self.maybe(50, "BETWEEN") {
                self.operand();
                self.words("PRECEDING AND");
                if !self.maybe(50, "CURRENT ROW") {
                    self.operand();
                    self.word("FOLLOWING");
                }
            } else {
                self.words("UNBOUNDED PRECEDING");
            }
            let without = self.random.pick(&["", "EXCLUDE TIES", "EXCLUDE NO OTHERS"]);
            self.words(without);
        }
    }

    fn table(&mut self) {
        self.fuel = self.fuel.saturating_sub(1);
        let choice = if self.fuel == 0 { 0 } else { self.random.below(11) };
        match choice {
            0..3 => {
                self.maybe(5, "ONLY");
                for _ in 0..self.random.below(3) {
                    self.name();
                    self.word(".");
                }
                self.name();
                self.table_alias(false);
                if self.maybe(5, "TABLESAMPLE s . system") {
                    self.in_parens(Writer::expr);
                    self.maybe(50, "REPEATABLE ( 1 )");
                }
            }
            8 => {
                self.maybe(30, "LATERAL");
                self.function();
                self.maybe(30, "WITH ORDINALITY");
                self.table_alias(false);
            }
            9 => {
                self.words("ROWS FROM");
                self.in_parens(|w| {
                    w.list(2, |w| {
                        w.function();
                        w.maybe(30, "AS ( a integer , b text COLLATE \"C\" )");
                    });
                });
                self.maybe(30, "WITH ORDINALITY");
                self.table_alias(false);
            }
            10 => {
                self.maybe(50, "LATERAL");
                self.in_parens(Writer::query);
                self.table_alias(false);
            }
            3 => {
                self.word("'data/Line''item.csv'");
                self.table_alias(true);
            }
            4 => {
                self.in_parens(Writer::query);
                self.table_alias(false);
            }
            5 => {
                self.in_parens(Writer::join);
                self.table_alias(false);
            }
            _ => self.join(),
        }
    }

    fn function(&mut self) {
        match self.random.below(4) {
            0 => self.word("CURRENT_DATE"),
            1 => {
                self.word("COALESCE");
                self.in_parens(|w| w.list(2, Writer::expr));
            }
            _ => {
                self.word("f");
                self.in_parens(|w| w.list(2, Writer::expr));
            }
        }
    }

    fn table_alias(&mut self, is_file: bool) {
        if !self.random.chance(50) {
            return;
        }
        self.maybe(50, "AS");
        self.name();
        if self.random.chance(30) {
            self.in_parens(|w| {
                w.list(3, |w| {
                    w.name();
                    if is_file && w.random.chance(70) {
                        w.type_name();
                    }
                });
            });
        }
    }

    fn join(&mut self) {
        self.table();
        let kind = self.random.pick(&["JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT OUTER JOIN", "FULL JOIN"]);
        match self.random.below(4) {
            0 => {
                self.words("CROSS JOIN");
                self.table();
            }
            1 => {
                self.words("NATURAL");
                self.words(kind);
                self.table();
            }
            2 => {
                self.words(kind);
                self.table();
                self.word("USING");
                self.in_parens(|w| w.list(2, Writer::name));
            }
            _ => {
                self.words(kind);
                self.table();
                self.word("ON");
                self.expr();
            }
        }
    }

    fn type_name(&mut self) {
        let name = self.random.pick(TYPES);
        self.words(name);
    }

    fn expr(&mut self) {
        self.fuel = self.fuel.saturating_sub(1);
        if self.fuel == 0 {
            return self.leaf();
        }
        match self.random.below(30) {
            0..6 => self.leaf(),
            6..9 => self.in_parens(Writer::expr),
            9..13 => {
                let operator =
                    self.random.pick(&["+", "-", "*", "/", "%", "^", "||", "->>", "@>", "~", "&&"]);
                self.operand();
                self.word(operator);
                self.operand();
            }
            13 => {
                let operator = self.random.pick(&["=", "<>", "!=", "<", "<=", ">", ">="]);
                self.operand();
                self.word(operator);
                self.operand();
            }
            14 | 15 => {
                let operator = self.random.pick(&["AND", "OR"]);
                self.expr();
                self.word(operator);
                self.expr();
            }
            16 => {
                let operator = self.random.pick(&["NOT", "-", "+", "@", "!!"]);
                self.word(operator);
                self.expr();
            }
            17 => self.test(),
            18 => self.case(),
            19 => {
                self.words("CAST (");
                self.expr();
                self.word("AS");
                self.type_name();
                self.word(")");
            }
            20 => {
                self.operand();
                self.word("::");
                self.type_name();
            }
            21 | 22 => self.call(),
            23 => self.in_parens(Writer::query),
            24 => {
                self.word("EXISTS");
                self.in_parens(Writer::query);
            }
            25 => self.selection(),
            26 => self.array(),
            27 => self.quantified(),
            28 => self.document(),
            _ => {
                self.maybe(50, "ROW");
                self.in_parens(|w| {
                    w.expr();
                    w.word(",");
                    w.expr();
                });
            }
        }
    }

    /// A field or an element of a value.
    fn selection(&mut self) {
        if self.random.chance(50) {
            self.name()
        } else {
            self.in_parens(Writer::expr)
        }
        match self.random.below(4) {
            0 => {
                self.words("[ :");
                self.expr();
                self.word("]");
            }
            1 => {
                self.word("[");
                self.expr();
                let end = self.random.pick(&[": ]", "]", "] . name", "] . *"]);
                self.words(end);
            }
            2 => self.words(". a [ 1 : 2 ] [ 3 ]"),
            _ => self.words(". b . \"C\""),
        }
    }

    fn array(&mut self) {
        self.word("ARRAY");
        match self.random.below(3) {
            0 => self.in_parens(Writer::query),
            1 => {
                self.word("[");
                self.list(3, Writer::expr);
                self.word("]");
            }
            _ => {
                self.words("[ [");
                self.list(2, Writer::expr);
                self.words("] , [ ] ]");
            }
        }
    }

    fn quantified(&mut self) {
        self.operand();
        let operator = self.random.pick(&["=", "<>", "LIKE", "NOT ILIKE", "+", "~", "OPERATOR ( s . = )"]);
        self.words(operator);
        let quantifier = self.random.pick(&["ANY", "ALL", "SOME"]);
        self.word(quantifier);
        if self.random.chance(50) { self.in_parens(Writer::expr) } else { self.in_parens(Writer::query) }
    }

    /// Functions that the grammar declares, and clauses after calls.
    fn document(&mut self) {
        match self.random.below(6) {
            0 => {
                self.words("JSON_OBJECT (");
                self.list(2, |w| {
                    w.operand();
                    let separator = w.random.pick(&[":", "VALUE"]);
                    w.word(separator);
                    w.expr();
                });
                let end = self.random.pick(&[")", "NULL ON NULL WITH UNIQUE KEYS )", "RETURNING jsonb )"]);
                self.words(end);
            }
            1 => {
                self.words("XMLELEMENT ( NAME a , XMLATTRIBUTES (");
                self.expr();
                self.words("AS b ) ,");
                self.list(2, Writer::expr);
                self.word(")");
            }
            2 => {
                self.words("JSON_QUERY (");
                self.expr();
                self.words("FORMAT JSON , '$' PASSING");
                self.expr();
                self.words("AS x WITH WRAPPER KEEP QUOTES EMPTY ON ERROR )");
            }
            3 => {
                self.words("f (");
                self.list(2, Writer::expr);
                self.words(") FILTER ( WHERE");
                self.expr();
                self.words(") OVER ( PARTITION BY");
                self.list(2, Writer::expr);
                self.words("ROWS 1 PRECEDING )");
            }
            4 => {
                self.words("percentile ( 0.5 ) WITHIN GROUP ( ORDER BY");
                self.expr();
                self.words("DESC ) OVER w");
            }
            _ => {
                self.words("f ( a =>");
                self.expr();
                self.words(", VARIADIC");
                self.expr();
                self.words("ORDER BY");
                self.expr();
                self.word(")");
            }
        }
    }

    /// An expression that may stand beside any operator.
    fn operand(&mut self) {
        if self.random.chance(60) { self.leaf() } else { self.in_parens(Writer::expr) }
    }

    fn test(&mut self) {
        self.operand();
        match self.random.below(7) {
            0 => {
                let test = self.random.pick(&[
                    "IS NULL",
                    "IS NOT TRUE",
                    "IS FALSE",
                    "IS NOT UNKNOWN",
                    "ISNULL",
                    "NOTNULL",
                ]);
                self.words(test);
            }
            1 => {
                self.word("IS");
                self.maybe(50, "NOT");
                self.words("DISTINCT FROM");
                self.operand();
            }
            2 => {
                self.maybe(50, "NOT");
                self.word("BETWEEN");
                self.maybe(20, "SYMMETRIC");
                self.operand();
                self.word("AND");
                self.operand();
            }
            3 => {
                self.maybe(50, "NOT");
                self.word("IN");
                self.in_parens(|w| w.list(3, Writer::expr));
            }
            4 => {
                self.word("IN");
                self.in_parens(Writer::query);
            }
            5 => {
                self.maybe(50, "NOT");
                let operator = self.random.pick(&["LIKE", "ILIKE", "SIMILAR TO"]);
                self.words(operator);
                self.operand();
                if self.maybe(30, "ESCAPE") {
                    self.operand();
                }
            }
            _ => {
                let suffix = self.random.pick(&[
                    "AT TIME ZONE 'UTC'",
                    "AT LOCAL",
                    "COLLATE \"C\"",
                    "IS JSON ARRAY WITH UNIQUE KEYS",
                    "IS NOT NFC NORMALIZED",
                    "IS DOCUMENT",
                ]);
                self.words(suffix);
            }
        }
    }

    fn case(&mut self) {
        self.word("CASE");
        if self.random.chance(40) {
            self.expr();
        }
        for _ in 0..=self.random.below(2) {
            self.word("WHEN");
            self.expr();
            self.word("THEN");
            self.expr();
        }
        if self.maybe(50, "ELSE") {
            self.expr();
        }
        self.word("END");
    }

    fn call(&mut self) {
        match self.random.below(8) {
            0 => {
                let call =
                    self.random.pick(&["COUNT ( * )", "f ( )", "CURRENT_DATE", "current_timestamp ( 3 )"]);
                self.words(call);
            }
            1 => {
                self.words("EXTRACT ( YEAR FROM");
                self.expr();
                self.word(")");
            }
            2 => {
                self.words("SUBSTRING (");
                self.expr();
                if self.maybe(50, "FROM") {
                    self.expr();
                }
                self.word("FOR");
                self.expr();
                self.word(")");
            }
            3 => {
                let side = self.random.pick(&["", "BOTH", "LEADING", "TRAILING", "FROM", "BOTH FROM"]);
                self.words("TRIM (");
                self.words(side);
                self.list(2, Writer::expr);
                self.word(")");
            }
            4 => {
                self.words("POSITION (");
                self.operand();
                self.word("IN");
                self.operand();
                self.word(")");
            }
            5 => {
                let name = self.random.pick(&["COALESCE", "GREATEST", "LEAST"]);
                self.word(name);
                self.in_parens(|w| w.list(3, Writer::expr));
            }
            6 => {
                self.words("OVERLAY (");
                self.expr();
                self.word("PLACING");
                self.expr();
                self.word("FROM");
                self.expr();
                self.word(")");
            }
            _ => {
                let name = self.random.pick(&["sum", "left", "s.f", "\"Max\"", "a.b.c", "date"]);
                self.word(name);
                self.word("(");
                self.maybe(20, "DISTINCT");
                self.list(3, Writer::expr);
                self.word(")");
            }
        }
    }

    fn leaf(&mut self) {
        match self.random.below(5) {
            0 => {
                for _ in 0..self.random.below(3) {
                    self.name();
                    self.word(".");
                }
                self.name();
            }
            1 => {
                let number = self.random.pick(&["1", "42", "1.5", ".5", "1e10", "0x1F", "1_000", "5."]);
                self.word(number);
            }
            2 => {
                let string = self.random.pick(&[
                    "'a'",
                    "'it''s'",
                    "E'\\n\\'x'",
                    "$$b$$",
                    "$t$'$t$",
                    "U&'\\00e9'",
                    "''",
                ]);
                self.word(string);
            }
            3 => {
                let literal = self.random.pick(&["NULL", "TRUE", "FALSE", "$1", "B'01'", "X'fF'", "N'n'"]);
                self.word(literal);
            }
            _ => {
                let literal = self.random.pick(&[
                    "DATE '2026-01-02'",
                    "INTERVAL '3' MONTH",
                    "interval ( 3 ) '1 day'",
                    "interval '1' second ( 2 )",
                    "timestamp with time zone 'now'",
                    "double precision '1'",
                    "s.t 'x'",
                ]);
                self.words(literal);
            }
        }
    }
}

fn statement(seed: u64) -> String {
    let mut writer = Writer::new(seed);
    match writer.random.below(20) {
        0 => {
            let prefix =
                writer.random.pick(&["EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN ( ANALYZE , MEMORY off )"]);
            writer.words(prefix);
        }
        1 => {
            let setting = writer.random.pick(&[
                "SET a.B = 1 , 'x' , on",
                "SHOW ALL",
                "RESET memory_limit",
                "SET x TO DEFAULT",
            ]);
            writer.words(setting);
            return writer.text;
        }
        _ => {}
    }
    writer.query();
    writer.text
}

#[test]
fn random_statements_print_as_they_parse() {
    let budget = Budget::root("test", 64 << 20).expect("a budget");
    for seed in 0..3_000 {
        let text = statement(seed);
        let mut arena = Arena::new(&budget);
        match parse(&text, &arena) {
            Ok(tree) => assert_round_trip(&text, tree),
            Err(error) => panic!("seed {seed}:\n{text}\n{error} at {:?}", error.span()),
        }
        arena.reset();
    }
}

/// Aim: nothing panics, and what is accepted after all prints as it parses. Method: one token of a random statement is
/// left out, doubled, or swapped with its neighbour.
#[test]
fn changed_statements_never_panic() {
    let budget = Budget::root("test", 64 << 20).expect("a budget");
    let mut accepted = 0;
    for seed in 0..3_000 {
        let text = statement(seed);
        let changed = change(&text, seed);
        let arena = Arena::new(&budget);
        match parse(&changed, &arena) {
            Ok(tree) => {
                accepted += 1;
                assert_round_trip(&changed, tree);
            }
            Err(Error::OutOfMemory(error)) => panic!("seed {seed}: {error}"),
            Err(error) => {
                assert!(error.span().is_some_and(|span| span.end() as usize <= changed.len()), "seed {seed}")
            }
        }
    }
    println!("{accepted} of 3000 are still statements");
}

fn change(text: &str, seed: u64) -> String {
    let mut random = Random(seed.wrapping_add(77).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut lexer = Lexer::new(text).expect("a text");
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        if token.kind == TokenKind::End {
            break;
        }
        tokens.push(token.span().of(text));
    }
    let index = random.below(tokens.len() as u64) as usize;
    match random.below(3) {
        0 => drop(tokens.remove(index)),
        1 => tokens.insert(index, tokens[index]),
        _ => {
            let last = tokens.len() - 1;
            tokens.swap(index, (index + 1).min(last));
        }
    }
    let mut changed = String::new();
    for token in tokens {
        let _ = writeln!(changed, "{token}");
    }
    changed
}

#[test]
fn random_bytes_never_panic() {
    let budget = Budget::root("test", 64 << 20).expect("a budget");
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    const PIECES: &[&str] = &[
        "'",
        "\"",
        "$",
        "$$",
        "$a$",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        ".",
        "..",
        ":",
        "::",
        "-",
        "--",
        "/*",
        "*/",
        "\\",
        "E'",
        "U&'",
        "U&\"",
        "UESCAPE",
        "select",
        "from",
        "a",
        "1",
        "0x",
        "1e",
        "é",
        "\u{1F600}",
        "\n",
        " ",
        "*",
        "=",
        ">",
        "{",
    ];
    for _ in 0..20_000 {
        let text: String = (0..random.below(12)).map(|_| random.pick(PIECES)).collect();
        let arena = Arena::new(&budget);
        if let Ok(tree) = parse(&text, &arena) {
            assert_round_trip(&text, tree);
        }
    }
}
