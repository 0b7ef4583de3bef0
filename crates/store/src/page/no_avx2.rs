//! What `avx2.rs` has, for processors of other kinds: everything is left to the plain loops.

/// Does `work`.
#[inline(always)]
pub(super) fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Unpacks nothing.
pub(super) fn unpack_i64(_width: u32, _packed: &[u8], _base: i64, _out: &mut [[i64; 8]]) -> usize {
    0
}

/// Unpacks nothing.
pub(super) fn unpack_i32(_width: u32, _packed: &[u8], _base: i32, _out: &mut [[i32; 8]]) -> usize {
    0
}

/// Fetches nothing.
#[inline(always)]
pub(crate) fn fetch_ends(_bytes: &[u8]) {}
