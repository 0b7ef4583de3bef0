//! Parameters of a statement: which there are, and their types, which follow from where they stand.
//!
//! A parameter has no type until something asks it to be of one: an operator for its other operand, a column for its value, a
//! cast. From then on it has that type wherever it stands:
//!
//! ```text
//! WHERE id = $1 AND name LIKE $2      $1 integer as id is, $2 text
//! SELECT $1::date + $1                $1 date, in the second place as well
//! SELECT $1 WHERE $1 IS NULL          $1 text: what is given back and has no type is text
//! WHERE $1 IS NULL                    42P18: nothing tells
//! ```
//!
//! A parameter has a number, or a name, `$name`, which stands for the number of its first place among those of the statement that have
//! other names. PostgreSQL has numbers alone. A statement has parameters of one kind.
//!
//! Beside decimals a parameter is a `numeric` of any digits: values are not known yet, and rounding them to the digits of a column
//! would change what comparisons say.
//!
//! **Memory.** A cell for each number up to the highest, in the plan's arena; with names two lists of these, and for a while one of all
//! their places.

use std::cell::Cell;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::{Node, NodeKind, Visit, Walk};
use cofferdam_types::Type;

use crate::Span;
use crate::error::{Error, ParameterProblem};

/// The highest number of a parameter.
pub const PARAMETER_NUMBER_MAX: u32 = 65_535;

/// The parameters of a statement, and their types while it is bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a> {
    /// By number from 1; unknown as long as nothing tells.
    types: &'a [Cell<Type>],
    /// By number from 1; none where parameters have no names.
    names: &'a [&'a str],
    /// The names in order, with their numbers.
    numbers: &'a [(&'a str, u32)],
}

impl<'a> Parameters<'a> {
    /// Of a statement that has none.
    pub(crate) const NONE: Parameters<'static> = Parameters { types: &[], names: &[], numbers: &[] };

    /// Those of the statement below `root`, and those of the types that are `declared`; none if it takes none.
    ///
    /// # Errors
    /// 42P02 for a number that is none, 42601 where numbers and names are mixed, 54000 for too many names; `OutOfMemory`.
    pub(crate) fn of<'q: 'a>(
        root: &'q Node<'q>,
        takes_parameters: bool,
        declared: &[Type],
        arena: &'a Arena,
    ) -> Result<Parameters<'a>, Error<'a>> {
        if !takes_parameters {
            return Ok(Parameters::NONE);
        }
        let (mut highest, mut places_count) = (0, 0);
        for node in parameters_below(root) {
            let is_named = is_name(node.name());
            if is_named && highest > 0 || !is_named && places_count > 0 {
                return Err(error(ParameterProblem::Mixed, 0, node.name(), node.span()));
            }
            match is_named {
                true => places_count += 1,
                false => highest = highest.max(number_of(node.name(), node.span())?),
            }
        }
        let (names, numbers) = match places_count {
            0 => (&[] as &[_], &[] as &[_]),
            _ => named(root, places_count, arena)?,
        };
        let count = names.len().max(highest as usize).max(declared.len());
        let types = arena.alloc_slice_fill_with(count, |index| {
            Cell::new(declared.get(index).map_or(Type::Unknown, |ty| without_digits(*ty)))
        })?;
        Ok(Parameters { types, names, numbers })
    }

    /// The number of the parameter whose number or name is written as `text`.
    ///
    /// # Errors
    /// 42P02 when there is no such parameter.
    pub(crate) fn number(&self, text: &'a str, span: Span) -> Result<u32, Error<'a>> {
        if !is_name(text) {
            return number_of(text, span);
        }
        match self.numbers.binary_search_by_key(&text, |(name, _)| name) {
            Ok(index) => Ok(self.numbers[index].1),
            Err(_) => Err(error(ParameterProblem::Undefined, 0, text, span)),
        }
    }

    /// The names by number from 1; none where parameters have numbers alone.
    pub(crate) fn names(&self) -> &'a [&'a str] {
        self.names
    }

    fn name(&self, number: u32) -> &'a str {
        number.checked_sub(1).and_then(|index| self.names.get(index as usize)).copied().unwrap_or_default()
    }

    fn cell(&self, number: u32) -> Option<&'a Cell<Type>> {
        self.types.get(number.checked_sub(1)? as usize)
    }

    /// The type of a parameter; unknown as long as nothing tells.
    ///
    /// # Errors
    /// 42P02 when there is no such parameter.
    pub(crate) fn ty(&self, number: u32, span: Span) -> Result<Type, Error<'a>> {
        let cell = self.cell(number);
        cell.map(Cell::get).ok_or_else(|| error(ParameterProblem::Undefined, number, self.name(number), span))
    }

    /// A parameter is to be of the type `wanted`: gives the one that it has.
    ///
    /// # Errors
    /// 42P08 when it has another type already.
    pub(crate) fn decide(&self, number: u32, wanted: Type, span: Span) -> Result<Type, Error<'a>> {
        let wanted = without_digits(wanted);
        let fails = |problem| Err(error(problem, number, self.name(number), span));
        let Some(cell) = self.cell(number) else { return fails(ParameterProblem::Undefined) };
        match cell.get() {
            Type::Unknown => cell.set(wanted),
            known if known == wanted => {}
            known => return fails(ParameterProblem::Inconsistent { known, found: wanted }),
        }
        Ok(wanted)
    }

    /// The types, in the arena, when all of the statement is bound.
    ///
    /// # Errors
    /// 42P18 when nothing has told one of them; `OutOfMemory`.
    pub(crate) fn decided(&self, arena: &'a Arena) -> Result<&'a [Type], Error<'a>> {
        if let Some(index) = self.types.iter().position(|cell| cell.get() == Type::Unknown) {
            let number = index as u32 + 1;
            return Err(error(ParameterProblem::Undecided, number, self.name(number), Span::new(0, 0)));
        }
        Ok(arena.alloc_slice_from_iter(self.types.iter().map(Cell::get))?)
    }
}

fn error<'a>(problem: ParameterProblem, number: u32, name: &'a str, span: Span) -> Error<'a> {
    Error::Parameter { problem, number, name, span }
}

/// The type of a parameter that is to be of the type `ty`.
fn without_digits(ty: Type) -> Type {
    if matches!(ty, Type::Decimal { .. }) { Type::Numeric } else { ty }
}

/// Whether what stands behind a `$` is a name.
fn is_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
}

/// The number of the parameter that is written as `digits`.
fn number_of<'a>(digits: &'a str, span: Span) -> Result<u32, Error<'a>> {
    let number = digits.parse().unwrap_or(u32::MAX);
    match number {
        1..=PARAMETER_NUMBER_MAX => Ok(number),
        _ => Err(error(ParameterProblem::Undefined, number, "", span)),
    }
}

/// The places of parameters, in the order of the tree.
fn parameters_below<'q>(root: &'q Node<'q>) -> impl Iterator<Item = &'q Node<'q>> {
    Walk::new(root).filter_map(|visit| match visit {
        Visit::Enter(node) if node.kind() == NodeKind::Parameter => Some(node),
        _ => None,
    })
}

/// The names of parameters by number, and in order with their numbers.
type Names<'a> = (&'a [&'a str], &'a [(&'a str, u32)]);

fn named<'a, 'q: 'a>(
    root: &'q Node<'q>,
    places_count: usize,
    arena: &'a Arena,
) -> Result<Names<'a>, Error<'a>> {
    let mut names: Vec<'a, (&'a str, u32)> = Vec::with_capacity_in(places_count, arena)?;
    // First with the place, counted in the statement, from which the number follows.
    for (place, node) in parameters_below(root).enumerate() {
        names.push((node.name(), place as u32))?;
    }
    names.sort_unstable();
    let mut last = None;
    names.retain(|(name, _)| last.replace(*name) != Some(*name));
    names.sort_unstable_by_key(|(_, place)| *place);
    if names.len() > PARAMETER_NUMBER_MAX as usize {
        return Err(error(ParameterProblem::TooMany, 0, "", root.span()));
    }
    for (index, (_, number)) in names.iter_mut().enumerate() {
        *number = index as u32 + 1;
    }
    let by_number = arena.alloc_slice_from_iter(names.iter().map(|(name, _)| *name))?;
    names.sort_unstable();
    Ok((by_number, names.into_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;

    const SPAN: Span = Span { start: 0, len: 0 };

    /// Aim: the first place that asks for a type gives it, and later ones have to agree.
    #[test]
    fn the_first_place_decides() {
        let arena = Arena::new(&Budget::unlimited("test").unwrap());
        let types = arena.alloc_slice_fill_with(2, |_| Cell::new(Type::Unknown)).unwrap();
        let parameters = Parameters { types, ..Parameters::NONE };
        assert_eq!(parameters.decide(1, Type::Integer, SPAN).unwrap(), Type::Integer);
        assert_eq!(parameters.ty(1, SPAN).unwrap(), Type::Integer);
        assert_eq!(parameters.decide(1, Type::Text, SPAN).unwrap_err().sqlstate(), "42P08");
        assert_eq!(parameters.decided(&arena).unwrap_err().sqlstate(), "42P18");
        let money = Type::Decimal { precision: 10, scale: 2 };
        assert_eq!(parameters.decide(2, money, SPAN).unwrap(), Type::Numeric);
        assert_eq!(parameters.decided(&arena).unwrap(), [Type::Integer, Type::Numeric]);
        for number in [0, 3] {
            assert_eq!(parameters.ty(number, SPAN).unwrap_err().sqlstate(), "42P02");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        for (digits, is_number) in [("0", false), ("1", true), ("65535", true), ("65536", false)] {
            assert_eq!(number_of(digits, SPAN).is_ok(), is_number, "{digits}");
        }
    }

    /// Aim: a name has the number of its first place, however often it comes.
    #[test]
    fn names_have_numbers() {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let tree = cofferdam_sql::parse("SELECT $zeta, $a + $zeta, $B WHERE $a", &arena).unwrap();
        let parameters = Parameters::of(tree.root(), true, &[], &arena).unwrap();
        assert_eq!(parameters.names(), ["zeta", "a", "B"]);
        for (name, number) in [("zeta", Some(1)), ("a", Some(2)), ("B", Some(3)), ("b", None), ("A", None)] {
            assert_eq!(parameters.number(name, SPAN).ok(), number, "{name}");
        }
        let error = parameters.decided(&arena).unwrap_err();
        assert_eq!(error.to_string(), "could not determine data type of parameter $zeta");
        assert!(Parameters::of(tree.root(), false, &[], &arena).unwrap().number("a", SPAN).is_err());
        for mixed in ["SELECT $1, $a", "SELECT $a, $1"] {
            let tree = cofferdam_sql::parse(mixed, &arena).unwrap();
            let error = Parameters::of(tree.root(), true, &[], &arena).unwrap_err();
            assert_eq!((error.sqlstate(), error.span().unwrap().start), ("42601", 11), "{mixed}");
        }
    }

    /// Aim: declared types hold whatever the places say, also of parameters that stand nowhere.
    #[test]
    fn declared_types_come_first() {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let tree = cofferdam_sql::parse("SELECT $1, $2", &arena).unwrap();
        let declared = [Type::Date, Type::Unknown, Type::Decimal { precision: 5, scale: 2 }];
        let parameters = Parameters::of(tree.root(), true, &declared, &arena).unwrap();
        assert_eq!(parameters.decide(1, Type::Text, SPAN).unwrap_err().sqlstate(), "42P08");
        assert_eq!(parameters.decide(2, Type::Text, SPAN).unwrap(), Type::Text);
        assert_eq!(parameters.decided(&arena).unwrap(), [Type::Date, Type::Text, Type::Numeric]);
    }
}
