//! Values for parameters, which `.param set` gives and the statements after it find.
//!
//! A value is text, which a statement reads as a quoted literal of the type that its parameter has; `NULL` is none. For `$1` the name is
//! `1`.

use std::io::{self, Write};

use cofferdam::{Params, Query, Value};

use crate::format::escaped::Escaped;

/// Names with their values, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, Option<String>)>);

impl Parameters {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives a parameter a value, in the place of the one that it had.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let name = name.strip_prefix('$').unwrap_or(name);
        let value = (!value.eq_ignore_ascii_case("null")).then(|| value.to_owned());
        match self.0.iter_mut().find(|known| known.0 == name) {
            Some(known) => known.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Forgets the value of a parameter; `false` where it had none.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let name = name.strip_prefix('$').unwrap_or(name);
        let before = self.0.len();
        self.0.retain(|known| known.0 != name);
        self.0.len() < before
    }

    /// Forgets all values.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes what `.param` shows: a line for each.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        self.0.iter().try_for_each(|(name, value)| {
            writeln!(out, "${} = {}", Escaped(name), Escaped(value.as_deref().unwrap_or("NULL")))
        })
    }

    /// Those that a statement has parameters for.
    pub(crate) fn of<'p>(&'p self, query: &Query<'_>) -> Given<'p> {
        let names = query.parameter_names();
        let is_named = !names.is_empty();
        let wanted: Vec<String> = match is_named {
            true => names.iter().map(|name| (*name).to_owned()).collect(),
            false => (1..=query.parameter_types().len()).map(|number| number.to_string()).collect(),
        };
        let value = |name: &String| self.0.iter().find(|known| known.0 == *name);
        // What comes behind a number without a value is not given, which the statement complains about.
        let given = match is_named {
            true => wanted.iter().filter_map(value).collect(),
            false => wanted.iter().map_while(value).collect(),
        };
        Given { values: given, is_named }
    }
}

/// The values for one statement.
#[derive(Debug)]
pub(crate) struct Given<'p> {
    values: Vec<&'p (String, Option<String>)>,
    is_named: bool,
}

impl Params for Given<'_> {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn value(&self, index: usize) -> Value<'_> {
        self.values[index].1.as_deref().map_or(Value::Null, Value::Text)
    }

    fn name(&self, index: usize) -> Option<&str> {
        self.is_named.then(|| self.values[index].0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam::{Database, Options};

    /// Aim: a statement gets the values of its own parameters, by name and by number.
    #[test]
    fn statements_find_their_values() {
        let connection = Database::open_in_memory(Options::new()).unwrap().connect().unwrap();
        let mut parameters = Parameters::default();
        for (name, value) in
            [("a", "7"), ("$b", "two words"), ("1", "1.5"), ("a", "8"), ("gone", "x"), ("n", "null")]
        {
            parameters.set(name, value);
        }
        assert!(parameters.remove("$gone") && !parameters.remove("gone"));
        let answer = |sql: &str| {
            let mut statement = connection.statement(sql)?.with_parameters();
            let query = statement.prepare()?;
            let mut rows = query.rows_with(&parameters.of(&query))?;
            let row = rows.next_row()?.expect("one row");
            Ok::<_, cofferdam::Error>(
                row.values().map(|value| value.to_string()).collect::<Vec<_>>().join("|"),
            )
        };
        assert_eq!(answer("SELECT $b, $a + 1, $n::date IS NULL").unwrap(), "two words|9|t");
        assert_eq!(answer("SELECT $1 + 0.25").unwrap(), "1.75");
        assert_eq!(answer("SELECT 1").unwrap(), "1");
        assert_eq!(
            answer("SELECT $zz + 1").unwrap_err().to_string(),
            "no value is given for the parameter $zz"
        );
        assert_eq!(
            answer("SELECT $1 + 1, $2 + 1").unwrap_err().to_string(),
            "the statement has 2 parameters, 1 values are given"
        );
        let mut shown = Vec::new();
        parameters.write(&mut shown).unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), "$a = 8\n$b = two words\n$1 = 1.5\n$n = NULL\n");
    }
}
