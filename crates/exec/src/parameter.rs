//! Values that callers give for parameters, as the plan wants them.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_functions::{Output, Problem, convert};
use cofferdam_types::cast::{CastContext, cast_context};
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{Type, Value};

use crate::statement::Statement;

/// Why a value does not do for a parameter.
#[derive(Clone, Copy, Debug)]
pub enum ParameterError {
    /// There is no room for it.
    OutOfMemory(AllocError),
    /// It is no value of the parameter's type, or cannot be made one.
    Value(cofferdam_types::Error),
    /// Values of its type become ones of the parameter's only by a written cast, or not at all.
    Type {
        /// The parameter's type.
        expected: Type,
        /// The value's.
        found: Type,
    },
}

impl From<AllocError> for ParameterError {
    fn from(error: AllocError) -> Self {
        ParameterError::OutOfMemory(error)
    }
}

/// The value as one of the parameter's type `ty`, in `arena`. A text is read as a quoted literal is; others become what they would in an
/// assignment to a column.
///
/// # Errors
/// [`ParameterError`].
pub fn parameter<'a>(value: Value<'_>, ty: Type, arena: &'a Arena) -> Result<Value<'a>, ParameterError> {
    let found = value.ty();
    if (found == ty || ty == Type::Unknown)
        && let Some(value) = value.without_bytes()
    {
        return Ok(value);
    }
    let is_taken = matches!(value, Value::Null | Value::Text(_))
        || matches!(cast_context(found, ty), Some(CastContext::Implicit | CastContext::Assignment));
    if !is_taken {
        return Err(ParameterError::Type { expected: ty, found });
    }
    let mut made = Vec::new_in(arena);
    let session = Statement::begin(&[], &|| false, None).conversions();
    let output = convert(value, ty, &session, &mut made).map_err(|problem| match problem {
        Problem::OutOfMemory(error) => ParameterError::OutOfMemory(error),
        Problem::Value(error) => ParameterError::Value(error),
        // What a conversion never says.
        Problem::Cancelled | Problem::Refused(_) => {
            ParameterError::Value(cofferdam_types::Error::CannotCast { from: found, to: ty })
        }
    })?;
    match output {
        Output::Value(value) => Ok(value),
        Output::Written => decode_bytes(made.into_slice(), ty).map_err(ParameterError::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use cofferdam_types::Decimal;

    fn given(value: Value<'_>, ty: Type) -> Result<String, &'static str> {
        let arena = Arena::new(&Budget::unlimited("test").unwrap());
        match parameter(value, ty, &arena) {
            Ok(value) if value.is_null() || value.ty() == ty || ty == Type::Numeric => Ok(value.to_string()),
            Ok(value) => panic!("{value:?} is no {ty}"),
            Err(ParameterError::Value(error)) => Err(error.sqlstate()),
            Err(ParameterError::Type { .. }) => Err("42804"),
            Err(ParameterError::OutOfMemory(_)) => Err("53200"),
        }
    }

    /// Aim: values become those of the parameter's type as in an assignment, texts as literals, and nothing else does.
    #[test]
    fn values_become_what_the_plan_wants() {
        let cases = [
            (Value::Integer(7), Type::Integer, Ok("7")),
            (Value::Integer(7), Type::BigInt, Ok("7")),
            (Value::BigInt(7), Type::Integer, Ok("7")),
            (Value::BigInt(1 << 40), Type::Integer, Err("22003")),
            (Value::BigInt(7), Type::Numeric, Ok("7")),
            (Value::Decimal(Decimal::parse(b"1.50").unwrap()), Type::Numeric, Ok("1.50")),
            (Value::Text("12.345"), Type::Numeric, Ok("12.345")),
            (Value::Text("2024-02-30"), Type::Date, Err("22008")),
            (Value::Text("2024-02-29"), Type::Date, Ok("2024-02-29")),
            (Value::Text("abc"), Type::Text, Ok("abc")),
            (Value::Integer(7), Type::Text, Ok("7")),
            (Value::Text("x"), Type::Integer, Err("22P02")),
            (Value::Text("\\x0102"), Type::Bytea, Ok("\\x0102")),
            (Value::Boolean(true), Type::Integer, Err("42804")),
            (Value::Double(1.5), Type::Date, Err("42804")),
            (Value::Null, Type::Date, Ok("NULL")),
        ];
        for (value, ty, expected) in cases {
            let given = given(value, ty);
            assert_eq!(given.as_deref().map_err(|error| *error), expected, "{value:?} for {ty}");
        }
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused() {
        let budget = Budget::root("root", 1 << 20).unwrap().child("run", 4 << 10).unwrap();
        let arena = Arena::new(&budget);
        let long = "x".repeat(10_000);
        let refused = parameter(Value::Text(&long), Type::Text, &arena);
        assert!(matches!(refused, Err(ParameterError::OutOfMemory(_))));
    }
}
