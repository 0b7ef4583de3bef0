//! A catalog of tables that do not exist: the planner never opens them.

use cofferdam_arena::Arena;
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{CsvFormat, FieldRules, FileFormat, FileSource};
use cofferdam_plan::table::{CheckRule, ColumnRule, KeyColumn, StoredTable, TableSource};
use cofferdam_plan::{Catalog, CatalogError, FileRequest};
use cofferdam_types::Type;

/// A table: its name, the size of its file, and its columns as `name type, …`.
struct Table {
    name: &'static str,
    size_bytes: u64,
    columns: &'static str,
}

/// TPC-H at scale 1, and tables with a column of each type.
const TABLES: [Table; 10] = [
    Table {
        name: "lineitem",
        size_bytes: 759_863_287,
        columns: "l_orderkey bigint; l_partkey bigint; l_suppkey bigint; l_linenumber integer; l_quantity decimal(15,2); \
                  l_extendedprice decimal(15,2); l_discount decimal(15,2); l_tax decimal(15,2); l_returnflag text; \
                  l_linestatus text; l_shipdate date; l_commitdate date; l_receiptdate date; l_shipinstruct text; \
                  l_shipmode text; l_comment text",
    },
    Table {
        name: "orders",
        size_bytes: 171_952_161,
        columns: "o_orderkey bigint; o_custkey bigint; o_orderstatus text; o_totalprice decimal(15,2); o_orderdate date; \
                  o_orderpriority text; o_clerk text; o_shippriority integer; o_comment text",
    },
    Table {
        name: "customer",
        size_bytes: 24_346_144,
        columns: "c_custkey bigint; c_name text; c_address text; c_nationkey integer; c_phone text; \
                  c_acctbal decimal(15,2); c_mktsegment text; c_comment text",
    },
    Table {
        name: "supplier",
        size_bytes: 1_409_184,
        columns: "s_suppkey bigint; s_name text; s_address text; s_nationkey integer; s_phone text; \
                  s_acctbal decimal(15,2); s_comment text",
    },
    Table {
        name: "nation",
        size_bytes: 2_224,
        columns: "n_nationkey integer; n_name text; n_regionkey integer; n_comment text",
    },
    Table { name: "region", size_bytes: 389, columns: "r_regionkey integer; r_name text; r_comment text" },
    Table {
        name: "part",
        size_bytes: 24_135_125,
        columns: "p_partkey bigint; p_name text; p_mfgr text; p_brand text; p_type text; p_size integer; \
                  p_container text; p_retailprice decimal(15,2); p_comment text",
    },
    Table {
        name: "partsupp",
        size_bytes: 118_984_616,
        columns: "ps_partkey bigint; ps_suppkey bigint; ps_availqty integer; ps_supplycost decimal(15,2); \
                  ps_comment text",
    },
    Table {
        name: "t",
        size_bytes: 10_000,
        columns: "a integer; b text; c decimal(10,2); d date; e double precision; f boolean; g bigint",
    },
    Table { name: "u", size_bytes: 100_000, columns: "a integer; x text; y integer" },
];

/// Answers from [`TABLES`]; files in FROM are sniffed as two columns.
pub(crate) struct TestCatalog;

fn columns<'a>(text: &'static str, arena: &'a Arena) -> Result<&'a [Column<'a>], CatalogError<'a>> {
    let parts: Vec<(&str, &str)> =
        text.split(';').map(|column| column.trim().split_once(' ').unwrap()).collect();
    Ok(arena.alloc_slice_fill_with(parts.len(), |index| Column {
        name: parts[index].0,
        ty: Type::parse(parts[index].1).unwrap(),
    })?)
}

fn source<'a>(
    path: &'a str,
    size_bytes: u64,
    columns: &'a [Column<'a>],
    arena: &'a Arena,
) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
    let (format, fields) = (FileFormat::Csv(CsvFormat::TBL), FieldRules::AS_IT_STANDS);
    Ok(arena.alloc(FileSource { path, format, columns, size_bytes, rows_estimate: None, fields })?)
}

/// A table of the store: its columns as `name type; …`, the columns that take no NULL, what else holds.
struct Stored {
    name: &'static str,
    columns: &'static str,
    not_null: &'static [&'static str],
    characters_max: &'static [(&'static str, u32)],
    defaults: &'static [(&'static str, &'static str)],
    checks: &'static [(&'static str, &'static str)],
    key: &'static [&'static str],
    rows: u64,
}

const STORED: [Stored; 4] = [
    Stored {
        name: "item",
        columns: "id integer; name text; price decimal(10,2); day date; ok boolean; weight double precision",
        not_null: &["id", "name"],
        characters_max: &[("name", 5)],
        defaults: &[("price", "0"), ("day", "DATE '2020-01-01' + 1"), ("name", "'new'")],
        checks: &[("item_price_check", "price >= 0"), ("a_check", "name <> 'x' OR item.ok")],
        key: &["id"],
        rows: 1_000_000,
    },
    Stored {
        name: "event",
        columns: "at date; kind text; number bigint; amount decimal(15,2); note text",
        not_null: &["at", "kind", "number"],
        characters_max: &[],
        defaults: &[],
        checks: &[],
        key: &["kind", "at", "number"],
        rows: 50_000,
    },
    Stored {
        name: "heap",
        columns: "a integer; b text",
        not_null: &[],
        characters_max: &[],
        defaults: &[],
        checks: &[],
        key: &[],
        rows: 0,
    },
    Stored {
        name: "damaged",
        columns: "a integer",
        not_null: &[],
        characters_max: &[],
        defaults: &[("a", "1 +")],
        checks: &[],
        key: &[],
        rows: 0,
    },
];

fn stored<'a>(table: &'static Stored, arena: &'a Arena) -> Result<&'a StoredTable<'a>, CatalogError<'a>> {
    let columns = columns(table.columns, arena)?;
    let rules = arena.alloc_slice_fill_with(columns.len(), |index| {
        let name = columns[index].name;
        ColumnRule {
            is_nullable: !table.not_null.contains(&name),
            characters_max: table
                .characters_max
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, max)| *max),
            default: table.defaults.iter().find(|(known, _)| *known == name).map(|(_, text)| *text),
        }
    })?;
    let checks = arena.alloc_slice_fill_with(table.checks.len(), |index| {
        let (name, condition) = table.checks[index];
        CheckRule { name, condition }
    })?;
    let position = |name| columns.iter().position(|column| column.name == name).unwrap() as u32;
    let key = arena
        .alloc_slice_fill_with(table.key.len(), |index| KeyColumn::ascending(position(table.key[index])))?;
    let id = 1 + STORED.iter().position(|known| known.name == table.name).unwrap() as u32;
    let (name, key_name, rows_estimate) = (table.name, "", table.rows);
    let statistics = None;
    Ok(arena.alloc(StoredTable {
        id,
        name,
        columns,
        rules,
        checks,
        key,
        key_name,
        indexes: &[],
        rows_estimate,
        statistics,
    })?)
}

impl Catalog for TestCatalog {
    fn table<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>> {
        if let Some(table) = STORED.iter().find(|table| table.name == name) {
            return Ok(Some(TableSource::Stored(stored(table, arena)?)));
        }
        let Some(table) = TABLES.iter().find(|table| table.name == name) else { return Ok(None) };
        let path = arena.alloc_fmt(format_args!("{}.tbl", table.name))?;
        let file = source(path, table.size_bytes, columns(table.columns, arena)?, arena)?;
        Ok(Some(TableSource::File(file)))
    }

    fn table_names(&self, visit: &mut dyn FnMut(&str)) {
        TABLES.iter().for_each(|table| visit(table.name));
        STORED.iter().for_each(|table| visit(table.name));
    }

    fn file<'a>(
        &self,
        request: FileRequest<'_>,
        arena: &'a Arena,
    ) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
        if request.path.contains("missing") {
            let message = arena.alloc_fmt(format_args!("could not open file \"{}\"", request.path))?;
            return Err(CatalogError::Source { sqlstate: "58P01", message });
        }
        let path = arena.alloc_str(request.path)?;
        let columns = match request.columns {
            Some(declared) => {
                let copied = arena.alloc_slice_fill_with(declared.len(), |index| declared[index].ty)?;
                let mut renamed = cofferdam_arena::collections::Vec::new_in(arena);
                for (column, ty) in declared.iter().zip(copied) {
                    renamed.push(Column { name: arena.alloc_str(column.name)?, ty: *ty })?;
                }
                renamed.into_slice()
            }
            None => columns("column0 integer; Name text", arena)?,
        };
        let file = source(path, 50_000, columns, arena)?;
        let Some((format, rules)) = request.format else { return Ok(file) };
        let fields = FieldRules { null: arena.alloc_str(rules.null)?, ..rules };
        Ok(arena.alloc(FileSource { format, fields, ..*file })?)
    }
}
