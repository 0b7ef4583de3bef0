//! Chunks: the pieces of memory that budgets are charged for, and where they come from.
//!
//! ```text
//!   base (page aligned from a reservoir)                             base + bytes
//!   | data, handed out upwards .................................. | header 64 B |
//! ```
//!
//! The header stands at the *end*, so that the first byte of a chunk has the chunk's own alignment and a page-aligned
//! buffer wastes nothing. The whole chunk is charged: header, data, and (on the global allocator) the 16 bytes that
//! the allocator itself is known to put in front of a block. Data begins at a cache line, so objects of 64 bytes never
//! lie across two: the global allocator aligns to 16 only, so 48 bytes are left out, some in front and the rest behind
//! the header. What a chunk of a size holds is thus the same at every address, and so is what a statement is charged.
//!
//! Who may touch a header: whoever holds the chunk, that is an arena, a pool, a budget tree, or a source's lists.

use core::alloc::Layout;
use core::ptr::{self, NonNull};

/// Sizes of chunks are multiples of this; the same figure as the budgets' unit.
pub(crate) const CHUNK_BYTES_MIN: usize = 1024;
/// From here on sizes are multiples of this; below it they are powers of two.
pub(crate) const GRANULE_BYTES: usize = 64 * 1024;
/// The bytes at the end of each chunk that its holder cannot use.
pub(crate) const HEADER_BYTES: usize = size_of::<ChunkHeader>();

const _: () = assert!(HEADER_BYTES == 64 && HEADER_BYTES.is_multiple_of(crate::bump::MIN_ALIGN));

/// What stands at the end of each chunk.
#[repr(C, align(16))]
pub(crate) struct ChunkHeader {
    /// The chunk after this one in its holder's chain.
    pub(crate) next: *mut ChunkHeader,
    /// The first byte of the chunk's data: a multiple of 64, with the provenance of the whole chunk.
    pub(crate) base: *mut u8,
    /// The chunk's size in bytes as charged, this header included.
    pub(crate) bytes: usize,
    /// The chunk before this one in an arena's chain.
    pub(crate) previous: *mut ChunkHeader,
    /// While an arena allocates from this chunk: bytes used in the chunks before it.
    pub(crate) used_before: usize,
    /// The same for bytes that those chunks could not use.
    pub(crate) wasted_before: usize,
    /// In the first chunk of an arena's chain: how many chunks the chain has. In a page of a tree of budgets: how many of its blocks are in
    /// use.
    pub(crate) chunks_count: usize,
    /// How far the data begins from the block that the global allocator gave; 0 from a reservoir.
    pub(crate) bytes_before: usize,
}

impl ChunkHeader {
    /// Forgets the chain that the chunk was in.
    pub(crate) fn unlink(&mut self) {
        let ChunkHeader { base, bytes, bytes_before, .. } = *self;
        *self = ChunkHeader::of(base, bytes, bytes_before);
    }

    /// The header of a chunk in no chain.
    fn of(base: *mut u8, bytes: usize, bytes_before: usize) -> ChunkHeader {
        ChunkHeader {
            next: ptr::null_mut(),
            base,
            bytes,
            previous: ptr::null_mut(),
            used_before: 0,
            wasted_before: 0,
            chunks_count: 1,
            bytes_before,
        }
    }
}

/// The smallest size a chunk can have that holds `data_bytes` of data, or `None` past the address range.
pub(crate) const fn chunk_bytes_for(data_bytes: usize) -> Option<usize> {
    let Some(bytes) = data_bytes.checked_add(HEADER_BYTES + GLOBAL_LOSS_BYTES) else { return None };
    round_chunk_up(bytes)
}

/// The most data that a chunk of `bytes` holds, whatever its source; one from the global allocator holds no more.
pub(crate) const fn data_bytes_within(bytes: usize) -> usize {
    bytes.saturating_sub(HEADER_BYTES + GLOBAL_LOSS_BYTES)
}

/// Rounds a size up to one that a chunk can have.
pub(crate) const fn round_chunk_up(bytes: usize) -> Option<usize> {
    if bytes <= CHUNK_BYTES_MIN {
        return Some(CHUNK_BYTES_MIN);
    }
    if bytes <= GRANULE_BYTES {
        return Some(bytes.next_power_of_two());
    }
    match bytes.checked_next_multiple_of(GRANULE_BYTES) {
        Some(bytes) if bytes <= isize::MAX as usize => Some(bytes),
        _ => None,
    }
}

/// The largest size a chunk can have that is at most `bytes`; 0 where not even the smallest fits.
pub(crate) const fn round_chunk_down(bytes: usize) -> usize {
    if bytes >= GRANULE_BYTES {
        bytes - bytes % GRANULE_BYTES
    } else if bytes >= CHUNK_BYTES_MIN {
        1 << bytes.ilog2()
    } else {
        0
    }
}

/// What the global allocator is taken to put in front of each block (glibc: 16). It is part of the chunk's charge.
pub(crate) const GLOBAL_PREFIX_BYTES: usize = 16;
/// The most that a chunk from the global allocator has less than one from a reservoir: the prefix, and the way from an
/// address aligned to 16 to the next cache line.
const GLOBAL_LOSS_BYTES: usize = GLOBAL_PREFIX_BYTES + DATA_ALIGN - 16;
/// Data begins at a multiple of this.
const DATA_ALIGN: usize = 64;

/// Where the chunks of a tree of budgets come from.
pub(crate) enum Source {
    /// The global allocator.
    Global,
    /// A reservoir of the tree's own.
    #[cfg(all(feature = "std", unix, not(loom)))]
    Reservoir(crate::reservoir::Reservoir),
}

/// Takes a chunk of `bytes`, which somebody has been charged for already, from the global allocator; `None` where it
/// has no more.
///
/// needs: `bytes` is a size that [`round_chunk_up`] gives.
pub(crate) fn take_global(bytes: usize) -> Option<NonNull<ChunkHeader>> {
    debug_assert_eq!(round_chunk_up(bytes), Some(bytes));
    let given_bytes = bytes - GLOBAL_PREFIX_BYTES;
    let layout = global_layout(given_bytes);
    // SAFETY: the layout's size is not zero: chunks have at least 1,024 bytes.
    let block = NonNull::new(unsafe { alloc::alloc::alloc(layout) })?;
    let bytes_before = block.addr().get().wrapping_neg() & (DATA_ALIGN - 1);
    // SAFETY: the block is fresh and aligned to 16, so the next cache line is at most 48 bytes on; these, the data and
    // the header are all that it has.
    Some(unsafe { write_header(block.add(bytes_before), bytes, data_bytes_within(bytes), bytes_before) })
}

/// Frees a chain of chunks linked by `next` from `first` to `last`.
///
/// # Safety
/// 1. Every chunk of the chain came from [`take_global`] and is given back once.
/// 2. Nobody uses their memory any more.
pub(crate) unsafe fn give_back_global(first: NonNull<ChunkHeader>, last: NonNull<ChunkHeader>) {
    let mut chunk = first;
    loop {
        // SAFETY: by the caller's promise the header is live and ours; its block begins so far before the data.
        let (next, block, given_bytes) = unsafe {
            let header = &*chunk.as_ptr();
            (header.next, header.base.sub(header.bytes_before), header.bytes - GLOBAL_PREFIX_BYTES)
        };
        // SAFETY: allocated in `take_global` with this very layout, freed once by the caller's promise.
        unsafe { alloc::alloc::dealloc(block, global_layout(given_bytes)) };
        match NonNull::new(next) {
            Some(next) if chunk != last => chunk = next,
            _ => break,
        }
    }
}

fn global_layout(given_bytes: usize) -> Layout {
    Layout::from_size_align(given_bytes, 16).expect("chunk sizes are at most isize::MAX")
}

/// Writes the header of a fresh chunk of a reservoir.
///
/// # Safety
/// `base` begins `bytes` writable bytes that nobody else uses; both are multiples of 64.
pub(crate) unsafe fn write_reserved_header(base: NonNull<u8>, bytes: usize) -> NonNull<ChunkHeader> {
    // SAFETY: by the caller's promise.
    unsafe { write_header(base, bytes, bytes - HEADER_BYTES, 0) }
}

/// Writes the header of a fresh chunk behind its data.
///
/// # Safety
/// `base` begins `data_bytes` writable bytes and those of a header behind them, which nobody else uses; both are
/// multiples of 64.
unsafe fn write_header(
    base: NonNull<u8>,
    bytes: usize,
    data_bytes: usize,
    bytes_before: usize,
) -> NonNull<ChunkHeader> {
    // SAFETY: the header lies within the chunk, at a multiple of 64.
    unsafe {
        let header = base.add(data_bytes).cast::<ChunkHeader>();
        header.write(ChunkHeader::of(base.as_ptr(), bytes, bytes_before));
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_to_what_a_source_has() {
        assert_eq!(round_chunk_up(1), Some(1024));
        assert_eq!(round_chunk_up(1025), Some(2048));
        assert_eq!(round_chunk_up(33 * 1024), Some(64 * 1024));
        assert_eq!(round_chunk_up(64 * 1024 + 1), Some(128 * 1024));
        assert_eq!(round_chunk_up(200 * 1024), Some(256 * 1024));
        assert_eq!(round_chunk_up(260 * 1024), Some(320 * 1024));
        assert_eq!(round_chunk_up(usize::MAX - 5), None);
        assert_eq!(chunk_bytes_for(usize::MAX - 5), None);
        let around = |size: usize| size - 1..=size + 1;
        let boundaries = (10..19).flat_map(|log2| around(1 << log2)).chain(around(3 * GRANULE_BYTES));
        for bytes in (0..400_000).step_by(if cfg!(miri) { 4999 } else { 1 }).chain(boundaries) {
            let down = round_chunk_down(bytes);
            assert!(down <= bytes);
            assert!(down == 0 || round_chunk_up(down) == Some(down));
            assert!(round_chunk_up(bytes).unwrap() >= bytes);
        }
    }

    /// Aim: a chunk of a size holds as much at one address as at another, or what a statement takes would differ from
    /// run to run.
    #[test]
    fn chunks_of_a_size_hold_the_same() {
        let chunks = [(); 9].map(|()| take_global(2048).unwrap());
        for chunk in chunks {
            // SAFETY: the chunk is ours.
            let base = unsafe { (*chunk.as_ptr()).base };
            assert!(base.addr().is_multiple_of(DATA_ALIGN));
            assert_eq!(chunk.as_ptr().addr() - base.addr(), data_bytes_within(2048));
        }
        // SAFETY: each is ours, and given back once.
        chunks.into_iter().for_each(|chunk| unsafe { give_back_global(chunk, chunk) });
    }

    #[test]
    fn a_chain_goes_back_whole() {
        let first = take_global(1024).unwrap();
        let last = take_global(128 * 1024).unwrap();
        // SAFETY: both chunks are ours, linked to each other, and given back once.
        unsafe {
            (*first.as_ptr()).next = last.as_ptr();
            give_back_global(first, last);
        }
    }
}
