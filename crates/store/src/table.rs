//! Definitions of tables: what the caller gives, and what the store keeps while the database is open.
//!
//! A table without a key gets a *row id*: a last column of type bigint that callers do not give, which counts up and is
//! the key. An index is a table too: its columns are those that are indexed and behind them those of its table's key,
//! all of them key.

use std::sync::atomic::{AtomicU64, Ordering};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc};
use cofferdam_types::key::KeyOrder;
use cofferdam_types::{Type, Value};

use crate::error::{Error, InputKind, InputProblem};
use crate::schema::{COLUMNS_MAX, ColumnType, KeyColumn, Schema, TableId};

/// What a new table looks like.
#[derive(Clone, Copy, Debug)]
pub struct TableDef<'d> {
    /// Its name, which no other table of the database has.
    pub name: &'d str,
    /// Its columns, at least one.
    pub columns: &'d [ColumnDef<'d>],
    /// What its rows are sorted by and what no two of them share; empty for a row id that the store gives.
    pub key: &'d [KeyColumn],
    /// Bytes of the caller's, kept with the definition.
    pub properties: &'d [u8],
}

/// A column of a new table.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef<'d> {
    /// Its name, which no other column of the table has.
    pub name: &'d str,
    /// The type of its values.
    pub ty: Type,
    /// Whether NULL is a value.
    pub is_nullable: bool,
}

/// The name of the column that tables without a key get.
pub(crate) const ROW_ID_NAME: &str = "";

/// A table of an open database.
///
/// **Memory.** Charged to the store's budget `catalog`: the names and properties, 24 bytes a column.
#[derive(Debug)]
pub struct Table {
    id: TableId,
    parent: Option<TableId>,
    columns: Vec<ColumnType, BudgetAlloc>,
    key: Vec<KeyColumn, BudgetAlloc>,
    /// Of an index: the columns of its table that its columns are copies of.
    sources: Vec<u16, BudgetAlloc>,
    /// How many of the first columns of a unique index no two rows share; 0 for others.
    unique_columns: u16,
    /// The table's name, the columns' names, the properties.
    text: Vec<u8, BudgetAlloc>,
    /// Where each piece of `text` ends.
    ends: Vec<u32, BudgetAlloc>,
    next_row_id: AtomicU64,
    changed_at: AtomicU64,
}

/// What a table is made from: a definition of the caller's, or of the manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blueprint<'d> {
    pub(crate) id: TableId,
    pub(crate) parent: Option<TableId>,
    pub(crate) def: TableDef<'d>,
    /// See [`Table`].
    pub(crate) sources: &'d [u16],
    pub(crate) unique_columns: u16,
}

impl Table {
    /// A table as it is kept.
    ///
    /// # Errors
    /// The budget has no room for it.
    pub(crate) fn new(blueprint: &Blueprint<'_>, alloc: &BudgetAlloc) -> Result<Table, AllocError> {
        let def = &blueprint.def;
        let mut table = Table {
            id: blueprint.id,
            parent: blueprint.parent,
            columns: Vec::new_in(alloc.clone()),
            key: Vec::new_in(alloc.clone()),
            sources: Vec::new_in(alloc.clone()),
            unique_columns: blueprint.unique_columns,
            text: Vec::new_in(alloc.clone()),
            ends: Vec::new_in(alloc.clone()),
            next_row_id: AtomicU64::new(1),
            changed_at: AtomicU64::new(0),
        };
        table.columns.try_reserve_exact(def.columns.len())?;
        table.columns.extend(def.columns.iter().map(|c| ColumnType { ty: c.ty, is_nullable: c.is_nullable }));
        put_all(&mut table.key, def.key)?;
        put_all(&mut table.sources, blueprint.sources)?;
        let names = def.columns.iter().map(|column| column.name.as_bytes());
        let pieces = [def.name.as_bytes()].into_iter().chain(names).chain([def.properties]);
        let bytes = pieces.clone().map(<[u8]>::len).sum();
        table.text.try_reserve_exact(bytes)?;
        table.ends.try_reserve_exact(def.columns.len() + 2)?;
        for piece in pieces {
            table.text.extend_from_slice(piece);
            table.ends.push(table.text.len() as u32);
        }
        Ok(table)
    }

    /// Its number.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// Of an index: the table that it belongs to.
    pub fn parent(&self) -> Option<TableId> {
        self.parent
    }

    /// How many of the first columns of a unique index no two rows share; 0 for an index that is not unique.
    pub fn unique_columns(&self) -> usize {
        self.unique_columns.into()
    }

    /// Of an index: which columns of its table its columns are.
    pub(crate) fn sources(&self) -> &[u16] {
        &self.sources
    }

    fn piece(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[index] as usize]
    }

    /// Its name.
    pub fn name(&self) -> &str {
        core::str::from_utf8(self.piece(0)).expect("it was text")
    }

    /// The columns that callers give values for, from 0: the row id is not one of them.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = ColumnDef<'_>> {
        let count = self.columns.len() - usize::from(self.has_row_id());
        (0..count).map(|index| {
            let ColumnType { ty, is_nullable } = self.columns[index];
            let name = core::str::from_utf8(self.piece(index + 1)).expect("it was text");
            ColumnDef { name, ty, is_nullable }
        })
    }

    /// What its rows are sorted by.
    pub fn key(&self) -> &[KeyColumn] {
        &self.key
    }

    /// The bytes that the caller gave with the definition.
    pub fn properties(&self) -> &[u8] {
        self.piece(self.ends.len() - 1)
    }

    /// The shape of its rows, the row id included.
    pub fn schema(&self) -> Schema<'_> {
        Schema { columns: &self.columns, key: &self.key }
    }

    /// True if rows are numbered by the store; the number is the last column of [`Table::schema`].
    pub fn has_row_id(&self) -> bool {
        self.ends.len() > 2 && self.piece(self.columns.len()).is_empty()
    }

    /// A row id that was never given before.
    pub(crate) fn next_row_id(&self) -> u64 {
        self.next_row_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Says that a row id is in use.
    pub(crate) fn saw_row_id(&self, id: u64) {
        self.next_row_id.fetch_max(id.saturating_add(1), Ordering::Relaxed);
    }

    /// The sequence of the newest commit that changed the table, as far as is known since it was opened.
    pub(crate) fn changed_at(&self) -> u64 {
        self.changed_at.load(Ordering::Acquire)
    }

    /// Notes a commit.
    pub(crate) fn changed(&self, sequence: u64) {
        self.changed_at.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Whether the values are a row of the table (without a row id).
    ///
    /// # Errors
    /// [`Error::Input`] with the column that is wrong.
    pub(crate) fn check(&self, values: &[Value<'_>]) -> Result<(), Error> {
        let problem = |column: Option<usize>, kind| {
            Err(Error::Input(InputProblem { table: self.id, column: column.map(|c| c as u16), kind }))
        };
        let columns = &self.columns[..self.columns.len() - usize::from(self.has_row_id())];
        if values.len() != columns.len() {
            return problem(None, InputKind::Count);
        }
        for (index, (value, column)) in values.iter().zip(columns).enumerate() {
            if value.is_null() {
                if !column.is_nullable {
                    return problem(Some(index), InputKind::Null);
                }
            } else if !fits(value, column.ty) {
                return problem(Some(index), InputKind::Type);
            } else if matches!(value, Value::Text(text) if text.len() > crate::schema::VALUE_BYTES_MAX) {
                return problem(Some(index), InputKind::ValueTooLong);
            }
        }
        Ok(())
    }
}

/// Whether a value can stand in a column: of its type, a decimal with its scale and no more digits.
fn fits(value: &Value<'_>, ty: Type) -> bool {
    match (value, ty) {
        (Value::Decimal(value), Type::Decimal { precision, scale }) => {
            value.scale() == scale
                && value.unscaled().unsigned_abs()
                    < 10u128.pow(u32::from(precision.min(Type::DECIMAL_DIGITS_MAX)))
        }
        (value, ty) => value.ty() == ty,
    }
}

fn put_all<T: Copy>(list: &mut Vec<T, BudgetAlloc>, values: &[T]) -> Result<(), AllocError> {
    list.try_reserve_exact(values.len())?;
    list.extend_from_slice(values);
    Ok(())
}

/// Whether a definition is one: names that differ, a key of its columns, not too many.
///
/// # Errors
/// [`Error::Input`] with the column that is wrong.
pub(crate) fn check_definition(id: TableId, def: &TableDef<'_>) -> Result<(), Error> {
    let problem = |column: Option<usize>| {
        let column = column.map(|column| column as u16);
        Err(Error::Input(InputProblem { table: id, column, kind: InputKind::Definition }))
    };
    if def.columns.is_empty() || def.columns.len() >= COLUMNS_MAX || def.name.is_empty() {
        return problem(None);
    }
    for (index, column) in def.columns.iter().enumerate() {
        let is_repeated = def.columns[..index].iter().any(|before| before.name == column.name);
        if is_repeated || column.name.is_empty() || column.ty == Type::Unknown {
            return problem(Some(index));
        }
    }
    for (index, part) in def.key.iter().enumerate() {
        let is_repeated = def.key[..index].iter().any(|before| before.column == part.column);
        if is_repeated || usize::from(part.column) >= def.columns.len() {
            return problem(Some(part.column.into()));
        }
    }
    Ok(())
}

/// The key of a table whose last of `columns` columns is its row id.
pub(crate) fn row_id_key(columns: usize) -> KeyColumn {
    KeyColumn { column: columns as u16 - 1, order: KeyOrder::ASC }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use cofferdam_types::Decimal;

    const PRICE: Type = Type::Decimal { precision: 5, scale: 2 };

    fn column(name: &str, ty: Type, is_nullable: bool) -> ColumnDef<'_> {
        ColumnDef { name, ty, is_nullable }
    }

    fn blueprint<'d>(columns: &'d [ColumnDef<'d>], key: &'d [KeyColumn]) -> Blueprint<'d> {
        let def = TableDef { name: "parts", columns, key, properties: b"checks" };
        Blueprint { id: TableId(7), parent: None, def, sources: &[], unique_columns: 0 }
    }

    #[test]
    fn a_table_keeps_its_definition() {
        let budget = Budget::unlimited("catalog").unwrap();
        let columns = [
            column("id", Type::BigInt, false),
            column("price", PRICE, true),
            column(ROW_ID_NAME, Type::BigInt, false),
        ];
        let key = [row_id_key(3)];
        let table = Table::new(&blueprint(&columns, &key), &BudgetAlloc::new(&budget)).unwrap();
        assert_eq!((table.id(), table.name(), table.properties()), (TableId(7), "parts", &b"checks"[..]));
        let names: std::vec::Vec<_> = table.columns().map(|column| column.name).collect();
        assert_eq!(names, ["id", "price"]);
        assert!(table.has_row_id());
        assert_eq!((table.schema().columns.len(), table.key()), (3, &key[..]));
        table.saw_row_id(41);
        assert_eq!((table.next_row_id(), table.next_row_id()), (42, 43));
        drop(table);
        assert_eq!(budget.used(), 4096, "the root's own page");
    }

    #[test]
    fn values_that_are_no_row_are_told_with_their_column() {
        let budget = Budget::unlimited("catalog").unwrap();
        let columns = [column("id", Type::BigInt, false), column("price", PRICE, true)];
        let key = [KeyColumn { column: 0, order: KeyOrder::ASC }];
        let table = Table::new(&blueprint(&columns, &key), &BudgetAlloc::new(&budget)).unwrap();
        let decimal = |text: &str| Value::Decimal(Decimal::parse(text.as_bytes()).unwrap());
        let problem = |values: &[Value<'_>]| match table.check(values) {
            Err(Error::Input(problem)) => Some((problem.column, problem.kind)),
            outcome => {
                outcome.unwrap();
                None
            }
        };
        assert_eq!(problem(&[Value::BigInt(1), decimal("999.99")]), None);
        assert_eq!(problem(&[Value::BigInt(1), Value::Null]), None);
        assert_eq!(problem(&[Value::BigInt(1)]), Some((None, InputKind::Count)));
        assert_eq!(problem(&[Value::Null, Value::Null]), Some((Some(0), InputKind::Null)));
        assert_eq!(problem(&[Value::Integer(1), Value::Null]), Some((Some(0), InputKind::Type)));
        assert_eq!(problem(&[Value::BigInt(1), decimal("9.9")]), Some((Some(1), InputKind::Type)));
        assert_eq!(problem(&[Value::BigInt(1), decimal("1000.00")]), Some((Some(1), InputKind::Type)));
    }

    #[test]
    fn definitions_that_are_none_are_refused() {
        let good = [column("a", Type::Integer, false), column("b", Type::Text, true)];
        let twice = [column("a", Type::Integer, false), column("a", Type::Text, true)];
        let unknown = [column("a", Type::Unknown, false)];
        let many = std::vec![column("a", Type::Integer, false); COLUMNS_MAX];
        let part = |column| KeyColumn { column, order: KeyOrder::ASC };
        let column_of = |columns: &[ColumnDef<'_>], key: &[KeyColumn], name: &str| {
            let def = TableDef { name, columns, key, properties: b"" };
            match check_definition(TableId(1), &def) {
                Ok(()) => Some(None),
                Err(Error::Input(problem)) => problem.column.map(Some),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(column_of(&good, &[part(0)], "t"), Some(None));
        assert_eq!(column_of(&good, &[], "t"), Some(None));
        assert_eq!(column_of(&good, &[], ""), None);
        assert_eq!(column_of(&[], &[], "t"), None);
        assert_eq!(column_of(&many, &[], "t"), None);
        assert_eq!(column_of(&twice, &[], "t"), Some(Some(1)));
        assert_eq!(column_of(&unknown, &[], "t"), Some(Some(0)));
        assert_eq!(column_of(&good, &[part(2)], "t"), Some(Some(2)));
        assert_eq!(column_of(&good, &[part(1), part(1)], "t"), Some(Some(1)));
    }
}
