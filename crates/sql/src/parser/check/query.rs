//! What PostgreSQL's grammar refuses of windows and of tables out of documents although its rules let it through.

use crate::Keyword;
use crate::error::Mistake;
use crate::node::{NodeKind, NodeRef, flag};
use crate::parser::{Form, Parsed, Parser};
use crate::views::forms::{FormRef, JsonTable, WindowBound, WindowFrame, XmlColumnOption};
use Keyword as K;

impl<'a> Parser<'a, '_> {
    /// Checks a form of a query that is complete.
    pub(super) fn check_query_form(&mut self, form: Form, node: NodeRef<'a>) -> Parsed<()> {
        let wrong = match form {
            Form::WindowFrame => WindowFrame::of(node).and_then(wrong_bound),
            Form::XmlTableColumn => wrong_option(node),
            Form::WindowBound => {
                enclose_words(node);
                None
            }
            Form::JsonTable => JsonTable::of(node).and_then(wrong_path),
            _ => None,
        };
        match wrong {
            Some((mistake, part)) => Err(self.mistake(mistake, part.span(), None)),
            None => Ok(()),
        }
    }
}

/// A column whose name would be a word of the bound stands in parentheses, as it must have been.
fn enclose_words(bound: NodeRef<'_>) {
    if let Some(column) = bound.child_of_kind(NodeKind::Column)
        && column.qualifier().is_none()
        && matches!(column.name(), "unbounded" | "current")
    {
        column.set(flag::PARENS);
    }
}

/// Where a bound lies, in the order of the rows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Beginning,
    Before,
    Row,
    After,
    End,
}

fn place(bound: FormRef<'_>) -> Place {
    match (bound.says(K::Unbounded), bound.says(K::Preceding)) {
        _ if bound.says(K::Current) => Place::Row,
        (true, true) => Place::Beginning,
        (true, false) => Place::End,
        (false, true) => Place::Before,
        (false, false) => Place::After,
    }
}

/// The bound of a frame that cannot stand where it stands.
fn wrong_bound(frame: WindowFrame<'_>) -> Option<(Mistake, NodeRef<'_>)> {
    let start = frame.start()?.form();
    let from = place(start);
    if from == Place::End {
        return Some((Mistake::FrameStart, start.node()));
    }
    let Some(end) = frame.end().map(WindowBound::form) else {
        return (from > Place::Row).then_some((Mistake::FrameStart, start.node()));
    };
    let to = place(end);
    (to == Place::Beginning || to < from).then_some((Mistake::FrameEnd, end.node()))
}

/// An option of a column of an `XMLTABLE` that is none, or that is given twice.
fn wrong_option(column: NodeRef<'_>) -> Option<(Mistake, NodeRef<'_>)> {
    let mut known = [false; 3];
    for node in column.children() {
        let Some(option) = XmlColumnOption::of(node) else { continue };
        let kind = match option.name() {
            Some("path") => 0,
            Some("default") => 1,
            Some(_) => return Some((Mistake::UnknownOption, node)),
            None if option.form().says(K::Path) => 0,
            None if option.form().says(K::Default) => 1,
            None => 2,
        };
        if std::mem::replace(known.get_mut(kind)?, true) {
            return Some((Mistake::RepeatedOption, node));
        }
    }
    None
}

/// The path of a `JSON_TABLE`, which is any expression in the grammar but must be a string.
fn wrong_path(table: JsonTable<'_>) -> Option<(Mistake, NodeRef<'_>)> {
    let path = table.path()?.node();
    (path.kind() != NodeKind::String).then_some((Mistake::PathIsNoString, path))
}
