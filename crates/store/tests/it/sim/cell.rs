//! Values, rows and keys as the simulation knows them, with an order of their own: nothing here asks the store.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;

/// A value. Those of one column compare as SQL says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i32),
    Big(i64),
    /// The digits without the point, and how many of them are behind it.
    Decimal(i128, u8),
    /// A double, as a number that is ordered as doubles are: its bits, those of negative ones turned but for the sign.
    Double(i64),
    Text(Arc<str>),
    /// Days since 1970-01-01.
    Date(i32),
}

/// The values of a row, in the order of the columns; of a table with row ids, the id is the last.
pub(crate) type Row = Arc<[Cell]>;

impl Cell {
    pub(crate) fn text(text: &str) -> Cell {
        Cell::Text(Arc::from(text))
    }

    pub(crate) fn double(value: f64) -> Cell {
        let bits = value.to_bits() as i64;
        Cell::Double(bits ^ (((bits >> 63) as u64) >> 1) as i64)
    }

    /// The double of an ordered number.
    pub(crate) fn double_of(ordered: i64) -> f64 {
        f64::from_bits((ordered ^ (((ordered >> 63) as u64) >> 1) as i64) as u64)
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Cell::Null
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("NULL"),
            Cell::Bool(value) => write!(f, "{value}"),
            Cell::Int(value) => write!(f, "{value}"),
            Cell::Big(value) => write!(f, "{value}"),
            Cell::Decimal(unscaled, scale) => write!(f, "{unscaled}e-{scale}"),
            Cell::Double(ordered) => write!(f, "{}", Cell::double_of(*ordered)),
            Cell::Text(text) if text.len() <= 24 => write!(f, "'{}'", text.escape_debug()),
            Cell::Text(text) => {
                let start: String = text.chars().take(16).collect();
                write!(
                    f,
                    "'{}…'({} bytes, {:x})",
                    start.escape_debug(),
                    text.len(),
                    fingerprint(text.as_bytes())
                )
            }
            Cell::Date(days) => write!(f, "day {days}"),
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number that two texts hardly share (FNV-1a, folded), to tell long ones apart in a report.
fn fingerprint(bytes: &[u8]) -> u32 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold);
    (hash ^ (hash >> 32)) as u32
}

/// `(1, NULL, 'a')`
pub(crate) fn show(cells: &[Cell]) -> String {
    let texts: Vec<String> = cells.iter().map(Cell::to_string).collect();
    format!("({})", texts.join(", "))
}

/// A value of a key, with the direction of its column.
#[derive(Clone, Debug)]
pub(crate) struct KeyPart {
    pub(crate) cell: Cell,
    pub(crate) order: KeyOrder,
}

impl KeyPart {
    /// NULLs stand where the order puts them, whatever the direction.
    fn rank(&self) -> u8 {
        match (self.cell.is_null(), self.order.nulls_first) {
            (true, true) => 0,
            (false, _) => 1,
            (true, false) => 2,
        }
    }
}

impl Ord for KeyPart {
    fn cmp(&self, other: &KeyPart) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| {
            let order = self.cell.cmp(&other.cell);
            if self.order.descending { order.reverse() } else { order }
        })
    }
}

impl PartialOrd for KeyPart {
    fn partial_cmp(&self, other: &KeyPart) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for KeyPart {
    fn eq(&self, other: &KeyPart) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for KeyPart {}

/// A key: what rows are sorted by.
pub(crate) type Key = Arc<[KeyPart]>;

/// The key of values in the order of the key's columns.
pub(crate) fn key_of(cells: impl IntoIterator<Item = Cell>, parts: &[(u16, KeyOrder)]) -> Key {
    cells.into_iter().zip(parts).map(|(cell, &(_, order))| KeyPart { cell, order }).collect()
}

/// The values of a key.
pub(crate) fn cells_of(key: &[KeyPart]) -> Vec<Cell> {
    key.iter().map(|part| part.cell.clone()).collect()
}

/// A range of keys: values for the first columns of the key at both ends.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) from: Bound<Vec<Cell>>,
    pub(crate) to: Bound<Vec<Cell>>,
}

impl Range {
    pub(crate) const ALL: Range = Range { from: Bound::Unbounded, to: Bound::Unbounded };

    /// The range for keys of these columns.
    pub(crate) fn of_keys(&self, parts: &[(u16, KeyOrder)]) -> KeyRange {
        let keyed =
            |bound: &Bound<Vec<Cell>>| bound.as_ref().map(|values| key_of(values.iter().cloned(), parts));
        KeyRange { from: keyed(&self.from), to: keyed(&self.to) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Bound::Unbounded => f.write_str("(")?,
            Bound::Included(values) => write!(f, "[{}", show(values))?,
            Bound::Excluded(values) => write!(f, "({}", show(values))?,
        }
        f.write_str(" .. ")?;
        match &self.to {
            Bound::Unbounded => f.write_str(")"),
            Bound::Included(values) => write!(f, "{}]", show(values)),
            Bound::Excluded(values) => write!(f, "{})", show(values)),
        }
    }
}

/// A range whose ends compare with keys.
pub(crate) struct KeyRange {
    from: Bound<Key>,
    to: Bound<Key>,
}

impl KeyRange {
    /// Whether a key lies in the range.
    pub(crate) fn has(&self, key: &[KeyPart]) -> bool {
        let beside = |end: &[KeyPart]| key[..key.len().min(end.len())].cmp(end);
        let is_from = match &self.from {
            Bound::Unbounded => true,
            Bound::Included(values) => beside(values) != Ordering::Less,
            Bound::Excluded(values) => beside(values) == Ordering::Greater,
        };
        let is_to = match &self.to {
            Bound::Unbounded => true,
            Bound::Included(values) => beside(values) != Ordering::Greater,
            Bound::Excluded(values) => beside(values) == Ordering::Less,
        };
        is_from && is_to
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnSpec {
    pub(crate) name: &'static str,
    pub(crate) ty: Type,
    pub(crate) is_nullable: bool,
}

/// A table as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableSpec {
    pub(crate) name: String,
    /// Without the row id.
    pub(crate) columns: &'static [ColumnSpec],
    /// Empty for a row id.
    pub(crate) key: &'static [(u16, KeyOrder)],
}

impl TableSpec {
    pub(crate) fn has_row_id(&self) -> bool {
        self.key.is_empty()
    }

    /// The columns of the key, the row id included.
    pub(crate) fn key_parts(&self) -> Vec<(u16, KeyOrder)> {
        match self.has_row_id() {
            true => vec![(self.columns.len() as u16, KeyOrder::ASC)],
            false => self.key.to_vec(),
        }
    }

    /// The key of a whole row.
    pub(crate) fn key_of(&self, row: &[Cell]) -> Key {
        let parts = self.key_parts();
        key_of(parts.iter().map(|&(column, _)| row[usize::from(column)].clone()), &parts)
    }
}

/// An index as it is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexSpec {
    pub(crate) name: String,
    pub(crate) columns: &'static [u16],
    /// That of the first column; the others ascend.
    pub(crate) order: KeyOrder,
    pub(crate) is_unique: bool,
}

impl IndexSpec {
    /// The columns with their orders.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (u16, KeyOrder)> {
        let orders = std::iter::once(self.order).chain(std::iter::repeat(KeyOrder::ASC));
        self.columns.iter().copied().zip(orders)
    }

    /// The values that no two rows may share; `None` where there is a NULL, which equals nothing, or no such promise.
    pub(crate) fn unique_values(&self, row: &[Cell]) -> Option<Vec<Cell>> {
        let values: Vec<Cell> = self.columns.iter().map(|&column| row[usize::from(column)].clone()).collect();
        (self.is_unique && !values.iter().any(Cell::is_null)).then_some(values)
    }
}

/// A table or an index as the engine describes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableInfo {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// With the row id, whose name is empty.
    pub(crate) columns: Vec<(String, Type, bool)>,
    pub(crate) key: Vec<(u16, KeyOrder)>,
    /// Of an index: its table.
    pub(crate) parent: Option<u32>,
    /// Of an index: which columns of its table it has.
    pub(crate) sources: Vec<u16>,
    /// Of a unique index: how many of the first columns.
    pub(crate) unique_columns: usize,
}
