//! Views of the statements and clauses that `grammar/*.syntax` declares: one for each rule, with a method for each label.

use std::fmt;

use super::{Expr, Query, SelectItem, SettingValue, SortKey, Statement, TableExpr, Target, TypeName};
use crate::node::{Children, flag};
use crate::words;
use crate::{Form, Keyword, Node, NodeKind, Span};

/// Any form.
#[derive(Clone, Copy, Debug)]
pub struct FormRef<'a>(&'a Node<'a>);

impl<'a> FormRef<'a> {
    /// The view of `node`, when it is a form.
    pub fn of(node: &'a Node<'a>) -> Option<FormRef<'a>> {
        node.form().map(|_| FormRef(node))
    }

    /// Which form it is.
    pub fn form(self) -> Form {
        self.0.form().expect("a view of a form is of a form")
    }

    /// The node under this view.
    pub fn node(self) -> &'a Node<'a> {
        self.0
    }

    /// Where it stands in the text of the statement.
    pub fn span(self) -> Span {
        self.0.span()
    }

    /// Whether `keyword` is among its own words, those of its parts not included.
    pub fn says(self, keyword: Keyword) -> bool {
        let between = self.0.children().filter(|child| child.kind() == NodeKind::Words);
        std::iter::once(self.0).chain(between).any(|node| says(node.name(), keyword))
    }

    /// Where `keyword` stands among its own words.
    pub fn place_of(self, keyword: Keyword) -> Option<Span> {
        // The words of a form with a `WITH` begin after that, where its span does not say.
        let own =
            Some(self.0).filter(|node| node.first_child().is_none_or(|child| child.kind() != NodeKind::With));
        let between = self.0.children().filter(|child| child.kind() == NodeKind::Words);
        own.into_iter().chain(between).find_map(|node| {
            let (token, _) =
                words::tokens(node.name()).find(|(token, _)| token.keyword() == Some(keyword))?;
            Some(Span { start: node.span().start.saturating_add(token.start), len: token.span().len })
        })
    }

    fn slot(self, slot: u8) -> Option<&'a Node<'a>> {
        self.0.children().find(|child| child.slot() == slot)
    }

    fn each(self, slot: u8) -> impl Iterator<Item = &'a Node<'a>> {
        self.0.children().filter(move |child| child.slot() == slot)
    }

    fn list(self, slot: u8) -> Children<'a> {
        self.slot(slot).map_or_else(Children::default, Node::children)
    }
}

fn says(text: &str, keyword: Keyword) -> bool {
    words::tokens(text).any(|(token, _)| token.keyword() == Some(keyword))
}

/// The name of an object: `a`, `a.b`, `a.b.c`.
#[derive(Clone, Copy, Debug)]
pub struct ObjectName<'a>(&'a Node<'a>);

impl<'a> ObjectName<'a> {
    pub(super) fn of(node: &'a Node<'a>) -> Option<ObjectName<'a>> {
        (node.kind() == NodeKind::ObjectName).then_some(ObjectName(node))
    }

    /// Its last part.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The part before the last: usually the schema.
    pub fn qualifier(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// The parts before the qualifier, outermost first: usually the catalog.
    pub fn outer(self) -> impl Iterator<Item = &'a str> {
        self.0.children().map(Node::name)
    }

    /// Where it stands in the text of the statement.
    pub fn span(self) -> Span {
        self.0.span()
    }
}

impl fmt::Display for ObjectName<'_> {
    /// Writes the name with dots between its parts and without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.outer().chain(self.qualifier()) {
            write!(f, "{part}.")?;
        }
        f.write_str(self.name())
    }
}

fn expr<'a>(node: &'a Node<'a>) -> Option<Expr<'a>> {
    // A string or a number that the grammar itself reads is no expression.
    let is_literal = matches!(node.kind(), NodeKind::String | NodeKind::Integer | NodeKind::Number);
    if is_literal && node.has(flag::PLAIN) {
        return None;
    }
    match Expr::of(node) {
        Expr::Invalid(_) => None,
        expr => Some(expr),
    }
}

/// One view and its methods for each form; the grammar's labels are the methods.
macro_rules! form_views {
    ($(#[$doc:meta] $name:ident { $(#[$field_doc:meta] $field:ident $slot:literal $kind:ident $($argument:ident)*,)* })*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(FormRef<'a>);

        impl<'a> $name<'a> {
            /// The view of `node`, when it is one of these.
            pub fn of(node: &'a Node<'a>) -> Option<Self> {
                (node.form() == Some(Form::$name)).then_some(Self(FormRef(node)))
            }

            /// The view without its type.
            pub fn form(self) -> FormRef<'a> {
                self.0
            }

            $(form_field!(#[$field_doc] $field $slot $kind $($argument)*);)*
        }
    )*};
}

/// The views of rules whose nodes always turn into those of other forms: one variant for each.
macro_rules! form_choices {
    ($(#[$doc:meta] $name:ident { $(#[$variant_doc:meta] $variant:ident,)* })*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug)]
        pub enum $name<'a> {
            $(#[$variant_doc] $variant($variant<'a>),)*
        }

        impl<'a> $name<'a> {
            /// The view of `node`, when it is one of these.
            pub fn of(node: &'a Node<'a>) -> Option<Self> {
                $(if let Some(view) = $variant::of(node) {
                    return Some(Self::$variant(view));
                })*
                None
            }

            /// The view without its type.
            pub fn form(self) -> FormRef<'a> {
                match self {
                    $(Self::$variant(view) => view.form(),)*
                }
            }
        }
    )*};
}

macro_rules! form_field {
    (#[$doc:meta] $name:ident $slot:literal word $($keyword:ident)+) => {
        #[$doc]
        pub fn $name(self) -> bool {
            $(self.0.says(Keyword::$keyword))||+
        }
    };
    (#[$doc:meta] $name:ident $slot:literal each_form $form:ident) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = $form<'a>> {
            self.0.each($slot).filter_map($form::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal each_text) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = &'a str> {
            self.0.each($slot).map(Node::name)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal each_object) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = ObjectName<'a>> {
            self.0.each($slot).filter_map(ObjectName::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal each_part) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = FormRef<'a>> {
            self.0.each($slot).filter_map(FormRef::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal types) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = TypeName<'a>> {
            self.0.list($slot).filter_map(TypeName::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal tables) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = TableExpr<'a>> {
            self.0.list($slot).filter_map(TableExpr::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal expr) => {
        #[$doc]
        pub fn $name(self) -> Option<Expr<'a>> {
            self.0.0.children().find_map(expr)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal query) => {
        #[$doc]
        pub fn $name(self) -> Option<Query<'a>> {
            self.0.0.children().find_map(Query::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal type) => {
        #[$doc]
        pub fn $name(self) -> Option<TypeName<'a>> {
            self.0.0.children().find_map(TypeName::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal table) => {
        #[$doc]
        pub fn $name(self) -> Option<TableExpr<'a>> {
            self.0.0.children().find_map(TableExpr::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal target) => {
        #[$doc]
        pub fn $name(self) -> Option<Target<'a>> {
            self.0.0.children().find_map(Target::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal targets) => {
        #[$doc]
        pub fn $name(self) -> impl ExactSizeIterator<Item = Target<'a>> + Clone {
            self.0.list($slot).map(Target)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal items) => {
        #[$doc]
        pub fn $name(self) -> impl ExactSizeIterator<Item = SelectItem<'a>> + Clone {
            self.0.list($slot).map(SelectItem::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal statement) => {
        #[$doc]
        pub fn $name(self) -> Option<Statement<'a>> {
            self.0.0.children().find_map(Statement::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal each_statement) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = Statement<'a>> {
            self.0.0.children().filter_map(Statement::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal value) => {
        #[$doc]
        pub fn $name(self) -> Option<SettingValue<'a>> {
            self.0.slot($slot).map(SettingValue::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal values) => {
        #[$doc]
        pub fn $name(self) -> impl ExactSizeIterator<Item = SettingValue<'a>> + Clone {
            self.0.list($slot).map(SettingValue::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal text) => {
        #[$doc]
        pub fn $name(self) -> Option<&'a str> {
            self.0.slot($slot).map(Node::name)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal object) => {
        #[$doc]
        pub fn $name(self) -> Option<ObjectName<'a>> {
            self.0.slot($slot).and_then(ObjectName::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal form $form:ident) => {
        #[$doc]
        pub fn $name(self) -> Option<$form<'a>> {
            self.0.slot($slot).and_then($form::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal part) => {
        #[$doc]
        pub fn $name(self) -> Option<FormRef<'a>> {
            self.0.slot($slot).and_then(FormRef::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal exprs) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = Expr<'a>> {
            self.0.list($slot).map(Expr::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal sort_keys) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = SortKey<'a>> {
            self.0.list($slot).filter_map(SortKey::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal texts) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = &'a str> {
            self.0.list($slot).map(Node::name)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal objects) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = ObjectName<'a>> {
            self.0.list($slot).filter_map(ObjectName::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal forms $form:ident) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = $form<'a>> {
            self.0.list($slot).filter_map($form::of)
        }
    };
    (#[$doc:meta] $name:ident $slot:literal parts) => {
        #[$doc]
        pub fn $name(self) -> impl Iterator<Item = &'a Node<'a>> {
            self.0.list($slot)
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/form_views.rs"));
