//! What the engine tells of itself: the rows of `cofferdam_memory()`, `cofferdam_plan_cache()`, `cofferdam_settings()`, `cofferdam_temporary_files()` and, of
//! `cofferdam_tables()`, the files that are registered as tables.
//!
//! Rows are handed on one by one and nothing is kept here; the scan that asks for them pays for what it keeps.

use std::fmt::Write as _;

use cofferdam_arena::{AllocError, Arena, InlineText};
use cofferdam_exec::EngineRows;
use cofferdam_plan::table::EngineTable;
use cofferdam_types::Value;

use crate::connection::Connection;
use crate::settings;

/// Takes a row.
type Put<'p> = &'p mut dyn FnMut(&[Value<'_>]) -> Result<(), AllocError>;

impl EngineRows for Connection {
    fn rows(&self, table: EngineTable, scratch: &Arena, put: Put<'_>) -> Result<(), AllocError> {
        match table {
            EngineTable::Memory => memory(self, put),
            EngineTable::PlanCache => plan_cache(self, put),
            EngineTable::Settings => settings(self, scratch, put),
            EngineTable::TemporaryFiles => temporary_files(self, put),
            EngineTable::Tables => files(self, put),
        }
    }
}

fn whole(count: u64) -> Value<'static> {
    Value::BigInt(i64::try_from(count).unwrap_or(i64::MAX))
}

fn small(count: usize) -> Value<'static> {
    Value::Integer(i32::try_from(count).unwrap_or(i32::MAX))
}

/// The budgets from the database's limit on.
fn memory(connection: &Connection, put: Put<'_>) -> Result<(), AllocError> {
    connection.database().budget().walk().try_for_each(|stats| {
        let mut pressure: InlineText<16> = InlineText::EMPTY;
        // Every word fits.
        let _ = write!(pressure, "{}", stats.pressure);
        put(&[
            Value::Text(stats.path.as_str()),
            Value::Text(stats.name.as_str()),
            small(stats.depth as usize),
            stats.limit_bytes.map_or(Value::Null, whole),
            whole(stats.used_bytes),
            whole(stats.own_bytes),
            whole(stats.peak_bytes),
            Value::Text(pressure.as_str()),
        ])
    })
}

fn plan_cache(connection: &Connection, put: Put<'_>) -> Result<(), AllocError> {
    let counts = connection.database().plan_cache_counts();
    put(&[
        whole(counts.plans_count),
        whole(counts.bytes),
        whole(counts.hits_count),
        whole(counts.misses_count),
    ])
}

fn settings(connection: &Connection, scratch: &Arena, put: Put<'_>) -> Result<(), AllocError> {
    settings::ALL.into_iter().try_for_each(|setting| {
        put(&[
            Value::Text(setting.name()),
            Value::Text(setting.shown(connection, scratch)?),
            Value::Text(setting.default_shown(connection, scratch)?),
            Some(setting.unit()).filter(|unit| !unit.is_empty()).map_or(Value::Null, Value::Text),
            Value::Text(setting.scope()),
            Value::Text(setting.description()),
        ])
    })
}

fn temporary_files(connection: &Connection, put: Put<'_>) -> Result<(), AllocError> {
    let mut outcome = Ok(());
    connection.database().for_each_temporary_file(|file| {
        if outcome.is_ok() {
            outcome = put(&[Value::Text(file.name), whole(file.bytes), Value::Text(file.owner)]);
        }
    });
    outcome
}

fn files(connection: &Connection, put: Put<'_>) -> Result<(), AllocError> {
    connection.tables().for_each(|name, path, columns_count| {
        let bytes = std::fs::metadata(path).map_or(Value::Null, |file| whole(file.len()));
        put(&[
            Value::Text(name),
            Value::Text("file"),
            Value::Null,
            columns_count.map_or(Value::Null, small),
            Value::Null,
            bytes,
            Value::Integer(0),
        ])
    })
}
