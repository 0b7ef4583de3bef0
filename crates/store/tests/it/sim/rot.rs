//! Damage: on a copy of the disk a bit turns or a write goes astray; what the engine then says must be an error or the
//! truth.
//!
//! A log whose last records are damaged cannot be told from one that a crash has cut, so of these the truth is allowed
//! to be that of an earlier commit; how often that is so is counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use cofferdam_testkit::simfs::{Fault, Op, Rule, SimDisk};
use cofferdam_vfs::Vfs;

use super::cell::{Range, Row};
use super::driver::{Done, MEMORY, Sim};
use super::engine::{Engine, Failure, FailureKind, Role, View};
use super::model::{Model, Observed};
use super::report::Finding;
use super::rng::Rng;
use super::script::{Bulk, Rot, Step};

/// What is left of a damaged database.
struct Remains {
    observed: Observed,
    /// Tables that could not be read.
    unreadable: BTreeSet<u32>,
}

impl<E: Engine> Sim<E> {
    /// Damages a copy of the disk, and looks what becomes of it.
    pub(super) fn rot(&mut self, kind: Rot, seed: u32) -> Done {
        // What is in doubt has no truth to compare with.
        if !self.faults.is_quiet() || !self.doubts.is_empty() || self.has_lost || self.model.head == 0 {
            return Ok(());
        }
        let mut rng = Rng::new(seed.into());
        let copy = self.disk.duplicate();
        let (model, file) = match kind {
            Rot::Flip => (None, flip(&copy, &mut rng)),
            Rot::FlipRead => {
                copy.inject(Rule::new([Op::Read], Fault::FlipOnce).nth(rng.between(1, 30)));
                (None, None)
            }
            Rot::Misdirect | Rot::LoseWrite => (self.work_on(&copy, kind, &mut rng)?, None),
        };
        let model = model.unwrap_or_else(|| self.model.clone());
        self.trace.note(|| format!("  damage: {kind:?} {file:?}"));
        let vfs: Arc<dyn Vfs> = Arc::new(copy.clone());
        let is_told = match kind {
            Rot::Flip if E::PROMISES.has_check => is_told_by_check::<E>(&vfs)?,
            _ => true,
        };
        let remains = look::<E>(&vfs);
        let log = copy.log();
        let struck = log.iter().filter(|entry| entry.fault.is_some()).map(|entry| entry.file.to_string());
        let mut files = struck.chain(file);
        let may_lose_tail = !E::PROMISES.damaged_tails_are_told
            && (matches!(kind, Rot::Misdirect | Rot::LoseWrite)
                || files.any(|name| E::role(&name) == Role::Log));
        let verdict = match judge(&model, remains, may_lose_tail) {
            // What hangs together of log and manifest is not noticed to be torn apart.
            Err(finding)
                if may_lose_tail
                    && finding.kind == "wrong answer"
                    && !E::PROMISES.damaged_logs_leave_a_prefix =>
            {
                "damages of logs that tore things apart"
            }
            verdict => verdict?,
        };
        self.stats.count(verdict);
        match verdict == DAMAGE_TOLD && !is_told {
            true => Err(Finding::new("check", "it sees nothing of a damage that reading meets")),
            false => Ok(()),
        }
    }

    /// Goes on working on a copy on which a write goes astray; gives what should be there then.
    fn work_on(&mut self, copy: &SimDisk, kind: Rot, rng: &mut Rng) -> Result<Option<Model>, Finding> {
        let vfs: Arc<dyn Vfs> = Arc::new(copy.clone());
        let Ok(engine) = E::open(&vfs, &MEMORY[3]) else {
            return Err(Finding::new("failure without a cause", "a copy of the disk cannot be opened"));
        };
        let mut fork = self.fork(copy, engine);
        let fault = if kind == Rot::Misdirect { Fault::Misdirect } else { Fault::Ignore };
        copy.inject(Rule::new([Op::Write], fault).nth(rng.between(1, 12)));
        for _ in 0..rng.between(2, 14) {
            let (key, values, table) = (rng.below(60) as u32, rng.next() as u32, rng.below(3) as u8);
            let step = match rng.below(8) {
                0 => Step::Flush,
                1 => Step::Compact { slices: 3 },
                2 => Step::Bulk { slot: 0, table, kind: Bulk::Insert, key: 2_000, count: 60, values },
                3 => Step::Delete { slot: 0, table, key },
                _ => Step::Put { slot: 0, table, key, values },
            };
            let done =
                fork.step(step, &[]).and_then(|_| fork.step(Step::Commit { slot: 0, is_full: true }, &[]));
            match done {
                Ok(_) => {}
                // Told in time: what was acknowledged so far has to be there, and the failed one may be.
                Err(finding) if finding.kind == "failure without a cause" => break,
                Err(finding) => return Err(finding),
            }
            if !fork.doubts.is_empty() {
                break;
            }
        }
        fork.close_fork();
        copy.kill();
        copy.clear_rules();
        Ok(Some(fork.model))
    }
}

/// Flips a bit of some file; gives its name.
fn flip(disk: &SimDisk, rng: &mut Rng) -> Option<String> {
    let image = disk.image();
    let files: Vec<_> = image.iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    if files.is_empty() {
        return None;
    }
    let (path, bytes) = rng.pick(&files);
    // Heads and ends are short, and say much.
    let len = bytes.len() as u64;
    let offset = match rng.below(4) {
        0 => rng.below(len.min(64)),
        1 => len - 1 - rng.below(len.min(128)),
        _ => rng.below(len),
    };
    disk.flip(path, offset, 1 << rng.below(8)).expect("the byte is there");
    path.rsplit('/').next().map(str::to_owned)
}

fn is_told_by_check<E: Engine>(vfs: &Arc<dyn Vfs>) -> Result<bool, Finding> {
    let mut problems = 0;
    match E::check(vfs, &mut |_| problems += 1) {
        Ok(()) => Ok(problems > 0),
        Err(failure) if is_told(&failure) => Ok(true),
        Err(failure) => Err(Finding::new("check", failure)),
    }
}

fn is_told(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Corrupt | FailureKind::Unsupported | FailureKind::NotADatabase)
}

/// Reads what can be read.
fn look<E: Engine>(vfs: &Arc<dyn Vfs>) -> Result<Remains, Failure> {
    let engine = E::open(vfs, &MEMORY[3])?;
    let snap = engine.snapshot()?;
    let mut remains = Remains { observed: Observed::new(), unreadable: BTreeSet::new() };
    for info in engine.tables(&snap)? {
        let mut rows: Vec<Row> = Vec::new();
        let outcome = engine.scan(View::Snap(&snap), info.id, &Range::ALL, &mut |batch| {
            rows.extend_from_slice(batch);
            true
        });
        match outcome {
            Ok(()) => remains.observed.push((info, rows)),
            Err(failure) if is_told(&failure) => {
                remains.unreadable.insert(info.id);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(remains)
}

const DAMAGE_TOLD: &str = "damages told";

fn judge(
    model: &Model,
    remains: Result<Remains, Failure>,
    may_lose_tail: bool,
) -> Result<&'static str, Finding> {
    let remains = match remains {
        Ok(remains) => remains,
        Err(failure) if is_told(&failure) => return Ok(DAMAGE_TOLD),
        Err(failure) => return Err(Finding::new("failure of another kind than the damage", failure)),
    };
    let is_state = |at: u64| model.difference_but(at, &remains.observed, &remains.unreadable).is_none();
    match is_state(model.head) {
        true if remains.unreadable.is_empty() => return Ok("damages without effect"),
        true => return Ok(DAMAGE_TOLD),
        false => {}
    }
    if may_lose_tail && (0..model.head).rev().any(is_state) {
        return Ok("damages taken for the end of a log");
    }
    let what = model.difference_but(model.head, &remains.observed, &remains.unreadable).unwrap_or_default();
    Err(Finding::new("wrong answer", what))
}
