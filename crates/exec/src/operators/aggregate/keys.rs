//! The keys of groups: of rows as bytes, and of bytes as columns.
//!
//! ```text
//! key    canonical values of the groups' columns, NULL for those that the set lacks; the number of the set if there are several
//! rest   the values themselves of the columns whose canonical values differ from them
//! ```
//!
//! Keys of a fixed and small number of bytes, which is most of them, have a loop of their own that hashes and compares
//! words.

use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::HashAggregate;
use cofferdam_types::{Type, Value};

use super::pages::Place;
use super::table::{GroupRow, GroupTable, hash_of, hash_of_fixed};
use crate::batch::{BatchRows, Kind, Rows, Store, VectorId};
use crate::canonical::{Canonical, is_ambiguous};
use crate::error::Error;
use crate::expr::{Program, Registers, compile};
use crate::operators::state::cells::Places;
use crate::rows::{RowEncoder, RowLayout};

/// How keys are laid out.
#[derive(Debug)]
pub(crate) struct KeyShape<'a> {
    key: RowLayout<'a>,
    rest: RowLayout<'a>,
    /// By column of the groups: where it stands in the rest, if it does.
    in_rest: &'a [Option<usize>],
    has_sets: bool,
    form: KeyForm,
}

/// What is known of all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyForm {
    /// There is one group.
    One,
    /// So many bytes, which is one of `find`'s, and no rest.
    Fixed(usize),
    Any,
}

impl<'a> KeyShape<'a> {
    pub(crate) fn of(plan: &HashAggregate<'_>, arena: &'a Arena) -> Result<KeyShape<'a>, AllocError> {
        KeyShape::new(plan.groups.iter().map(|group| group.ty), plan.sets.len() > 1, arena)
    }

    /// Keys of columns of these types, of several sets or one.
    pub(crate) fn new(
        types: impl ExactSizeIterator<Item = Type>,
        has_sets: bool,
        arena: &'a Arena,
    ) -> Result<KeyShape<'a>, AllocError> {
        let mut kinds = Vec::with_capacity_in(types.len() + 1, arena)?;
        let mut rest_kinds = Vec::new_in(arena);
        let in_rest = arena.alloc_slice_fill(types.len(), None)?;
        for (ty, in_rest) in types.zip(in_rest.iter_mut()) {
            kinds.push(Kind::of(ty))?;
            if is_ambiguous(ty) {
                *in_rest = Some(rest_kinds.len());
                rest_kinds.push(Kind::of(ty))?;
            }
        }
        if has_sets {
            kinds.push(Kind::I32)?;
        }
        let is_fixed = rest_kinds.is_empty() && kinds.iter().all(|&kind| kind != Kind::Text);
        let bytes = kinds.len().div_ceil(8) + kinds.iter().map(|kind| kind.bytes()).sum::<usize>();
        let form = match (kinds.len(), is_fixed, bytes) {
            (0, ..) => KeyForm::One,
            (_, true, 2 | 5 | 9 | 13 | 17) => KeyForm::Fixed(bytes),
            _ => KeyForm::Any,
        };
        Ok(KeyShape {
            key: RowLayout::keys(kinds.iter().copied(), arena)?,
            rest: RowLayout::new(rest_kinds.iter().copied(), arena)?,
            in_rest,
            has_sets,
            form,
        })
    }

    /// Whether there can be more than one group.
    pub(crate) fn has_groups(&self) -> bool {
        self.form != KeyForm::One
    }

    /// The hash of a key.
    #[inline(always)]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        match (self.form, key.len()) {
            (KeyForm::Fixed(_), 2) => fixed::<2>(key),
            (KeyForm::Fixed(_), 5) => fixed::<5>(key),
            (KeyForm::Fixed(_), 9) => fixed::<9>(key),
            (KeyForm::Fixed(_), 13) => fixed::<13>(key),
            (KeyForm::Fixed(_), 17) => fixed::<17>(key),
            _ => hash_of(key),
        }
    }

    /// Writes a column of the groups, of some of them, into a vector.
    pub(crate) fn decode<'r>(
        &self,
        column: usize,
        rows: impl ExactSizeIterator<Item = GroupRow<'r>> + Clone,
        target: VectorId,
        store: &mut Store<'_>,
    ) -> Result<(), AllocError> {
        match self.in_rest[column] {
            Some(index) => self.rest.decode(index, rows.map(|row| row.rest), target, store),
            None => self.key.decode(column, rows.map(|row| row.key), target, store),
        }
    }

    /// The number of a group's set.
    pub(crate) fn set_of(&self, key: &[u8]) -> usize {
        match key.last_chunk::<4>() {
            // The number of the set is the last column, and no text stands behind it when there is none.
            Some(_) if self.has_sets => self.key.integer(self.in_rest.len(), key) as usize,
            _ => 0,
        }
    }
}

#[inline(always)]
fn fixed<const N: usize>(key: &[u8]) -> u64 {
    key.first_chunk::<N>().map_or(0, hash_of_fixed)
}

/// The keys of some rows, and their hashes.
#[derive(Debug)]
pub(crate) struct RowKeys<'a> {
    hashes: Vec<'a, u64>,
    keys: RowEncoder<'a>,
    rests: RowEncoder<'a>,
    form: KeyForm,
}

impl<'a> RowKeys<'a> {
    pub(crate) fn new(arena: &'a Arena) -> RowKeys<'a> {
        RowKeys {
            hashes: Vec::new_in(arena),
            keys: RowEncoder::new(arena),
            rests: RowEncoder::new(arena),
            form: KeyForm::Any,
        }
    }

    pub(crate) fn clear(&mut self) -> Result<(), AllocError> {
        self.hashes.clear();
        self.keys.clear()?;
        self.rests.clear()
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, hash: u64, key: &[u8], rest: &[u8]) -> Result<(), AllocError> {
        self.keys.reserve(key.len())?;
        self.rests.reserve(rest.len())?;
        self.hashes.push(hash)?;
        self.keys.push(key)?;
        self.rests.push(rest)
    }

    /// The hash, the key and the rest of the row at a position.
    #[inline(always)]
    pub(crate) fn row(&self, position: usize) -> (u64, &[u8], &[u8]) {
        if self.form == KeyForm::One {
            return (self.hashes[0], &[], &[]);
        }
        (self.hashes[position], self.keys.row(position), self.rests.row(position))
    }

    /// Finds or makes the groups of the rows at some positions, in order. Gives the first position that there was no room for, or
    /// the end, and the refusal.
    pub(crate) fn find(
        &self,
        positions: Range<usize>,
        rows: Rows<'_>,
        table: &mut GroupTable,
        places: &mut [u64],
    ) -> (usize, Option<AllocError>) {
        if self.form != KeyForm::One {
            table.prefetch(&self.hashes[positions.clone()]);
        }
        match self.form {
            KeyForm::One => {
                let (hash, key, rest) = self.row(positions.start);
                match table.find_or_add(hash, key, rest) {
                    Ok((place, _)) => places[rows.nth(positions.start)] = place.bits(),
                    Err(refused) => return (positions.start, Some(refused)),
                }
                (positions.end, None)
            }
            KeyForm::Fixed(2) => self.find_fixed::<2>(positions, rows, table, places),
            KeyForm::Fixed(5) => self.find_fixed::<5>(positions, rows, table, places),
            KeyForm::Fixed(9) => self.find_fixed::<9>(positions, rows, table, places),
            KeyForm::Fixed(13) => self.find_fixed::<13>(positions, rows, table, places),
            KeyForm::Fixed(17) => self.find_fixed::<17>(positions, rows, table, places),
            KeyForm::Fixed(_) | KeyForm::Any => {
                for position in positions.clone() {
                    let (hash, key, rest) = self.row(position);
                    match table.find_or_add(hash, key, rest) {
                        Ok((place, _)) => places[rows.nth(position)] = place.bits(),
                        Err(refused) => return (position, Some(refused)),
                    }
                }
                (positions.end, None)
            }
        }
    }

    fn find_fixed<const N: usize>(
        &self,
        positions: Range<usize>,
        rows: Rows<'_>,
        table: &mut GroupTable,
        places: &mut [u64],
    ) -> (usize, Option<AllocError>) {
        for position in positions.clone() {
            let key = self.keys.row(position).first_chunk::<N>().expect("all keys have so many bytes");
            match table.find_or_add_fixed(self.hashes[position], key) {
                Ok((place, _)) => places[rows.nth(position)] = place.bits(),
                Err(refused) => return (position, Some(refused)),
            }
        }
        (positions.end, None)
    }

    /// The group of a row among those from `first` on.
    pub(crate) fn place(&self, first: usize, row: usize, places: &[u64]) -> Place {
        let row = if self.form == KeyForm::One { first } else { row };
        Place::from_bits(places[row]).expect("the group is known")
    }

    /// The groups of rows, of which `first` is the first.
    pub(crate) fn places<'p>(&self, first: usize, places: &'p [u64]) -> Places<'p> {
        match self.form {
            KeyForm::One => Places::One(Place::from_bits(places[first]).expect("the group is known")),
            _ => Places::Each(places),
        }
    }
}

/// The columns of one grouping set's keys.
#[derive(Debug)]
struct SetColumns<'a> {
    key: &'a [VectorId],
    rest: &'a [VectorId],
    is_empty: bool,
}

/// The keys of batches.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    programs: Vec<'a, Program<'a>>,
    canonicals: Vec<'a, Canonical>,
    sets: Vec<'a, SetColumns<'a>>,
    pub(crate) shape: KeyShape<'a>,
    /// Of the set that was encoded last.
    pub(crate) rows: RowKeys<'a>,
}

impl<'a> Keys<'a> {
    pub(crate) fn open(
        plan: &HashAggregate<'a>,
        columns: &[VectorId],
        store: &mut Store<'a>,
        registers: &mut Registers<'a>,
        arena: &'a Arena,
    ) -> Result<Keys<'a>, Error<'a>> {
        let mut programs = Vec::with_capacity_in(plan.groups.len(), arena)?;
        let mut canonicals = Vec::new_in(arena);
        let mut key_columns = Vec::with_capacity_in(plan.groups.len(), arena)?;
        for group in plan.groups {
            let program = compile(group, columns, store, registers)?;
            let canonical = Canonical::open(program.result, group.ty, store, arena)?;
            key_columns.push((program.result, canonical.map(|canonical| canonical.column())))?;
            programs.push(program)?;
            if let Some(canonical) = canonical {
                canonicals.push(canonical)?;
            }
        }
        let mut sets = Vec::with_capacity_in(plan.sets.len(), arena)?;
        for (number, set) in plan.sets.iter().enumerate() {
            let number = (plan.sets.len() > 1).then_some(number);
            sets.push(SetColumns::open(plan, set, number, &key_columns, store, arena)?)?;
        }
        let shape = KeyShape::of(plan, arena)?;
        let mut rows = RowKeys::new(arena);
        rows.form = shape.form;
        Ok(Keys { programs, canonicals, sets, shape, rows })
    }

    /// Keys that are all columns, of these types.
    pub(crate) fn of_columns(
        columns: &[VectorId],
        types: impl ExactSizeIterator<Item = Type> + Clone,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Keys<'a>, AllocError> {
        let mut canonicals = Vec::new_in(arena);
        let mut key = Vec::with_capacity_in(columns.len(), arena)?;
        let mut rest = Vec::new_in(arena);
        for (&column, ty) in columns.iter().zip(types.clone()) {
            let canonical = Canonical::open(column, ty, store, arena)?;
            key.push(canonical.map_or(column, |canonical| canonical.column()))?;
            if let Some(canonical) = canonical {
                canonicals.push(canonical)?;
                rest.push(column)?;
            }
        }
        let mut sets = Vec::with_capacity_in(1, arena)?;
        sets.push(SetColumns {
            key: key.into_slice(),
            rest: rest.into_slice(),
            is_empty: columns.is_empty(),
        })?;
        let shape = KeyShape::new(types, false, arena)?;
        let mut rows = RowKeys::new(arena);
        rows.form = shape.form;
        Ok(Keys { programs: Vec::new_in(arena), canonicals, sets, shape, rows })
    }

    /// The columns of the groups, if they are the only set's and have one canonical form each.
    pub(super) fn only_columns(&self) -> Option<&[VectorId]> {
        match &self.sets[..] {
            [set] if set.rest.is_empty() => Some(set.key),
            _ => None,
        }
    }

    pub(crate) fn sets_count(&self) -> usize {
        self.sets.len()
    }

    /// Whether a set has no columns.
    pub(crate) fn is_empty_set(&self, set: usize) -> bool {
        self.sets[set].is_empty
    }

    /// Computes the columns of the groups for the rows of a batch.
    pub(crate) fn run(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        for program in self.programs.iter_mut() {
            program.run(store, batch)?;
        }
        for canonical in self.canonicals.iter() {
            canonical.run(batch, store)?;
        }
        Ok(())
    }

    /// Encodes the keys of a set, for the rows of the batch that was run.
    pub(crate) fn encode(
        &mut self,
        set: usize,
        batch: BatchRows,
        store: &Store<'a>,
    ) -> Result<(), AllocError> {
        let rows = store.rows(batch);
        let columns = &self.sets[set];
        if self.shape.form == KeyForm::One {
            self.rows.hashes.clear();
            return self.rows.hashes.push(self.shape.hash(&[]));
        }
        self.rows.keys.encode(&self.shape.key, columns.key, rows, store)?;
        self.rows.rests.encode(&self.shape.rest, columns.rest, rows, store)?;
        self.rows.hashes.clear();
        self.rows.hashes.reserve(rows.len())?;
        for position in 0..rows.len() {
            self.rows.hashes.push(self.shape.hash(self.rows.keys.row(position)))?;
        }
        Ok(())
    }
}

impl<'a> SetColumns<'a> {
    fn open(
        plan: &HashAggregate<'a>,
        set: &[u32],
        number: Option<usize>,
        columns: &[(VectorId, Option<VectorId>)],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<SetColumns<'a>, AllocError> {
        let mut key = Vec::with_capacity_in(columns.len() + 1, arena)?;
        let mut rest = Vec::new_in(arena);
        for (index, (&(value, canonical), group)) in columns.iter().zip(plan.groups).enumerate() {
            let has_column = set.contains(&(index as u32));
            let null = match has_column {
                true => None,
                false => Some(store.add_constant(Kind::of(group.ty), Value::Null, arena)?),
            };
            key.push(null.unwrap_or(canonical.unwrap_or(value)))?;
            if canonical.is_some() {
                rest.push(null.unwrap_or(value))?;
            }
        }
        if let Some(number) = number {
            key.push(store.add_constant(Kind::I32, Value::Integer(number as i32), arena)?)?;
        }
        debug_assert!(plan.groups.iter().all(|group| group.ty != Type::Json));
        Ok(SetColumns { key: key.into_slice(), rest: rest.into_slice(), is_empty: set.is_empty() })
    }
}
