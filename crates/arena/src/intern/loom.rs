//! All interleavings (up to three preemptions) of lookups with admission, growth, compaction and pins.

extern crate std;
use super::*;
use ::loom::model::Builder;
use ::loom::thread;
use std::format;

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    builder.check(test);
}

fn interner() -> Arc<Interner> {
    let budget = Budget::root("process", 1 << 20).unwrap();
    Arc::new(Interner::new(&budget, &["select"]).unwrap())
}

fn intern(pin: &Pin<'_>, text: &str) -> Symbol {
    pin.intern(Identifier::new(text)).unwrap()
}

#[test]
fn a_name_is_found_whole_or_not_at_all() {
    model(|| {
        let interner = interner();
        let writer = {
            let interner = interner.clone();
            thread::spawn(move || intern(&interner.pin(), "l_tax"))
        };
        let pin = interner.pin();
        if let Some(symbol) = pin.lookup("l_tax") {
            assert_eq!(pin.resolve(symbol), Some("l_tax"));
            assert_eq!(pin.lookup("l_tax"), Some(symbol));
        }
        let symbol = writer.join().unwrap();
        assert_eq!(pin.lookup("l_tax"), Some(symbol));
    });
}

#[test]
fn two_writers_agree_on_one_symbol() {
    model(|| {
        let interner = interner();
        let other = {
            let interner = interner.clone();
            thread::spawn(move || intern(&interner.pin(), "l_tax"))
        };
        let symbol = intern(&interner.pin(), "l_tax");
        assert_eq!(other.join().unwrap(), symbol);
    });
}

#[test]
fn compaction_spares_what_a_pin_has_seen() {
    model(|| {
        let interner = interner();
        let symbol = intern(&interner.pin(), "l_tax");
        let compactor = {
            let interner = interner.clone();
            thread::spawn(move || interner.compact())
        };
        {
            let pin = interner.pin();
            if let Some(seen) = pin.lookup("l_tax") {
                assert_eq!(seen, symbol);
                assert_eq!(pin.resolve(seen), Some("l_tax"));
                assert_eq!(pin.lookup("l_tax"), Some(seen));
            }
        }
        compactor.join().unwrap();
        interner.compact();
        assert_eq!(interner.pin().lookup("l_tax"), None);
    });
}

#[test]
fn a_holder_and_a_compaction_agree() {
    model(|| {
        let interner = interner();
        let held = interner.hold(Identifier::new("l_tax")).unwrap();
        let compactor = {
            let interner = interner.clone();
            thread::spawn(move || interner.compact())
        };
        let clone = held.clone();
        drop(held);
        assert_eq!(clone.as_str(), "l_tax");
        compactor.join().unwrap();
        assert_eq!(interner.pin().lookup("l_tax"), Some(clone.symbol()));
    });
}

#[test]
fn growth_hides_no_name() {
    model(|| {
        let interner = interner();
        let symbol = {
            let pin = interner.pin();
            for n in 0..30 {
                intern(&pin, &format!("column_{n}"));
            }
            intern(&pin, "l_tax")
        };
        let writer = {
            let interner = interner.clone();
            thread::spawn(move || intern(&interner.pin(), "one_too_many"))
        };
        {
            let pin = interner.pin();
            assert_eq!(pin.lookup("l_tax"), Some(symbol));
            assert_eq!(pin.resolve(symbol), Some("l_tax"));
        }
        writer.join().unwrap();
    });
}

/// The epochs alone: what is unlinked in an epoch is freed only when no pin that could see it lives.
#[test]
fn nothing_is_freed_under_a_pin() {
    model(|| {
        let shared = Arc::new((Pins::new(), AtomicBool::new(true), AtomicBool::new(false)));
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (pins, is_linked, is_freed) = &*shared;
                let ticket = pins.pin();
                if is_linked.load(Ordering::Acquire) {
                    assert!(!is_freed.load(Ordering::Acquire));
                }
                pins.unpin(ticket);
            })
        };
        let (pins, is_linked, is_freed) = &*shared;
        is_linked.store(false, Ordering::Release);
        let unlinked_in = pins.epoch();
        for _ in 0..2 {
            pins.advance();
            if pins.settled() >= unlinked_in {
                is_freed.store(true, Ordering::Release);
            }
        }
        reader.join().unwrap();
    });
}
