//! `stats`: what the statements of a script take to parse, by stage.

use std::io::{self, Write};

use cofferdam_arena::Arena;
use cofferdam_sql::{Lexer, Node, PARSER_BYTES, TokenKind, Tree, Visit};

use super::Out;
use super::script::{Reading, Show, Statement, Stopped};

/// Shows the figures of a script. Gives the exit code.
///
/// # Errors
/// What the system says of the input or the output.
pub(super) fn show(reading: &mut Reading<'_>) -> io::Result<u8> {
    let mut figures = Figures::default();
    let code = reading.show(&mut figures)?;
    figures.write(reading.out())?;
    Ok(code)
}

/// Figures of all statements together, and of the statement with the largest peak.
#[derive(Default)]
struct Figures {
    all: Figure,
    largest: Figure,
    statements_count: u64,
}

/// Figures of one statement, or sums.
#[derive(Clone, Copy, Default)]
struct Figure {
    text_bytes: u64,
    tokens_count: u64,
    nodes_count: u64,
    /// Texts beside the nodes: names that were folded, literals that were unescaped.
    texts_bytes: u64,
    /// Charged for the tree: whole chunks with their headers.
    tree_charged_bytes: u64,
    /// Of these, what is left behind at the ends of full chunks.
    wasted_bytes: u64,
    /// The most that was charged at any time: the tree, and the stack beyond its first levels.
    peak_bytes: u64,
}

impl Figure {
    fn of(text: &str, tree: Tree<'_>, arena: &Arena) -> Figure {
        let stats = arena.stats();
        let nodes_count = tree.walk().filter(|visit| matches!(visit, Visit::Enter(_))).count();
        let used_bytes = stats.used_bytes as u64;
        Figure {
            text_bytes: text.len() as u64,
            tokens_count: tokens_count(text),
            nodes_count: nodes_count as u64,
            texts_bytes: used_bytes.saturating_sub(node_bytes(nodes_count as u64)),
            tree_charged_bytes: stats.allocated_bytes as u64,
            wasted_bytes: stats.wasted_bytes as u64,
            peak_bytes: arena.budget().peak(),
        }
    }

    fn add(&mut self, other: Figure) {
        self.text_bytes += other.text_bytes;
        self.tokens_count += other.tokens_count;
        self.nodes_count += other.nodes_count;
        self.texts_bytes += other.texts_bytes;
        self.tree_charged_bytes += other.tree_charged_bytes;
        self.wasted_bytes += other.wasted_bytes;
        self.peak_bytes += other.peak_bytes;
    }
}

impl Show for Figures {
    fn right(
        &mut self,
        statement: Statement<'_>,
        tree: Tree<'_>,
        arena: &Arena,
        _: &mut Out,
    ) -> Result<(), Stopped> {
        let figure = Figure::of(statement.trimmed().text, tree, arena);
        self.statements_count += 1;
        self.all.add(figure);
        let size = |figure: &Figure| (figure.peak_bytes, figure.nodes_count);
        if size(&figure) > size(&self.largest) {
            self.largest = figure;
        }
        Ok(())
    }
}

impl Figures {
    /// Writes the table.
    fn write(&self, out: &mut Out) -> io::Result<()> {
        let count = self.statements_count;
        writeln!(
            out,
            "{count} statements; a parser's state and look-ahead are {PARSER_BYTES} bytes of the stack"
        )?;
        writeln!(out)?;
        writeln!(out, "{:<34} {:>14} {:>12} {:>12}", "", "all", "mean", "largest")?;
        type Of = fn(&Figure) -> u64;
        let rows: [(&str, Of); 9] = [
            ("text, bytes", |figure| figure.text_bytes),
            ("tokens", |figure| figure.tokens_count),
            ("nodes", |figure| figure.nodes_count),
            ("tree: nodes, bytes", |figure| node_bytes(figure.nodes_count)),
            ("tree: texts beside them, bytes", |figure| figure.texts_bytes),
            ("tree: wasted, bytes", |figure| figure.wasted_bytes),
            ("tree: charged, bytes", |figure| figure.tree_charged_bytes),
            ("deep nesting: charged, bytes", |figure| figure.peak_bytes - figure.tree_charged_bytes),
            ("peak charged, bytes", |figure| figure.peak_bytes),
        ];
        for (name, of) in rows {
            let sum = of(&self.all);
            let mean = sum.checked_div(count).unwrap_or(0);
            writeln!(out, "{name:<34} {sum:>14} {mean:>12} {:>12}", of(&self.largest))?;
        }
        Ok(())
    }
}

fn node_bytes(nodes_count: u64) -> u64 {
    nodes_count * size_of::<Node<'_>>() as u64
}

fn tokens_count(text: &str) -> u64 {
    let Ok(mut lexer) = Lexer::new(text) else { return 0 };
    let mut count = 0;
    while lexer.next_token().kind != TokenKind::End {
        count += 1;
    }
    count
}
