//! Limits: what is refused below the least, and a whole life at the least and at every step above it.

use cofferdam_arena::Budget;
use cofferdam_store::{Error, MINIMUM_BYTES};
use cofferdam_testkit::simfs::SimDisk;

use crate::life::{Life, Size};

fn budget(limit_bytes: u64) -> Budget {
    let process = Budget::root("process", limit_bytes + (64 << 10)).unwrap();
    process.child("db", limit_bytes).unwrap()
}

const SIZE: Size = Size { rows: 150, bulk: 400, comment_bytes: 60, long_every: 50 };

/// Aim: below the least limit nothing opens, and the error says what the least is.
#[test]
fn less_than_the_minimum_is_refused_with_the_minimum() {
    for limit_bytes in [0, 4 << 10, MINIMUM_BYTES / 2, MINIMUM_BYTES - 1] {
        let (disk, budget) = (SimDisk::new(1), budget(limit_bytes));
        let error = Life::new(&disk, &budget, &budget, SIZE).open().unwrap_err();
        assert!(
            matches!(error, Error::LimitTooSmall { minimum_bytes: MINIMUM_BYTES, limit_bytes: had } if had == limit_bytes),
            "{error}"
        );
        assert!(error.to_string().contains("256.0 KiB"), "{error}");
        assert_eq!((budget.used(), disk.counts().mutations), (0, 0));
    }
}

/// Aim: the least limit is enough for everything, and so is every larger one. Method: a whole life, with the caller's transactions and
/// scans under the same limit.
#[test]
fn a_whole_life_fits_the_minimum_and_every_step_above_it() {
    let steps = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768];
    for limit_bytes in steps.map(|step| MINIMUM_BYTES + (step << 10)) {
        let (disk, budget) = (SimDisk::new(1), budget(limit_bytes));
        let caller = Budget::unlimited("callers").unwrap().child("caller", 64 << 20).unwrap();
        let mut life = Life::new(&disk, &budget, &caller, SIZE);
        println!("{limit_bytes}");
        life.live();
        life.verify().unwrap_or_else(|what| panic!("{limit_bytes}: {what}"));
        assert_eq!(budget.used(), 0);
        println!("{limit_bytes} {} {}", budget.peak(), caller.peak());
        assert!(budget.peak() <= limit_bytes);
    }
}
