//! Pointers that know which arena they point into, and in which generation of it.

use crate::error::AllocError;
use crate::stamp::Stamp;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A pointer to a value in an arena that others may reset: it holds no borrow, and whoever resolves it checks that the
/// arena and its generation are still the ones that it was made in.
///
/// 16 bytes for a sized `T`, 24 for text and slices. It cannot be made except by allocating, so one whose stamp
/// matches points to a live value.
pub struct Loc<T: ?Sized> {
    stamp: Stamp,
    place: NonNull<T>,
    /// Invariant in `T`, because a location that is written through must not change its type.
    exact: PhantomData<fn(*mut T)>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Loc<u64>>() == 16 && size_of::<Loc<str>>() == 24);

// SAFETY: a location is inert: it is resolved only through a pin or an arena, which make sure that the thread may.
unsafe impl<T: ?Sized> Send for Loc<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized> Sync for Loc<T> {}

impl<T: ?Sized> Loc<T> {
    /// Names a value that was just allocated.
    pub(crate) fn new(stamp: Stamp, value: &mut T) -> Loc<T> {
        Loc { stamp, place: NonNull::from(value), exact: PhantomData }
    }

    /// The place, if the location was made under `stamp`.
    #[inline]
    pub(crate) fn place_under(self, stamp: Stamp) -> Result<NonNull<T>, LocError> {
        if self.stamp == stamp {
            Ok(self.place)
        } else if self.stamp.identity() == stamp.identity() {
            Err(LocError::Stale)
        } else {
            Err(LocError::Foreign)
        }
    }
}

impl<T: ?Sized> Clone for Loc<T> {
    fn clone(&self) -> Loc<T> {
        *self
    }
}

impl<T: ?Sized> Copy for Loc<T> {}

impl<T: ?Sized> PartialEq for Loc<T> {
    /// The same place in the same generation of the same arena.
    fn eq(&self, other: &Loc<T>) -> bool {
        self.stamp == other.stamp && self.place.addr() == other.place.addr()
    }
}

impl<T: ?Sized> Eq for Loc<T> {}

impl<T: ?Sized> Hash for Loc<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.stamp, self.place.addr()).hash(state);
    }
}

impl<T: ?Sized> fmt::Debug for Loc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loc({:#x} in arena {})", self.place.addr(), self.stamp.identity())
    }
}

/// Why a [`Loc`] does not lead to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocError {
    /// The arena was reset or released since.
    Stale,
    /// It was made in another arena (or in this one more than 65,535 resets ago, when it had another identity).
    Foreign,
}

impl fmt::Display for LocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LocError::Stale => {
                "the location is from before the arena's last reset: copy values out before a reset"
            }
            LocError::Foreign => "the location points into another arena: copy the value over first",
        })
    }
}

impl core::error::Error for LocError {}

/// Why a value was not copied from one arena to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The source's location does not lead to a value.
    Loc(LocError),
    /// The target's budget refuses.
    OutOfMemory(AllocError),
}

impl From<LocError> for CopyError {
    fn from(error: LocError) -> CopyError {
        CopyError::Loc(error)
    }
}

impl From<AllocError> for CopyError {
    fn from(error: AllocError) -> CopyError {
        CopyError::OutOfMemory(error)
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Loc(error) => error.fmt(f),
            CopyError::OutOfMemory(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CopyError {}
