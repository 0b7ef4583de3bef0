//! The keys of a batch's rows: what they are compared by, and a hash of 64 bits.
//!
//! | mode | key | of |
//! |---|---|---|
//! | `Integer` | 8 bytes | one integer column |
//! | `Fixed` | the row of the key columns | columns without text |
//! | `Long` | length 4, the row of the key columns | columns with text |
//! | `Grouped` | length 4, length 4, row of the other columns, then of each column of `IN` length 4, its row | `IN` with other keys, or of several columns |
//!
//! Rows of keys are canonical: equal keys are equal bytes. In `Grouped` all rows that agree in the other columns have one hash, so that
//! a probe row meets every row of its group, and columns of `IN` are compared one by one.

use core::hash::{BuildHasher, Hasher};

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::expr::Expr;
use cofferdam_plan::physical::{JoinKey, KeyNulls};
use foldhash::fast::FixedState;

use crate::batch::{BatchRows, Data, Kind, Rows, Store, Vector, VectorId};
use crate::canonical::Canonical;
use crate::error::Error;
use crate::expr::{Program, Registers, compile};
use crate::rows::{RowEncoder, RowLayout, bytes_at};

const LENGTH_BYTES: usize = 4;

/// How keys stand in a row, and how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyMode {
    Integer,
    /// Of so many bytes.
    Fixed(usize),
    Long,
    Grouped,
    /// There is none: a nested loop.
    None,
}

/// What is to be known of a row before its key is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It may have a match.
    Usual,
    /// A NULL in its key matches nothing.
    Unmatched,
    /// A NULL in its key may be anything; not in `Grouped`, where each column is looked at.
    Unknown,
}

/// How two keys compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Equal,
    Different,
    Unknown,
}

impl KeyMode {
    /// Of the keys of a join.
    pub(super) fn of(keys: &[JoinKey<'_>]) -> KeyMode {
        let unknown = keys.iter().filter(|key| key.nulls == KeyNulls::Unknown).count();
        let kind = |key: &JoinKey<'_>| Kind::of(key.build.ty);
        match keys {
            [] => KeyMode::None,
            _ if unknown > 1 || (unknown == 1 && keys.len() > 1) => KeyMode::Grouped,
            [key] if key.nulls != KeyNulls::Equal && matches!(kind(key), Kind::I32 | Kind::I64) => {
                KeyMode::Integer
            }
            _ if keys.iter().any(|key| kind(key) == Kind::Text) => KeyMode::Long,
            _ => {
                let bytes = keys.iter().map(|key| kind(key).bytes()).sum::<usize>();
                KeyMode::Fixed(keys.len().div_ceil(8) + bytes)
            }
        }
    }

    /// The bytes of the key at the start of `row`, its length before it included.
    #[inline(always)]
    pub(super) fn key_bytes(self, row: &[u8]) -> usize {
        match self {
            KeyMode::Integer => 8,
            KeyMode::Fixed(bytes) => bytes,
            KeyMode::Long | KeyMode::Grouped => LENGTH_BYTES + length_at(row, 0),
            KeyMode::None => 0,
        }
    }

    /// Compares a key with the one at the start of `row`.
    #[inline(always)]
    pub(super) fn compare(self, key: &[u8], row: &[u8]) -> Compared {
        let is_equal = match self {
            KeyMode::Integer => key[..8] == row[..8],
            KeyMode::Grouped => return compare_grouped(key, row),
            _ => row.starts_with(key),
        };
        if is_equal { Compared::Equal } else { Compared::Different }
    }
}

/// Compares keys of `Grouped`.
fn compare_grouped(a: &[u8], b: &[u8]) -> Compared {
    let (mut at_a, mut at_b) = (LENGTH_BYTES, LENGTH_BYTES);
    let end = LENGTH_BYTES + length_at(a, 0);
    let mut compared = Compared::Equal;
    let mut is_other = true;
    while at_a < end {
        let part_a = &a[at_a + LENGTH_BYTES..at_a + LENGTH_BYTES + length_at(a, at_a)];
        let part_b = &b[at_b + LENGTH_BYTES..at_b + LENGTH_BYTES + length_at(b, at_b)];
        at_a += LENGTH_BYTES + part_a.len();
        at_b += LENGTH_BYTES + part_b.len();
        let has_null = !is_other && (part_a[0] == 0 || part_b[0] == 0);
        if has_null {
            compared = Compared::Unknown;
        } else if part_a != part_b {
            return Compared::Different;
        }
        is_other = false;
    }
    compared
}

fn length_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes_at(bytes, at)) as usize
}

/// The key expressions of one side, and the keys of a batch.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    mode: KeyMode,
    programs: Vec<'a, Program<'a>>,
    /// Of columns whose equal values can have different bytes.
    canonicals: Vec<'a, Canonical>,
    columns: &'a [VectorId],
    nulls: &'a [KeyNulls],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    /// Of `Grouped`: of each column of `IN`, by position, how it becomes bytes.
    parts: Vec<'a, Part<'a>>,
    /// The keys, where they are not the encoder's rows, and where each begins.
    bytes: Vec<'a, u8>,
    starts: Vec<'a, u32>,
    pub(super) hashes: &'a mut [u64],
    pub(super) classes: &'a mut [Class],
}

/// A column of `IN`.
#[derive(Debug)]
struct Part<'a> {
    column: VectorId,
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
}

impl<'a> Keys<'a> {
    pub(super) fn open(
        keys: &[JoinKey<'a>],
        side: impl Fn(&JoinKey<'a>) -> &'a Expr<'a>,
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Keys<'a>, Error<'a>> {
        let mode = KeyMode::of(keys);
        let mut registers = Registers::new(arena);
        let mut programs = Vec::with_capacity_in(keys.len(), arena)?;
        let (mut parts, mut canonicals) = (Vec::new_in(arena), Vec::new_in(arena));
        let mut whole = Vec::with_capacity_in(keys.len(), arena)?;
        for key in keys {
            let program = compile(side(key), columns, store, &mut registers)?;
            let mut column = program.result;
            programs.push(program)?;
            if let Some(canonical) = Canonical::open(column, side(key).ty, store, arena)? {
                column = canonical.column();
                canonicals.push(canonical)?;
            }
            if mode == KeyMode::Grouped && key.nulls == KeyNulls::Unknown {
                let layout = RowLayout::keys([store.vector(column).kind()].into_iter(), arena)?;
                parts.push(Part { column, layout, encoder: RowEncoder::new(arena) })?;
            } else {
                whole.push(column)?;
            }
        }
        let columns = &*whole.into_slice();
        let layout = RowLayout::keys(columns.iter().map(|&id| store.vector(id).kind()), arena)?;
        Ok(Keys {
            mode,
            programs,
            canonicals,
            columns,
            nulls: arena.alloc_slice_from_iter(keys.iter().map(|key| key.nulls))?,
            layout,
            encoder: RowEncoder::new(arena),
            parts,
            bytes: Vec::new_in(arena),
            starts: Vec::new_in(arena),
            hashes: arena.alloc_slice_fill(store.capacity, 0)?,
            classes: arena.alloc_slice_fill(store.capacity, Class::Usual)?,
        })
    }

    /// The key of the `i`-th row of the batch, its length before it included.
    #[inline(always)]
    pub(super) fn key(&self, i: usize) -> &[u8] {
        match self.mode {
            KeyMode::Fixed(_) => self.encoder.row(i),
            KeyMode::Integer => &self.bytes[8 * i..8 * i + 8],
            KeyMode::None => &[],
            _ => &self.bytes[self.starts[i] as usize..self.starts[i + 1] as usize],
        }
    }

    /// Where the values of a key that is a number stand.
    pub(super) fn column(&self, key: u32) -> VectorId {
        self.programs[key as usize].result
    }

    /// Computes the keys of a batch.
    pub(super) fn compute(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        for program in self.programs.iter_mut() {
            program.run(store, batch)?;
        }
        for canonical in self.canonicals.iter() {
            canonical.run(batch, store)?;
        }
        let rows = store.rows(batch);
        let count = rows.len();
        self.classes[..count].fill(Class::Usual);
        for (program, &nulls) in self.programs.iter().zip(self.nulls) {
            let vector = store.vector(program.result);
            if !vector.all_valid {
                classify(vector, nulls, self.mode, rows, self.classes);
            }
        }
        match self.mode {
            KeyMode::None => self.hashes[..count].fill(0),
            KeyMode::Integer => self.integers(rows, store)?,
            KeyMode::Fixed(_) => {
                self.encoder.encode(&self.layout, self.columns, rows, store)?;
                for (i, hash) in self.hashes[..count].iter_mut().enumerate() {
                    *hash = hash_bytes(self.encoder.row(i));
                }
            }
            KeyMode::Long | KeyMode::Grouped => self.long(rows, store)?,
        }
        Ok(())
    }

    fn integers(&mut self, rows: Rows<'_>, store: &Store<'a>) -> Result<(), Error<'a>> {
        let vector = store.vector(self.columns[0]);
        self.bytes.clear();
        self.bytes.resize(8 * rows.len(), 0)?;
        let mut put = |i: usize, value: i64| {
            self.bytes[8 * i..8 * i + 8].copy_from_slice(&value.to_le_bytes());
            self.hashes[i] = hash_integer(value as u64);
        };
        for i in 0..rows.len() {
            let at = vector.at(rows.nth(i));
            match &vector.data {
                Data::I32(values) => put(i, i64::from(values[at])),
                Data::I64(values) => put(i, values[at]),
                _ => unreachable!("the mode is for integers"),
            }
        }
        Ok(())
    }

    fn long(&mut self, rows: Rows<'_>, store: &Store<'a>) -> Result<(), Error<'a>> {
        self.encoder.encode(&self.layout, self.columns, rows, store)?;
        for Part { column, layout, encoder } in self.parts.iter_mut() {
            encoder.encode(layout, &[*column], rows, store)?;
        }
        self.bytes.clear();
        self.starts.clear();
        self.starts.push(0)?;
        let is_grouped = self.mode == KeyMode::Grouped;
        for i in 0..rows.len() {
            let row = self.encoder.row(i);
            self.hashes[i] = hash_bytes(row);
            let start = self.bytes.len();
            // Its own length comes first.
            self.bytes.extend_from_slice(&[0; LENGTH_BYTES])?;
            if is_grouped {
                self.bytes.extend_from_slice(&(row.len() as u32).to_le_bytes())?;
            }
            self.bytes.extend_from_slice(row)?;
            for part in self.parts.iter() {
                let row = part.encoder.row(i);
                self.bytes.extend_from_slice(&(row.len() as u32).to_le_bytes())?;
                self.bytes.extend_from_slice(row)?;
            }
            let length = (self.bytes.len() - start - LENGTH_BYTES) as u32;
            self.bytes[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
            self.starts.push(self.bytes.len() as u32)?;
        }
        Ok(())
    }
}

fn classify(vector: &Vector<'_>, nulls: KeyNulls, mode: KeyMode, rows: Rows<'_>, classes: &mut [Class]) {
    let class = match nulls {
        KeyNulls::Equal => return,
        KeyNulls::Unmatched => Class::Unmatched,
        KeyNulls::Unknown if mode == KeyMode::Grouped => return,
        KeyNulls::Unknown => Class::Unknown,
    };
    for (i, known) in classes[..rows.len()].iter_mut().enumerate() {
        if !vector.is_valid(rows.nth(i)) && *known != Class::Unmatched {
            *known = class;
        }
    }
}

/// Bits that all depend on all of a number's.
#[inline(always)]
pub(super) fn hash_integer(value: u64) -> u64 {
    let mut hash = value ^ 0x9E37_79B9_7F4A_7C15;
    hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ hash >> 33
}

#[inline]
fn hash_bytes(key: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x9E37_79B9_7F4A_7C15).build_hasher();
    hasher.write(key);
    hash_integer(hasher.finish())
}
