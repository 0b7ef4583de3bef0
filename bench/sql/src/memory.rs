//! Bytes that a statement is charged, beside what peers take from the allocator, and calls of the allocator.
//!
//! What the budget was charged at its peak counts everything: the tree, texts that had to be rewritten, the parser's
//! state beyond what lies on the native stack, and the unused rest of the chunks. Of peers the bytes that they asked the
//! allocator for count, without its own headers; for PostgreSQL, those of its memory context.

use crate::corpora::{Corpus, Sql};
use crate::peers::{self, Peer};
use bench_harness::{Bound, Session, Verdict};
use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::InsertRows;
use cofferdam_testkit::counting::{Counting, Counts};

/// The rows about single statements: their charge, and that of the 1 MB INSERT in proportion to it.
pub fn statements(session: &mut Session, corpora: &[Corpus], peers: &[Peer]) {
    for (name, text, bar_bytes, goal_bytes) in [
        ("sql/charged/simple", simple(), 2_000.0, 1_500.0),
        ("sql/charged/join", join(), 50_000.0, 20_000.0),
        ("sql/charged/analytical", analytical(), 500_000.0, 100_000.0),
    ] {
        if session.options().wants(name) {
            let charged = peak(&text).map(|bytes| bytes as f64);
            println!("\n{name}: {} bytes of text; charged {}", text.len(), shown(charged));
            print_peers(&text, peers);
            session.figure(limited(name, "B", charged, bar_bytes, Some(goal_bytes)));
        }
    }
    let name = "sql/peak_over_input/insert";
    if session.options().wants(name) {
        for text in corpora.iter().filter(|corpus| corpus.name == "insert").flat_map(|corpus| &corpus.texts) {
            let bytes = text.len() as f64;
            let times = peak(text).map(|peak| peak as f64 / bytes);
            println!("\n{name}: {bytes} bytes of text; peak over input {}", shown(times));
            print_peers(text, peers);
            session.figure(limited(name, "times", times, 8.0, None));
        }
    }
    let name = "sql/streamed/insert";
    if session.options().wants(name) {
        for text in corpora.iter().filter(|corpus| corpus.name == "insert").flat_map(|corpus| &corpus.texts) {
            let (peak, rows) = streamed(text);
            println!("\n{name}: {} bytes of text, {rows} rows one at a time; charged {peak} B", text.len());
            session.figure(limited(name, "B", Some(peak as f64), 256.0 * 1024.0, None));
        }
    }
}

/// Reads the rows of an `INSERT` one at a time: the peak that is charged, in bytes, and their number.
fn streamed(text: &Sql) -> (u64, usize) {
    let budget = heap_statement();
    let (head, mut row_arena) = (Arena::new(&budget), Arena::new(&budget));
    let mut rows = InsertRows::open(text.as_str(), &head).expect("room").expect("an INSERT with VALUES");
    let mut count = 0;
    while rows.next_row(&row_arena).expect("rows that parse").is_some() {
        count += 1;
        row_arena.reset();
    }
    (budget.peak(), count)
}

/// The rows about a whole corpus: calls of the allocator in steady state, and the share of memory that lay idle.
pub fn corpus(session: &mut Session, corpus: &Corpus, peers: &[Peer]) {
    let name = format!("sql/allocations/{}", corpus.name);
    if session.options().wants(&name) {
        let texts = accepted(&corpus.texts);
        if texts.is_empty() {
            println!("\nSKIPPED: {name}: ours accepts none of the statements");
            return;
        }
        let mut arena = Arena::new(&heap_statement());
        peers::ours(&texts, &mut arena);
        let counts = counted(|| peers::ours(&texts, &mut arena));
        let each = counts.allocations_count as f64 / texts.len() as f64;
        println!("\n{name}: {each:.3} allocations a statement in steady state, {} statements", texts.len());
        for peer in peers.iter().filter(|peer| peer.hidden_bytes.is_none()) {
            let texts: Vec<Sql> = texts.iter().filter(|text| (peer.accepts)(text)).cloned().collect();
            (peer.pass)(&texts);
            let each = counted(|| (peer.pass)(&texts)).allocations_count as f64 / texts.len() as f64;
            println!("  {:<26} {each:>10.1}", peer.name);
        }
        let mut verdict = limited(&name, "allocations", Some(each), 0.0, None);
        verdict.ratio = each;
        verdict.bar = Bound::Most(0.0);
        session.figure(verdict);
    }
    let name = format!("sql/wasted/{}", corpus.name);
    if session.options().wants(&name) {
        let share = wasted_share(&accepted(&corpus.texts));
        println!(
            "\n{name}: {:.2} % of the allocated bytes were left behind at ends of chunks",
            100.0 * share
        );
        session.figure(limited(&name, "share", Some(share), 0.05, None));
    }
}

/// A figure beside the limit that it must keep.
fn limited(name: &str, unit: &'static str, ours: Option<f64>, bar: f64, goal: Option<f64>) -> Verdict {
    Verdict {
        name: name.to_owned(),
        unit,
        ours,
        peer: "limit",
        peer_figure: bar,
        ratio: ours.map_or(f64::NAN, |ours| ours / bar),
        bar: Bound::Most(1.0),
        goal: goal.map(|goal| goal / bar),
    }
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or("nothing: it is not accepted".to_owned(), |figure| format!("{figure:.1}"))
}

/// The most bytes that parsing `text` charged at any time; `None` where it is not accepted.
fn peak(text: &Sql) -> Option<u64> {
    let budget = heap_statement();
    let arena = Arena::new(&budget);
    cofferdam_sql::parse(text.as_str(), &arena).ok()?;
    Some(budget.peak())
}

fn print_peers(text: &Sql, peers: &[Peer]) {
    for peer in peers.iter().filter(|peer| (peer.accepts)(text)) {
        let bytes = match peer.hidden_bytes {
            Some(bytes) => bytes(text),
            None => counted(|| (peer.pass)(std::slice::from_ref(text))).bytes_peak,
        };
        println!(
            "  {:<26} {bytes:>10} B {:>8.1} times the text",
            peer.name,
            bytes as f64 / text.len() as f64
        );
    }
}

fn counted(work: impl FnOnce()) -> Counts {
    crate::allocator::counting(|| {
        let counting = Counting::start();
        work();
        counting.finish()
    })
}

/// A statement's budget whose chunks come from the allocator, so that they are counted there.
fn heap_statement() -> Budget {
    let root = Budget::root("root", 1 << 30).expect("room for a tree");
    root.child("statement", u64::MAX).expect("room for a node")
}

fn accepted(texts: &[Sql]) -> Vec<Sql> {
    let mut arena = Arena::new(&peers::statement());
    texts.iter().filter(|text| peers::ours_accepts(text, &mut arena)).cloned().collect()
}

/// Bytes left behind at the ends of full chunks over bytes of chunks, each statement in an arena of its own.
fn wasted_share(texts: &[Sql]) -> f64 {
    let budget = heap_statement();
    let (mut wasted, mut allocated) = (0, 0);
    for text in texts {
        let arena = Arena::new(&budget);
        let _tree = cofferdam_sql::parse(text.as_str(), &arena);
        wasted += arena.stats().wasted_bytes;
        allocated += arena.stats().allocated_bytes;
    }
    wasted as f64 / allocated.max(1) as f64
}

fn sql(text: &str) -> Sql {
    Sql::new(text).expect("no NUL byte")
}

/// 10 columns of one table.
fn simple() -> Sql {
    sql("SELECT a, b, c, d, e, f, g, h, i, j FROM t")
}

/// 5 tables, 50 columns.
fn join() -> Sql {
    let columns: Vec<String> = (0..50).map(|column| format!("t{}.column_{column}", column % 5)).collect();
    let joins: String =
        (1..5).map(|table| format!(" JOIN table_{table} AS t{table} ON t{table}.id = t0.id")).collect();
    sql(&format!(
        "SELECT {} FROM table_0 AS t0{joins} WHERE t0.a IN (SELECT x FROM u WHERE y > 3) AND t1.b = 'x' \
         ORDER BY 1 LIMIT 10",
        columns.join(", ")
    ))
}

/// 150 computed columns over ten named queries.
fn analytical() -> Sql {
    let columns: Vec<String> = (0..150)
        .map(|column| format!("sum(case when c{column} > {column} then 1 else 0 end) as s{column}"))
        .collect();
    let queries: Vec<String> = (0..10)
        .map(|query| format!("c{query} AS (SELECT a, b, c FROM t{query} WHERE a > 1 AND b < 2)"))
        .collect();
    sql(&format!("WITH {} SELECT {} FROM c0 GROUP BY a, b", queries.join(", "), columns.join(", ")))
}
