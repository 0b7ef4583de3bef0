//! The pages that list what there is are those of the tables.
//!
//! `UPDATE_GOLDEN=1` writes the part of `docs/COMPATIBILITY.md` between its marks anew.

use cofferdam_functions::{
    AggregateForm, Category, EngineTable, Function, Param, Returns, Signature, aggregates, functions,
    operators, table_functions, windows,
};
use cofferdam_types::Type;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- functions: begin (written by crates/functions/tests/it/docs.rs) -->";
const END: &str = "<!-- functions: end -->";

fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Double => "double",
        Type::Timestamp => "timestamp",
        Type::TimestampTz => "timestamptz",
        Type::Time => "time",
        other => other.name(),
    }
}

fn param_name(param: Param) -> &'static str {
    match param {
        Param::Is(ty) => type_name(ty),
        Param::Any => "any",
        Param::AnyElement => "anyelement",
        Param::AnyNonArray => "anynonarray",
        Param::AnyArray => "anyarray",
        Param::AnyCompatible => "anycompatible",
        Param::AnyCompatibleArray => "anycompatiblearray",
    }
}

fn result_name(signature: &Signature) -> &'static str {
    match signature.returns() {
        Returns::Is(ty) => type_name(ty),
        Returns::AnyElement => "anyelement",
        Returns::AnyArray => "anyarray",
        Returns::AnyCompatible => "anycompatible",
        Returns::AnyCompatibleArray => "anycompatiblearray",
        Returns::First | Returns::FirstWhole => {
            signature.params().first().map_or("", |param| param_name(*param))
        }
    }
}

/// `text [, integer]`, with `…` behind what may be repeated.
fn params(signature: &Signature) -> String {
    let mut shown = String::new();
    let needed = signature.params().len() - signature.optional_count();
    for (index, param) in signature.params().iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let bracket = if index >= needed { "[" } else { "" };
        let repeated =
            if signature.is_variadic() && index + 1 == signature.params().len() { " …" } else { "" };
        write!(shown, "{bracket}{comma}{}{repeated}", param_name(*param)).unwrap();
    }
    shown + &"]".repeat(signature.optional_count())
}

/// A line for each group of overloads that do the same.
fn lines(entries: &[(String, String, &'static str)], page: &mut String) {
    let mut rest = entries;
    while let Some(((call, result, about), _)) = rest.split_first() {
        let same = rest.iter().take_while(|(_, _, other)| other == about).count();
        let mut calls: Vec<String> = Vec::new();
        for (call, result, _) in &rest[..same] {
            let shown = format!("`{call}` → {result}");
            if !calls.contains(&shown) {
                calls.push(shown);
            }
        }
        debug_assert!(!call.is_empty() && !result.is_empty());
        // Bars would end a cell.
        let calls = calls.join("<br>").replace('|', "\\|");
        writeln!(page, "| {calls} | {} |", about.replace('|', "\\|")).unwrap();
        rest = &rest[same..];
    }
}

fn head(title: &str, page: &mut String) {
    write!(page, "\n### {title}\n\n| call | gives |\n|---|---|\n").unwrap();
}

fn call(function: &Function) -> (String, String, &'static str) {
    let signature = function.signature();
    let call = format!("{}({})", signature.name(), params(signature));
    (call, result_name(signature).to_string(), signature.about())
}

fn operation(function: &Function) -> (String, String, &'static str) {
    let signature = function.signature();
    let call = match signature.params() {
        [left, right] => format!("{} {} {}", param_name(*left), signature.name(), param_name(*right)),
        params => format!("{} {}", signature.name(), params.first().map_or("", |param| param_name(*param))),
    };
    (call, result_name(signature).to_string(), signature.about())
}

fn page() -> String {
    let mut page = String::from(
        "\n## Functions and operators\n\nArguments in brackets may be left out; `…` may be repeated. Names and behaviour are PostgreSQL's; \
         comparisons, `AND`, `OR`, `NOT`, `LIKE`, `CASE`, `COALESCE`, `NULLIF`, `GREATEST` and `LEAST` are part of the language and not \
         listed.\n",
    );
    let categories = [
        (Category::Math, "Numbers"),
        (Category::Text, "Texts"),
        (Category::Pattern, "Regular expressions"),
        (Category::Binary, "Byte strings"),
        (Category::Datetime, "Dates and times"),
        (Category::Format, "Templates"),
        (Category::Array, "Arrays"),
        (Category::Json, "JSON"),
        (Category::Misc, "Session, identifiers, arguments"),
    ];
    for (category, title) in categories {
        head(title, &mut page);
        let mut entries: Vec<_> = functions().filter(|entry| entry.category() == category).collect();
        entries.sort_by_key(|entry| entry.name());
        lines(&entries.into_iter().map(call).collect::<Vec<_>>(), &mut page);
        let mut entries: Vec<_> = operators().filter(|entry| entry.category() == category).collect();
        entries.sort_by_key(|entry| entry.name());
        lines(&entries.into_iter().map(operation).collect::<Vec<_>>(), &mut page);
    }
    head("Functions that give rows, in FROM", &mut page);
    let entries: Vec<_> = table_functions()
        .map(|entry| {
            let signature = entry.signature();
            let columns = entry.column_names().collect::<Vec<_>>().join(", ");
            (format!("{}({})", signature.name(), params(signature)), columns, signature.about())
        })
        .collect();
    lines(&entries, &mut page);
    head("Functions in FROM whose rows the engine gives", &mut page);
    let entries: Vec<_> = EngineTable::ALL
        .iter()
        .map(|table| {
            let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
            (format!("{}()", table.name()), names.join(", "), table.about())
        })
        .collect();
    lines(&entries, &mut page);
    head("Aggregates", &mut page);
    let entries: Vec<_> = aggregates()
        .map(|entry| {
            let signature = entry.signature();
            let shown = params(signature);
            let call = match entry.form() {
                AggregateForm::Plain if signature.params().is_empty() => format!("{}(*)", signature.name()),
                AggregateForm::Plain => format!("{}({shown})", signature.name()),
                AggregateForm::Ordered { direct } => {
                    let names: Vec<_> = signature.params().iter().map(|param| param_name(*param)).collect();
                    let (direct, ordered) = names.split_at(usize::from(direct));
                    let (name, direct) = (signature.name(), direct.join(", "));
                    format!("{name}({direct}) within group (order by {})", ordered.join(", "))
                }
                AggregateForm::Hypothetical => {
                    format!("{}({shown}) within group (order by {shown})", signature.name())
                }
            };
            (call, result_name(signature).to_string(), signature.about())
        })
        .collect();
    lines(&entries, &mut page);
    head("Window functions", &mut page);
    let entries: Vec<_> = windows()
        .map(|entry| {
            let signature = entry.signature();
            let call = format!("{}({})", signature.name(), params(signature));
            (call, result_name(signature).to_string(), signature.about())
        })
        .collect();
    lines(&entries, &mut page);
    page.push('\n');
    page
}

#[test]
fn documentation_lists_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/COMPATIBILITY.md");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let (before, rest) = text.split_once(BEGIN).unwrap_or((&text, ""));
    let (listed, after) = rest.split_once(END).unwrap_or(("", "\n"));
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let before = if before.is_empty() { "# Compatibility with PostgreSQL\n\n" } else { before };
        fs::write(&path, format!("{before}{BEGIN}{page}{END}{after}")).unwrap();
        return;
    }
    assert!(listed == page, "docs/COMPATIBILITY.md is not that of the tables: run with UPDATE_GOLDEN=1");
}
