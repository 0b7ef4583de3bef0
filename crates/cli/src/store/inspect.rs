//! `cofferdam inspect`: what there is in a database, as tables or JSON.

use std::io;

use cofferdam::{Column, PropertiesError, Type, Value, ViewProperties};
use cofferdam_arena::Arena;
use cofferdam_store::{Error, Inspection, SegmentInfo, Table, TableId, Totals};

use super::{Out, Stopped, Tool, ended, output, run as run_tool, through};
use crate::args::{Inspect, Limits};
use crate::format::sheet::{Sheet, Sheets};
use crate::{FAILED, USAGE, complain, interrupt};

/// Shows what there is in a database. Gives the exit code.
///
/// # Errors
/// The output takes no more.
pub(crate) fn run(arguments: &Inspect, limits: Limits, show_memory: bool) -> io::Result<u8> {
    run_tool(limits, show_memory, &arguments.path, |tool| {
        let inspection = Inspection::open(&tool.vfs, &arguments.path, &tool.budget)?;
        let chosen = match &arguments.table {
            None => None,
            Some(name) => match find(&inspection, name) {
                Some(table) => Some(table),
                None => {
                    complain(format_args!("error[42P01]: there is no table `{name}`"));
                    return Ok(USAGE);
                }
            },
        };
        let sheets = Sheets::new(arguments.json, output());
        let mut view = View { tool, inspection: &inspection, chosen, sheets, has_failed: false };
        view.show(arguments)?;
        view.sheets.end()?;
        Ok(if view.has_failed { FAILED } else { 0 })
    })
}

/// The table of a name, or the index.
fn find(inspection: &Inspection, name: &str) -> Option<TableId> {
    let named = || inspection.tables().filter(|table| table.name() == name);
    let table = named().find(|table| table.parent().is_none());
    table.or_else(|| named().next()).map(Table::id)
}

type Fill<'f> = dyn FnMut(&mut Sheet<'_, '_, Out>) -> Result<(), Stopped> + 'f;

struct View<'v> {
    tool: &'v Tool,
    inspection: &'v Inspection,
    chosen: Option<TableId>,
    sheets: Sheets<Out>,
    /// Something could not be read.
    has_failed: bool,
}

/// A column of output that is a number.
const fn number(name: &str) -> Column<'_> {
    Column { name, ty: Type::BigInt }
}

/// One that is a text.
const fn text(name: &str) -> Column<'_> {
    Column { name, ty: Type::Text }
}

const fn flag(name: &str) -> Column<'_> {
    Column { name, ty: Type::Boolean }
}

fn count(count: u64) -> Value<'static> {
    Value::BigInt(i64::try_from(count).unwrap_or(i64::MAX))
}

fn optional(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Null, Value::Text)
}

impl View<'_> {
    fn show(&mut self, arguments: &Inspect) -> Result<(), Stopped> {
        if self.chosen.is_none() {
            self.database()?;
            self.files()?;
            self.logs()?;
        }
        self.tables()?;
        if self.chosen.is_some() {
            self.definition()?;
        }
        if self.chosen.is_some() || arguments.segments {
            self.levels()?;
        }
        if arguments.segments {
            self.segments()?;
            self.groups()?;
        }
        if arguments.columns {
            self.columns()?;
        }
        Ok(())
    }

    fn sheet(&mut self, title: &str, columns: &[Column<'_>], fill: &mut Fill<'_>) -> Result<(), Stopped> {
        self.sheets.sheet(title, columns, &self.tool.budget, fill)
    }

    fn database(&mut self) -> Result<(), Stopped> {
        let info = self.inspection.database();
        let sum = |of: fn(&Totals) -> u64| {
            self.inspection.tables().map(|table| of(&self.inspection.totals(table.id()))).sum::<u64>()
        };
        let (segments, bytes) = (sum(|totals| totals.segments_count), sum(|totals| totals.bytes));
        let manifest = info.manifest.to_string();
        let oldest = info.oldest_wal.map(|log| log.to_string());
        let identity = format!("{:016x}", info.identity);
        let columns = [
            number("format"),
            text("identity"),
            number("last sequence in segments"),
            text("manifest"),
            number("manifest bytes"),
            number("edits"),
            number("switches"),
            text("oldest log"),
            number("segments"),
            number("bytes"),
        ];
        let row = [
            count(info.format_version.into()),
            Value::Text(&identity),
            count(info.last_sequence),
            Value::Text(&manifest),
            count(info.manifest_bytes),
            count(info.edits_count),
            count(info.generation),
            optional(oldest.as_deref()),
            count(segments),
            count(bytes),
        ];
        self.sheet("database", &columns, &mut |sheet| Ok(sheet.row(&row)?))
    }

    fn files(&mut self) -> Result<(), Stopped> {
        let inspection = self.inspection;
        let columns = [text("file"), number("bytes"), flag("needed")];
        self.sheet("files", &columns, &mut |sheet| {
            let mut failure = None;
            let outcome = inspection.files(&mut |file| {
                let name = file.id.to_string();
                let row = [Value::Text(&name), count(file.bytes), Value::Boolean(file.is_needed)];
                through(&mut failure, sheet.row(&row))
            });
            ended(outcome, failure)
        })
    }

    fn logs(&mut self) -> Result<(), Stopped> {
        let inspection = self.inspection;
        let columns = [
            text("log"),
            number("bytes"),
            number("complete bytes"),
            number("transactions"),
            number("changes"),
            number("last sequence"),
            text("problem"),
        ];
        let mut has_failed = false;
        self.sheet("logs", &columns, &mut |sheet| {
            let mut failure = None;
            let outcome = inspection.logs(&mut |log| {
                let (name, problem) = (log.id.to_string(), log.problem.map(|problem| problem.to_string()));
                has_failed |= problem.is_some();
                let row = [
                    Value::Text(&name),
                    count(log.bytes),
                    count(log.end),
                    count(log.transactions_count),
                    count(log.entries_count),
                    count(log.last_sequence),
                    optional(problem.as_deref()),
                ];
                through(&mut failure, sheet.row(&row))
            });
            ended(outcome, failure)
        })?;
        self.has_failed |= has_failed;
        Ok(())
    }

    fn tables(&mut self) -> Result<(), Stopped> {
        let (inspection, tables) = (self.inspection, Chosen(self.chosen));
        let columns = [
            number("id"),
            text("name"),
            text("kind"),
            text("of"),
            number("columns"),
            text("key"),
            number("levels"),
            number("segments"),
            number("rows"),
            number("tombstones"),
            number("bytes"),
        ];
        self.sheet("tables", &columns, &mut |sheet| {
            for table in tables.of(inspection) {
                let of = table.parent().and_then(|parent| inspection.table(parent)).map(Table::name);
                let totals = inspection.totals(table.id());
                let key = if is_view(table) { String::new() } else { key_of(table) };
                let of_view = ViewProperties::columns_count(table.properties());
                let columns_count = of_view.unwrap_or(table.schema().columns.len());
                sheet.row(&[
                    count(table.id().0.into()),
                    Value::Text(table.name()),
                    Value::Text(kind_of(table)),
                    optional(of),
                    count(columns_count as u64),
                    Value::Text(&key),
                    count(inspection.levels(table.id()).count() as u64),
                    count(totals.segments_count),
                    count(totals.rows_count),
                    count(totals.tombstones_count),
                    count(totals.bytes),
                ])?;
            }
            Ok(())
        })
    }

    /// The columns of the table that was asked for.
    fn definition(&mut self) -> Result<(), Stopped> {
        let inspection = self.inspection;
        let Some(table) = self.chosen.and_then(|chosen| inspection.table(chosen)) else { return Ok(()) };
        if is_view(table) {
            return self.view_definition(table);
        }
        let columns = [number("column"), text("name"), text("type"), flag("null"), number("key part")];
        self.sheet("definition", &columns, &mut |sheet| {
            let schema = table.schema();
            for (place, column) in schema.columns.iter().enumerate() {
                let ty = column.ty.to_string();
                let part = schema.key.iter().position(|part| usize::from(part.column) == place);
                sheet.row(&[
                    count(place as u64 + 1),
                    Value::Text(column_name(table, place)),
                    Value::Text(&ty),
                    Value::Boolean(column.is_nullable),
                    part.map_or(Value::Null, |part| count(part as u64 + 1)),
                ])?;
            }
            Ok(())
        })
    }

    /// The columns of a view, and its query.
    fn view_definition(&mut self, table: &Table) -> Result<(), Stopped> {
        let arena = Arena::new(&self.tool.budget);
        let view = match ViewProperties::decode(table.properties(), &arena) {
            Ok(view) => view,
            Err(PropertiesError::OutOfMemory(error)) => return Err(Error::OutOfMemory(error).into()),
            Err(_) => {
                self.has_failed = true;
                complain(format_args!(
                    "error[XX001]: the definition of view `{}` cannot be read",
                    table.name()
                ));
                return Ok(());
            }
        };
        let columns = [number("column"), text("name"), text("type")];
        self.sheet("definition", &columns, &mut |sheet| {
            for (place, column) in view.columns.iter().enumerate() {
                let (name, ty) = (Value::Text(column.name), Value::Text(column.type_name));
                sheet.row(&[count(place as u64 + 1), name, ty])?;
            }
            Ok(())
        })?;
        self.sheet("query", &[text("query")], &mut |sheet| Ok(sheet.row(&[Value::Text(view.query)])?))
    }

    fn levels(&mut self) -> Result<(), Stopped> {
        let columns = [
            text("table"),
            number("level"),
            number("segments"),
            number("rows"),
            number("tombstones"),
            number("bytes"),
        ];
        let (inspection, tables) = (self.inspection, Chosen(self.chosen));
        self.sheet("levels", &columns, &mut |sheet| {
            for table in tables.of(inspection) {
                for (level, totals) in inspection.levels(table.id()) {
                    sheet.row(&[
                        Value::Text(table.name()),
                        count(level.into()),
                        count(totals.segments_count),
                        count(totals.rows_count),
                        count(totals.tombstones_count),
                        count(totals.bytes),
                    ])?;
                }
            }
            Ok(())
        })
    }

    /// Gives each segment that is shown to `visit`; one that cannot be read is told, and the others follow.
    fn each_segment(
        inspection: &Inspection,
        chosen: Chosen,
        mut visit: impl FnMut(&Table, &SegmentInfo) -> Result<(), Stopped>,
    ) -> Result<bool, Stopped> {
        let mut has_failed = false;
        for table in chosen.of(inspection) {
            for segment in inspection.segments(table.id()) {
                interrupt::check().map_err(|_| Error::Cancelled)?;
                match visit(table, &segment) {
                    Err(Stopped::Store(error))
                        if matches!(*error, Error::Corrupt(_) | Error::Unsupported(_) | Error::Io(_)) =>
                    {
                        has_failed = true;
                        complain(format_args!("error[{}]: {error}", error.sqlstate()));
                    }
                    outcome => outcome?,
                }
            }
        }
        Ok(has_failed)
    }

    fn segments(&mut self) -> Result<(), Stopped> {
        let columns = [
            text("table"),
            number("level"),
            text("file"),
            number("byte"),
            number("bytes"),
            number("rows"),
            number("tombstones"),
            number("first sequence"),
            number("last sequence"),
            text("first key"),
            text("last key"),
        ];
        let (inspection, tables, mut has_failed) = (self.inspection, Chosen(self.chosen), false);
        self.sheet("segments", &columns, &mut |sheet| {
            has_failed = View::each_segment(inspection, tables, |table, segment| {
                let (first, last) = inspection.open_segment(segment)?.keys()?;
                let file = segment.file.to_string();
                sheet.row(&[
                    Value::Text(table.name()),
                    count(segment.level.into()),
                    Value::Text(&file),
                    count(segment.start),
                    count(segment.bytes),
                    count(segment.rows_count),
                    count(segment.tombstones_count),
                    count(segment.sequence_min),
                    count(segment.sequence_max),
                    Value::Text(first.as_str()),
                    Value::Text(last.as_str()),
                ])?;
                Ok(())
            })?;
            Ok(())
        })?;
        self.has_failed |= has_failed;
        Ok(())
    }

    fn groups(&mut self) -> Result<(), Stopped> {
        let columns = [
            text("table"),
            text("file"),
            number("byte"),
            number("first row"),
            number("rows"),
            number("pages of a column"),
            number("filter bytes"),
        ];
        let (inspection, tables, mut has_failed) = (self.inspection, Chosen(self.chosen), false);
        self.sheet("row groups", &columns, &mut |sheet| {
            has_failed = View::each_segment(inspection, tables, |table, segment| {
                let (file, mut failure) = (segment.file.to_string(), None);
                let outcome = inspection.open_segment(segment)?.groups(&mut |group| {
                    let row = [
                        Value::Text(table.name()),
                        Value::Text(&file),
                        count(segment.start),
                        count(group.first_row),
                        count(group.rows_count.into()),
                        count(group.ranges_count.into()),
                        count(group.filter_bytes),
                    ];
                    through(&mut failure, sheet.row(&row))
                });
                ended(outcome, failure)
            })?;
            Ok(())
        })?;
        self.has_failed |= has_failed;
        Ok(())
    }

    fn columns(&mut self) -> Result<(), Stopped> {
        let columns = [
            text("table"),
            text("file"),
            number("byte"),
            text("column"),
            text("type"),
            number("pages"),
            number("bytes"),
            number("nulls"),
            text("encodings"),
            text("min"),
            text("max"),
        ];
        let (inspection, tables, mut has_failed) = (self.inspection, Chosen(self.chosen), false);
        self.sheet("columns", &columns, &mut |sheet| {
            has_failed = View::each_segment(inspection, tables, |table, segment| {
                let (file, mut failure) = (segment.file.to_string(), None);
                let outcome = inspection.open_segment(segment)?.columns(&mut |column| {
                    let (ty, encodings) = (column.ty.to_string(), column.encodings.to_string());
                    let row = [
                        Value::Text(table.name()),
                        Value::Text(&file),
                        count(segment.start),
                        Value::Text(column_name(table, column.column.into())),
                        Value::Text(&ty),
                        count(column.pages_count.into()),
                        count(column.bytes),
                        count(column.nulls_count),
                        Value::Text(&encodings),
                        optional(column.min.as_ref().map(|text| text.as_str())),
                        optional(column.max.as_ref().map(|text| text.as_str())),
                    ];
                    through(&mut failure, sheet.row(&row))
                });
                ended(outcome, failure)
            })?;
            Ok(())
        })?;
        self.has_failed |= has_failed;
        Ok(())
    }
}

/// The tables that are shown: all, or one with its indexes.
#[derive(Clone, Copy)]
struct Chosen(Option<TableId>);

impl Chosen {
    fn of(self, inspection: &Inspection) -> impl Iterator<Item = &Table> {
        inspection.tables().filter(move |table| {
            self.0.is_none_or(|chosen| table.id() == chosen || table.parent() == Some(chosen))
        })
    }
}

fn kind_of(table: &Table) -> &'static str {
    match (table.parent(), table.is_unique()) {
        (None, _) if is_view(table) => "view",
        (None, _) => "table",
        (Some(_), false) => "index",
        (Some(_), true) => "unique index",
    }
}

/// Whether what the store has as a table is a view.
fn is_view(table: &Table) -> bool {
    ViewProperties::are_of_view(table.properties())
}

/// The columns of the key, with those that descend.
fn key_of(table: &Table) -> String {
    let mut text = String::new();
    for (place, part) in table.key().iter().enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        let direction = if part.order.descending { " desc" } else { "" };
        text = text + separator + column_name(table, part.column.into()) + direction;
    }
    text
}

fn column_name(table: &Table, column: usize) -> &str {
    match table.column_name(column) {
        "" => "(row id)",
        name => name,
    }
}
