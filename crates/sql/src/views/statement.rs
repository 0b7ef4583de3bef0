//! Views of parts of statements that are no forms, and what forms have besides their labels.

use super::forms::{
    Definition, Delete, Explain, FormRef, Insert, Merge, StorageOption, Update, UtilityOption,
};
use super::{Selection, With, views};
use crate::{Node, NodeKind, Span};

views! {
    /// A column that gets a value.
    Target = Target;
}

impl<'a> Target<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// Which part of the column it is, step by step; nothing when it is the whole column.
    pub fn selections(self) -> impl Iterator<Item = Selection<'a>> + Clone {
        self.0.children().map(Selection::of)
    }
}

/// A value of a setting or an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettingValue<'a> {
    /// The text, without quotes; a number keeps its sign.
    pub text: &'a str,
    /// Where it stands.
    pub span: Span,
    /// Whether it was a string in quotes.
    pub is_string: bool,
}

impl<'a> SettingValue<'a> {
    pub(crate) fn of(node: &'a Node<'a>) -> SettingValue<'a> {
        SettingValue { text: node.name(), span: node.span(), is_string: node.kind() == NodeKind::String }
    }

    /// The value as a switch: `true`, `on` and `1` are on; `None` when it is no boolean.
    pub fn is_on(self) -> Option<bool> {
        const ON: [&str; 3] = ["true", "on", "1"];
        const OFF: [&str; 3] = ["false", "off", "0"];
        if ON.iter().any(|word| self.text.eq_ignore_ascii_case(word)) {
            return Some(true);
        }
        OFF.iter().any(|word| self.text.eq_ignore_ascii_case(word)).then_some(false)
    }
}

macro_rules! option_values {
    ($($name:ident)*) => {$(
        impl<'a> $name<'a> {
            /// Its value as a text: a number with its sign, what a string says, or a word such as `off`; `None` when there
            /// is none, or one that is more than that.
            pub fn value(self) -> Option<&'a str> {
                let word = self.type_name().filter(|name| name.schema().is_none()).map(|name| name.name());
                self.number().or(self.text()).or(self.word()).or(word)
            }
        }
    )*};
}
option_values! { StorageOption Definition }

impl<'a> UtilityOption<'a> {
    /// Its name in lower case, such as `analyze` or `memory`.
    pub fn name(self) -> &'a str {
        self.word().unwrap_or(if self.format() { "format" } else { "analyze" })
    }

    /// Its value as a switch: on where none is written; `None` when it is no boolean.
    pub fn is_on(self) -> Option<bool> {
        self.value().map_or(Some(true), SettingValue::is_on)
    }
}

impl Explain<'_> {
    /// Whether it says `ANALYZE`, in whatever form and unless switched off.
    pub fn is_analyze(self) -> bool {
        self.analyze() || self.analyse() || self.is_switched("analyze")
    }

    /// Whether it says `VERBOSE`, in whatever form and unless switched off.
    pub fn is_verbose(self) -> bool {
        self.verbose() || self.is_switched("verbose")
    }

    fn is_switched(self, name: &str) -> bool {
        self.options().any(|option| option.name() == name && option.is_on() == Some(true))
    }
}

macro_rules! with_clauses {
    ($($name:ident)*) => {$(
        impl<'a> $name<'a> {
            /// The named queries before it.
            pub fn with(self) -> Option<With<'a>> {
                with(self.form())
            }
        }
    )*};
}

with_clauses! { Insert Update Delete Merge }

fn with(form: FormRef<'_>) -> Option<With<'_>> {
    form.node().first_child().and_then(With::of)
}
