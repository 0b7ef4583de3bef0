//! A reader of statements about tables sees all of them through views, as a catalog does.

use std::fmt::Write;

use cofferdam_sql::views::Expr;
use cofferdam_sql::views::Statement;
use cofferdam_sql::views::forms::{
    Alter, AlterTable, ColumnConstraint, ColumnDefinition, Create, CreateIndex, CreateTable, Drop,
    IndexElement, ObjectName, SequenceOption, TableAction, TableConstraint, TableElement,
};

use crate::parsed;

/// What the views of `text` say, a line for each thing.
fn read(text: &str) -> String {
    parsed(text, 1 << 20, |tree| {
        let tree = tree.unwrap_or_else(|error| panic!("{text}: {error}"));
        let Statement::Form(form) = tree.statement() else { panic!("{text} is a form") };
        let mut out = String::new();
        if let Some(statement) = Create::of(form.node()) {
            create(statement, &mut out);
        } else if let Some(statement) = Alter::of(form.node()) {
            alter(statement, &mut out);
        } else if let Some(statement) = Drop::of(form.node()) {
            drop_objects(statement, &mut out);
        }
        out
    })
}

fn line(out: &mut String, text: impl std::fmt::Display) {
    let _ = writeln!(out, "{text}");
}

fn object(name: Option<ObjectName<'_>>) -> String {
    let name = name.expect("a name");
    name.qualifier().map_or(String::new(), |schema| format!("{schema}.")) + name.name()
}

fn sql(expr: Option<Expr<'_>>) -> String {
    expr.expect("an expression").node().to_string()
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" ")
}

fn create(statement: Create<'_>, out: &mut String) {
    match statement {
        Create::CreateTable(table) => create_table(table, out),
        Create::CreateTableAs(table) => {
            let kind = if table.temporary() { "temporary " } else { "" };
            line(out, format!("{kind}table {} of a query", object(table.name())));
            line(out, format!("columns {}", names(table.columns())));
            line(out, format!("query {}", table.query().expect("a query").node()));
            line(out, format!("empty {}", table.no_data()));
        }
        Create::CreateIndex(index) => create_index(index, out),
        Create::CreateView(view) => {
            line(out, format!("view {} replaced {}", object(view.name()), view.or_replace()));
            line(out, format!("columns {}", names(view.columns())));
            line(out, format!("query {}", view.query().expect("a query").node()));
            line(out, format!("check {} local {}", view.check_option(), view.check_local()));
        }
        Create::CreateSequence(sequence) => {
            line(out, format!("sequence {}", object(sequence.name())));
            sequence.options().for_each(|option| sequence_option(option, out));
        }
        other => line(out, format!("other {}", other.form().form().name())),
    }
}

fn create_table(table: CreateTable<'_>, out: &mut String) {
    let kind = if table.unlogged() { "unlogged " } else { "" };
    line(out, format!("{kind}table {} if not exists {}", object(table.name()), table.if_not_exists()));
    for element in table.elements() {
        match element {
            TableElement::ColumnDefinition(definition) => column(definition, out),
            TableElement::TableConstraint(constraint) => table_constraint(constraint, out),
            TableElement::LikeTable(like) => {
                line(out, format!("like {}", object(like.table())));
                for option in like.options() {
                    line(out, format!("  including {} all {}", option.including(), option.all()));
                }
            }
        }
    }
    for parent in table.inherits() {
        line(out, format!("inherits {}", object(Some(parent))));
    }
    if let Some(partition) = table.partition_by() {
        line(out, format!("partition by {}", partition.strategy().expect("a strategy")));
        for key in partition.keys() {
            line(
                out,
                format!("  key {:?} {:?}", key.column(), key.expression().map(|key| key.node().to_string())),
            );
        }
    }
    for option in table.options() {
        line(out, format!("option {} = {:?}", object(option.name()), option.value()));
    }
}

fn column(column: ColumnDefinition<'_>, out: &mut String) {
    let type_name = column.type_name().expect("a type");
    line(out, format!("column {} {}", column.name().expect("a name"), type_name.node()));
    for constraint in column.constraints() {
        match constraint {
            ColumnConstraint::ColumnNotNull(_) => line(out, "  not null"),
            ColumnConstraint::ColumnDefault(default) => {
                line(out, format!("  default {}", sql(default.value())));
            }
            ColumnConstraint::ColumnPrimaryKey(key) => line(out, format!("  primary key {:?}", key.name())),
            ColumnConstraint::ColumnUnique(key) => line(out, format!("  unique {:?}", key.name())),
            ColumnConstraint::ColumnCheck(check) => {
                line(out, format!("  check {:?} {}", check.name(), sql(check.condition())));
            }
            ColumnConstraint::ColumnReferences(reference) => {
                line(
                    out,
                    format!("  references {} {}", object(reference.table()), names(reference.columns())),
                );
                let action = reference.on_delete();
                line(out, format!("    on delete cascade {}", action.is_some_and(|action| action.cascade())));
            }
            ColumnConstraint::IdentityColumn(identity) => {
                line(out, format!("  identity by default {}", identity.by_default()));
                identity.options().for_each(|option| sequence_option(option, out));
            }
            ColumnConstraint::GeneratedColumn(generated) => {
                line(out, format!("  generated {} stored {}", sql(generated.value()), generated.stored()));
            }
            ColumnConstraint::ConstraintAttribute(attribute) => {
                line(
                    out,
                    format!("  deferrable {} deferred {}", attribute.deferrable(), attribute.deferred()),
                );
            }
            ColumnConstraint::ColumnCollation(collation) => {
                line(out, format!("  collate {}", object(collation.collation())));
            }
            ColumnConstraint::ColumnNull(_) => line(out, "  null"),
        }
    }
}

fn table_constraint(constraint: TableConstraint<'_>, out: &mut String) {
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            let columns = key.key().map_or(String::new(), |key| names(key.columns()));
            line(out, format!("primary key {:?} ({columns})", key.name()));
        }
        TableConstraint::UniqueConstraint(key) => {
            let columns = key.key().map_or(String::new(), |key| names(key.columns()));
            line(out, format!("unique {:?} ({columns}) include ({})", key.name(), names(key.include())));
        }
        TableConstraint::CheckConstraint(check) => {
            let is_deferred = check.attributes().any(|attribute| attribute.deferred());
            line(out, format!("check {:?} {} deferred {is_deferred}", check.name(), sql(check.condition())));
        }
        TableConstraint::ForeignKey(key) => {
            let columns = key.columns().map_or(String::new(), |columns| names(columns.columns()));
            let referenced = key.referenced().map_or(String::new(), |columns| names(columns.columns()));
            line(
                out,
                format!("foreign key {:?} ({columns}) to {} ({referenced})", key.name(), object(key.table())),
            );
            let set_null = key.on_update().is_some_and(|action| action.set_null());
            let is_deferred = key.attributes().any(|attribute| attribute.deferred());
            line(out, format!("  on update set null {set_null} deferred {is_deferred}"));
        }
        other => line(out, format!("other {}", other.form().form().name())),
    }
}

fn sequence_option(option: SequenceOption<'_>, out: &mut String) {
    match option {
        SequenceOption::SequenceIncrement(by) => line(out, format!("  by {:?}", by.number())),
        SequenceOption::SequenceStart(at) => line(out, format!("  from {:?}", at.number())),
        SequenceOption::SequenceMaximum(limit) => line(out, format!("  to {:?}", limit.number())),
        SequenceOption::SequenceCycle(cycle) => line(out, format!("  cycles {}", !cycle.off())),
        SequenceOption::SequenceOwner(owner) => line(out, format!("  of {}", object(owner.column()))),
        other => line(out, format!("  other {}", other.form().form().name())),
    }
}

fn create_index(index: CreateIndex<'_>, out: &mut String) {
    let table = index.table().expect("a table");
    line(out, format!("index {:?} on {} unique {}", index.name(), object(table.table()), index.unique()));
    let element = |element: IndexElement<'_>| {
        let key = element.column().map_or_else(|| sql(element.expression()), str::to_owned);
        format!("{key} descending {} nulls first {}", element.descending(), element.nulls_first())
    };
    for each in index.elements() {
        line(out, format!("  {}", element(each)));
    }
    if let Some(condition) = index.condition() {
        line(out, format!("  where {}", condition.node()));
    }
}

fn alter(statement: Alter<'_>, out: &mut String) {
    let Alter::AlterTable(table) = statement else { panic!("a table is altered") };
    alter_table(table, out);
}

fn alter_table(table: AlterTable<'_>, out: &mut String) {
    let relation = table.table().expect("a table");
    line(
        out,
        format!(
            "alter {} only {} if exists {}",
            object(relation.table()),
            relation.only(),
            table.if_exists()
        ),
    );
    if let Some(rename) = table.rename() {
        line(out, format!("column {:?} to {:?}", rename.column(), rename.new_name()));
    }
    for action in table.actions() {
        match action {
            TableAction::AddColumn(add) => column(add.column().expect("a column"), out),
            TableAction::AddConstraint(add) => table_constraint(add.constraint().expect("a constraint"), out),
            TableAction::DropColumn(drop) => {
                line(out, format!("drop {:?} cascade {}", drop.column(), drop.cascade()));
            }
            TableAction::DropConstraint(drop) => {
                line(out, format!("drop constraint {:?}", drop.constraint()))
            }
            TableAction::SetColumnDefault(set) => {
                line(out, format!("default of {:?} {}", set.column(), sql(set.value())));
            }
            TableAction::SetType(set) => {
                let type_name = set.type_name().expect("a type");
                line(
                    out,
                    format!("type of {:?} {} from {}", set.column(), type_name.node(), sql(set.using())),
                );
            }
            TableAction::ChangeOwner(owner) => {
                line(out, format!("owner {:?}", owner.owner().and_then(|role| role.name())));
            }
            other => line(out, format!("other {}", other.form().form().name())),
        }
    }
}

fn drop_objects(statement: Drop<'_>, out: &mut String) {
    let Drop::DropTable(tables) = statement else { panic!("tables are dropped") };
    line(out, format!("if exists {} cascade {}", tables.if_exists(), tables.cascade()));
    tables.names().for_each(|name| line(out, format!("drop {}", object(Some(name)))));
}

#[test]
fn a_table_is_read_through_its_views() {
    let text = "create unlogged table if not exists s.t (
        a int generated by default as identity (start with 10 increment by -1) primary key,
        b varchar(10) collate \"C\" not null default 'x' constraint u unique,
        c numeric(10, 2) check (c > 0) references s.u (x) on delete cascade deferrable initially deferred,
        d int generated always as (a * 2) stored,
        constraint pk primary key (a, b),
        unique (b) include (c),
        check (a > 0),
        constraint fk foreign key (a, b) references u (x, y) on update set null deferrable initially deferred,
        like other including all
    ) inherits (p) partition by range (a, lower(b)) with (fillfactor = 70, toast.autovacuum_enabled = off)";
    let expected = "\
unlogged table s.t if not exists true
column a integer
  identity by default true
  from Some(\"10\")
  by Some(\"-1\")
  primary key None
column b character varying(10)
  collate C
  not null
  default 'x'
  unique Some(\"u\")
column c numeric(10, 2)
  check None c > 0
  references s.u x
    on delete cascade true
  deferrable true deferred false
  deferrable false deferred true
column d integer
  generated a * 2 stored true
primary key Some(\"pk\") (a b)
unique None (b) include (c)
check None a > 0 deferred false
foreign key Some(\"fk\") (a b) to u (x y)
  on update set null true deferred true
like other
  including true all true
inherits p
partition by range
  key Some(\"a\") None
  key None Some(\"lower(b)\")
option fillfactor = Some(\"70\")
option toast.autovacuum_enabled = Some(\"off\")
";
    assert_eq!(read(text), expected);
}

#[test]
fn what_is_made_from_queries_and_tables_is_read_through_its_views() {
    let expected = "temporary table t of a query\ncolumns a b\nquery SELECT 1, 2\nempty true\n";
    assert_eq!(read("create temp table t (a, b) as select 1, 2 with no data"), expected);
    let expected = "view v replaced true\ncolumns a\nquery SELECT 1\ncheck true local true\n";
    assert_eq!(read("create or replace view v (a) as select 1 with local check option"), expected);
    let expected = "index Some(\"i\") on s.t unique true
  a descending true nulls first true
  b + 1 descending false nulls first false
  lower(c) descending false nulls first false
  where a > 0
";
    let text = "create unique index i on s.t (a desc nulls first, (b + 1), lower(c)) where a > 0";
    assert_eq!(read(text), expected);
    let expected = "sequence s\n  by Some(\"2\")\n  to None\n  cycles false\n  of t.a\n";
    assert_eq!(read("create sequence s increment 2 no maxvalue no cycle owned by t.a"), expected);
}

#[test]
fn changes_of_a_table_are_read_through_their_views() {
    let text = "alter table if exists only s.t add column c int not null, add constraint k check (c > 0),
        drop column if exists d cascade, drop constraint x, alter a set default 1 + 2,
        alter column b type text using b::text, owner to joe, set logged";
    let expected = "\
alter s.t only true if exists true
column c integer
  not null
check Some(\"k\") c > 0 deferred false
drop Some(\"d\") cascade true
drop constraint Some(\"x\")
default of Some(\"a\") 1 + 2
type of Some(\"b\") text from CAST(b AS text)
owner Some(\"joe\")
other SET PERSISTENCE
";
    assert_eq!(read(text), expected);
    let expected = "alter t only false if exists false\ncolumn Some(\"a\") to Some(\"b\")\n";
    assert_eq!(read("alter table t rename column a to b"), expected);
    let expected = "if exists true cascade true\ndrop a\ndrop s.b\n";
    assert_eq!(read("drop table if exists a, s.b cascade"), expected);
}
