//! A catalog of tables that do not exist: the planner never opens them.

use cofferdam_arena::Arena;
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{CsvFormat, FileFormat, FileSource};
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
    let csv = CsvFormat { delimiter: b'|', quote: None, header: false, trailing_delimiter: true };
    let format = FileFormat::Csv(csv);
    Ok(arena.alloc(FileSource { path, format, columns, size_bytes, rows_estimate: None })?)
}

impl Catalog for TestCatalog {
    fn table<'a>(
        &self,
        name: &str,
        arena: &'a Arena,
    ) -> Result<Option<&'a FileSource<'a>>, CatalogError<'a>> {
        let Some(table) = TABLES.iter().find(|table| table.name == name) else { return Ok(None) };
        let path = arena.alloc_fmt(format_args!("{}.tbl", table.name))?;
        source(path, table.size_bytes, columns(table.columns, arena)?, arena).map(Some)
    }

    fn table_names(&self, visit: &mut dyn FnMut(&str)) {
        TABLES.iter().for_each(|table| visit(table.name));
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
        source(path, 50_000, columns, arena)
    }
}
