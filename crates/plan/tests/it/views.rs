//! Views whose kept definitions are not what they were: typed errors that stand where the view is read.

use cofferdam_arena::{Arena, Budget};
use cofferdam_plan::catalog::{Catalog, CatalogError, FileRequest};
use cofferdam_plan::physical::FileSource;
use cofferdam_plan::plan_query;
use cofferdam_plan::table::{StoredView, TableSource, ViewColumn, ViewProperties};
use cofferdam_sql::views::Statement;

/// A catalog of one view, `v`, of two columns.
struct OneView(&'static str);

impl Catalog for OneView {
    fn table<'a>(&self, _: &str, _: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>> {
        Ok(None)
    }

    fn view<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<&'a StoredView<'a>>, CatalogError<'a>> {
        if name != "v" {
            return Ok(None);
        }
        let column = |name| ViewColumn { name, type_name: "integer" };
        let columns = arena.alloc_slice_copy(&[column("a"), column("b")])?;
        let properties = ViewProperties { query: self.0, columns, reads: &[] };
        Ok(Some(arena.alloc(StoredView { id: 1, name: "v", properties })?))
    }

    fn table_names(&self, visit: &mut dyn FnMut(&str)) {
        visit("v");
    }

    fn file<'a>(&self, _: FileRequest<'_>, _: &'a Arena) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
        Err(CatalogError::Source { sqlstate: "58P01", message: "no file" })
    }
}

/// The SQLSTATE that planning ends with, and what of the statement it points to.
fn outcome(view: &'static str, sql: &str) -> (&'static str, String) {
    let budget = Budget::root("test", 4 << 20).unwrap().child("statement", u64::MAX).unwrap();
    let (parsed, planned) = (Arena::new(&budget), Arena::new(&budget));
    let tree = cofferdam_sql::parse(sql, &parsed).unwrap();
    let Statement::Query(query) = tree.statement() else { panic!("a query") };
    match plan_query(query, &OneView(view), &planned) {
        Ok(plan) => ("", plan.columns().iter().map(|column| column.name).collect::<Vec<_>>().join(",")),
        Err(error) => {
            (error.sqlstate(), error.span().map_or_else(String::new, |span| span.of(sql).to_owned()))
        }
    }
}

#[test]
fn definitions_that_do_not_do_are_errors() {
    let sql = "SELECT 1, w.* FROM v AS w";
    for (view, sqlstate) in [
        ("SELECT 1, 2", ""),
        ("SELECT FROM WHERE (", "XX001"),
        ("DELETE FROM t", "XX001"),
        ("", "XX001"),
        ("SELECT 1, 2, 3", "55000"),
        ("SELECT 1", "55000"),
        ("SELECT a, b FROM gone", "42P01"),
        ("SELECT * FROM 'gone.csv'", "58P01"),
        // It can only be so where two of them were made at once; it has an end.
        ("SELECT a, b FROM v", "54001"),
    ] {
        let place = if sqlstate.is_empty() { "?column?,a,b" } else { "v AS w" };
        assert_eq!(outcome(view, sql), (sqlstate, place.to_owned()), "{view}");
    }
    // Depth ends it before there are many.
    assert_eq!(outcome("SELECT x.a, y.b FROM v AS x, v AS y", sql).0, "54001");
    assert_eq!(outcome("SELECT 1, 2", "SELECT a FROM w").0, "42P01");
}
