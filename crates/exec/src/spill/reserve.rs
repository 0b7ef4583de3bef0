//! What an operator writes and reads several files with, taken at once while there is memory.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc};

use super::{IoSlot, IsCancelled, SpillFailure, SpillFile, SpillIo, SpillOwner, SpillSpace, SpillWriter};

/// What files are written and read with: taken before memory runs out.
#[derive(Debug)]
pub(crate) struct Reserve {
    pub(crate) io: SpillIo,
    slots: Vec<IoSlot, BudgetAlloc>,
    slots_max: usize,
}

impl Reserve {
    /// Memory for `slots` files that are open at once, and for the list of `files_max` that exist at once.
    ///
    /// # Errors
    /// The budget refuses; nothing is held then.
    pub(crate) fn new(
        space: &SpillSpace,
        name: &str,
        budget: &Budget,
        block_bytes: usize,
        slots_max: usize,
        files_max: usize,
    ) -> Result<Reserve, AllocError> {
        let owner = SpillOwner::new(space, name, budget, files_max)?;
        let io = SpillIo::new(&owner, budget, block_bytes)?;
        let mut slots = Vec::new_in(BudgetAlloc::new(budget));
        slots.try_reserve_exact(slots_max).map_err(|_| AllocError)?;
        for _ in 0..slots_max {
            slots.push(IoSlot::new(budget, block_bytes)?);
        }
        Ok(Reserve { io, slots, slots_max })
    }

    /// What one with so many slots takes, but for lists.
    pub(crate) const fn charged_bytes(slots: usize, block_bytes: usize) -> u64 {
        SpillIo::charged_bytes(block_bytes) + slots as u64 * IoSlot::charged_bytes(block_bytes)
    }

    /// Memory for a file.
    ///
    /// # Errors
    /// All is in use, and the budget refuses more.
    pub(crate) fn take_slot(&mut self, budget: &Budget, block_bytes: usize) -> Result<IoSlot, AllocError> {
        match self.slots.pop() {
            Some(slot) => Ok(slot),
            None => IoSlot::new(budget, block_bytes),
        }
    }

    /// Takes the memory of files again that were given up while they were open, as far as there is room; none may be open now.
    pub(crate) fn refill(&mut self, budget: &Budget, block_bytes: usize) {
        while self.slots.len() < self.slots_max
            && let Ok(slot) = IoSlot::new(budget, block_bytes)
        {
            self.slots.push(slot);
        }
    }

    /// Gives the memory of files back that none is open with.
    pub(crate) fn release_slots(&mut self) {
        self.slots.clear();
    }

    pub(crate) fn give_slot(&mut self, slot: IoSlot) {
        if self.slots.len() < self.slots_max {
            self.slots.push(slot);
        }
    }
}

/// Rows in a file.
#[derive(Debug)]
pub(crate) enum Spilled {
    /// There is none.
    No,
    Writing(SpillWriter),
    Written(SpillFile),
}

impl Spilled {
    pub(crate) fn is_no(&self) -> bool {
        matches!(self, Spilled::No)
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// Those of files; it is lost then.
    pub(crate) fn finish(
        &mut self,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        match core::mem::replace(self, Spilled::No) {
            Spilled::Writing(writer) => {
                let (file, slot) = writer.finish(&mut reserve.io, is_cancelled)?;
                reserve.give_slot(slot);
                *self = Spilled::Written(file);
            }
            other => *self = other,
        }
        Ok(())
    }

    /// Has it written from its end on, if it is not already; it is made if there is none. `budget` and `block_bytes` are those of
    /// the reserve.
    ///
    /// # Errors
    /// Those of files, and those of [`Reserve::take_slot`], which change nothing.
    pub(crate) fn open(
        &mut self,
        reserve: &mut Reserve,
        budget: &Budget,
        block_bytes: usize,
    ) -> Result<&mut SpillWriter, SpillFailure> {
        if !matches!(self, Spilled::Writing(_)) {
            let slot = reserve.take_slot(budget, block_bytes)?;
            let writer = match self.take_file() {
                Some(file) => file.append(slot, &reserve.io)?,
                None => SpillWriter::create(slot, &reserve.io)?,
            };
            *self = Spilled::Writing(writer);
        }
        let Spilled::Writing(writer) = self else { unreachable!("made above") };
        Ok(writer)
    }

    /// The file, out of its place.
    pub(crate) fn take_file(&mut self) -> Option<SpillFile> {
        match core::mem::replace(self, Spilled::No) {
            Spilled::Written(file) => Some(file),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Removes it.
    pub(crate) fn remove(&mut self, reserve: &mut Reserve) {
        if let Spilled::Writing(writer) = core::mem::replace(self, Spilled::No) {
            reserve.give_slot(writer.into_slot());
        }
    }
}
