//! The judgement from sequences: every commit has one, every snapshot sees the commits up to one.

use std::collections::BTreeMap;

use super::{Anomaly, Kind, Op, Outcome, Record};

fn sequence(record: &Record) -> Option<u64> {
    match record.outcome {
        Outcome::Committed(sequence) => sequence,
        _ => None,
    }
}

fn writes(record: &Record) -> bool {
    record.ops.iter().any(|op| matches!(op, Op::Append { .. }))
}

/// Whether everything is what the sequences say. Transactions of unknown outcome must not have appended anything.
pub(crate) fn check(history: &[Record]) -> Result<(), Anomaly> {
    let wrong = |what: String| Err(Anomaly::new(Kind::Sequence, what));
    let mut commits: BTreeMap<u64, usize> = BTreeMap::new();
    for (txn, record) in history.iter().enumerate().filter(|(_, record)| writes(record)) {
        let Some(sequence) = sequence(record) else { continue };
        if let Some(other) = commits.insert(sequence, txn) {
            return wrong(format!("T{other} and T{txn} are both committed at {sequence}"));
        }
        if record.snapshot.is_some_and(|snapshot| snapshot >= sequence) {
            return wrong(format!("T{txn} sees {:?} and is committed at {sequence}", record.snapshot));
        }
    }
    let lists = lists(history, &commits)?;
    for (txn, record) in history.iter().enumerate() {
        reads_its_snapshot(txn, record, &lists)?;
    }
    sees_what_was_over(history)
}

/// The elements of each key with the sequences of their commits; no writer may have missed the one before it.
fn lists(
    history: &[Record],
    commits: &BTreeMap<u64, usize>,
) -> Result<BTreeMap<u32, Vec<(u64, u64)>>, Anomaly> {
    let mut lists: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for (&sequence, &txn) in commits {
        let record = &history[txn];
        for op in &record.ops {
            let Op::Append { key, element } = op else { continue };
            let list = lists.entry(*key).or_default();
            let before = list.iter().rev().map(|(at, _)| *at).find(|at| *at != sequence);
            if let (Some(before), Some(snapshot)) = (before, record.snapshot)
                && before > snapshot
            {
                let what = format!("T{txn} sees {snapshot} and overwrites {before} of key {key}");
                return Err(Anomaly::new(Kind::LostUpdate, what));
            }
            list.push((sequence, *element));
        }
    }
    Ok(lists)
}

fn reads_its_snapshot(
    txn: usize,
    record: &Record,
    lists: &BTreeMap<u32, Vec<(u64, u64)>>,
) -> Result<(), Anomaly> {
    let Some(snapshot) = record.snapshot else { return Ok(()) };
    let mut own: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for op in &record.ops {
        match op {
            Op::Append { key, element } => own.entry(*key).or_default().push(*element),
            Op::Read { key, list } => {
                let known = lists.get(key).map_or(&[][..], Vec::as_slice);
                let seen = known.iter().take_while(|(at, _)| *at <= snapshot).map(|(_, element)| *element);
                let expected: Vec<u64> = seen.chain(own.get(key).into_iter().flatten().copied()).collect();
                if *list != expected {
                    let what = format!("T{txn} at {snapshot} reads {list:?} of {key}, which is {expected:?}");
                    return Err(Anomaly::new(Kind::Sequence, what));
                }
            }
        }
    }
    Ok(())
}

/// Who begins sees all that was over.
fn sees_what_was_over(history: &[Record]) -> Result<(), Anomaly> {
    let mut ends: Vec<(u64, u64)> =
        history.iter().filter_map(|record| Some((record.ended, sequence(record)?))).collect();
    ends.sort_unstable();
    let mut newest = 0;
    for end in &mut ends {
        newest = newest.max(end.1);
        end.1 = newest;
    }
    for (txn, record) in history.iter().enumerate() {
        let over = ends.partition_point(|(ended, _)| *ended < record.began);
        let Some((_, newest)) = over.checked_sub(1).map(|place| ends[place]) else { continue };
        if record.snapshot.is_some_and(|snapshot| snapshot < newest) {
            let what = format!("T{txn} sees {:?} and begins after {newest}", record.snapshot);
            return Err(Anomaly::new(Kind::StaleRead, what));
        }
    }
    Ok(())
}
