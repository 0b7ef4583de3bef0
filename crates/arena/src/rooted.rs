//! A value together with what it borrows: both move as one, and go as one.
//!
//! A plan borrows the arenas that it was made in, so a structure that holds both would have to borrow from itself, which the
//! language does not have. Here the owner of the arenas stands in a chunk that never moves, and the value beside a pointer to it:
//!
//! ```text
//!   Rooted: | value | -> | owner: arenas, budgets |        a chunk, charged
//!              '--borrows--------^
//! ```
//!
//! What a value borrows is a lifetime that exists for nobody else: it is made and changed by closures that must do for every
//! lifetime, so that nothing in it outlives the owner and nothing gets into it that does not.
//!
//! ```
//! use cofferdam_arena::{Arena, Borrowing, Budget, Rooted};
//!
//! struct Words;
//! impl Borrowing for Words {
//!     type Of<'a> = &'a [&'a str];
//!     fn shorten<'s, 'a: 's>(words: &'s &'a [&'a str]) -> &'s &'s [&'s str] { words }
//! }
//!
//! let budget = Budget::unlimited("doc").unwrap().child("plan", 1 << 20)?;
//! let mut words = Rooted::<Arena, Words>::new(&budget, Arena::new(&budget))?;
//! words.make(|arena| {
//!     let text = arena.alloc_str("planned once, run often")?;
//!     Ok::<_, cofferdam_arena::AllocError>(&*arena.alloc_slice_from_iter(text.split(", ").collect::<Vec<_>>())?)
//! })?;
//! let moved = words;
//! assert_eq!(moved.get().unwrap()[1], "run often");
//! drop(moved);
//! assert_eq!(budget.used(), 0);
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```

use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use crate::arena::Arena;
use crate::budget::Budget;
use crate::error::AllocError;

/// A family of types, one for each lifetime of what they borrow.
pub trait Borrowing {
    /// The type that borrows for `'a`.
    type Of<'a>;

    /// The same for a shorter time. That this can be written as the value itself shows that a value that borrows for long is one that
    /// borrows for less long.
    fn shorten<'s, 'a: 's>(value: &'s Self::Of<'a>) -> &'s Self::Of<'s>;
}

/// An owner, and a value that borrows from it.
///
/// - I1 `owner` points to a live `O` in memory of `home`, from `new` to `drop`.
/// - I2 if `is_made`, `value` is live, and what it borrows is `*owner`, which nobody else touches as long as it is live.
/// - I3 the lifetime in the type of `value` is a stand-in: only closures that do for every lifetime see the value as it is, everybody
///   else for no longer than `self` is borrowed.
pub struct Rooted<O, F: Borrowing> {
    /// Not as a plain value: that would promise that what it borrows outlives every call that it is handed to.
    value: MaybeUninit<F::Of<'static>>,
    is_made: bool,
    owner: NonNull<O>,
    /// Holds the chunk of the owner. Moves freely: chunks stay where they are.
    home: Arena,
}

impl<O, F: Borrowing> Rooted<O, F> {
    /// An owner without a value yet; `budget` pays for its place.
    ///
    /// # Errors
    /// The budget refuses; the owner is dropped.
    pub fn new(budget: &Budget, owner: O) -> Result<Rooted<O, F>, AllocError> {
        let home = Arena::new(budget);
        let place = home.alloc_layout(core::alloc::Layout::new::<O>())?.cast::<O>();
        // SAFETY: fresh memory of the owner's layout.
        unsafe { place.write(owner) };
        Ok(Rooted { value: MaybeUninit::uninit(), is_made: false, owner: place, home })
    }

    /// Makes the value, in the place of the one that there was, which is dropped first. The owner may be changed for that.
    ///
    /// # Errors
    /// Those of `make`; there is no value then.
    pub fn make<E>(&mut self, make: impl for<'a> FnOnce(&'a mut O) -> Result<F::Of<'a>, E>) -> Result<(), E> {
        self.unmake();
        // SAFETY: I1, and no value borrows the owner now (I2). The lifetime is one that `make` knows nothing of, so that what it
        // returns borrows the owner, or something that lives as long as any lifetime could.
        let value = make(unsafe { &mut *self.owner.as_ptr() })?;
        // SAFETY: room for such a value: types that differ in lifetimes alone have one layout.
        unsafe { self.value.as_mut_ptr().cast::<F::Of<'_>>().write(value) };
        self.is_made = true;
        Ok(())
    }

    /// Drops the value, if there is one.
    pub fn unmake(&mut self) {
        if core::mem::take(&mut self.is_made) {
            // SAFETY: I2; it is not looked at again.
            unsafe { self.value.assume_init_drop() };
        }
    }

    /// The value, if it has been made.
    pub fn get(&self) -> Option<&F::Of<'_>> {
        // SAFETY: I2: it is live, and what it borrows lives as long as `self`, longer than it is lent for.
        self.is_made.then(|| F::shorten(unsafe { self.value.assume_init_ref() }))
    }

    /// Changes the value, if it has been made.
    pub fn change<R>(&mut self, change: impl for<'a> FnOnce(&mut F::Of<'a>) -> R) -> Option<R> {
        // SAFETY: I2: it is live. `change` does for every lifetime, so it puts nothing into it that lives shorter than the owner.
        self.is_made.then(|| change(unsafe { self.value.assume_init_mut() }))
    }

    /// The owner, as long as nothing borrows from it: without a value.
    pub fn owner_mut(&mut self) -> Option<&mut O> {
        // SAFETY: I1, and nobody else refers to it (I2).
        (!self.is_made).then(|| unsafe { &mut *self.owner.as_ptr() })
    }

    /// The budget that pays for the place of the owner.
    pub fn budget(&self) -> &Budget {
        self.home.budget()
    }
}

// SAFETY: the value, the owner that it borrows and the arena of the owner's place go to the other thread together. The owner may go; the
// value may, whatever lifetime stands for what it borrows (I3), so that what it borrows may be seen from there; the arena may.
unsafe impl<O: Send, F: Borrowing> Send for Rooted<O, F> where for<'a> F::Of<'a>: Send {}

impl<O, F: Borrowing> Drop for Rooted<O, F> {
    fn drop(&mut self) {
        self.unmake();
        // SAFETY: I1, and nothing borrows from it any more; its memory goes with `home`, after this.
        unsafe { self.owner.as_ptr().drop_in_place() };
    }
}

impl<O, F: Borrowing> fmt::Debug for Rooted<O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooted").field("is_made", &self.is_made).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// A list of texts that says when it goes, and whether what it borrows is there then.
    struct List<'a> {
        texts: crate::collections::Vec<'a, &'a str>,
        log: &'a Cell<usize>,
    }

    impl Drop for List<'_> {
        fn drop(&mut self) {
            self.log.set(self.log.get() + self.texts.iter().map(|text| text.len()).sum::<usize>());
        }
    }

    struct Lists;
    impl Borrowing for Lists {
        type Of<'a> = List<'a>;
        fn shorten<'s, 'a: 's>(value: &'s List<'a>) -> &'s List<'s> {
            value
        }
    }

    struct Owner<'c> {
        arena: Arena,
        log: &'c Cell<usize>,
    }

    fn make<'a>(owner: &'a mut Owner<'_>, words: &[&str]) -> Result<List<'a>, AllocError> {
        owner.arena.release();
        let owner = &*owner;
        let mut texts = crate::collections::Vec::new_in(&owner.arena);
        for word in words {
            texts.push(&*owner.arena.alloc_str(word)?)?;
        }
        Ok(List { texts, log: owner.log })
    }

    /// Aim: a value is read, changed and made again wherever its owner has moved to, and everything is given back.
    #[test]
    fn a_value_moves_with_what_it_borrows() {
        let budget = Budget::unlimited("test").unwrap().child("plan", 1 << 20).unwrap();
        let log = Cell::new(0);
        let owner = Owner { arena: Arena::new(&budget), log: &log };
        let mut rooted = Rooted::<_, Lists>::new(&budget, owner).unwrap();
        assert!(rooted.get().is_none() && rooted.change(|_| ()).is_none());
        rooted.make(|owner| make(owner, &["one", "three"])).unwrap();
        assert!(rooted.owner_mut().is_none());
        let mut boxed = Box::new(rooted);
        assert_eq!(boxed.get().unwrap().texts.len(), 2);
        boxed.change(|list| list.texts.push("static")).unwrap().unwrap();
        assert_eq!(boxed.get().unwrap().texts[2], "static");
        boxed.make(|owner| make(owner, &["four"])).unwrap();
        assert_eq!(log.get(), 3 + 5 + 6, "the value that was there went first");
        assert_eq!(boxed.get().unwrap().texts[0], "four");
        assert_eq!(boxed.make(|_| Err(7)), Err(7));
        assert!(boxed.get().is_none() && boxed.owner_mut().is_some());
        boxed.make(|owner| make(owner, &["again"])).unwrap();
        drop(boxed);
        assert_eq!((log.get(), budget.used()), (14 + 4 + 5, 0));
    }

    /// Aim: a value that borrows nothing but what may be seen from everywhere goes to another thread, and ends there.
    #[test]
    fn a_value_goes_to_another_thread() {
        struct Words;
        impl Borrowing for Words {
            type Of<'a> = &'a [&'a str];
            fn shorten<'s, 'a: 's>(words: &'s &'a [&'a str]) -> &'s &'s [&'s str] {
                words
            }
        }
        let budget = Budget::unlimited("test").unwrap().child("plan", 1 << 20).unwrap();
        let mut rooted = Rooted::<Arena, Words>::new(&budget, Arena::new(&budget)).unwrap();
        let words = ["one", "two"];
        rooted
            .make(|arena| {
                let words = [arena.alloc_str(words[0])? as &str, arena.alloc_str(words[1])?];
                Ok::<_, AllocError>(&*arena.alloc_slice_copy(&words)?)
            })
            .unwrap();
        let seen = std::thread::spawn(move || rooted.get().unwrap().concat()).join().unwrap();
        assert_eq!((seen.as_str(), budget.used()), ("onetwo", 0));
    }

    #[test]
    fn a_place_that_is_refused_drops_the_owner() {
        let root = Budget::root("root", 1 << 20).unwrap();
        let small = root.child("small", 0).unwrap();
        let log = Cell::new(0);
        let owner = Owner { arena: Arena::new(&root), log: &log };
        owner.arena.alloc(1u64).unwrap();
        let used = root.used();
        assert!(Rooted::<_, Lists>::new(&small, owner).is_err());
        assert!(root.used() < used);
    }
}
