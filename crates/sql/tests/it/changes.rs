//! A reader of statements that change data sees all of them through views, as a binder does.

use std::fmt::Write;

use cofferdam_sql::views::forms::{
    Arbiter, Assignment, Copy, Delete, Explain, FormRef, Insert, Merge, MergeWhen, OnConflict, Returning,
    Set, Update,
};
use cofferdam_sql::views::{
    Cte, Expr, Query, QueryBody, SelectItem, Selection, Statement, TableExpr, Target, With,
};

use crate::parsed;

/// What the views of `text` say.
fn read(text: &str) -> String {
    parsed(text, 1 << 20, |tree| {
        let tree = tree.unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut out = String::new();
        statement(tree.statement(), &mut out);
        out
    })
}

fn statement(statement: Statement<'_>, out: &mut String) {
    let form = match statement {
        Statement::Query(query) => return values(query, out),
        Statement::Form(form) => form,
    };
    let node = form.node();
    if let Some(view) = Insert::of(node) {
        insert(view, out);
    } else if let Some(view) = Update::of(node) {
        update(view, out);
    } else if let Some(view) = Delete::of(node) {
        delete(view, out);
    } else if let Some(view) = Merge::of(node) {
        merge(view, out);
    } else {
        say(out, "other", form.form().name());
    }
}

fn say(out: &mut String, what: &str, text: impl std::fmt::Display) {
    let _ = write!(out, "{what} {text}; ");
}

fn with(with: Option<With<'_>>, out: &mut String) {
    for cte in with.into_iter().flat_map(With::ctes) {
        say(out, "with", cte.name());
        statement(Cte::statement(cte).expect("a statement"), out);
    }
}

fn values(query: Query<'_>, out: &mut String) {
    match query.body() {
        QueryBody::Values(values) => {
            for row in values.rows() {
                let row: Vec<String> = row.map(|value| value.node().to_string()).collect();
                say(out, "row", row.join(" "));
            }
        }
        _ => say(out, "query", query.node()),
    }
}

fn insert(insert: Insert<'_>, out: &mut String) {
    with(insert.with(), out);
    say(out, "into", insert.table().expect("a table"));
    insert.alias().into_iter().for_each(|alias| say(out, "as", alias));
    insert.columns().for_each(|column| target(column, out));
    if insert.overriding_user() || insert.overriding_system() {
        say(out, "overriding", if insert.overriding_user() { "user" } else { "system" });
    }
    match insert.query() {
        Some(query) => values(query, out),
        None => assert!(insert.default_values()),
    }
    insert.conflict().into_iter().for_each(|conflict| on_conflict(conflict, out));
    returning(insert.returning(), out);
}

fn target(target: Target<'_>, out: &mut String) {
    let mut name = target.name().to_owned();
    for selection in target.selections() {
        let _ = match selection {
            Selection::Field(field) => write!(name, ".{field}"),
            Selection::AllFields => write!(name, ".*"),
            Selection::Index(index) => write!(name, "[{}]", index.node()),
            Selection::Slice { low, high } => write!(name, "[{} to {}]", low.is_some(), high.is_some()),
        };
    }
    say(out, "column", name);
}

fn on_conflict(conflict: OnConflict<'_>, out: &mut String) {
    if let Some(arbiter) = conflict.arbiter() {
        arbiter.constraint().into_iter().for_each(|name| say(out, "constraint", name));
        for element in Arbiter::elements(arbiter) {
            say(out, "element", element.form().node());
        }
        expr("where", arbiter.condition(), out);
    }
    say(out, "do", if conflict.do_nothing() { "nothing" } else { "update" });
    conflict.assignments().for_each(|assignment| assign(assignment, out));
    expr("if", conflict.condition(), out);
}

fn assign(assignment: Assignment<'_>, out: &mut String) {
    assignment.column().into_iter().chain(assignment.columns()).for_each(|column| target(column, out));
    expr("=", assignment.value(), out);
}

fn expr(what: &str, expr: Option<Expr<'_>>, out: &mut String) {
    expr.into_iter().for_each(|expr| say(out, what, expr.node()));
}

fn returning(returning: Option<Returning<'_>>, out: &mut String) {
    let Some(returning) = returning else { return };
    for row in returning.renames() {
        say(out, if row.is_old() { "old" } else { "new" }, row.name().expect("a name"));
    }
    for item in returning.items() {
        match item {
            SelectItem::Star { qualifier, .. } => say(out, "all", qualifier.unwrap_or("")),
            SelectItem::Expr { expr, alias } => {
                say(out, "give", format_args!("{} {}", expr.node(), alias.unwrap_or("")));
            }
        }
    }
}

fn tables<'a>(what: &str, tables: impl Iterator<Item = TableExpr<'a>>, out: &mut String) {
    tables.for_each(|table| say(out, what, table.node()));
}

fn update(update: Update<'_>, out: &mut String) {
    with(update.with(), out);
    say(out, if update.only() { "update only" } else { "update" }, update.table().expect("a table"));
    update.alias().into_iter().for_each(|alias| say(out, "as", alias));
    update.assignments().for_each(|assignment| assign(assignment, out));
    tables("from", update.from(), out);
    expr("where", update.condition(), out);
    update.cursor().into_iter().for_each(|cursor| say(out, "cursor", cursor));
    returning(update.returning(), out);
}

fn delete(delete: Delete<'_>, out: &mut String) {
    with(delete.with(), out);
    say(out, if delete.only() { "delete only" } else { "delete" }, delete.table().expect("a table"));
    delete.alias().into_iter().for_each(|alias| say(out, "as", alias));
    tables("using", delete.using(), out);
    expr("where", delete.condition(), out);
    delete.cursor().into_iter().for_each(|cursor| say(out, "cursor", cursor));
    returning(delete.returning(), out);
}

fn merge(merge: Merge<'_>, out: &mut String) {
    with(merge.with(), out);
    say(out, "merge", merge.table().expect("a table"));
    merge.alias().into_iter().for_each(|alias| say(out, "as", alias));
    tables("using", merge.source().into_iter(), out);
    expr("on", merge.condition(), out);
    merge.whens().for_each(|when| merge_when(when, out));
    returning(merge.returning(), out);
}

fn merge_when(when: MergeWhen<'_>, out: &mut String) {
    say(
        out,
        "when",
        match (when.not_matched(), when.by_source()) {
            (false, _) => "matched",
            (true, true) => "not matched by source",
            (true, false) => "not matched",
        },
    );
    expr("and", when.condition(), out);
    let actions = [
        (when.update(), "update"),
        (when.delete(), "delete"),
        (when.insert(), "insert"),
        (when.do_nothing(), "nothing"),
    ];
    let mut said = actions.iter().filter(|(is_said, _)| *is_said);
    say(out, "then", said.next().expect("an action").1);
    assert!(said.next().is_none(), "one action");
    when.assignments().for_each(|assignment| assign(assignment, out));
    when.columns().for_each(|column| target(column, out));
    if when.default_values() {
        say(out, "default", "values");
    }
    when.values().for_each(|value| say(out, "value", value.node()));
}

#[test]
fn an_insert_is_read_through_views() {
    assert_eq!(
        read(
            "with w as (delete from u returning a) insert into s.t as x (a, b[1].c, d[:2]) overriding user value \
             values (1, 'x', default), (2, null, 3) on conflict (a, (b + 1)) where c do update \
             set a = excluded.a, (b, c) = (1, 2) where x.a > 1 returning with (old as o) o.a as before, x.*, *"
        ),
        "with w; delete u; give a ; into s.t; as x; column a; column b[1].c; column d[false to true]; \
         overriding user; row 1 'x' DEFAULT; row 2 NULL 3; element a; element (b + 1); where c; do update; \
         column a; = excluded.a; column b; column c; = (1, 2); if x.a > 1; old o; give o.a before; all x; all ; "
    );
    assert_eq!(read("insert into t default values"), "into t; ");
    assert_eq!(
        read("insert into t select 1 on conflict on constraint c do nothing"),
        "into t; query SELECT 1; constraint c; do nothing; "
    );
}

#[test]
fn an_update_and_a_delete_are_read_through_views() {
    assert_eq!(
        read(
            "update only t x set a = 1, (b, c.d) = (select 1, 2) from u, v join w on true where x.a = 1 returning a"
        ),
        "update only t; as x; column a; = 1; column b; column c.d; = (SELECT 1, 2); from u; from v JOIN w ON TRUE; \
         where x.a = 1; give a ; "
    );
    assert_eq!(
        read("update t set a = default where current of c"),
        "update t; column a; = DEFAULT; cursor c; "
    );
    assert_eq!(
        read("with w as (select 1) delete from t as d using w, (select 2) q where d.a = q.a returning d.a b"),
        "with w; query SELECT 1; delete t; as d; using w; using (SELECT 2) AS q; where d.a = q.a; give d.a b; "
    );
    assert_eq!(read("delete from only (t) where current of c"), "delete only t; cursor c; ");
}

#[test]
fn a_merge_is_read_through_views() {
    assert_eq!(
        read(
            "merge into t as x using u on x.a = u.a when matched and u.b then update set a = 1, b = 2 \
             when matched then delete when not matched by source then do nothing \
             when not matched and u.c then insert (a, b) values (1, default) \
             when not matched by target then insert default values returning merge_action(), *"
        ),
        "merge t; as x; using u; on x.a = u.a; when matched; and u.b; then update; column a; = 1; column b; = 2; \
         when matched; then delete; when not matched by source; then nothing; when not matched; and u.c; \
         then insert; column a; column b; value 1; value DEFAULT; when not matched; then insert; default values; \
         give MERGE_ACTION() ; all ; "
    );
}

/// Aim: settings and options keep what was said. Method: read them and compare.
#[test]
fn settings_and_options_are_read_through_views() {
    let form = |text: &str, look: &dyn Fn(FormRef<'_>)| {
        parsed(text, 1 << 20, |tree| match tree.expect("a statement").statement() {
            Statement::Form(form) => look(form),
            Statement::Query(_) => panic!("{text} is no query"),
        });
    };
    form("set local a.b to 1, 'x', on", &|form| {
        let set = Set::of(form.node()).expect("a SET");
        let values: Vec<(&str, bool)> = set.values().map(|value| (value.text, value.is_string)).collect();
        assert!(set.local() && !set.default());
        assert_eq!(set.setting().expect("a setting").to_string(), "a.b");
        assert_eq!(values, [("1", false), ("x", true), ("on", false)]);
    });
    form("explain (analyse, verbose off, buffers 1, memory) delete from t", &|form| {
        let explain = Explain::of(form.node()).expect("an EXPLAIN");
        let options: Vec<_> = explain.options().map(|option| (option.name(), option.is_on())).collect();
        let on = [
            ("analyze", Some(true)),
            ("verbose", Some(false)),
            ("buffers", Some(true)),
            ("memory", Some(true)),
        ];
        assert_eq!(options, on);
        assert!(explain.is_analyze() && !explain.is_verbose());
        assert!(
            matches!(explain.statement(), Some(Statement::Form(form)) if Delete::of(form.node()).is_some())
        );
    });
    form("copy t from 'x'", &|form| {
        let copy = Copy::of(form.node()).expect("a COPY");
        assert!(copy.file() == Some("x") && copy.condition().is_none());
    });
    form("copy t (a, b) from program 'x' with (format csv, force_null (a, b), x *) where a > 1", &|form| {
        let copy = Copy::of(form.node()).expect("a COPY");
        let options: Vec<String> = copy
            .options()
            .map(|option| {
                let list: Vec<&str> = option.values().map(|value| value.text).collect();
                let value = option.value().map_or(list.join("+"), |value| value.text.to_owned());
                format!("{}={value}", option.name().expect("a name"))
            })
            .collect();
        assert!(copy.from() && copy.program() && !copy.to());
        assert_eq!(copy.columns().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((copy.file(), options.join(" ")), (Some("x"), "format=csv force_null=a+b x=".to_owned()));
        assert!(copy.condition().is_some());
    });
}
