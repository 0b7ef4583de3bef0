//! Histories made by hand: each anomaly is found, and what is allowed is not.

use super::{Kind, Op, Outcome, Record, checker, sequences};

/// `w1:5` appends 5 to key 1, `r1:3,5` reads [3, 5] of it.
fn ops(text: &str) -> Vec<Op> {
    let op = |word: &str| {
        let (head, list) = word.split_once(':').unwrap();
        let key = head[1..].parse().unwrap();
        match &head[..1] {
            "w" => Op::Append { key, element: list.parse().unwrap() },
            _ => {
                let elements = list.split(',').filter(|element| !element.is_empty());
                Op::Read { key, list: elements.map(|element| element.parse().unwrap()).collect() }
            }
        }
    };
    text.split_whitespace().map(op).collect()
}

/// Committed, at the same time as everything else.
fn txn(text: &str) -> Record {
    Record { began: 0, ended: 100, snapshot: None, ops: ops(text), outcome: Outcome::Committed(None) }
}

fn aborted(text: &str) -> Record {
    Record { outcome: Outcome::Aborted, ..txn(text) }
}

fn timed(began: u64, ended: u64, text: &str) -> Record {
    Record { began, ended, ..txn(text) }
}

fn found(history: &[Record]) -> Option<Kind> {
    checker::check(history).err().map(|anomaly| anomaly.kind)
}

#[test]
fn serial_histories_are_possible() {
    let history = [
        timed(0, 1, "r1: w1:1"),
        timed(2, 3, "r1:1 w1:2 r1:1,2 w2:3"),
        timed(4, 5, "r1:1,2 r2:3"),
        aborted("w1:9"),
    ];
    let summary = checker::check(&history).unwrap();
    assert_eq!((summary.committed, summary.aborted, summary.reads), (3, 1, 4));
    assert_eq!((summary.ww, summary.wr, summary.rw), (1, 2, 0));
    assert_eq!(checker::check(&[]).unwrap(), checker::Summary::default());
}

#[test]
fn write_skew_is_allowed() {
    assert_eq!(found(&[txn("r1: r2: w1:1"), txn("r1: r2: w2:2"), txn("r1:1 r2:2")]), None);
    // Also where one of the two is seen by somebody who reads only (Fekete's read-only anomaly).
    assert_eq!(found(&[txn("r1: r2: w1:1"), txn("r2: w2:2"), txn("r1: r2:2"), txn("r1:1 r2:2")]), None);
}

#[test]
fn a_transaction_sees_its_own_writes_and_reads_nothing_twice_differently() {
    assert_eq!(found(&[txn("w1:1 r1:")]), Some(Kind::Internal));
    assert_eq!(found(&[txn("w1:1 w1:2 r1:2,1")]), Some(Kind::Internal));
    assert_eq!(found(&[txn("w1:1"), txn("r1: r1:1")]), Some(Kind::Internal));
    assert_eq!(found(&[txn("w1:1"), txn("r1: w1:2 r1:1,2"), txn("r1:1,2")]), Some(Kind::Internal));
    assert_eq!(found(&[txn("w1:1"), txn("r1:1 w1:2 r1:1,2 w1:3 r1:1,2,3"), txn("r1:1,2,3")]), None);
}

#[test]
fn elements_come_from_somewhere_and_once() {
    assert_eq!(found(&[txn("r1:7")]), Some(Kind::Garbage));
    assert_eq!(found(&[txn("w1:7"), txn("r1:7,7")]), Some(Kind::Garbage));
    assert_eq!(found(&[txn("w1:7"), txn("r2:7")]), Some(Kind::Garbage));
    assert_eq!(found(&[txn("w1:7"), txn("w1:7")]), Some(Kind::Garbage));
}

#[test]
fn dirty_reads_are_found() {
    assert_eq!(found(&[aborted("w1:1"), txn("r1:1")]), Some(Kind::AbortedRead));
    assert_eq!(found(&[txn("w1:1 w1:2"), txn("r1:1")]), Some(Kind::IntermediateRead));
    assert_eq!(found(&[txn("w1:1 w1:2"), txn("w1:3"), txn("r1:1,3,2")]), Some(Kind::IntermediateRead));
    assert_eq!(found(&[txn("w1:1 w1:2"), txn("r1:1,2")]), None);
    // What an aborted transaction reads counts too.
    assert_eq!(found(&[txn("w1:1 w1:2"), aborted("r1:1")]), Some(Kind::IntermediateRead));
}

#[test]
fn lost_updates_are_found() {
    assert_eq!(found(&[txn("r1: w1:1"), txn("r1: w1:2"), txn("r1:1"), txn("r1:2")]), Some(Kind::LostUpdate));
    // The second one did not see the first, and stands behind it.
    assert_eq!(found(&[txn("r1: w1:1"), txn("r1: w1:2"), txn("r1:1,2")]), Some(Kind::ReadSkew));
    // The first one is nowhere at all, long after it was committed.
    let history = [timed(0, 1, "r1: w1:1"), timed(0, 1, "r1: w1:2"), timed(2, 3, "r1:2")];
    assert_eq!(found(&history), Some(Kind::ReadSkew));
    let history = [timed(0, 1, "w1:1"), timed(0, 1, "w1:2"), timed(2, 3, "r1:2")];
    assert_eq!(found(&history), Some(Kind::StaleRead));
}

#[test]
fn cycles_of_writes_are_found() {
    let history = [txn("w1:1 w2:11"), txn("w1:2 w2:12"), txn("r1:1,2 r2:12,11")];
    assert_eq!(found(&history), Some(Kind::DirtyWrite));
    assert_eq!(found(&[txn("w1:1 r2:2"), txn("w2:2 r1:1")]), Some(Kind::CircularFlow));
}

#[test]
fn torn_snapshots_are_found() {
    // It sees one half of what the first did.
    assert_eq!(found(&[txn("w1:1 w2:2"), txn("r1:1 r2:")]), Some(Kind::ReadSkew));
    // It sees the second, which has seen the first, and not the first.
    assert_eq!(found(&[txn("w1:1"), txn("r1:1 w2:2"), txn("r1: r2:2")]), Some(Kind::ReadSkew));
    assert_eq!(found(&[txn("w1:1 w2:2"), aborted("r1:1 r2:")]), Some(Kind::ReadSkew));
}

#[test]
fn two_orders_of_independent_writes_are_found() {
    let history = [txn("w1:1"), txn("w2:2"), txn("r1:1 r2:"), txn("r1: r2:2")];
    assert_eq!(found(&history), Some(Kind::LongFork));
    assert_eq!(found(&history[..3]), None);
}

#[test]
fn snapshots_are_those_of_the_time_of_the_beginning() {
    assert_eq!(found(&[timed(0, 1, "w1:1"), timed(2, 3, "r1:")]), Some(Kind::StaleRead));
    assert_eq!(found(&[timed(0, 2, "w1:1"), timed(1, 3, "r1:")]), None);
    // It cannot see what began after its end.
    assert_eq!(found(&[timed(2, 3, "w1:1"), timed(0, 1, "r1:1")]), Some(Kind::StaleRead));
}

#[test]
fn transactions_of_unknown_outcome_count_if_they_were_seen() {
    let unknown = |text: &str| Record { outcome: Outcome::Unknown, ..txn(text) };
    assert_eq!(found(&[unknown("w1:1 w2:2"), txn("r1: r2:")]), None);
    assert_eq!(found(&[unknown("w1:1 w2:2"), txn("r1:1 r2:2")]), None);
    assert_eq!(found(&[unknown("w1:1 w2:2"), txn("r1:1 r2:")]), Some(Kind::ReadSkew));
}

#[test]
fn sequences_are_believed_only_as_far_as_they_fit() {
    let at = |snapshot, commit, text: &str| Record {
        snapshot: Some(snapshot),
        outcome: Outcome::Committed(Some(commit)),
        ..txn(text)
    };
    let kind = |history: &[Record]| sequences::check(history).err().map(|anomaly| anomaly.kind);
    let first = at(0, 1, "r1: w1:1");
    assert_eq!(kind(&[first.clone(), at(1, 2, "r1:1 w1:2 r1:1,2"), at(2, 2, "r1:1,2")]), None);
    assert_eq!(kind(&[first.clone(), at(0, 2, "w2:2"), at(1, 1, "r1:1 r2:")]), None);
    // The winner came second.
    assert_eq!(kind(&[first.clone(), at(0, 2, "w1:2")]), Some(Kind::LostUpdate));
    // It sees more or less than its snapshot, or itself too early.
    assert_eq!(kind(&[first.clone(), at(0, 0, "r1:1")]), Some(Kind::Sequence));
    assert_eq!(kind(&[first.clone(), at(1, 1, "r1:")]), Some(Kind::Sequence));
    assert_eq!(kind(&[at(3, 3, "w1:1")]), Some(Kind::Sequence));
    assert_eq!(kind(&[first.clone(), at(0, 1, "w2:2")]), Some(Kind::Sequence));
    // It began when the first was over.
    let late = Record { began: 101, ended: 102, ..at(0, 0, "r1:") };
    assert_eq!(kind(&[first, late]), Some(Kind::StaleRead));
}
