//! The bytes of one file, as processes see them and as a crash leaves them.
//!
//! Only one image is kept whole: what processes see. Of every sector that was written since the last sync the content
//! that the disk has is saved when it is first written, so a write costs its bytes and at most its sectors, and syncs
//! and crashes cost the number of unsynced sectors, whatever the file's length.
//!
//! **Terms.** *L* is the length that processes see, *D* the one that is durable, *C* the lowest that the file was cut to
//! since the last sync, where that is below D. A sector is *unsynced* from its first write to the next sync; it is
//! *dropped* when a sync of it failed and the system took it for clean all the same.
//!
//! **Invariants.**
//! - I1 `marks[i]` is 1 + the place in `unsynced` of sector i, or 0.
//! - I2 A sector below D that is not unsynced has the same bytes on the disk and for processes.
//! - I3 A sector is unsynced if any byte of it was cut off or written since the last sync.
//! - I4 An unsynced sector without saved bytes is zeros on the disk.
//!
//! **Intermediate contents.** When an unsynced sector is written again, the disk may have written the earlier content of
//! its own accord: one time of eight, what is saved becomes that content. So a crash can bring back any state that a
//! sector has had since the last sync.

use super::crash::{Crash, CrashPolicy};
use super::fault::Unwritten;
use super::rng::Rng;

/// The durable content of a sector is zeros.
const ZEROS: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Content {
    /// As processes see it.
    bytes: Vec<u8>,
    /// D.
    durable_len: usize,
    /// C.
    cut: Option<usize>,
    marks: Vec<u32>,
    unsynced: Vec<Unsynced>,
    /// Contents of sectors on the disk, one after the other.
    saved: Vec<u8>,
    sector_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Unsynced {
    index: u32,
    /// Which sector of `saved`, or [`ZEROS`].
    saved: u32,
    is_dropped: bool,
}

impl Content {
    pub(super) fn new(sector_bytes: usize) -> Content {
        let (bytes, marks, unsynced, saved) = Default::default();
        Content { bytes, durable_len: 0, cut: None, marks, unsynced, saved, sector_bytes }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn unsynced_count(&self) -> usize {
        self.unsynced.len()
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize, rng: &mut Rng) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        for index in offset / self.sector_bytes..end.div_ceil(self.sector_bytes) {
            self.mark(index, rng);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
    }

    pub(super) fn set_len(&mut self, len: usize, rng: &mut Rng) {
        if len < self.bytes.len() {
            for index in len / self.sector_bytes..self.bytes.len().div_ceil(self.sector_bytes) {
                if index * self.sector_bytes < self.durable_len || self.is_unsynced(index) {
                    self.mark(index, rng);
                }
            }
        }
        if len < self.durable_len {
            self.cut = Some(self.cut.map_or(len, |cut| cut.min(len)));
        }
        self.bytes.resize(len, 0);
    }

    /// Makes everything durable but what was dropped.
    pub(super) fn sync(&mut self) {
        let mut dropped = Vec::new();
        for unsynced in &self.unsynced {
            self.marks[unsynced.index as usize] = 0;
            if unsynced.is_dropped && (unsynced.index as usize) * self.sector_bytes < self.bytes.len() {
                dropped.push((*unsynced, self.on_disk(unsynced, self.cut)));
            }
        }
        (self.durable_len, self.cut) = (self.bytes.len(), None);
        self.unsynced.clear();
        self.saved.clear();
        for (unsynced, content) in dropped {
            let saved = self.save(&content);
            self.unsynced.push(Unsynced { saved, ..unsynced });
            self.marks[unsynced.index as usize] = self.unsynced.len() as u32;
        }
    }

    /// A sync that fails: some sectors reach the disk, and `unwritten` says what becomes of the others.
    pub(super) fn fail_sync(&mut self, unwritten: Unwritten, rng: &mut Rng) {
        let chance = CrashPolicy::default().draw_chance(rng);
        let all = std::mem::take(&mut self.unsynced);
        for mut unsynced in all {
            // While the file is to become shorter, what its sectors will be is not settled: none is done with.
            let may_finish = self.cut.is_none();
            self.marks[unsynced.index as usize] = 0;
            if rng.is_one_of(chance, 64) && may_finish {
                continue;
            }
            match unwritten {
                Unwritten::Dirty => {}
                Unwritten::Evicted if may_finish => {
                    self.put_back(&unsynced);
                    continue;
                }
                Unwritten::Clean | Unwritten::Evicted => unsynced.is_dropped = true,
            }
            self.unsynced.push(unsynced);
            self.marks[unsynced.index as usize] = self.unsynced.len() as u32;
        }
        if self.cut.is_none() && rng.is_one_of(1, 2) {
            self.durable_len = self.bytes.len();
        }
    }

    /// Flips bits for good: in what processes see and on the disk.
    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        self.bytes[offset] ^= mask;
        let index = offset / self.sector_bytes;
        if self.is_unsynced(index) {
            let unsynced = self.unsynced[self.marks[index] as usize - 1];
            if unsynced.saved != ZEROS {
                self.saved[unsynced.saved as usize * self.sector_bytes + offset % self.sector_bytes] ^= mask;
            }
        }
    }

    /// What is left after a crash; all of it is durable then. `stale` is what the disk had in other places.
    pub(super) fn crash(&mut self, policy: &CrashPolicy, stale: &[u8], rng: &mut Rng, crash: &mut Crash) {
        let (seen_len, durable_len) = (self.bytes.len(), self.durable_len);
        if self.unsynced.is_empty() && seen_len == durable_len {
            return;
        }
        let chance = policy.draw_chance(rng);
        // A cut is done or undone as a whole; what it cut off is zeros once it is done.
        let cut = self.cut.filter(|_| rng.is_one_of(chance, 64));
        let len = survivor_len(cut.unwrap_or(durable_len), seen_len, chance, self.sector_bytes, rng);
        crash.lengths_lost += u64::from(len == durable_len && len != seen_len);
        crash.lengths_between += u64::from(len != durable_len && len != seen_len);

        self.bytes.resize(len.max(seen_len), 0);
        for unsynced in std::mem::take(&mut self.unsynced) {
            let start = unsynced.index as usize * self.sector_bytes;
            self.marks[unsynced.index as usize] = 0;
            if start >= len {
                crash.sectors_lost += 1;
                continue;
            }
            let is_kept = !unsynced.is_dropped && start < seen_len && rng.is_one_of(chance, 64);
            if is_kept && !rng.is_one_of(policy.torn_percent, 100) {
                crash.sectors_kept += 1;
                continue;
            }
            let mut content = self.on_disk(&unsynced, cut);
            if is_kept {
                crash.sectors_torn += 1;
                self.tear(&mut content, start, rng);
            } else if unsynced.saved == ZEROS && rng.is_one_of(policy.stale_percent, 100) {
                crash.sectors_stale += 1;
                stale_sector(&mut content, stale, rng);
            } else {
                crash.sectors_lost += 1;
            }
            let end = (start + self.sector_bytes).min(self.bytes.len());
            self.bytes[start..end].copy_from_slice(&content[..end - start]);
        }
        self.bytes.truncate(len);
        (self.durable_len, self.cut) = (len, None);
        self.saved.clear();
    }

    fn is_unsynced(&self, index: usize) -> bool {
        self.marks.get(index).is_some_and(|&mark| mark > 0)
    }

    /// Makes a sector unsynced before it changes.
    fn mark(&mut self, index: usize, rng: &mut Rng) {
        if index >= self.marks.len() {
            self.marks.resize(index + 1, 0);
        }
        if self.marks[index] == 0 {
            let is_durable = index * self.sector_bytes < self.durable_len;
            let saved = if is_durable { self.save_seen(index, ZEROS) } else { ZEROS };
            self.unsynced.push(Unsynced { index: index as u32, saved, is_dropped: false });
            self.marks[index] = self.unsynced.len() as u32;
            return;
        }
        let place = self.marks[index] as usize - 1;
        let Unsynced { saved, is_dropped, .. } = self.unsynced[place];
        // The system has the whole sector in memory, so with this write it will write all of it.
        self.unsynced[place].is_dropped = false;
        if !is_dropped && rng.is_one_of(1, 8) {
            self.unsynced[place].saved = self.save_seen(index, saved);
        }
    }

    /// Saves what processes see of a sector in place of `over`, or at the end; returns where.
    fn save_seen(&mut self, index: usize, over: u32) -> u32 {
        let start = index * self.sector_bytes;
        let seen = &self.bytes[start..self.bytes.len().min(start + self.sector_bytes)];
        if over == ZEROS {
            self.saved.extend_from_slice(seen);
            self.pad_saved(seen.len())
        } else {
            let into = &mut self.saved[over as usize * self.sector_bytes..][..self.sector_bytes];
            into[..seen.len()].copy_from_slice(seen);
            into[seen.len()..].fill(0);
            over
        }
    }

    fn save(&mut self, content: &[u8]) -> u32 {
        self.saved.extend_from_slice(content);
        self.pad_saved(content.len())
    }

    /// Fills the last saved sector, of which there are `len` bytes; returns which it is.
    fn pad_saved(&mut self, len: usize) -> u32 {
        self.saved.resize(self.saved.len() + self.sector_bytes - len, 0);
        (self.saved.len() / self.sector_bytes - 1) as u32
    }

    /// The content that the disk has of a sector, with a cut that is done.
    fn on_disk(&self, unsynced: &Unsynced, cut: Option<usize>) -> Vec<u8> {
        if unsynced.saved == ZEROS {
            return vec![0; self.sector_bytes];
        }
        let mut content =
            self.saved[unsynced.saved as usize * self.sector_bytes..][..self.sector_bytes].to_vec();
        if let Some(cut) = cut {
            let kept = cut.saturating_sub(unsynced.index as usize * self.sector_bytes);
            content[kept.min(self.sector_bytes)..].fill(0);
        }
        content
    }

    /// Gives processes what the disk has of a sector.
    fn put_back(&mut self, unsynced: &Unsynced) {
        let content = self.on_disk(unsynced, None);
        let start = unsynced.index as usize * self.sector_bytes;
        let end = (start + self.sector_bytes).min(self.bytes.len());
        if start < end {
            self.bytes[start..end].copy_from_slice(&content[..end - start]);
        }
    }

    /// Puts the new bytes of a sector into a part of its old content.
    fn tear(&self, content: &mut [u8], start: usize, rng: &mut Rng) {
        let new = &self.bytes[start..(start + self.sector_bytes).min(self.bytes.len())];
        let at = rng.below(new.len() + 1);
        if rng.is_one_of(3, 4) {
            content[..at].copy_from_slice(&new[..at]);
        } else {
            content[at..new.len()].copy_from_slice(&new[at..]);
        }
    }
}

/// The length after a crash: between the durable one and the one that was seen last.
fn survivor_len(durable: usize, seen: usize, chance: u32, sector_bytes: usize, rng: &mut Rng) -> usize {
    if seen <= durable || chance == 0 {
        return durable;
    }
    if chance == 64 {
        return seen;
    }
    match rng.below(4) {
        0 => durable,
        1 => seen,
        2 => durable + rng.below(seen - durable + 1),
        _ => (durable + rng.below(seen - durable + 1)).next_multiple_of(sector_bytes).min(seen),
    }
}

/// Fills a sector with what the disk had there before.
fn stale_sector(content: &mut [u8], stale: &[u8], rng: &mut Rng) {
    let sectors_count = stale.len() / content.len();
    if sectors_count == 0 || rng.is_one_of(1, 4) {
        rng.fill(content);
    } else {
        let start = rng.below(sectors_count) * content.len();
        content.copy_from_slice(&stale[start..start + content.len()]);
    }
}

#[cfg(test)]
mod tests;
