//! Every interleaving of a worker that goes on charging and a statement that splices its results, by loom. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p cofferdam-arena --lib model`.

use super::*;
use loom::thread;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

/// The charge moves to the statement while the worker charges more: nothing is counted twice (the limits are exactly
/// what is needed) and nothing is lost (everything comes back).
#[test]
fn a_splice_beside_a_working_thread_moves_the_charge_exactly() {
    explore(|| {
        let root = Budget::root("r", 4096 + 3 * 1024).unwrap();
        let workers = root.child("workers", 2048).unwrap();
        let budget = root.child("statement", 2048).unwrap();
        let part = StatementPart::new(&workers);
        let loc = part.alloc(5usize).unwrap();
        let other = thread::spawn({
            let workers = workers.clone();
            move || {
                let scratch = Arena::new(&workers);
                scratch.alloc(1usize).map(|value| *value).unwrap()
            }
        });
        let mut statement = Arena::new(&budget);
        let taken = part.splice_into(&statement).unwrap();
        assert_eq!(taken.get(loc), Ok(&5));
        assert_eq!(other.join().unwrap(), 1);
        assert_eq!((workers.used(), budget.used()), (0, 1024));
        statement.release();
        assert_eq!(root.used(), 4096);
    });
}

/// A part that was made on another thread comes over with its values.
#[test]
fn a_part_from_another_thread_is_spliced_whole() {
    explore(|| {
        let root = Budget::unlimited("r").unwrap();
        let worker = root.clone();
        let made = thread::spawn(move || {
            let part = StatementPart::new(&worker);
            let loc = part.alloc([1usize, 2, 3]).unwrap();
            (part, loc)
        });
        let statement = Arena::new(&root);
        let own = statement.alloc(4usize).unwrap();
        let (part, loc) = made.join().unwrap();
        let taken = part.splice_into(&statement).unwrap();
        assert_eq!((taken.get(loc), *own), (Ok(&[1, 2, 3]), 4));
    });
}
