//! The checks behind the fuzz targets: each takes bytes, does with the product what they say, and panics when the
//! product disagrees with an independent model. `cargo fuzz` drives them with coverage; this crate's program
//! drives them with random bytes where that cannot be built.

pub mod arena_shadow;
pub mod csv_query;
pub mod manifest;
pub mod sql_parse;
pub mod store_page;
pub mod store_segment;
pub mod store_statistics;
pub mod wal;

/// Reads decisions from the fuzzer's bytes; zeroes after the last one.
#[derive(Clone, Debug)]
pub struct Decisions<'d> {
    data: &'d [u8],
}

impl<'d> Decisions<'d> {
    /// Decisions from `data`, in order.
    pub fn new(data: &'d [u8]) -> Decisions<'d> {
        Decisions { data }
    }

    /// Whether all bytes are used up.
    pub fn is_done(&self) -> bool {
        self.data.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.data.split_first() {
            Some((&first, rest)) => {
                self.data = rest;
                first
            }
            None => 0,
        }
    }

    /// The next two bytes as a number.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number below `bound`, at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// True in one of so many cases, at most 256.
    pub fn one_in(&mut self, count: u8) -> bool {
        self.byte().is_multiple_of(count)
    }

    /// A size with a taste for small ones and for the neighbourhood of powers of two, below 128 KiB.
    pub fn size(&mut self) -> usize {
        let shape = self.byte();
        let power = 1usize << (shape % 17);
        match shape / 17 {
            0..=4 => usize::from(self.byte()),
            5..=8 => power.wrapping_add(usize::from(self.byte() % 5)).wrapping_sub(2) & 0x1FFFF,
            _ => usize::from(self.short()) % (2 * power),
        }
    }
}
