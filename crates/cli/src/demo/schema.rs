//! The columns of the tables that the queries read, and how they become tables of a connection.

use std::io;
use std::path::Path;

use cofferdam::{Connection, Type};

use super::TABLES;
use crate::args::Table;

const KEY: Type = Type::BigInt;
const INTEGER: Type = Type::Integer;
const MONEY: Type = Type::Decimal { precision: 15, scale: 2 };
const TEXT: Type = Type::Text;
const DATE: Type = Type::Date;

const CUSTOMER: &[(&str, Type)] = &[
    ("c_custkey", KEY),
    ("c_name", TEXT),
    ("c_address", TEXT),
    ("c_nationkey", INTEGER),
    ("c_phone", TEXT),
    ("c_acctbal", MONEY),
    ("c_mktsegment", TEXT),
    ("c_comment", TEXT),
];

const ORDERS: &[(&str, Type)] = &[
    ("o_orderkey", KEY),
    ("o_custkey", KEY),
    ("o_orderstatus", TEXT),
    ("o_totalprice", MONEY),
    ("o_orderdate", DATE),
    ("o_orderpriority", TEXT),
    ("o_clerk", TEXT),
    ("o_shippriority", INTEGER),
    ("o_comment", TEXT),
];

const LINEITEM: &[(&str, Type)] = &[
    ("l_orderkey", KEY),
    ("l_partkey", KEY),
    ("l_suppkey", KEY),
    ("l_linenumber", INTEGER),
    ("l_quantity", MONEY),
    ("l_extendedprice", MONEY),
    ("l_discount", MONEY),
    ("l_tax", MONEY),
    ("l_returnflag", TEXT),
    ("l_linestatus", TEXT),
    ("l_shipdate", DATE),
    ("l_commitdate", DATE),
    ("l_receiptdate", DATE),
    ("l_shipinstruct", TEXT),
    ("l_shipmode", TEXT),
    ("l_comment", TEXT),
];

/// Registers the files of `directory` as tables, and gives their size in bytes.
///
/// # Errors
/// A file is missing, or its path cannot be registered.
pub(super) fn register(connection: &mut Connection, directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for table in TABLES {
        let columns = match table {
            Table::Customer => CUSTOMER,
            Table::Orders => ORDERS,
            _ => LINEITEM,
        };
        let path = directory.join(format!("{}.tbl", table.name()));
        bytes += std::fs::metadata(&path)?.len();
        connection.register_file(table.name(), &path, Some(columns)).map_err(io::Error::other)?;
    }
    Ok(bytes)
}
