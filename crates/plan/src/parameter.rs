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
//! Beside decimals a parameter is a `numeric` of any digits: values are not known yet, and rounding them to the digits of a column
//! would change what comparisons say.
//!
//! **Memory.** A cell for each number up to the highest, in the plan's arena.

use std::cell::Cell;

use cofferdam_arena::Arena;
use cofferdam_sql::{Node, NodeKind, Visit, Walk};
use cofferdam_types::Type;

use crate::Span;
use crate::error::{Error, ParameterProblem};

/// The highest number of a parameter.
pub const PARAMETER_NUMBER_MAX: u32 = 65_535;

/// The types of a statement's parameters while it is bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a> {
    /// By number from 1; unknown as long as nothing tells.
    types: &'a [Cell<Type>],
}

impl<'a> Parameters<'a> {
    /// Of a statement that has none.
    pub(crate) const NONE: Parameters<'static> = Parameters { types: &[] };

    /// Those of the statement below `root`; none if it takes none.
    ///
    /// # Errors
    /// 42P02 for a number that is none; `OutOfMemory`.
    pub(crate) fn of<'q>(
        root: &'q Node<'q>,
        takes_parameters: bool,
        arena: &'a Arena,
    ) -> Result<Parameters<'a>, Error<'a>> {
        if !takes_parameters {
            return Ok(Parameters::NONE);
        }
        let mut highest = 0;
        for visit in Walk::new(root) {
            let Visit::Enter(node) = visit else { continue };
            if node.kind() == NodeKind::Parameter {
                highest = highest.max(number_of(node.name(), node.span())?);
            }
        }
        let types = arena.alloc_slice_fill_with(highest as usize, |_| Cell::new(Type::Unknown))?;
        Ok(Parameters { types })
    }

    fn cell(&self, number: u32) -> Option<&'a Cell<Type>> {
        self.types.get(number.checked_sub(1)? as usize)
    }

    /// The type of a parameter; unknown as long as nothing tells.
    ///
    /// # Errors
    /// 42P02 when there is no such parameter.
    pub(crate) fn ty<'e>(&self, number: u32, span: Span) -> Result<Type, Error<'e>> {
        match self.cell(number) {
            Some(cell) => Ok(cell.get()),
            None => Err(Error::Parameter { problem: ParameterProblem::Undefined, number, span }),
        }
    }

    /// A parameter is to be of the type `wanted`: gives the one that it has.
    ///
    /// # Errors
    /// 42P08 when it has another type already.
    pub(crate) fn decide<'e>(&self, number: u32, wanted: Type, span: Span) -> Result<Type, Error<'e>> {
        let wanted = if matches!(wanted, Type::Decimal { .. }) { Type::Numeric } else { wanted };
        let Some(cell) = self.cell(number) else {
            return Err(Error::Parameter { problem: ParameterProblem::Undefined, number, span });
        };
        match cell.get() {
            Type::Unknown => cell.set(wanted),
            known if known == wanted => {}
            known => {
                let problem = ParameterProblem::Inconsistent { known, found: wanted };
                return Err(Error::Parameter { problem, number, span });
            }
        }
        Ok(wanted)
    }

    /// The types, in the arena, when all of the statement is bound.
    ///
    /// # Errors
    /// 42P18 when nothing has told one of them; `OutOfMemory`.
    pub(crate) fn decided(&self, arena: &'a Arena) -> Result<&'a [Type], Error<'a>> {
        if let Some(index) = self.types.iter().position(|cell| cell.get() == Type::Unknown) {
            let (problem, number) = (ParameterProblem::Undecided, index as u32 + 1);
            return Err(Error::Parameter { problem, number, span: Span::new(0, 0) });
        }
        Ok(arena.alloc_slice_from_iter(self.types.iter().map(Cell::get))?)
    }
}

/// The number of the parameter that is written as `digits`.
pub(crate) fn number_of<'e>(digits: &str, span: Span) -> Result<u32, Error<'e>> {
    let number = digits.parse().unwrap_or(u32::MAX);
    match number {
        1..=PARAMETER_NUMBER_MAX => Ok(number),
        _ => Err(Error::Parameter { problem: ParameterProblem::Undefined, number, span }),
    }
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
        let parameters = Parameters { types };
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
}
