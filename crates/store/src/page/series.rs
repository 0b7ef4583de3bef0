//! Integers as differences from a straight line, in as few bits as the greatest of them needs.
//!
//! The one form in which pages hold numbers: values, codes of a dictionary, ends of runs, offsets of texts. The value
//! at `i` is
//!
//! ```text
//! base + mul * ((i * step >> 16) + packed[i])        wrapping, in 64 bits
//! ```
//!
//! With `step` 0 this is frame of reference, with a width of 0 a constant or an arithmetic sequence. `mul` is the
//! greatest common divisor of the differences: amounts like 17.00 are multiples of 100. `step` has 16 bits behind the
//! point, so that a line through 2,048 values is exact to one part in 32 of a unit at its end.
//!
//! Widths are whole bits up to 32, then whole bytes: a value then lies in the eight bytes that begin with its first
//! bit's byte, whatever its place, so it takes one load, one shift and one mask. Eight values take `width` bytes; the
//! loop that unpacks eight of a width known to the compiler is as fast as one over whole bytes (decision 0012), and where the
//! processor has AVX2, narrow ones are unpacked by shuffles (`avx2.rs`).
//!
//! **S1** Behind the packed bytes of every series there are eight more bytes of the page, its tail at the least.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;

use super::avx2;
use super::bytes::Input;

/// Fields that a series' header has, by bit.
const HAS_BASE: u8 = 1;
const HAS_MUL: u8 = 2;
const HAS_STEP: u8 = 4;
/// The base has 16 bytes.
const HAS_HIGH: u8 = 8;
/// Bits of `step` behind the point.
const STEP_POINT: u32 = 16;
/// Bytes that a load may reach past the packed ones.
pub(super) const SLACK_BYTES: usize = 8;

/// A width that is stored: `bits` or the next one.
pub(super) const fn stored_width(bits: u32) -> u32 {
    match bits {
        0..=32 => bits,
        33..=56 => bits.next_multiple_of(8),
        _ => 64,
    }
}

/// Bits of a number.
pub(super) const fn bits_of(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Bytes of `count` packed values.
pub(super) const fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// A series in a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series<'p> {
    base: i64,
    /// The upper half of a base of 128 bits.
    high: i64,
    mul: i64,
    step: i64,
    mask: u64,
    width: u32,
    /// The packed bytes and [`SLACK_BYTES`] more (S1).
    packed: &'p [u8],
}

impl<'p> Series<'p> {
    /// Reads a series of `count` values.
    #[inline]
    pub(super) fn parse(input: &mut Input<'p>, count: usize) -> Result<Series<'p>, &'static str> {
        let [width, fields] = input.fixed()?;
        let width = u32::from(width);
        if width > 64 || stored_width(width) != width {
            return Err("no such width of integers");
        }
        if fields & !(HAS_BASE | HAS_MUL | HAS_STEP | HAS_HIGH) != 0 {
            return Err("no such field of integers");
        }
        let field = |input: &mut Input<'p>, flag: u8, default: i64| match fields & flag {
            0 => Ok(default),
            _ => input.fixed().map(i64::from_le_bytes),
        };
        let base = field(input, HAS_BASE, 0)?;
        let high = field(input, HAS_HIGH, base >> 63)?;
        let mul = field(input, HAS_MUL, 1)?;
        let step = field(input, HAS_STEP, 0)?;
        let packed = input.take_with_slack(packed_bytes(count, width))?;
        let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
        Ok(Series { base, high, mul, step, mask, width, packed })
    }

    /// The value at `i`; any value if `i` is not below the count.
    #[inline(always)]
    pub(super) fn get(&self, i: usize) -> i64 {
        let difference = self.line(i).wrapping_add(self.packed_at(i) as i64);
        self.base.wrapping_add(self.mul.wrapping_mul(difference))
    }

    /// The value at `i` with a base of 128 bits; there is no step then.
    #[inline]
    pub(super) fn get_wide(&self, i: usize) -> i128 {
        self.widen(self.packed_at(i))
    }

    /// The value of 128 bits whose packed difference is given.
    #[inline(always)]
    pub(super) fn widen(&self, packed: u64) -> i128 {
        let base = i128::from(self.high) << 64 | i128::from(self.base as u64);
        base.wrapping_add(i128::from(self.mul as u64).wrapping_mul(i128::from(packed)))
    }

    #[inline(always)]
    fn packed_at(&self, i: usize) -> u64 {
        let bit = i * self.width as usize;
        let bytes = self.packed.get(bit >> 3..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes) >> (bit & 7)) & self.mask
    }

    #[inline(always)]
    fn line(&self, i: usize) -> i64 {
        (i as i64).wrapping_mul(self.step) >> STEP_POINT
    }

    /// Bits of a value.
    pub(super) fn width(&self) -> u32 {
        self.width
    }

    /// Whether the values lie about a line that is not level.
    pub(super) fn is_linear(&self) -> bool {
        self.step != 0
    }

    /// Writes the values from `start` on to `out`.
    pub(super) fn unpack<T: Lane>(&self, start: usize, out: &mut [T]) {
        if self.width == 0 {
            out.fill(T::of(if self.step == 0 { self.base } else { 0 }));
        } else if self.step == 0 {
            self.unpack_scaled(start, T::of(self.base), T::of(self.mul), out);
            return;
        } else {
            self.unpack_scaled(start, T::of(0), T::of(1), out);
        }
        if self.step != 0 {
            avx2::with_avx2(|| self.put_on_line(start, out));
        }
    }

    /// Turns the packed differences from `start` on into values.
    #[inline(always)]
    fn put_on_line<T: Lane>(&self, start: usize, out: &mut [T]) {
        let mut line = (start as i64).wrapping_mul(self.step);
        let reach = self.step.unsigned_abs().saturating_mul((start + out.len()) as u64);
        if reach <= i32::MAX as u64 {
            // So it is with most, and then a register holds more of them; few processors shift 64 bits with a sign.
            let (mut line, step) = (line as i32, self.step as i32);
            self.put_on_points(out, || {
                let point = line >> STEP_POINT;
                line = line.wrapping_add(step);
                point.into()
            });
        } else {
            self.put_on_points(out, || {
                let point = line >> STEP_POINT;
                line = line.wrapping_add(self.step);
                point
            });
        }
    }

    #[inline(always)]
    fn put_on_points<T: Lane>(&self, out: &mut [T], mut point: impl FnMut() -> i64) {
        let base = T::of(self.base);
        // As in `unpack_eights`: most need no product.
        if self.mul == 1 {
            out.iter_mut().for_each(|value| *value = T::of(point()).plus(*value).plus(base));
        } else {
            let mul = T::of(self.mul);
            out.iter_mut().for_each(|value| *value = T::of(point()).plus(*value).times(mul).plus(base));
        }
    }

    /// Whether each of the `count` values, and all that is computed on the way to it, fits 32 bits.
    pub(super) fn is_small(&self, count: usize) -> bool {
        let reach = self.step.unsigned_abs().saturating_mul(count as u64);
        let units = (reach >> STEP_POINT).saturating_add(1).saturating_add(self.mask);
        let most = units.saturating_mul(self.mul.unsigned_abs()).saturating_add(self.base.unsigned_abs());
        reach.max(most) <= i32::MAX as u64
    }

    /// Writes the packed differences from `start` on to `out`.
    pub(super) fn unpack_differences(&self, start: usize, out: &mut [i64]) {
        self.unpack_scaled(start, 0, 1, out);
    }

    /// Single values up to a multiple of eight, then eights, then single ones again.
    fn unpack_scaled<T: Lane>(&self, start: usize, base: T, mul: T, out: &mut [T]) {
        let single = |first: usize, out: &mut [T]| {
            for (i, value) in out.iter_mut().enumerate() {
                *value = T::of(self.packed_at(first + i) as i64).times(mul).plus(base);
            }
        };
        let head_count = (start.next_multiple_of(8) - start).min(out.len());
        let (head, rest) = out.split_at_mut(head_count);
        single(start, head);
        let first = start + head_count;
        let packed = self.packed.get(first / 8 * self.width as usize..).unwrap_or(&[]);
        let (eights, tail) = rest.as_chunks_mut::<8>();
        if T::unpack_eights(self.width, packed, base, mul, eights) {
            single(first + eights.len() * 8, tail);
        } else {
            single(first, rest);
        }
    }
}

/// An integer that series are unpacked to.
pub(super) trait Lane: Copy + PartialEq {
    fn of(value: i64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// Unpacks eights of values; false, and nothing is done, if it does not know the width.
    fn unpack_eights(width: u32, packed: &[u8], base: Self, mul: Self, out: &mut [[Self; 8]]) -> bool;
}

macro_rules! lane {
    ($ty:ty, $by_avx2:ident: $($width:literal)*) => {
        impl Lane for $ty {
            #[inline(always)]
            fn of(value: i64) -> $ty {
                value as $ty
            }
            #[inline(always)]
            fn plus(self, other: $ty) -> $ty {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn times(self, other: $ty) -> $ty {
                self.wrapping_mul(other)
            }
            fn unpack_eights(width: u32, packed: &[u8], base: $ty, mul: $ty, out: &mut [[$ty; 8]]) -> bool {
                let done = if mul == 1 { avx2::$by_avx2(width, packed, base, out) } else { 0 };
                let packed = packed.get(done * width as usize..).unwrap_or(&[]);
                let out = out.get_mut(done..).unwrap_or_default();
                match width {
                    $($width => unpack_eights::<$width, $ty>(packed, base, mul, out),)*
                    _ => return false,
                }
                true
            }
        }
    };
}
lane! { i32, unpack_i32: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 }
lane! { i64, unpack_i64: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 40 48 56 64 }

/// Most series have a `mul` of 1, which costs a third of the time where it is multiplied with.
fn unpack_eights<const WIDTH: usize, T: Lane>(packed: &[u8], base: T, mul: T, out: &mut [[T; 8]]) {
    if mul == T::of(1) {
        each_eight::<WIDTH, T>(packed, out, |difference| difference.plus(base));
    } else {
        each_eight::<WIDTH, T>(packed, out, |difference| difference.times(mul).plus(base));
    }
}

/// Eight values are `WIDTH` bytes, so every load, shift and mask in the inner loop is a constant.
#[inline(always)]
fn each_eight<const WIDTH: usize, T: Lane>(packed: &[u8], out: &mut [[T; 8]], value_of: impl Fn(T) -> T) {
    let mask = u64::MAX >> (64 - WIDTH);
    for (i, eight) in out.iter_mut().enumerate() {
        let Some(window) = packed.get(i * WIDTH..i * WIDTH + WIDTH + SLACK_BYTES) else { return };
        for (k, value) in eight.iter_mut().enumerate() {
            let bit = k * WIDTH;
            let Some(bytes) = window.get(bit / 8..).and_then(|rest| rest.first_chunk()) else { return };
            let difference = u64::from_le_bytes(*bytes) >> (bit % 8) & mask;
            *value = value_of(T::of(difference as i64));
        }
    }
}

/// How a series will be written, and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    base: i64,
    high: i64,
    mul: u64,
    step: i64,
    width: u32,
    count: usize,
}

impl Plan {
    /// The smallest series of the values. Passes over them three to five times.
    pub(super) fn of(values: impl Iterator<Item = i64> + Clone) -> Plan {
        let (mut min, mut max, mut first, mut last, mut count) = (i64::MAX, i64::MIN, None, 0, 0);
        for value in values.clone() {
            (min, max) = (min.min(value), max.max(value));
            first = first.or(Some(value));
            last = value;
            count += 1;
        }
        let Some(first) = first else { return Plan::level(0, 1, 0, 0) };
        if let Some(plan) = Plan::exact(first, last, count, values.clone()) {
            return plan;
        }
        // Differences of any two values fit 64 bits without a sign.
        let range = max.wrapping_sub(min) as u64;
        let mul = common_divisor(range, values.clone().map(|value| value.wrapping_sub(min) as u64));
        let level = Plan::level(min, mul, range / mul, count);
        let sloped = Plan::sloped(&level, first, last, values);
        match sloped {
            Some(sloped) if sloped.bytes() < level.bytes() => sloped,
            _ => level,
        }
    }

    /// The series of values that are all the same or rise evenly: offsets of texts of one length, keys of rows that were numbered.
    /// It is what the search for the smallest would find, without the divisions.
    fn exact(first: i64, last: i64, count: usize, values: impl Iterator<Item = i64>) -> Option<Plan> {
        let rise = last.wrapping_sub(first) as u64;
        if last < first || count < 3 || !rise.is_multiple_of(count as u64 - 1) {
            return None;
        }
        let each = rise / (count as u64 - 1);
        let mut expected = first;
        for value in values {
            if value != expected {
                return None;
            }
            expected = expected.wrapping_add(each as i64);
        }
        if each == 0 {
            return Some(Plan::level(first, 1, 0, count));
        }
        let level = Plan::level(first, each, count as u64 - 1, count);
        let sloped = Plan { step: 1 << STEP_POINT, ..Plan::level(first, each, 0, count) };
        let is_sloped = level.width + bits_of(each) <= 60 && sloped.bytes() < level.bytes();
        Some(if is_sloped { sloped } else { level })
    }

    /// The smallest level series of values of 128 bits; `None` if the differences need more than 64.
    pub(super) fn of_wide(values: impl Iterator<Item = i128> + Clone) -> Option<Plan> {
        let (mut min, mut max, mut count) = (i128::MAX, i128::MIN, 0);
        for value in values.clone() {
            (min, max) = (min.min(value), max.max(value));
            count += 1;
        }
        if count == 0 {
            return Some(Plan::level(0, 1, 0, 0));
        }
        let range = u64::try_from(max.wrapping_sub(min) as u128).ok()?;
        let mul = common_divisor(range, values.map(|value| value.wrapping_sub(min) as u64));
        let level = Plan::level(min as i64, mul, range / mul, count);
        Some(Plan { high: (min >> 64) as i64, ..level })
    }

    fn level(base: i64, mul: u64, range: u64, count: usize) -> Plan {
        Plan { base, high: base >> 63, mul, step: 0, width: stored_width(bits_of(range)), count }
    }

    /// The series about the line from the first to the last value; `None` if it is level or too steep.
    fn sloped(level: &Plan, first: i64, last: i64, values: impl Iterator<Item = i64>) -> Option<Plan> {
        // In units of mul, from the least value. A division takes longer than all the rest.
        let is_whole = level.mul == 1;
        let units = |value: i64| {
            let difference = value.wrapping_sub(level.base) as u64;
            if is_whole { difference } else { difference / level.mul }
        };
        let rise = i128::from(units(last)) - i128::from(units(first));
        // All that is computed below stays within 63 bits: the line, and differences from it times `mul`.
        let is_steep = rise.unsigned_abs() >> 44 != 0 || level.width + bits_of(level.mul) > 60;
        if is_steep || level.count < 3 || level.width == 0 {
            return None;
        }
        let step = ((rise << STEP_POINT) / (level.count as i128 - 1)) as i64;
        // The last value then lies less than one unit beside the line.
        if step == 0 {
            return None;
        }
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        for (i, value) in values.enumerate() {
            let off = i64::try_from(units(value)).ok()?.checked_sub((i as i64 * step) >> STEP_POINT)?;
            (least, greatest) = (least.min(off), greatest.max(off));
        }
        let base = level.base.wrapping_add((level.mul as i64).wrapping_mul(least));
        let sloped = Plan::level(base, level.mul, greatest.wrapping_sub(least) as u64, level.count);
        Some(Plan { step, ..sloped })
    }

    /// Bytes of the series.
    pub(super) fn bytes(&self) -> usize {
        let fields = self.fields();
        2 + 8 * fields.count_ones() as usize + packed_bytes(self.count, self.width)
    }

    /// Bits of a value.
    pub(super) fn width(&self) -> u32 {
        self.width
    }

    /// Whether the values lie about a line that is not level.
    pub(super) fn is_linear(&self) -> bool {
        self.step != 0
    }

    fn fields(&self) -> u8 {
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        flag(self.base != 0, HAS_BASE)
            | flag(self.mul != 1, HAS_MUL)
            | flag(self.step != 0, HAS_STEP)
            | flag(self.high != self.base >> 63, HAS_HIGH)
    }

    /// Appends the series of the values that it was planned for.
    pub(super) fn write(
        &self,
        values: impl Iterator<Item = i64>,
        out: &mut Vec<'_, u8>,
    ) -> Result<(), AllocError> {
        let (base, mul, step) = (self.base, self.mul, self.step);
        let differences = values.enumerate().map(|(i, value)| {
            let units = value.wrapping_sub(base) as u64;
            // Where there is a slope, the units below the line are negative: their division is of a signed number.
            match (mul, step) {
                (1, 0) => units,
                (_, 0) => units / mul,
                _ => {
                    let units = if mul == 1 { units as i64 } else { (units as i64).wrapping_div(mul as i64) };
                    units.wrapping_sub((i as i64).wrapping_mul(step) >> STEP_POINT) as u64
                }
            }
        });
        self.write_packed(differences, out)
    }

    /// [`Plan::write`] of values of 128 bits.
    pub(super) fn write_wide(
        &self,
        values: impl Iterator<Item = i128>,
        out: &mut Vec<'_, u8>,
    ) -> Result<(), AllocError> {
        let base = i128::from(self.high) << 64 | i128::from(self.base as u64);
        let mul = self.mul;
        self.write_packed(values.map(|value| value.wrapping_sub(base) as u64 / mul), out)
    }

    fn write_packed(
        &self,
        differences: impl Iterator<Item = u64>,
        out: &mut Vec<'_, u8>,
    ) -> Result<(), AllocError> {
        out.reserve(self.bytes())?;
        let fields = self.fields();
        out.extend_from_slice(&[self.width as u8, fields])?;
        for (flag, field) in
            [(HAS_BASE, self.base), (HAS_HIGH, self.high), (HAS_MUL, self.mul as i64), (HAS_STEP, self.step)]
        {
            if fields & flag != 0 {
                out.extend_from_slice(&field.to_le_bytes())?;
            }
        }
        if self.width == 0 {
            return Ok(());
        }
        let start = out.len();
        out.resize(start + packed_bytes(self.count, self.width), 0)?;
        pack(self.width, differences, out.get_mut(start..).unwrap_or_default());
        Ok(())
    }
}

/// Puts the low `width` bits of each value behind those of the one before; `out` has room for them all.
fn pack(width: u32, values: impl Iterator<Item = u64>, out: &mut [u8]) {
    let (mut gathered, mut bits) = (0u128, 0);
    let mut words = out.chunks_mut(8);
    let mut put = |word: u64, bytes: usize| {
        if let Some(room) = words.next() {
            let bytes = bytes.min(room.len());
            room.iter_mut().zip(word.to_le_bytes()).take(bytes).for_each(|(to, from)| *to = from);
        }
    };
    for value in values {
        gathered |= u128::from(value) << bits;
        bits += width;
        if bits >= 64 {
            put(gathered as u64, 8);
            gathered >>= 64;
            bits -= 64;
        }
    }
    put(gathered as u64, bits.div_ceil(8) as usize);
}

/// The greatest common divisor of the values and `range`, 1 if all are 0.
fn common_divisor(range: u64, values: impl Iterator<Item = u64>) -> u64 {
    let mut divisor = range;
    for value in values {
        if divisor <= 1 {
            break;
        }
        let mut rest = value % divisor;
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
    }
    divisor.max(1)
}
