//! The arithmetic of bump allocation on plain integers: no pointers, nothing unsafe.
//!
//! An arena hands out addresses upwards. Its position is always a multiple of [`MIN_ALIGN`], so an allocation whose
//! alignment is at most that needs no rounding of the position; the size is rounded instead, and the position stays
//! aligned for the next caller.
//!
//! ```text
//!   base ........ position ............ end | header |
//!                 ^ start (aligned up)  ^ first address that must not be handed out
//! ```
//!
//! The functions are written once for every unsigned width, so that tests can run through *all* inputs of 8 bits.

/// Every position, and so every allocation, is a multiple of this many bytes (seed 004 asks for 8).
pub(crate) const MIN_ALIGN: usize = 8;

macro_rules! bump_arithmetic {
    ($name:ident, $uint:ty, $min_align:expr) => {
        /// Bump arithmetic at the width of one unsigned type.
        pub(crate) mod $name {
            const MIN_ALIGN: $uint = $min_align;

            /// Where an allocation goes.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub(crate) struct Placed {
                /// First byte of the allocation.
                pub(crate) start: $uint,
                /// The position after it: a multiple of the minimum alignment.
                pub(crate) position: $uint,
            }

            /// Rounds up to a multiple of `align` (a power of two); `None` past the largest value.
            #[inline(always)]
            pub(crate) const fn round_up(value: $uint, align: $uint) -> Option<$uint> {
                match value.checked_add(align - 1) {
                    Some(sum) => Some(sum & !(align - 1)),
                    None => None,
                }
            }

            /// Places `size` bytes at `position`, with the minimum alignment, or says that they do not fit before `end`.
            ///
            /// needs: `position <= end`, both multiples of the minimum alignment; `size` at most half the address
            /// range, as every `Layout` guarantees.
            #[inline(always)]
            pub(crate) const fn place_minimal(position: $uint, end: $uint, size: $uint) -> Option<Placed> {
                // `size` is at most half the range, so that adding less than MIN_ALIGN cannot wrap.
                let rounded = (size + (MIN_ALIGN - 1)) & !(MIN_ALIGN - 1);
                if rounded > end - position {
                    return None;
                }
                Some(Placed { start: position, position: position + rounded })
            }

            /// Places `size` bytes aligned to `align` (a power of two) between `position` and `end`, or says that they
            /// do not fit.
            ///
            /// needs: as `place_minimal`; the padding is below half the range because `align` is at most that.
            #[inline(always)]
            pub(crate) const fn place(
                position: $uint,
                end: $uint,
                size: $uint,
                align: $uint,
            ) -> Option<Placed> {
                let padding = position.wrapping_neg() & (align - 1);
                let rounded = (size + (MIN_ALIGN - 1)) & !(MIN_ALIGN - 1);
                let taken = padding + rounded;
                if taken > end - position {
                    return None;
                }
                Some(Placed { start: position + padding, position: position + taken })
            }

            /// As `place`, quicker, and by the largest padding that there could be: what would just fit at the end may
            /// be refused. No branch on the alignment, which sizes and alignments known at run time only would make
            /// unpredictable; and the position is used in one addition only, so that the processor forwards it from
            /// the store before within that addition (3.25 instead of 3.75 ns: `bench-arena`, mixed_layout, 2026-11-21).
            #[inline(always)]
            pub(crate) const fn place_quickly(
                position: $uint,
                end: $uint,
                size: $uint,
                align: $uint,
            ) -> Option<Placed> {
                let padding_max = align - 1;
                let rounded = (size + (MIN_ALIGN - 1)) & !(MIN_ALIGN - 1);
                match position.checked_add(padding_max + rounded) {
                    Some(farthest) if farthest <= end => {
                        let start = (farthest - rounded) & !padding_max;
                        Some(Placed { start, position: start + rounded })
                    }
                    _ => None,
                }
            }
        }
    };
}

bump_arithmetic!(native, usize, super::MIN_ALIGN);
#[cfg(test)]
bump_arithmetic!(narrow, u8, 4);

pub(crate) use native::{Placed, place, place_minimal, place_quickly, round_up};

#[cfg(test)]
mod tests {
    use super::narrow;

    /// Walks every position, end, size and alignment that 8 bits can hold and compares with the definition: the
    /// lowest aligned start whose bytes fit, computed in wider integers.
    #[test]
    fn place_is_right_for_every_input_of_eight_bits() {
        let aligns = [1u8, 2, 4, 8, 16, 32, 64, 128];
        let mut placed_count = 0u64;
        let step = if cfg!(miri) { 64 } else { 4 };
        for position in (0..=255u8).step_by(step) {
            for end in (position..=255).step_by(step) {
                for size in (0..=127u8).step_by(if cfg!(miri) { 3 } else { 1 }) {
                    for align in aligns {
                        let grid = u32::from(align.max(4));
                        let start = u32::from(position).div_ceil(grid) * grid;
                        let after = start + u32::from(size).div_ceil(4) * 4;
                        let want = (after <= u32::from(end)).then_some((start, after));
                        let got = narrow::place(position, end, size, align)
                            .map(|placed| (u32::from(placed.start), u32::from(placed.position)));
                        assert_eq!(got, want, "position {position} end {end} size {size} align {align}");
                        if align <= 4 {
                            assert_eq!(
                                narrow::place_minimal(position, end, size),
                                narrow::place(position, end, size, align)
                            );
                        }
                        let quick = narrow::place_quickly(position, end, size, align);
                        let farthest =
                            u32::from(position) + u32::from(align) - 1 + u32::from(size).div_ceil(4) * 4;
                        if farthest <= u32::from(end) {
                            assert_eq!(quick, narrow::place(position, end, size, align));
                        } else {
                            assert_eq!(quick, None);
                        }
                        placed_count += u64::from(got.is_some());
                    }
                }
            }
        }
        assert!(placed_count > 1_000, "the loop must have placed something: {placed_count}");
    }

    #[test]
    fn rounding_past_the_end_of_the_range_is_refused() {
        assert_eq!(narrow::round_up(253, 8), None);
        assert_eq!(narrow::round_up(248, 8), Some(248));
        assert_eq!(super::round_up(usize::MAX, 64), None);
    }
}
