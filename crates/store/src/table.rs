//! Definitions of tables: what the caller gives, and what the store keeps while the database is open.
//!
//! A table without a key gets a *row id*: a last column of type bigint that callers do not give, which counts up and is
//! the key. An index is a table too: its columns are those that are indexed and behind them those of its table's key,
//! all of them key.

use std::sync::atomic::{AtomicU64, Ordering};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc, append};
use cofferdam_types::{Type, Value, unscaled};

use crate::error::{Error, InputKind, InputProblem};
use crate::schema::{COLUMNS_MAX, ColumnType, KeyColumn, Schema, TableId, VALUE_BYTES_MAX};

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
/// **Memory.** Charged to the store's budget `catalog`: its names and properties, 24 bytes a column.
#[derive(Debug)]
pub struct Table {
    id: TableId,
    parent: Option<TableId>,
    is_unique: bool,
    columns: Vec<ColumnType, BudgetAlloc>,
    key: Vec<KeyColumn, BudgetAlloc>,
    /// Of an index: the columns of its table that its columns are copies of.
    sources: Vec<u16, BudgetAlloc>,
    /// The table's name, then the columns' names.
    names: Vec<u8, BudgetAlloc>,
    /// Where each of them ends.
    ends: Vec<u32, BudgetAlloc>,
    properties: Vec<u8, BudgetAlloc>,
    next_row_id: AtomicU64,
    changed_at: AtomicU64,
}

impl Table {
    /// A table without columns yet.
    ///
    /// # Errors
    /// The budget has no room for it.
    pub(crate) fn new(
        id: TableId,
        parent: Option<TableId>,
        is_unique: bool,
        name: &str,
        alloc: &BudgetAlloc,
    ) -> Result<Table, AllocError> {
        let mut table = Table {
            id,
            parent,
            is_unique,
            columns: Vec::new_in(alloc.clone()),
            key: Vec::new_in(alloc.clone()),
            sources: Vec::new_in(alloc.clone()),
            names: Vec::new_in(alloc.clone()),
            ends: Vec::new_in(alloc.clone()),
            properties: Vec::new_in(alloc.clone()),
            next_row_id: AtomicU64::new(1),
            changed_at: AtomicU64::new(0),
        };
        table.put_name(name)?;
        Ok(table)
    }

    /// A table of a definition that was checked; with a row id where it has no key.
    ///
    /// # Errors
    /// The budget has no room for it.
    pub(crate) fn define(id: TableId, def: &TableDef<'_>, alloc: &BudgetAlloc) -> Result<Table, AllocError> {
        let mut table = Table::new(id, None, true, def.name, alloc)?;
        for column in def.columns {
            table.put_column(column.name, ColumnType { ty: column.ty, is_nullable: column.is_nullable })?;
        }
        if def.key.is_empty() {
            table.put_column(ROW_ID_NAME, ColumnType { ty: Type::BigInt, is_nullable: false })?;
            table.put_key_column(KeyColumn::ascending(def.columns.len() as u16))?;
        }
        for part in def.key {
            table.put_key_column(*part)?;
        }
        table.put_properties(true, def.properties)?;
        Ok(table)
    }

    /// An index on some columns of a table: those in their order, then the columns of the table's key that are not among them.
    ///
    /// # Errors
    /// The budget has no room for it.
    pub(crate) fn define_index(
        id: TableId,
        of: &Table,
        name: &str,
        columns: &[KeyColumn],
        is_unique: bool,
        alloc: &BudgetAlloc,
    ) -> Result<Table, AllocError> {
        let mut index = Table::new(id, Some(of.id), is_unique, name, alloc)?;
        let has = |column| columns.iter().any(|part| part.column == column);
        let rest =
            of.key.iter().filter(|part| !has(part.column)).map(|part| KeyColumn::ascending(part.column));
        for (place, KeyColumn { column, order }) in columns.iter().copied().chain(rest).enumerate() {
            index.put_column(of.column_name(column.into()), of.columns[usize::from(column)])?;
            index.put_key_column(KeyColumn { column: place as u16, order })?;
        }
        let unique_columns = if is_unique { columns.len() as u16 } else { 0 };
        index.put_properties(true, &unique_columns.to_le_bytes())?;
        index.find_sources(of)?;
        Ok(index)
    }

    fn put_name(&mut self, name: &str) -> Result<(), AllocError> {
        append(&mut self.names, name.as_bytes())?;
        append(&mut self.ends, &[self.names.len() as u32])
    }

    /// Adds a column behind those that there are.
    pub(crate) fn put_column(&mut self, name: &str, ty: ColumnType) -> Result<(), AllocError> {
        self.put_name(name)?;
        append(&mut self.columns, &[ty])
    }

    /// Adds a column to the key.
    pub(crate) fn put_key_column(&mut self, part: KeyColumn) -> Result<(), AllocError> {
        append(&mut self.key, &[part])
    }

    /// Adds to the properties, or begins them anew.
    pub(crate) fn put_properties(&mut self, is_first: bool, bytes: &[u8]) -> Result<(), AllocError> {
        if is_first {
            self.properties.clear();
        }
        append(&mut self.properties, bytes)
    }

    /// Of an index: finds its columns in its table by their names.
    pub(crate) fn find_sources(&mut self, of: &Table) -> Result<(), AllocError> {
        self.sources.clear();
        for column in 0..self.columns.len() {
            let name = self.column_name(column);
            let source = (0..of.columns.len()).find(|&source| of.column_name(source) == name);
            append(&mut self.sources, &[source.unwrap_or(0) as u16])?;
        }
        Ok(())
    }

    /// Its number.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// Of an index: the table that it belongs to.
    pub fn parent(&self) -> Option<TableId> {
        self.parent
    }

    /// How many of the first columns of a unique index no two rows share; 0 for an index that is not unique, and for
    /// tables, whose keys are unique anyway.
    pub fn unique_columns(&self) -> usize {
        match (self.parent, self.properties.first_chunk::<2>()) {
            (Some(_), Some(count)) => u16::from_le_bytes(*count).into(),
            _ => 0,
        }
    }

    /// Whether rows with the same key, or for an index the same first columns, are refused.
    pub fn is_unique(&self) -> bool {
        self.is_unique
    }

    /// Of an index: which columns of its table its columns are.
    pub fn sources(&self) -> &[u16] {
        &self.sources
    }

    fn name_at(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        let name = &self.names[start as usize..self.ends[index] as usize];
        core::str::from_utf8(name).expect("it was text")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name_at(0)
    }

    /// The name of a column of [`Table::schema`]; empty for the row id.
    pub fn column_name(&self, column: usize) -> &str {
        self.name_at(column + 1)
    }

    /// The columns that callers give values for, from 0: the row id is not one of them.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = ColumnDef<'_>> {
        let count = self.columns.len() - usize::from(self.has_row_id());
        (0..count).map(|column| {
            let ColumnType { ty, is_nullable } = self.columns[column];
            ColumnDef { name: self.column_name(column), ty, is_nullable }
        })
    }

    /// What its rows are sorted by.
    pub fn key(&self) -> &[KeyColumn] {
        &self.key
    }

    /// The bytes that the caller gave with the definition; of an index, two bytes of the store's.
    pub fn properties(&self) -> &[u8] {
        &self.properties
    }

    /// The shape of its rows, the row id included.
    pub fn schema(&self) -> Schema<'_> {
        Schema { columns: &self.columns, key: &self.key }
    }

    /// True if rows are numbered by the store; the number is the last column of [`Table::schema`].
    pub fn has_row_id(&self) -> bool {
        // The last column has no name.
        self.parent.is_none() && matches!(self.ends[..], [.., before, last] if before == last)
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
            } else if value.heap_bytes().is_some_and(|bytes| bytes.len() > VALUE_BYTES_MAX) {
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
            value.scale() == scale && unscaled::fits(value.unscaled(), precision)
        }
        // The most usual ones without a detour.
        (Value::BigInt(_), Type::BigInt)
        | (Value::Text(_), Type::Text)
        | (Value::Decimal(_), Type::Numeric) => true,
        (value, ty) => value.ty() == ty,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use cofferdam_types::Decimal;
    use cofferdam_types::key::KeyOrder;

    const PRICE: Type = Type::Decimal { precision: 5, scale: 2 };

    fn column(name: &str, ty: Type, is_nullable: bool) -> ColumnDef<'_> {
        ColumnDef { name, ty, is_nullable }
    }

    fn define(columns: &[ColumnDef<'_>], key: &[KeyColumn], budget: &Budget) -> Table {
        let def = TableDef { name: "parts", columns, key, properties: b"checks" };
        Table::define(TableId(7), &def, &BudgetAlloc::new(budget)).unwrap()
    }

    #[test]
    fn a_table_keeps_its_definition() {
        let budget = Budget::unlimited("process").unwrap().child("catalog", u64::MAX).unwrap();
        let columns = [column("id", Type::BigInt, false), column("price", PRICE, true)];
        let table = define(&columns, &[], &budget);
        assert_eq!((table.id(), table.name(), table.properties()), (TableId(7), "parts", &b"checks"[..]));
        let names: std::vec::Vec<_> = table.columns().map(|column| column.name).collect();
        assert_eq!(names, ["id", "price"]);
        assert!(table.has_row_id());
        let key = KeyColumn { column: 2, order: KeyOrder::ASC };
        assert_eq!((table.schema().columns.len(), table.key()), (3, &[key][..]));
        table.saw_row_id(41);
        assert_eq!((table.next_row_id(), table.next_row_id()), (42, 43));
        assert!(budget.used() > 0);
        drop(table);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn an_index_has_its_columns_and_the_key() {
        let budget = Budget::unlimited("process").unwrap();
        let columns =
            [column("a", Type::BigInt, false), column("b", PRICE, true), column("c", Type::Text, false)];
        let part = |column| KeyColumn { column, order: KeyOrder::ASC };
        let table = define(&columns, &[part(2), part(1)], &budget);
        assert!(!table.has_row_id());
        let alloc = BudgetAlloc::new(&budget);
        let by_b = [KeyColumn { column: 1, order: KeyOrder::DESC }, KeyColumn::ascending(0)];
        let index = Table::define_index(TableId(8), &table, "by_b", &by_b, true, &alloc).unwrap();
        let orders: std::vec::Vec<_> = index.key().iter().map(|part| (part.column, part.order)).collect();
        assert_eq!(orders, [(0, KeyOrder::DESC), (1, KeyOrder::ASC), (2, KeyOrder::ASC)]);
        let names: std::vec::Vec<_> = index.columns().map(|column| column.name).collect();
        assert_eq!((names, index.sources()), (std::vec!["b", "a", "c"], &[1, 0, 2][..]));
        assert_eq!((index.unique_columns(), index.parent(), index.key().len()), (2, Some(TableId(7)), 3));
        let index = Table::define_index(TableId(9), &table, "by_c", &[part(2)], false, &alloc).unwrap();
        assert_eq!((index.unique_columns(), index.is_unique(), index.has_row_id()), (0, false, false));
    }

    #[test]
    fn values_that_are_no_row_are_told_with_their_column() {
        let budget = Budget::unlimited("catalog").unwrap();
        let columns = [column("id", Type::BigInt, false), column("price", PRICE, true)];
        let key = [KeyColumn { column: 0, order: KeyOrder::ASC }];
        let table = define(&columns, &key, &budget);
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
