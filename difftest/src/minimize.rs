//! A failing case made smaller as long as it fails in the same way.

use crate::compare::{Question, Verdict, compare};
use crate::engines::Engine;
use crate::generate::Table;
use crate::sql::Query;

/// The most attempts for a case.
const ATTEMPTS_MAX: usize = 400;

/// A query, and the state that it is asked in.
#[derive(Clone, Debug)]
pub struct Case {
    /// The tables.
    pub tables: Vec<Table>,
    /// What was changed in them.
    pub changes: Vec<String>,
    /// The query.
    pub query: Query,
}

impl Case {
    /// The whole as a script.
    pub fn script(&self) -> String {
        let mut statements: Vec<String> = self.tables.iter().flat_map(Table::statements).collect();
        statements.extend(self.changes.iter().cloned());
        statements.push(self.query.to_string());
        statements.iter().map(|statement| format!("{statement};\n")).collect()
    }

    /// The verdict on the query after its state was made anew in both.
    pub fn verdict(&self, ours: &mut dyn Engine, theirs: &mut dyn Engine, has_sqlstates: bool) -> Verdict {
        let mut statements: Vec<String> = self.tables.iter().flat_map(Table::statements).collect();
        statements.extend(self.changes.iter().cloned());
        let is_made = |engine: &mut dyn Engine| {
            engine.reset().is_ok() && !statements.iter().any(|sql| engine.run(sql).is_error())
        };
        if !is_made(ours) || !is_made(theirs) {
            return Verdict::Unknown("the state cannot be made");
        }
        let sql = self.query.to_string();
        let question = Question {
            is_ordered: !self.query.order.is_empty(),
            is_simple: self.query.is_simple(),
            has_sqlstates,
        };
        compare(&ours.run(&sql), &theirs.run(&sql), question)
    }

    /// A smaller case of which `fails` is still true.
    pub fn minimized(mut self, fails: &mut dyn FnMut(&Case) -> bool) -> Case {
        let mut attempts = 0;
        loop {
            let mut is_smaller = false;
            for candidate in self.candidates() {
                if candidate.script().len() >= self.script().len() {
                    continue;
                }
                attempts += 1;
                if attempts > ATTEMPTS_MAX {
                    return self;
                }
                if fails(&candidate) {
                    self = candidate;
                    is_smaller = true;
                    break;
                }
            }
            if !is_smaller {
                return self;
            }
        }
    }

    fn candidates(&self) -> Vec<Case> {
        let with = |change: &dyn Fn(&mut Case)| {
            let mut case = self.clone();
            change(&mut case);
            case
        };
        let mut all = Vec::new();
        if !self.changes.is_empty() {
            all.push(with(&|case| case.changes.clear()));
        }
        let sql = self.query.to_string() + &self.changes.join(" ");
        for (index, table) in self.tables.iter().enumerate() {
            if !sql.contains(&format!("{} ", table.name)) {
                all.push(with(&|case| drop(case.tables.remove(index))));
            }
        }
        all.extend(self.query.shrinks().into_iter().map(|query| Case { query, ..self.clone() }));
        for (index, change) in self.changes.iter().enumerate() {
            let _ = change;
            all.push(with(&|case| drop(case.changes.remove(index))));
        }
        for (index, table) in self.tables.iter().enumerate() {
            let count = table.rows.len();
            let mut size = count;
            while size > 0 {
                for start in (0..count).step_by(size) {
                    let end = (start + size).min(count);
                    all.push(with(&|case| drop(case.tables[index].rows.drain(start..end))));
                }
                size /= 2;
            }
            for column in 1..table.columns.len() {
                if !sql.contains(&format!(".{}", table.columns[column].0)) {
                    all.push(with(&|case| {
                        let table = &mut case.tables[index];
                        table.columns.remove(column);
                        table.rows.iter_mut().for_each(|row| drop(row.remove(column)));
                    }));
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Generator, Vocabulary};

    #[test]
    fn a_case_shrinks_to_what_makes_it_fail() {
        let vocabulary = Vocabulary::probed(false, &mut |_| Ok(()));
        let mut generator = Generator::new(7, &vocabulary);
        let tables = generator.tables();
        let query = (0..1000).map(|_| generator.query()).find(|query| {
            let sql = query.to_string();
            sql.contains("LEFT JOIN") && sql.len() > 500
        });
        let case =
            Case { tables, changes: vec!["DELETE FROM t0".to_owned()], query: query.expect("such a query") };
        let before = case.script().len();
        let case = case.minimized(&mut |case| case.query.to_string().contains("LEFT JOIN"));
        assert!(case.query.to_string().contains("LEFT JOIN"));
        assert!(case.changes.is_empty());
        assert!(case.script().len() * 2 < before, "{}", case.script());
    }
}
