//! Values that are given by name: which value a parameter has, and what is wrong with the names.
//!
//! Names are given with or without the `$` that they have in a statement. They are told apart by case.

use cofferdam_plan::nearest_name;

use crate::error::Error;
use crate::params::Params;

/// The name as a statement has it.
fn bare(name: &str) -> &str {
    name.strip_prefix('$').unwrap_or(name)
}

/// Whether the value at a position is given for the parameter `name`.
fn is_for(name: &str, place: usize, params: &dyn Params) -> bool {
    params.name(place).is_some_and(|given| bare(given) == name)
}

/// Looks whether each value is for a parameter, and each for another one.
///
/// # Errors
/// 42P02 for a name that no parameter has; 08P01 for a name that comes twice, and where parameters have numbers.
pub(crate) fn check(names: &[&str], params: &dyn Params) -> Result<(), Error> {
    if names.is_empty() {
        let message = "values are given by name, but the statement has no parameters with names";
        return Err(Error::input("08P01", None, message)
            .with_hint("write $name in the statement, or give values in order"));
    }
    for place in 0..params.count() {
        let given = bare(params.name(place).unwrap_or_default());
        if names.get(place).is_none_or(|name| *name != given) && !names.contains(&given) {
            return Err(unknown(given, names));
        }
    }
    if params.count() > names.len() {
        let twice = (0..params.count()).find(|place| {
            let given = bare(params.name(*place).unwrap_or_default());
            (0..*place).any(|before| is_for(given, before, params))
        });
        let name = twice.and_then(|place| params.name(place)).map_or("", bare);
        return Err(Error::input(
            "08P01",
            None,
            format_args!("two values are given for the parameter ${name}"),
        ));
    }
    Ok(())
}

/// The position of the value of the parameter `name`, which is likely to be `likely`.
///
/// # Errors
/// 08P01 when there is none.
pub(crate) fn place_of(name: &str, likely: usize, params: &dyn Params) -> Result<usize, Error> {
    let count = params.count();
    if likely < count && is_for(name, likely, params) {
        return Ok(likely);
    }
    (0..count).find(|place| is_for(name, *place, params)).ok_or_else(|| missing(name))
}

#[cold]
fn missing(name: &str) -> Error {
    Error::input("08P01", None, format_args!("no value is given for the parameter ${name}"))
}

#[cold]
fn unknown(given: &str, names: &[&str]) -> Error {
    let error = Error::input("42P02", None, format_args!("the statement has no parameter ${given}"));
    match nearest_name(given, names.iter().copied()) {
        Some(name) => error.with_hint(format_args!("did you mean ${name}?")),
        None => error,
    }
}

/// More or fewer values are given in order than there are parameters.
#[cold]
pub(crate) fn wrong_count(parameters_count: usize, names: &[&str], given: usize) -> Error {
    if let (Some(name), 0) = (names.first(), given) {
        return missing(name);
    }
    let message = format_args!("the statement has {parameters_count} parameters, {given} values are given");
    Error::input("08P01", None, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["low", "high", "größe"];

    fn given(names: &[&str]) -> Vec<(&'static str, i32)> {
        names.iter().map(|name| (&*name.to_string().leak(), 1)).collect()
    }

    #[test]
    fn values_are_found_by_name() {
        let values = given(&["$größe", "low", "high"]);
        let params: &dyn Params = &values.as_slice();
        assert!(check(&NAMES, params).is_ok());
        let places = [0, 1, 2].map(|index| place_of(NAMES[index], index, params).unwrap());
        assert_eq!(places, [1, 2, 0]);
    }

    #[test]
    fn what_is_wrong_with_names_is_told() {
        let fails = |names: &[&str]| {
            let values = given(names);
            let params: &dyn Params = &values.as_slice();
            let places = || (0..3).try_for_each(|index| place_of(NAMES[index], index, params).map(|_| ()));
            let error = check(&NAMES, params).and_then(|()| places()).unwrap_err();
            let hint = error.hint().map_or(String::new(), |hint| format!(" ({hint})"));
            format!("{} {error}{hint}", error.sqlstate())
        };
        assert_eq!(fails(&["low", "high"]), "08P01 no value is given for the parameter $größe");
        assert_eq!(
            fails(&["low", "hihg", "größe"]),
            "42P02 the statement has no parameter $hihg (did you mean $high?)"
        );
        assert_eq!(fails(&["zzzzzz"]), "42P02 the statement has no parameter $zzzzzz");
        assert_eq!(fails(&["low", "$low", "high"]), "08P01 no value is given for the parameter $größe");
        assert_eq!(
            fails(&["low", "größe", "$low", "high"]),
            "08P01 two values are given for the parameter $low"
        );
        let values = given(&["a"]);
        assert_eq!(check(&[], &values.as_slice()).unwrap_err().sqlstate(), "08P01");
    }
}
