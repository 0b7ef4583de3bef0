//! What must hold without any other engine.
//!
//! - **Partitions**: the rows for which a predicate is true, is false, and is unknown are all rows.
//! - **Sums**: a query that filters by a predicate has as many rows as there are for which the predicate, as a column, is
//!   true. The filter may be pushed down, use a key, or be computed in columns; the column cannot.
//!
//! # Source
//! M. Rigger and Z. Su, "Finding bugs in database systems via query partitioning" (2020) and "Detecting optimization bugs in
//! database engines via non-optimizing reference engine construction" (2020).

use crate::compare::{Verdict, alone, compare_rows};
use crate::engines::{Engine, Outcome, Rows};
use crate::sql::{Expr, Query, Select};
use crate::types::Ty;

/// The statements that an identity is made of: what is on its left, and what is on its right together.
#[derive(Clone, Debug)]
pub struct Identity {
    /// One query.
    pub whole: String,
    /// The queries whose rows together are those of the first.
    pub parts: Vec<String>,
}

/// Both identities of a query and a predicate over its tables.
pub fn identities(select: &Select, predicate: &Expr) -> [Identity; 2] {
    let filtered =
        |filter: Expr| Query::select(Select { filter: Some(filter), ..select.clone() }).to_string();
    let with = |template: &str| Expr::new(Ty::Bool, template, vec![predicate.clone()]);
    let count = |item: Expr, filter: Option<Expr>| {
        let items = vec![item];
        Query::select(Select { items, filter, ..select.clone() }).to_string()
    };
    let counted = Expr::leaf(Ty::Big, "count(*)");
    let summed =
        Expr::new(Ty::Big, "coalesce(sum(CASE WHEN {} THEN 1 ELSE 0 END), 0)", vec![predicate.clone()]);
    [
        Identity {
            whole: Query::select(select.clone()).to_string(),
            parts: vec![filtered(with("{}")), filtered(with("(NOT {})")), filtered(with("({} IS NULL)"))],
        },
        Identity { whole: count(summed, None), parts: vec![count(counted, Some(with("{}")))] },
    ]
}

impl Identity {
    /// Whether it holds.
    pub fn check(&self, engine: &mut dyn Engine) -> Verdict {
        let whole = match rows_of(engine.run(&self.whole)) {
            Ok(rows) => rows,
            Err(verdict) => return verdict,
        };
        let mut together = Rows { types: whole.types.clone(), kinds: whole.kinds.clone(), rows: Vec::new() };
        for part in &self.parts {
            match rows_of(engine.run(part)) {
                Ok(rows) => together.rows.extend(rows.rows),
                Err(verdict) => return verdict,
            }
        }
        match compare_rows(&together, &whole, false) {
            Verdict::Different(group, what) => {
                let name = if self.parts.len() == 3 { "partitions" } else { "sums" };
                Verdict::Different(format!("{name}: {group}"), what)
            }
            verdict => verdict,
        }
    }

    /// The statements, for a script.
    pub fn statements(&self) -> Vec<String> {
        std::iter::once(&self.whole).chain(&self.parts).cloned().collect()
    }
}

fn rows_of(outcome: Outcome) -> Result<Rows, Verdict> {
    if let Some(verdict) = alone(&outcome) {
        return Err(verdict);
    }
    match outcome {
        Outcome::Rows(rows) => Ok(rows),
        Outcome::Error { sqlstate, .. } if sqlstate.starts_with("22") || sqlstate == "21000" => {
            Err(Verdict::Unknown("an error of a value"))
        }
        Outcome::Error { sqlstate, message } => {
            Err(Verdict::Different(format!("error {sqlstate}: {message}"), message))
        }
        Outcome::Done(_) => Err(Verdict::Different("no answer".to_owned(), String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::Kind;
    use crate::sql::From;

    /// Gives so many rows for each statement that contains a text, the first that fits.
    struct Fixed(Vec<(&'static str, usize)>);

    impl Engine for Fixed {
        fn reset(&mut self) -> Result<(), String> {
            Ok(())
        }

        fn run(&mut self, sql: &str) -> Outcome {
            let count =
                self.0.iter().find(|(text, _)| sql.contains(text)).expect("each statement is known").1;
            let rows = vec![vec![Some("1".to_owned())]; count];
            Outcome::Rows(Rows { types: Vec::new(), kinds: vec![Kind::Number], rows })
        }
    }

    #[test]
    fn a_lost_row_is_found() {
        let select = Select {
            is_distinct: false,
            distinct_on: None,
            items: vec![Expr::leaf(Ty::Int, "1")],
            from: Some(From::Table("t0".to_owned(), "t".to_owned())),
            filter: None,
            keys: Vec::new(),
            grouping: "{}",
            having: None,
        };
        let [partitions, _] = identities(&select, &Expr::leaf(Ty::Bool, "p"));
        let engine = |all| Fixed(vec![("(NOT p)", 2), ("(p IS NULL)", 1), ("WHERE p", 3), ("SELECT", all)]);
        assert_eq!(partitions.check(&mut engine(6)), Verdict::Same);
        assert!(
            matches!(partitions.check(&mut engine(7)), Verdict::Different(group, _) if group.contains("partitions"))
        );
    }
}
