//! Binds `COPY table FROM 'file'`: a scan of the file, with the columns that it is for, below the table's rules; and `COPY … TO`, a query
//! and the form of what it gives.
//!
//! **Formats.** Without `FORMAT` the name of the file decides: `.tbl` has bars between fields and at the end of each row,
//! `.csv` is the format csv, and everything else PostgreSQL's format text, which is its default too. Nothing is sniffed:
//! what is not said has PostgreSQL's default, so a file that has a header needs `HEADER`.

use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::Statement;
use cofferdam_sql::views::forms::{Copy as CopyForm, CopyOption, ObjectName, OldCopyOption};
use cofferdam_sql::{Node, NodeKind};
use cofferdam_types::Type;

use super::Binder;
use super::define::is_view;
use super::from::undefined_table;
use super::insert::{InsertTarget, plain_name};
use super::query::{Bound, BoundColumn, columns_from};
use super::scope::Scope;
use crate::Span;
use crate::catalog::{Catalog, FileRequest};
use crate::error::{CopyProblem, DefinitionProblem, Error, NameProblem};
use crate::expr::Column;
use crate::logical::{LogicalKind, LogicalPlan};
use crate::parameter::Parameters;
use crate::physical::{CopyTarget, CsvFormat, FieldRules, FileFormat};
use crate::table::TableSource;
use cofferdam_arena::Arena;

/// What the options of a `COPY` say.
#[derive(Clone, Copy, Debug, Default)]
struct Options<'q> {
    format: Option<(Format, Span)>,
    delimiter: Option<(&'q str, Span)>,
    null: Option<(&'q str, Span)>,
    quote: Option<(&'q str, Span)>,
    escape: Option<(&'q str, Span)>,
    header: Option<(bool, Span)>,
    encoding: Option<Span>,
}

/// The formats of `COPY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Csv,
    /// Of files whose name says so.
    Tbl,
}

impl<'a, 'c> Binder<'_, 'a, 'c> {
    /// The logical plan of the rows that a `COPY … FROM` puts into a table, and the table.
    ///
    /// # Errors
    /// Whatever is wrong with the statement; 0A000 for `COPY … TO` and what reads no file.
    pub(crate) fn bind_copy<'q: 'a>(
        copy: CopyForm<'q>,
        catalog: &'c dyn Catalog,
        arena: &'a Arena,
    ) -> Result<(LogicalPlan<'a>, InsertTarget<'a>), Error<'a>> {
        let span = copy.form().span();
        let unsupported = |what| Err(Error::NotSupported { what, span });
        if copy.to() || !copy.from() {
            return unsupported("EXPLAIN of COPY TO");
        }
        if copy.binary() {
            return unsupported("COPY BINARY");
        }
        if copy.program() {
            return unsupported("COPY FROM PROGRAM");
        }
        let (Some(path), Some(table)) = (copy.file(), copy.table()) else {
            return unsupported("COPY FROM STDIN");
        };
        let names = copy.form().node().children().filter_map(name_list).flat_map(|list| list.children());
        let names = names.map(|name| (name.name(), name.span()));
        let target = InsertTarget::of_copy(table, names, catalog, arena)?;
        let options = read_options(copy)?;
        let (format, rules) = options.format_of(path)?;
        let scratch = Arena::new(arena.budget());
        let mut binder = Binder::new(catalog, Parameters::NONE, arena, &scratch);
        let bound = binder.push_file(path, FileFormat::Csv(format), rules, &target, span)?;
        let bound = binder.push_target(bound, &target)?;
        let bound = binder.bind_copy_filter(bound, copy, &target)?;
        Ok((binder.finish(bound)?, target))
    }

    /// The logical plan of the rows that a `COPY … TO` writes, and how they are written.
    ///
    /// # Errors
    /// Whatever is wrong with the statement; 42809 for a view, 0A000 for what is written nowhere.
    pub(crate) fn bind_copy_to<'q: 'a>(
        copy: CopyForm<'q>,
        catalog: &'c dyn Catalog,
        arena: &'a Arena,
    ) -> Result<(LogicalPlan<'a>, CopyTarget<'a>), Error<'a>> {
        let span = copy.form().span();
        let unsupported = |what| Err(Error::NotSupported { what, span });
        if copy.binary() {
            return unsupported("COPY BINARY");
        }
        if copy.program() {
            return unsupported("COPY TO PROGRAM");
        }
        // Standard output, by whichever name: PostgreSQL takes STDIN for it too.
        let path = copy.file();
        let options = read_options(copy)?;
        if path.is_some_and(|path| options.format.is_none() && format_by_name(path) == Format::Tbl) {
            return unsupported("COPY TO a .tbl file without a FORMAT");
        }
        let (csv, rules) = options.format_of(path.unwrap_or_default())?;
        let target = CopyTarget { path, csv, null: rules.null, span };
        let scratch = Arena::new(arena.budget());
        let mut binder = Binder::new(catalog, Parameters::NONE, arena, &scratch);
        let bound = match (copy.table(), copy.statement()) {
            (Some(table), _) => binder.bind_copied_table(table, copy)?,
            (None, Some(Statement::Query(query))) => {
                let bound = binder.bind_query(query)?;
                binder.settle(bound)?
            }
            (None, _) => return unsupported("COPY of a statement that is no query"),
        };
        Ok((binder.finish(bound)?, target))
    }

    /// The columns of a table that are written.
    fn bind_copied_table<'q: 'a>(
        &mut self,
        object: ObjectName<'q>,
        copy: CopyForm<'q>,
    ) -> Result<Bound<'a>, Error<'a>> {
        let (name, span) = (plain_name(object)?, object.span());
        let table = self.catalog.table(name, self.arena).map_err(|error| Error::from_catalog(error, span))?;
        let Some(source) = table else {
            if is_view(name, self.catalog, self.arena, span)? {
                let problem = DefinitionProblem::CopyOfView;
                return Err(Error::Definition { problem, name, table: name, span });
            }
            return Err(undefined_table(self.catalog, self.arena, NameProblem::UndefinedTable, name, span));
        };
        let first = self.plan.columns_like(source.columns())?;
        let all = columns_from(source.columns(), first, span, self.arena)?;
        let node = self.plan.push(LogicalKind::Scan { source, alias: name, first, conjuncts: &[] })?;
        let mut columns: Vec<'a, BoundColumn<'a>> = Vec::new_in(self.arena);
        for given in copy.form().node().children().filter_map(name_list).flat_map(|list| list.children()) {
            let (wanted, span) = (given.name(), given.span());
            let Some(column) = all.iter().find(|column| column.name == wanted) else {
                let (problem, qualifier, suggestion) = (NameProblem::NoSuchTarget, Some(name), None);
                return Err(Error::Name { problem, name: wanted, qualifier, suggestion, span });
            };
            if columns.iter().any(|known| known.id == column.id) {
                let problem = DefinitionProblem::ColumnTwice;
                return Err(Error::Definition { problem, name: wanted, table: name, span });
            }
            columns.push(*column)?;
        }
        let columns = if columns.is_empty() { all } else { columns.into_slice() };
        Ok(Bound { node, columns })
    }

    /// A scan of the file, whose fields are the columns that it is for.
    fn push_file<'q: 'a>(
        &mut self,
        path: &'q str,
        format: FileFormat,
        rules: FieldRules<'q>,
        target: &InsertTarget<'a>,
        span: Span,
    ) -> Result<Bound<'a>, Error<'a>> {
        let given = target.given_columns();
        let mut columns: Vec<'a, Column<'a>> = Vec::with_capacity_in(given.len(), self.arena)?;
        for column in given {
            columns.push(target.table.columns[column as usize])?;
        }
        let columns: &'a [Column<'a>] = columns.into_slice();
        let request = FileRequest { path, columns: Some(columns), format: Some((format, rules)), span };
        let file =
            self.catalog.file(request, self.arena).map_err(|error| Error::from_catalog(error, span))?;
        let source = TableSource::File(file);
        let first = self.plan.columns_like(columns)?;
        let kind = LogicalKind::Scan { source, alias: target.table.name, first, conjuncts: &[] };
        let node = self.plan.push(kind)?;
        Ok(Bound { node, columns: columns_from(columns, first, span, self.arena)? })
    }

    /// `WHERE`: over the columns of the table, those with defaults among them.
    fn bind_copy_filter<'q: 'a>(
        &mut self,
        bound: Bound<'a>,
        copy: CopyForm<'q>,
        target: &InsertTarget<'a>,
    ) -> Result<Bound<'a>, Error<'a>> {
        let Some(condition) = copy.condition() else { return Ok(bound) };
        let scratch = Arena::new(self.arena.budget());
        let mut scope = Scope::new_in(&scratch);
        let numbered = bound.columns.iter().zip(target.table.columns);
        let numbered = numbered.map(|(made, column)| (made.id, *column));
        scope.add_relation(target.table.name, numbered, condition.span())?;
        let clause = "COPY FROM WHERE conditions";
        let condition = Binder::bind_alone(self.arena, &scratch, scope, clause, condition, Parameters::NONE)?;
        let condition = self.build().coerce(condition, Type::Boolean, "WHERE")?;
        let node = self.push_filter(bound.node, condition)?;
        Ok(Bound { node, ..bound })
    }
}

/// The node, if it is a list of names: the columns.
fn name_list<'q>(node: &'q Node<'q>) -> Option<&'q Node<'q>> {
    let is_name = |child: &Node<'_>| child.kind() == NodeKind::Name;
    (node.kind() == NodeKind::List && node.first_child().is_some_and(is_name)).then_some(node)
}

fn problem<'a>(problem: CopyProblem, name: &'a str, span: Span) -> Error<'a> {
    Error::CopyOption { problem, name, span }
}

fn read_options<'a, 'q: 'a>(copy: CopyForm<'q>) -> Result<Options<'q>, Error<'a>> {
    let mut options = Options::default();
    if let Some(delimiters) = copy.delimiters() {
        options.delimiter = Some((delimiters, copy.form().span()));
    }
    copy.options().try_for_each(|option| options.read(option))?;
    copy.old_options().try_for_each(|option| options.read_old(option))?;
    Ok(options)
}

/// Keeps the value of an option.
fn set<'a, T>(slot: &mut Option<T>, value: T, span: Span) -> Result<(), Error<'a>> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(problem(CopyProblem::Redundant, "", span)),
    }
}

impl<'q> Options<'q> {
    fn read<'a>(&mut self, option: CopyOption<'q>) -> Result<(), Error<'a>>
    where
        'q: 'a,
    {
        let (name, span) = (option.name().unwrap_or_default(), option.form().span());
        let value = option.value();
        let text = || value.map(|value| (value.text, span)).ok_or(problem(CopyProblem::Value, name, span));
        match name {
            "format" => {
                let (format, _) = text()?;
                set(&mut self.format, (format_named(format, span)?, span), span)
            }
            "delimiter" => set(&mut self.delimiter, text()?, span),
            "null" => set(&mut self.null, text()?, span),
            "quote" => set(&mut self.quote, text()?, span),
            "escape" => set(&mut self.escape, text()?, span),
            "header" => {
                if value.is_some_and(|value| value.text.eq_ignore_ascii_case("match")) {
                    return Err(Error::NotSupported { what: "HEADER MATCH", span });
                }
                let header = value.map_or(Some(true), |value| value.is_on());
                let header = header.ok_or(problem(CopyProblem::Value, name, span))?;
                set(&mut self.header, (header, span), span)
            }
            "encoding" => {
                let (encoding, _) = text()?;
                self.encoding(encoding, span)
            }
            "freeze" => match value.map_or(Some(true), |value| value.is_on()) {
                Some(false) => Ok(()),
                _ => Err(Error::NotSupported { what: "COPY FREEZE", span }),
            },
            "force_quote" | "force_not_null" | "force_null" | "default" | "on_error" | "log_verbosity"
            | "reject_limit" => Err(Error::NotSupported { what: "this option of COPY", span }),
            _ => Err(problem(CopyProblem::Unknown, name, span)),
        }
    }

    /// An option as it was written before there were parentheses.
    fn read_old<'a>(&mut self, option: OldCopyOption<'q>) -> Result<(), Error<'a>>
    where
        'q: 'a,
    {
        let span = option.form().span();
        let value = (option.value().unwrap_or_default(), span);
        if option.csv() {
            set(&mut self.format, (Format::Csv, span), span)
        } else if option.header() {
            set(&mut self.header, (true, span), span)
        } else if option.delimiter() {
            set(&mut self.delimiter, value, span)
        } else if option.encoding() {
            self.encoding(value.0, span)
        } else if option.force() || option.freeze() || option.binary() {
            Err(Error::NotSupported { what: "this option of COPY", span })
        } else if option.null() {
            set(&mut self.null, value, span)
        } else if option.quote() {
            set(&mut self.quote, value, span)
        } else {
            set(&mut self.escape, value, span)
        }
    }

    fn encoding<'a>(&mut self, name: &str, span: Span) -> Result<(), Error<'a>> {
        let is_utf8 = ["utf8", "utf-8", "unicode"].iter().any(|known| known.eq_ignore_ascii_case(name));
        match is_utf8 {
            true => set(&mut self.encoding, span, span),
            false => Err(Error::NotSupported { what: "an encoding other than UTF-8", span }),
        }
    }

    /// How a file of this name is written, and how its fields become values.
    fn format_of<'a>(&self, path: &str) -> Result<(CsvFormat, FieldRules<'q>), Error<'a>>
    where
        'q: 'a,
    {
        let format = self.format.map_or_else(|| format_by_name(path), |(format, _)| format);
        let (mut csv, null) = match format {
            Format::Text => (CsvFormat::TEXT, "\\N"),
            Format::Csv => (CsvFormat::CSV, ""),
            Format::Tbl => (CsvFormat::TBL, ""),
        };
        if let Some((delimiter, span)) = self.delimiter {
            csv.delimiter = one_byte("delimiter", delimiter, span)?;
            if format == Format::Text && delimiter.bytes().all(is_no_delimiter) {
                return Err(problem(CopyProblem::Delimiter, delimiter, span));
            }
        }
        for (name, given) in [("quote", self.quote), ("escape", self.escape)] {
            let Some((_, span)) = given.filter(|_| format != Format::Csv) else { continue };
            return Err(problem(CopyProblem::CsvOnly, name, span));
        }
        if let Some((quote, span)) = self.quote {
            csv.quote = Some(one_byte("quote", quote, span)?);
            if csv.quote == Some(csv.delimiter) {
                return Err(problem(CopyProblem::SameByte, quote, span));
            }
        }
        if let Some((escape, span)) = self.escape {
            let escape = one_byte("escape", escape, span)?;
            if csv.quote != Some(escape) {
                let what = "an escape character other than the quote";
                return Err(Error::NotSupported { what, span });
            }
        }
        csv.header = self.header.is_some_and(|(header, _)| header);
        let null = self.null.map_or(Ok(null), |(null, span)| checked_null(null, csv, span))?;
        Ok((csv, FieldRules { null, is_assigned: true }))
    }
}

fn format_named<'a>(name: &'a str, span: Span) -> Result<Format, Error<'a>> {
    match name {
        _ if name.eq_ignore_ascii_case("csv") => Ok(Format::Csv),
        _ if name.eq_ignore_ascii_case("text") => Ok(Format::Text),
        _ if name.eq_ignore_ascii_case("binary") => Err(Error::NotSupported { what: "COPY BINARY", span }),
        _ => Err(problem(CopyProblem::Format, name, span)),
    }
}

fn format_by_name(path: &str) -> Format {
    match path.rsplit_once('.') {
        Some((_, extension)) if extension.eq_ignore_ascii_case("tbl") => Format::Tbl,
        Some((_, extension)) if extension.eq_ignore_ascii_case("csv") => Format::Csv,
        _ => Format::Text,
    }
}

/// The one byte of a delimiter or quote.
fn one_byte<'a>(name: &'static str, text: &str, span: Span) -> Result<u8, Error<'a>> {
    match *text.as_bytes() {
        [b'\n' | b'\r'] => Err(problem(CopyProblem::LineEnd, name, span)),
        [byte] => Ok(byte),
        _ => Err(problem(CopyProblem::OneByte, name, span)),
    }
}

/// What PostgreSQL does not take for a delimiter in the format text, since it means something behind a backslash.
fn is_no_delimiter(byte: u8) -> bool {
    matches!(byte, b'\\' | b'.' | b'a'..=b'z' | b'0'..=b'9')
}

/// The text for NULL, if no field could be taken for it by mistake.
fn checked_null<'a, 'q: 'a>(null: &'q str, csv: CsvFormat, span: Span) -> Result<&'q str, Error<'a>> {
    let has = |byte: u8| null.as_bytes().contains(&byte);
    if has(b'\n') || has(b'\r') {
        return Err(problem(CopyProblem::LineEnd, "null", span));
    }
    if has(csv.delimiter) {
        return Err(problem(CopyProblem::InNull, "delimiter", span));
    }
    if csv.quote.is_some_and(has) {
        return Err(problem(CopyProblem::InNull, "quote", span));
    }
    Ok(null)
}
