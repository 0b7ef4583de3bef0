//! What a memtable and a write set promise where an observer of their budget panics, or calls them from within.

use super::*;
use cofferdam_arena::{Observer, PressureEvent};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Panics whenever the level of its budget changes, as long as it is armed.
struct Fuse(AtomicBool);

impl Observer for Fuse {
    fn pressure_changed(&self, _event: &PressureEvent) {
        assert!(!self.0.load(Ordering::Relaxed), "the fuse was armed");
    }
}

impl Fuse {
    fn of(budget: &Budget) -> Arc<Fuse> {
        let fuse = Arc::new(Fuse(AtomicBool::new(false)));
        budget.set_observer(Some(fuse.clone()));
        fuse
    }

    /// Whether `work` panics while the fuse is armed.
    fn blows<T>(&self, work: impl FnOnce() -> T) -> bool {
        self.0.store(true, Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        self.0.store(false, Ordering::Relaxed);
        outcome.is_err()
    }
}

fn budget(limit_bytes: u64) -> Budget {
    Budget::root("process", 64 << 20).unwrap().child("observed", limit_bytes).unwrap()
}

/// Aim: whoever looks at a write set after its release was cut short finds nothing, rather than memory that is gone.
#[test]
fn a_release_that_an_observer_cuts_short_leaves_nothing() {
    let budget = budget(64 << 10);
    let fuse = Fuse::of(&budget);
    let mut set = WriteSet::new(&budget);
    let mut at = 0;
    while set.insert(TableId(1), &bigint(at), at, EntryKind::Put, ROW).is_ok() {
        at += 1;
    }
    assert!(fuse.blows(|| set.release()), "the level fell");
    assert_eq!(set.read().get(TableId(1), &bigint(0), u64::MAX), None);
    check_scan(set.read(), &Model::new());
    set.discard_after(0);
    set.insert(TableId(1), b"k", 1, EntryKind::Put, b"row").unwrap();
    assert_eq!(set.read().get(TableId(1), b"k", u64::MAX).unwrap().row, b"row");
}

/// Aim: an insertion that was cut short is not there; those after it are.
#[test]
fn an_insertion_that_an_observer_cuts_short_changes_nothing() {
    let budget = budget(64 << 10);
    let fuse = Fuse::of(&budget);
    let memtables = Memtables::new(&budget, 4 << 10).unwrap();
    let writer = memtables.writer().unwrap();
    let (mut model, mut cuts) = (Model::new(), 0);
    for at in 0..if cfg!(miri) { 30 } else { 2_000 } {
        if fuse.blows(|| writer.insert(TableId(1), &bigint(at), at, EntryKind::Put, ROW).unwrap()) {
            cuts += 1;
            check_scan(writer.read(), &model);
            if writer.insert(TableId(1), &bigint(at), at, EntryKind::Put, ROW).is_err() {
                break;
            }
        }
        model.insert((1, bigint(at).to_vec(), Reverse(at)), (EntryKind::Put, ROW.to_vec()));
    }
    assert!(cuts > 0, "the level rose");
    check(&writer);
    check_scan(writer.read(), &model);
}

/// Aim: a sealed side whose reset was cut short is not seen any more: its memory may be gone.
#[test]
#[cfg_attr(miri, ignore = "what is left of the side is nobody's, a leak")]
fn a_reset_that_an_observer_cuts_short_hides_the_side() {
    let budget = budget(64 << 10);
    let fuse = Fuse::of(&budget);
    let memtables = Memtables::new(&budget, 4 << 10).unwrap();
    let mut at = 0;
    let writer = memtables.writer().unwrap();
    while writer.insert(TableId(1), &bigint(at), at, EntryKind::Put, ROW).is_ok() {
        at += 1;
    }
    drop(writer);
    memtables.swap().unwrap();
    memtables.mark_flushed().unwrap();
    assert!(fuse.blows(|| memtables.reset_sealed(0)), "the level fell");
    let pins = memtables.pin().unwrap();
    assert!(pins.sealed().is_none());
    assert_eq!(pins.active().get(TableId(1), &bigint(0), u64::MAX), None);
    drop(pins);
    memtables.writer().unwrap().insert(TableId(1), b"k", 1, EntryKind::Put, b"row").unwrap();
    assert_eq!(
        memtables.swap(),
        Err(DoubleBufferError::StandbyNotReset),
        "nobody can tell what is left of it"
    );
    assert!(memtables.pin().unwrap().active().get(TableId(1), b"k", 1).is_some());
}

/// Two threads at work would hand out the same memory (slab S1). Does not compile where one of them is Sync.
#[test]
fn neither_writers_nor_write_sets_are_shared() {
    trait Unshared<Which> {
        const NAME: &str;
    }
    impl<T: ?Sized> Unshared<()> for T {
        const NAME: &str = "unshared";
    }
    struct Shared;
    impl<T: ?Sized + Sync> Unshared<Shared> for T {
        const NAME: &str = "shared";
    }
    assert_eq!(<Writer<'static> as Unshared<_>>::NAME, <WriteSet as Unshared<_>>::NAME);
}
