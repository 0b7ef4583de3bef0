//! Writes the tables as Rust.

use std::fmt::Write;

use crate::compile::{Op, Program, form_names, slot_of};
use crate::syntax::{Choice, Grammar, Item};
use crate::tokens::{Category, HOOKS, Keyword, View};

pub(crate) fn keywords(keywords: &[Keyword]) -> String {
    let mut out = String::from("keywords! {\n");
    for keyword in keywords {
        let category = match keyword.category {
            Category::Unreserved => "Unreserved",
            Category::ColumnName => "ColumnName",
            Category::TypeOrFunction => "TypeOrFunction",
            Category::Reserved => "Reserved",
        };
        let label = if keyword.is_bare_label { "Bare" } else { "NeedsAs" };
        let _ = writeln!(out, "{} \"{}\" {category} {label},", keyword.variant(), keyword.word);
    }
    out + "}\n"
}

pub(crate) fn forms(program: &Program) -> String {
    let mut out = String::from("forms! {\n");
    for (name, start) in &program.forms {
        let _ = writeln!(out, "{name} {start} {:?},", spaced(name));
    }
    out.push_str("}\n");
    for (name, start) in &program.entries {
        let _ = writeln!(out, "pub(super) const {}: Pc = {start};", name.to_uppercase());
    }
    let _ = writeln!(out, "static CODE: [Op; {}] = [", program.code.len());
    for op in &program.code {
        let _ = writeln!(out, "{},", op_text(*op, program));
    }
    let _ = writeln!(out, "];\nstatic SETS: [[u64; 9]; {}] = [", program.sets.len());
    for set in &program.sets {
        let _ = writeln!(out, "{:?},", set.0);
    }
    let _ = writeln!(out, "];\nstatic GUARDS: [Guard; {}] = [", program.guards.len());
    for guard in &program.guards {
        let _ = writeln!(
            out,
            "Guard {{ is_negated: {}, first: {}, second: {}, third: {} }},",
            guard.is_negated, guard.first, guard.second, guard.third
        );
    }
    // In the order of the places, to be searched.
    let mut expected: Vec<_> = program.expected.iter().collect();
    expected.sort_by_key(|(at, _)| *at);
    let _ = writeln!(out, "];\nstatic EXPECTED: [(Pc, &[&str]); {}] = [", expected.len());
    for (at, words) in expected {
        let _ = writeln!(out, "({at}, &{:?}),", short(words));
    }
    out + "];\n"
}

/// At most eight, whole constructs before words.
fn short(words: &[String]) -> Vec<&str> {
    const LIMIT: usize = 8;
    let is_word = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_uppercase());
    let mut all: Vec<&str> = words.iter().map(String::as_str).collect();
    if all.len() > LIMIT {
        all.sort_by_key(|word| is_word(word));
        all.truncate(LIMIT);
    }
    all
}

fn op_text(op: Op, program: &Program) -> String {
    match op {
        Op::Hook(index) => format!("Op::Hook(Hook::{})", HOOKS[index].variant),
        Op::Form(index) => format!("Op::Form(Form::{})", program.forms[index].0),
        Op::Become(index) => format!("Op::Become(Form::{})", program.forms[index].0),
        other => format!("Op::{other:?}"),
    }
}

/// What a label stands for.
struct Field {
    label: String,
    slot: usize,
    what: String,
    doc: String,
}

/// The views of all forms, for the macro `form_views`.
pub(crate) fn views(grammar: &Grammar) -> Result<String, String> {
    let mut forms: Vec<(String, String, Vec<Field>)> =
        form_names(grammar).into_iter().map(|name| (name, String::new(), Vec::new())).collect();
    for rule in grammar.rules.iter().filter(|rule| rule.is_node()) {
        let mut walk = Walk {
            grammar,
            slots: Vec::new(),
            forms: &mut forms,
            depth: 0,
            rule: &rule.name,
            problems: Vec::new(),
        };
        walk.describe(&rule.name, &rule.doc);
        walk.choice(&rule.body, &rule.name);
        if !walk.problems.is_empty() {
            return Err(walk.problems.join("\n"));
        }
    }
    let mut out = String::from("form_views! {\n");
    for (name, doc, fields) in &forms {
        let doc = if doc.is_empty() { format!("`{}`.", spaced(name)) } else { doc.clone() };
        let _ = writeln!(out, "#[doc = {doc:?}]\n{name} {{");
        for field in fields {
            let _ = writeln!(out, "#[doc = {:?}] {} {} {},", field.doc, field.label, field.slot, field.what);
        }
        out.push_str("}\n");
    }
    Ok(out + "}\n")
}

/// `CreateIndex` as `CREATE INDEX`.
fn spaced(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

struct Walk<'g, 'f> {
    grammar: &'g Grammar,
    slots: Vec<String>,
    forms: &'f mut Vec<(String, String, Vec<Field>)>,
    depth: usize,
    rule: &'g str,
    problems: Vec<String>,
}

impl<'g> Walk<'g, '_> {
    fn describe(&mut self, form: &str, doc: &str) {
        if let Some(entry) = self.forms.iter_mut().find(|(name, ..)| name == form)
            && entry.1.is_empty()
        {
            entry.1 = doc.to_owned();
        }
    }

    /// Follows the rule in the order in which it is compiled, so that labels get the same slots.
    fn choice(&mut self, choice: &'g Choice, form: &str) {
        for sequence in choice {
            let mut form = form.to_owned();
            for item in sequence {
                if let Item::Become(name) = item {
                    form = name.clone();
                }
                self.item(item, &form);
            }
        }
    }

    fn item(&mut self, item: &'g Item, form: &str) {
        match item {
            Item::Rule(name) => {
                let Some(rule) = self.grammar.get(name).filter(|rule| !rule.is_node()) else { return };
                if self.depth < 60 {
                    self.depth += 1;
                    if let Some(Item::Become(target)) =
                        rule.body.first().and_then(|sequence| sequence.first())
                    {
                        self.describe(target, &rule.doc);
                    }
                    self.choice(&rule.body, form);
                    self.depth -= 1;
                }
            }
            Item::Optional { body, .. } | Item::Group(body) | Item::Repeat(body) => self.choice(body, form),
            Item::List(item) | Item::Parens { item, .. } => self.item(item, form),
            Item::Label(label, item) => {
                self.slots.push(label.clone());
                self.field(label, item, form);
                self.item(item, form);
            }
            _ => {}
        }
    }

    fn field(&mut self, label: &str, item: &Item, form: &str) {
        let slot = slot_of(&self.slots, label);
        let (what, doc) = match self.kind(item) {
            Ok(kind) => kind,
            Err(problem) => {
                return self.problems.push(format!("rule {}: label {label}: {problem}", self.rule));
            }
        };
        let Some((_, _, fields)) = self.forms.iter_mut().find(|(name, ..)| name == form) else { return };
        if fields.iter().any(|field| field.label == label) {
            return;
        }
        if matches!(what.as_str(), "expr" | "query" | "type" | "table")
            && fields.iter().any(|field| field.what == what)
        {
            self.problems.push(format!(
                "rule {}: label {label}: a second {what} must be a rule of its own",
                self.rule
            ));
            return;
        }
        fields.push(Field { label: label.to_owned(), slot, what, doc });
    }

    /// The kind of a label for the macro, and its documentation.
    fn kind(&self, item: &Item) -> Result<(String, String), String> {
        Ok(match item {
            Item::Token(word) if word.starts_with('\'') => {
                return Err("a sign cannot have a label".to_owned());
            }
            Item::Token(word) => {
                let variant =
                    Keyword { word: word.to_lowercase(), category: Category::Reserved, is_bare_label: true };
                (format!("word {}", variant.variant()), format!("Whether it says `{word}`."))
            }
            Item::Hook(name) => {
                let hook = HOOKS.iter().find(|hook| hook.name == name).ok_or("an unknown nonterminal")?;
                let doc = format!("{}.", capital(hook.what));
                match hook.view {
                    View::Expr => ("expr".to_owned(), doc),
                    View::Query => ("query".to_owned(), doc),
                    View::Type => ("type".to_owned(), doc),
                    View::Table => ("table".to_owned(), doc),
                    View::Text => ("text".to_owned(), doc),
                    View::Object => ("object".to_owned(), doc),
                    View::SortKey => ("sort_key".to_owned(), doc),
                }
            }
            Item::Rule(name) if self.grammar.get(name).is_some_and(|rule| rule.is_node()) => {
                (format!("form {name}"), format!("Its [`{name}`]."))
            }
            Item::Rule(_) | Item::Group(_) => ("part".to_owned(), "One of several forms.".to_owned()),
            Item::List(item) => match self.kind(item)? {
                (kind, _) if kind == "expr" => ("exprs".to_owned(), "Expressions in order.".to_owned()),
                (kind, _) if kind.starts_with("form ") => {
                    (format!("forms {}", &kind[5..]), format!("Each [`{}`] in order.", &kind[5..]))
                }
                (kind, _) if kind == "sort_key" => ("sort_keys".to_owned(), "Keys of an order.".to_owned()),
                (kind, _) if kind == "text" => ("texts".to_owned(), "Names or values in order.".to_owned()),
                (kind, _) if kind == "object" => ("objects".to_owned(), "Names in order.".to_owned()),
                _ => ("parts".to_owned(), "Forms in order.".to_owned()),
            },
            Item::Parens { item, .. } => self.kind(item)?,
            _ => return Err("it must stand at one word or nonterminal".to_owned()),
        })
    }
}

fn capital(what: &str) -> String {
    let mut letters = what.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
