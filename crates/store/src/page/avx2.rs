//! Eights of a series by AVX2, where the processor has it.
//!
//! ```text
//!   16 bytes with four values   --shuffle-->   the bytes of each in a lane   --shift, mask-->   values   --+ base-->
//! ```
//!
//! Which bytes go where and how far each lane is shifted depends on the width only, so it stands in a table. The second four
//! of eight values begin `width / 2` bytes behind the first, with half a byte more where the width is odd.
//!
//! Scans go from page to page, so what a loop will want of the next page is fetched meanwhile.
//!
//! **Unsafe code.** Calls of functions for processors with AVX2 behind the question whether this is one, and loads and stores of
//! arrays through references to them.
//!
//! # Source
//! D. Lemire, L. Boytsov: Decoding billions of integers per second through vectorization, Software: Practice and
//! Experience 45(1), 2015; the shuffle instead of its vertical layout, so that single values stay one load (`series.rs`).
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm256_add_epi32,
    _mm256_add_epi64, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_castsi128_si256,
    _mm256_inserti128_si256, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_shuffle_epi8,
    _mm256_srlv_epi32, _mm256_srlv_epi64, _mm256_storeu_si256,
};

/// The widest for lanes of 64 bits: four values and half a byte lie in 16 bytes.
const WIDTH_MAX_I64: usize = 30;
/// The widest for lanes of 32 bits: a value that begins anywhere in a byte lies in four.
const WIDTH_MAX_I32: usize = 25;

/// What is fetched from memory at once, and how much of it by [`fetch_ends`].
const LINE_BYTES: usize = 64;
const FETCHED_FIRST: usize = 6;
const FETCHED_LAST: usize = 3;

/// Where the values of a width lie in two times 16 bytes.
struct Shape {
    /// For each byte of the lanes the byte that it is; half of the table is for the second four values.
    bytes: [u8; 64],
    /// By how many bits each lane is shifted, a number of as many bytes as the lane.
    shifts: [u8; 64],
}

const NO_BYTE: u8 = 0x80;

impl Shape {
    /// Of eight lanes of so many bytes.
    const fn new(width: usize, lane_bytes: usize) -> Shape {
        let mut shape = Shape { bytes: [NO_BYTE; 64], shifts: [0; 64] };
        let mut value = 0;
        while value < 8 {
            let bit = value % 4 * width + if value >= 4 { 4 * width % 8 } else { 0 };
            let mut i = 0;
            while i < lane_bytes {
                if bit / 8 + i < 16 {
                    shape.bytes[value * lane_bytes + i] = (bit / 8 + i) as u8;
                }
                i += 1;
            }
            shape.shifts[value * lane_bytes] = (bit % 8) as u8;
            value += 1;
        }
        shape
    }

    const fn all<const COUNT: usize>(lane_bytes: usize) -> [Shape; COUNT] {
        let mut shapes = [const { Shape { bytes: [0; 64], shifts: [0; 64] } }; COUNT];
        let mut width = 0;
        while width < COUNT {
            shapes[width] = Shape::new(width, lane_bytes);
            width += 1;
        }
        shapes
    }
}

static SHAPES_I64: [Shape; WIDTH_MAX_I64 + 1] = Shape::all(8);
static SHAPES_I32: [Shape; WIDTH_MAX_I32 + 1] = Shape::all(4);

/// Does `work` with all that is inlined into it compiled for AVX2, where the processor has it.
#[inline]
pub(super) fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    #[target_feature(enable = "avx2")]
    fn compiled<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { compiled(work) }
    } else {
        work()
    }
}

/// Has the processor fetch the begin and the end of pages that are read soon, all at once: their heads, numbers and offsets, each of
/// which leads to the next.
#[inline]
pub(crate) fn fetch_ends(bytes: &[u8]) {
    let lines = bytes.chunks(LINE_BYTES);
    for line in lines.clone().take(FETCHED_FIRST).chain(lines.rev().take(FETCHED_LAST)) {
        // SAFETY: the instruction reads nothing that the program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
}

/// Unpacks eights of values and adds `base`: the first ones of `out`, and gives how many. The others are left to other loops:
/// all of a width, or without AVX2, that it does not know, and the last ones, whose loads would reach too far.
pub(super) fn unpack_i64(width: u32, packed: &[u8], base: i64, out: &mut [[i64; 8]]) -> usize {
    match SHAPES_I64.get(width as usize) {
        // SAFETY: the processor has AVX2.
        Some(shape) if is_x86_feature_detected!("avx2") => unsafe {
            eights_i64(width as usize, shape, packed, base, out)
        },
        _ => 0,
    }
}

/// [`unpack_i64`] of values of 32 bits.
pub(super) fn unpack_i32(width: u32, packed: &[u8], base: i32, out: &mut [[i32; 8]]) -> usize {
    match SHAPES_I32.get(width as usize) {
        // SAFETY: the processor has AVX2.
        Some(shape) if is_x86_feature_detected!("avx2") => unsafe {
            eights_i32(width as usize, shape, packed, base, out)
        },
        _ => 0,
    }
}

#[target_feature(enable = "avx2")]
fn eights_i64(width: usize, shape: &Shape, packed: &[u8], base: i64, out: &mut [[i64; 8]]) -> usize {
    let ([bytes, second_bytes], [shifts, second_shifts]) = (halves(&shape.bytes), halves(&shape.shifts));
    let (mask, base) = (_mm256_set1_epi64x((1 << width) - 1), _mm256_set1_epi64x(base));
    let unpack = |packed: __m128i, bytes: __m256i, shifts: __m256i| {
        let lanes = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(packed), bytes);
        _mm256_add_epi64(_mm256_and_si256(_mm256_srlv_epi64(lanes, shifts), mask), base)
    };
    let count = count_within(width, packed, out.len());
    for (i, eight) in out.iter_mut().take(count).enumerate() {
        // SAFETY: `i` is less than `count`.
        let (first, second) = unsafe { two_loads(width, packed, i) };
        let to = core::ptr::from_mut(eight).cast::<__m256i>();
        // SAFETY: the reference is to 64 bytes that may be written.
        unsafe {
            _mm256_storeu_si256(to, unpack(first, bytes, shifts));
            _mm256_storeu_si256(to.add(1), unpack(second, second_bytes, second_shifts));
        }
    }
    count
}

#[target_feature(enable = "avx2")]
fn eights_i32(width: usize, shape: &Shape, packed: &[u8], base: i32, out: &mut [[i32; 8]]) -> usize {
    let ([bytes, _], [shifts, _]) = (halves(&shape.bytes), halves(&shape.shifts));
    let (mask, base) = (_mm256_set1_epi32((1 << width) - 1), _mm256_set1_epi32(base));
    let count = count_within(width, packed, out.len());
    for (i, eight) in out.iter_mut().take(count).enumerate() {
        // SAFETY: `i` is less than `count`.
        let (first, second) = unsafe { two_loads(width, packed, i) };
        let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(first), second);
        let lanes = _mm256_srlv_epi32(_mm256_shuffle_epi8(both, bytes), shifts);
        let values = _mm256_add_epi32(_mm256_and_si256(lanes, mask), base);
        // SAFETY: the reference is to 32 bytes that may be written.
        unsafe { _mm256_storeu_si256(core::ptr::from_mut(eight).cast(), values) }
    }
    count
}

/// How many of `count` eights can be loaded: number `i` is read up to byte `i * width + width / 2 + 16`.
fn count_within(width: usize, packed: &[u8], count: usize) -> usize {
    match packed.len().checked_sub(width / 2 + 16) {
        Some(room) if width > 0 => count.min(room / width + 1),
        _ => 0,
    }
}

/// The bytes with the two fours of an eight.
///
/// # Safety
/// `eight` is less than what [`count_within`] gives for the same `width` and `packed`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn two_loads(width: usize, packed: &[u8], eight: usize) -> (__m128i, __m128i) {
    // SAFETY: `eight <= (packed.len() - width / 2 - 16) / width`, so that 16 bytes from either place on are within `packed`.
    unsafe {
        let first = packed.as_ptr().add(eight * width);
        // The place in the next page of the column, if that stands behind this one. Processors do not look so far ahead by
        // themselves, and other columns come before it. A place that is not ours does no harm: nothing is read.
        _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(packed.len()).cast());
        (_mm_loadu_si128(first.cast()), _mm_loadu_si128(first.add(width / 2).cast()))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves(table: &[u8; 64]) -> [__m256i; 2] {
    // SAFETY: each load is of 32 bytes of the table.
    unsafe {
        let start = core::ptr::from_ref(table).cast::<__m256i>();
        [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))]
    }
}
