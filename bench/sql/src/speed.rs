//! Throughput beside one peer at a time, over the statements that both accept.

use crate::corpora::{Corpus, Sql};
use crate::peers::{self, Peer};
use bench_harness::{Bar, Row, Session};
use cofferdam_arena::Arena;

/// All rows of `corpus`.
pub fn rows(session: &mut Session, corpus: &Corpus, peers: &[Peer]) {
    let wants = |peer: &Peer| session.options().wants(&row_name(corpus, peer));
    let peers: Vec<Peer> = peers.iter().copied().filter(wants).collect();
    if peers.is_empty() {
        return;
    }
    let mut arena = Arena::new(&peers::statement());
    let accepted: Vec<bool> = corpus.texts.iter().map(|text| peers::ours_accepts(text, &mut arena)).collect();
    println!(
        "\n{}: {}, {} statements, {} bytes; ours accepts {}",
        corpus.name,
        corpus.about,
        corpus.texts.len(),
        corpus.bytes(),
        accepted.iter().filter(|accepted| **accepted).count()
    );
    for peer in peers {
        let both = corpus.texts.iter().zip(&accepted).filter(|(text, ours)| **ours && (peer.accepts)(text));
        row(session, corpus, peer, both.map(|(text, _)| text.clone()).collect());
    }
}

/// Rows about the statements of `corpus` as one script, for the peers that take a script whole; those with a `;` inside
/// of them, as in the body of a function, are left out, because nothing but a parser can split them off.
pub fn script_rows(session: &mut Session, corpus: &Corpus, peers: &[Peer]) {
    for peer in peers.iter().filter(|peer| peer.takes_scripts) {
        let name = format!("sql/script/{}", peer.name);
        if !session.options().wants(&name) {
            continue;
        }
        let mut arena = Arena::new(&peers::statement());
        let mut accepts = |text: &&Sql| {
            cofferdam_sql::statements(text.as_str()).count() == 1
                && peers::ours_accepts(text, &mut arena)
                && (peer.accepts)(text)
        };
        let texts: Vec<&str> = corpus.texts.iter().filter(&mut accepts).map(Sql::as_str).collect();
        let script = Sql::new(&texts.join("\n;\n")).expect("statements have no NUL bytes");
        if texts.is_empty() || !(peer.accepts)(&script) {
            println!("SKIPPED: {name}: there is no script that both accept");
            continue;
        }
        script_row(session, name.leak(), *peer, texts.len(), script);
    }
}

fn script_row(session: &mut Session, name: &'static str, peer: Peer, count: usize, script: Sql) {
    let about = format!("{count} statements, {} bytes that both accept, as one script", script.len()).leak();
    session.row(name, |name| {
        let (mine, split, theirs) = (script.clone(), script.clone(), [script.clone()]);
        let [mut arena, mut split_arena] = [(); 2].map(|()| Arena::new(&peers::statement()));
        Row::new(name, about, script.len() as u64, bar("script", peer.name))
            .ours("cofferdam-sql", move || peers::ours_script(&mine, &mut arena))
            .info("ours, split first", move || peers::ours_split(&split, &mut split_arena))
            .peer(peer.name, move || (peer.pass)(&theirs))
    });
}

fn row_name(corpus: &Corpus, peer: &Peer) -> String {
    format!("sql/{}/{}", corpus.name, peer.name)
}

fn row(session: &mut Session, corpus: &Corpus, peer: Peer, texts: Vec<Sql>) {
    let bytes: usize = texts.iter().map(Sql::len).sum();
    if texts.is_empty() {
        println!("SKIPPED: {}: there is no statement that both accept", row_name(corpus, &peer));
        return;
    }
    let name: &'static str = row_name(corpus, &peer).leak();
    let about: &'static str = format!("{} statements, {bytes} bytes that both accept", texts.len()).leak();
    session.row(name, |name| {
        // Copies at other addresses for each build of the row.
        let (mine, theirs) = (texts.clone(), texts.clone());
        let mut arena = Arena::new(&peers::statement());
        Row::new(name, about, bytes as u64, bar(corpus.name, peer.name))
            .ours("cofferdam-sql", move || peers::ours(&mine, &mut arena))
            .peer(peer.name, move || (peer.pass)(&theirs))
    });
}

/// How many times the peer's throughput is asked for, and hoped for.
///
/// Simple queries go by what DB25 reaches, a parser in C++ that is no peer here because it is not strict: 9.2 times
/// sqlparser-rs, and half as much again.
fn bar(corpus: &str, peer: &str) -> Bar {
    let (bar, goal) = match (corpus, peer) {
        ("insert", "sqlparser-rs") => (25.0, 35.0),
        ("insert", "postgresql") => (3.0, 4.0),
        ("simple", "sqlparser-rs") => (9.2, 13.8),
        (_, "sqlparser-rs") => (8.0, 15.0),
        (_, "postgresql") => (2.0, 3.0),
        _ => (1.0, 2.0),
    };
    Bar::Times { bar, goal }
}
