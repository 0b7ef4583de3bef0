//! Writes the tables as Rust.

use std::collections::HashMap;
use std::fmt::Write;

use crate::compile::{Op, Program, form_names, slots};
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
        let _ = writeln!(out, "Guard {{ is_negated: {}, sets: &{:?} }},", guard.is_negated, guard.sets);
    }
    let _ = writeln!(out, "];\nstatic SWITCHES: [Switch; {}] = [", program.switches.len());
    for switch in &program.switches {
        let arms: String = switch.arms.iter().map(|arm| format!("\\x{arm:02x}")).collect();
        let _ = writeln!(out, "Switch {{ arms: b\"{arms}\", places: &{:?} }},", switch.places);
    }
    let _ = writeln!(out, "];\nstatic WORDS: [&str; {}] = [", program.words.len());
    for word in &program.words {
        let _ = writeln!(out, "{word:?},");
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

/// What a view has.
struct FormView {
    name: String,
    doc: String,
    fields: Vec<Field>,
}

/// The views of all forms, for the macros `form_views` and `form_choices`.
pub(crate) fn views(grammar: &Grammar) -> Result<String, String> {
    let mut forms: Vec<FormView> = form_names(grammar)
        .into_iter()
        .map(|name| FormView { name, doc: String::new(), fields: Vec::new() })
        .collect();
    let slots = slots(grammar);
    for rule in grammar.rules.iter().filter(|rule| rule.is_node()) {
        let mut walk = Walk {
            grammar,
            slots: &slots,
            forms: &mut forms,
            depth: 0,
            repeats: 0,
            rule: &rule.name,
            problems: Vec::new(),
        };
        walk.describe(&rule.name, &rule.doc);
        walk.choice(&rule.body, &rule.name, &mut Vec::new());
        if !walk.problems.is_empty() {
            return Err(walk.problems.join("\n"));
        }
    }
    let mut out = String::from("form_views! {\n");
    let mut choices = String::from("form_choices! {\n");
    for FormView { name, doc, fields } in &forms {
        let doc = if doc.is_empty() { format!("`{}`.", spaced(name)) } else { doc.clone() };
        if is_choice(grammar, name) {
            let _ = writeln!(choices, "#[doc = {doc:?}]\n{name} {{");
            for variant in variants(grammar, name) {
                let _ = writeln!(choices, "#[doc = \"[`{variant}`].\"] {variant},");
            }
            choices.push_str("}\n");
            continue;
        }
        let _ = writeln!(out, "#[doc = {doc:?}]\n{name} {{");
        for field in fields {
            let _ = writeln!(out, "#[doc = {:?}] {} {} {},", field.doc, field.label, field.slot, field.what);
        }
        out.push_str("}\n");
    }
    Ok(out + "}\n" + &choices + "}\n")
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

/// Whether nodes of the rule always turn into those of other forms, so that its view is one of theirs.
fn is_choice(grammar: &Grammar, name: &str) -> bool {
    fn always(grammar: &Grammar, choice: &Choice, depth: usize) -> bool {
        choice.iter().all(|items| {
            items.iter().any(|item| match item {
                Item::Become(_) => true,
                Item::Group(body) => always(grammar, body, depth),
                Item::Rule(name) if depth < 60 => grammar
                    .get(name)
                    .is_some_and(|rule| !rule.is_node() && always(grammar, &rule.body, depth + 1)),
                _ => false,
            })
        })
    }
    grammar.get(name).is_some_and(|rule| rule.is_node() && always(grammar, &rule.body, 0))
}

/// The forms that nodes of the rule turn into.
fn variants(grammar: &Grammar, name: &str) -> Vec<String> {
    fn collect(grammar: &Grammar, choice: &Choice, to: &mut Vec<String>, depth: usize) {
        for item in choice.iter().flatten() {
            match item {
                Item::Become(name) => {
                    if !to.contains(name) {
                        to.push(name.clone());
                    }
                    if let Some(rule) = grammar.get(name).filter(|_| !is_choice(grammar, name)) {
                        collect(grammar, &rule.body, to, depth);
                    }
                }
                Item::Optional { body, .. } | Item::Group(body) | Item::Repeat(body) => {
                    collect(grammar, body, to, depth);
                }
                Item::Rule(name) if depth < 60 => {
                    if let Some(rule) = grammar.get(name).filter(|rule| !rule.is_node()) {
                        collect(grammar, &rule.body, to, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }
    let mut names = Vec::new();
    if let Some(rule) = grammar.get(name) {
        collect(grammar, &rule.body, &mut names, 0);
    }
    names
}

/// The form and those that it may turn into.
fn reached(grammar: &Grammar, name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let mut index = 0;
    while index < names.len() {
        let more = variants(grammar, &names[index]);
        names.extend(more.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
        index += 1;
    }
    names
}

/// A label that was seen on the way to where a node turns into another form.
type Seen<'g> = (&'g str, &'g Item);

struct Walk<'g, 'f> {
    grammar: &'g Grammar,
    slots: &'f HashMap<String, usize>,
    forms: &'f mut Vec<FormView>,
    depth: usize,
    /// How many repeated parts are open.
    repeats: usize,
    rule: &'g str,
    problems: Vec<String>,
}

impl<'g> Walk<'g, '_> {
    fn describe(&mut self, form: &str, doc: &str) {
        if let Some(view) = self.forms.iter_mut().find(|view| view.name == form)
            && view.doc.is_empty()
        {
            view.doc = doc.to_owned();
        }
    }

    /// Sees the labels of the rule. A form that the node becomes has those `before` it too.
    fn choice(&mut self, choice: &'g Choice, form: &str, before: &mut Vec<Seen<'g>>) {
        let start = before.len();
        let mut seen = Vec::new();
        for sequence in choice {
            let mut form = form.to_owned();
            for item in sequence {
                if let Item::Become(name) = item {
                    form = name.clone();
                    let is_rule = self.grammar.get(name).is_some();
                    for (label, item) in before.clone() {
                        if is_rule && !matches!(self.kind(item), Ok((kind, _)) if kind.starts_with("word ")) {
                            self.problems.push(format!(
                                "rule {}: label {label} cannot stand before `-> {name}`, which is a rule",
                                self.rule
                            ));
                        }
                        for target in reached(self.grammar, name) {
                            self.field(label, item, &target);
                        }
                    }
                }
                self.item(item, &form, before);
            }
            seen.extend(before.drain(start..));
        }
        before.extend(seen);
    }

    fn item(&mut self, item: &'g Item, form: &str, before: &mut Vec<Seen<'g>>) {
        match item {
            Item::Rule(name) => {
                let Some(rule) = self.grammar.get(name).filter(|rule| !rule.is_node()) else { return };
                if self.depth < 60 {
                    self.depth += 1;
                    let target = rule.body.first().and_then(|sequence| {
                        sequence.iter().find_map(|item| match item {
                            Item::Become(name) => Some(name),
                            _ => None,
                        })
                    });
                    if let Some(target) = target {
                        self.describe(target, &rule.doc);
                    }
                    self.choice(&rule.body, form, before);
                    self.depth -= 1;
                }
            }
            Item::Optional { body, .. } | Item::Group(body) => self.choice(body, form, before),
            Item::Repeat(body) => {
                self.repeats += 1;
                self.choice(body, form, before);
                self.repeats -= 1;
            }
            Item::List(item) | Item::Parens { item, .. } => self.item(item, form, before),
            Item::Label(label, item) => {
                self.field(label, item, form);
                before.push((label, item));
                self.item(item, form, before);
            }
            _ => {}
        }
    }

    fn field(&mut self, label: &str, item: &Item, form: &str) {
        let slot = self.slots.get(label).copied().unwrap_or(0);
        let (mut what, mut doc) = match self.kind(item) {
            Ok(kind) => kind,
            Err(problem) => {
                return self.problems.push(format!("rule {}: label {label}: {problem}", self.rule));
            }
        };
        if self.repeats > 0 && !what.starts_with("word ") {
            what = format!("each_{what}");
            doc = format!("{} One for each time it is there, in order.", doc);
        }
        let Some(view) = self.forms.iter_mut().find(|view| view.name == form) else { return };
        if let Some(field) = view.fields.iter_mut().find(|field| field.label == label) {
            // A part that is there once and then again.
            if what == format!("each_{}", field.what) {
                (field.what, field.doc) = (what, doc);
            }
            return;
        }
        if matches!(what.as_str(), "expr" | "query" | "type" | "table")
            && view.fields.iter().any(|field| field.what == what)
        {
            self.problems.push(format!(
                "rule {}: label {label}: a second {what} must be a rule of its own",
                self.rule
            ));
            return;
        }
        view.fields.push(Field { label: label.to_owned(), slot, what, doc });
    }

    /// The kind of a label for the macro, and its documentation.
    fn kind(&self, item: &Item) -> Result<(String, String), String> {
        Ok(match item {
            Item::Token(word) if word.starts_with('\'') => {
                return Err("a sign cannot have a label".to_owned());
            }
            Item::Token(word) => (format!("word {}", variant_of(word)), format!("Whether it says `{word}`.")),
            Item::Group(body) if words_of(body).is_some() => {
                let words = words_of(body).unwrap_or_default();
                let variants: Vec<String> = words.iter().map(|word| variant_of(word)).collect();
                (
                    format!("word {}", variants.join(" ")),
                    format!("Whether it says `{}`.", words.join("` or `")),
                )
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
                    View::Target => ("target".to_owned(), doc),
                    View::Item => ("item".to_owned(), doc),
                    View::Statement => ("statement".to_owned(), doc),
                    View::Value => ("value".to_owned(), doc),
                }
            }
            Item::Rule(name) if self.grammar.get(name).is_some_and(|rule| rule.is_node()) => {
                if !is_choice(self.grammar, name) && !variants(self.grammar, name).is_empty() {
                    ("part".to_owned(), "One of several forms.".to_owned())
                } else {
                    (format!("form {name}"), format!("Its [`{name}`]."))
                }
            }
            Item::Rule(name) if self.grammar.get(name).is_some_and(|rule| self.are_texts(&rule.body)) => {
                ("text".to_owned(), "A name or a value.".to_owned())
            }
            Item::Rule(_) | Item::Group(_) => ("part".to_owned(), "One of several forms.".to_owned()),
            Item::List(item) => match self.kind(item)? {
                (kind, _) if kind == "expr" => ("exprs".to_owned(), "Expressions in order.".to_owned()),
                (kind, _) if kind == "type" => ("types".to_owned(), "Types in order.".to_owned()),
                (kind, _) if kind == "table" => ("tables".to_owned(), "Tables in order.".to_owned()),
                (kind, _) if kind.starts_with("form ") => {
                    (format!("forms {}", &kind[5..]), format!("Each [`{}`] in order.", &kind[5..]))
                }
                (kind, _) if kind == "sort_key" => ("sort_keys".to_owned(), "Keys of an order.".to_owned()),
                (kind, _) if kind == "text" => ("texts".to_owned(), "Names or values in order.".to_owned()),
                (kind, _) if kind == "object" => ("objects".to_owned(), "Names in order.".to_owned()),
                (kind, _) if kind == "target" => ("targets".to_owned(), "Columns in order.".to_owned()),
                (kind, _) if kind == "item" => ("items".to_owned(), "What is given, in order.".to_owned()),
                (kind, _) if kind == "value" => ("values".to_owned(), "Values in order.".to_owned()),
                _ => ("parts".to_owned(), "Forms in order.".to_owned()),
            },
            Item::Parens { item, .. } => self.kind(item)?,
            _ => return Err("it must stand at one word or nonterminal".to_owned()),
        })
    }

    /// Whether each alternative is one name or literal.
    fn are_texts(&self, choice: &Choice) -> bool {
        choice.iter().all(|items| {
            let mut items = items.iter().filter(|item| !matches!(item, Item::Guard { .. }));
            matches!((items.next(), items.next()), (Some(Item::Hook(name)), None)
                if HOOKS.iter().any(|hook| hook.name == name && hook.view == View::Text))
        })
    }
}

/// A keyword as its variant.
fn variant_of(word: &str) -> String {
    Keyword { word: word.to_lowercase(), category: Category::Reserved, is_bare_label: true }.variant()
}

/// The keywords, when each alternative is one.
fn words_of(choice: &Choice) -> Option<Vec<&str>> {
    choice
        .iter()
        .map(|items| match items.as_slice() {
            [Item::Token(word)] if !word.starts_with('\'') => Some(word.as_str()),
            _ => None,
        })
        .collect()
}

fn capital(what: &str) -> String {
    let mut letters = what.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
