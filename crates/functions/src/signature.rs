//! What an entry of the tables says: name, parameters, result, and how a call is evaluated.
//!
//! Entries are constants that read like PostgreSQL's catalog, made by [`function`] and changed by the methods behind it:
//!
//! ```text
//! function("concat_ws", &[TEXT, ANY], TEXT, text::concat_ws, "joins …").lenient().variadic().stable()
//! ```

use cofferdam_types::{Element, Type};

use crate::context::{Context, Output, Problem};

use cofferdam_types::Value;

/// What a parameter takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Param {
    /// One type; `numeric` takes decimals of any precision and scale as they are.
    Is(Type),
    /// `"any"`: any type, each argument its own.
    Any,
    /// `anyelement`: any type, the same wherever it stands and the element of `anyarray`.
    AnyElement,
    /// `anynonarray`: as `anyelement`, but no array.
    AnyNonArray,
    /// `anyarray`: an array of `anyelement`.
    AnyArray,
    /// `anycompatible`: any type; all of them are cast to their common type.
    AnyCompatible,
    /// `anycompatiblearray`: an array of the common type.
    AnyCompatibleArray,
}

/// The type of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returns {
    /// Always the same.
    Is(Type),
    /// What `anyelement` stands for in this call.
    AnyElement,
    /// The array of what `anyelement` stands for.
    AnyArray,
    /// What `anycompatible` stands for.
    AnyCompatible,
    /// The array of what `anycompatible` stands for.
    AnyCompatibleArray,
    /// The type of the first argument as it was given, a decimal with its precision and scale.
    First,
    /// A numeric of the first argument's decimal type without its digits behind the point.
    FirstWhole,
}

/// Whether a call with the same arguments gives the same result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Volatility {
    /// Always: a call with constants can be folded.
    Immutable,
    /// Within a statement: the result depends on its clock, its time zone or its session.
    Stable,
    /// Never.
    Volatile,
}

/// The part of the documentation that an entry stands in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Category {
    /// Comparison and arithmetic of numbers.
    Math,
    /// Texts.
    Text,
    /// Regular expressions.
    Pattern,
    /// Byte strings.
    Binary,
    /// Dates, times and intervals.
    Datetime,
    /// Formatting and reading with patterns.
    Format,
    /// Arrays.
    Array,
    /// JSON.
    Json,
    /// Identifiers and what belongs nowhere else.
    Misc,
}

/// How a call is evaluated.
pub(crate) type Eval = for<'v> fn(&[Value<'v>], &mut Context<'_>) -> Result<Output<'v>, Problem>;

/// Name, parameters and result: what overloads are resolved by.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) result: Returns,
    pub(crate) is_variadic: bool,
    pub(crate) optional: u8,
    pub(crate) about: &'static str,
}

/// An entry of the table of functions or of operators.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    pub(crate) signature: Signature,
    pub(crate) eval: Eval,
    pub(crate) is_strict: bool,
    pub(crate) volatility: Volatility,
    pub(crate) category: Category,
}

/// A signature with parameters that all must be given.
pub(crate) const fn signature(
    name: &'static str,
    params: &'static [Param],
    result: Returns,
    about: &'static str,
) -> Signature {
    Signature { name, params, result, about, is_variadic: false, optional: 0 }
}

/// An immutable, strict function.
pub(crate) const fn function(
    name: &'static str,
    params: &'static [Param],
    result: Returns,
    eval: Eval,
    about: &'static str,
) -> Function {
    Function {
        signature: signature(name, params, result, about),
        eval,
        is_strict: true,
        volatility: Volatility::Immutable,
        category: Category::Misc,
    }
}

impl Signature {
    /// The last parameter takes any number of arguments.
    pub(crate) const fn variadic(self) -> Signature {
        Signature { is_variadic: true, ..self }
    }

    /// The last `count` parameters may be left out.
    pub(crate) const fn optional(self, count: u8) -> Signature {
        Signature { optional: count, ..self }
    }

    /// The name of a function, the symbol of an operator.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The parameters; of an operator with one, the right operand.
    pub const fn params(&self) -> &'static [Param] {
        self.params
    }

    /// The type of the result.
    pub const fn returns(&self) -> Returns {
        self.result
    }

    /// Whether the last parameter takes any number of arguments.
    pub const fn is_variadic(&self) -> bool {
        self.is_variadic
    }

    /// How many of the last parameters may be left out.
    pub const fn optional_count(&self) -> usize {
        self.optional as usize
    }

    /// What it does, in a line.
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// The parameter that an argument goes to.
    pub(crate) fn param(&self, index: usize) -> Param {
        let last = self.params.len().saturating_sub(1);
        self.params.get(index.min(last)).copied().unwrap_or(Param::Any)
    }

    /// Whether it can be called with so many arguments.
    pub(crate) fn takes(&self, count: usize) -> bool {
        let most = self.params.len();
        count + usize::from(self.optional) >= most && (count <= most || self.is_variadic)
    }
}

impl Function {
    /// It sees NULL too.
    pub(crate) const fn lenient(self) -> Function {
        Function { is_strict: false, ..self }
    }

    /// The last parameter takes any number of arguments.
    pub(crate) const fn variadic(self) -> Function {
        Function { signature: self.signature.variadic(), ..self }
    }

    /// The last `count` parameters may be left out.
    pub(crate) const fn optional(self, count: u8) -> Function {
        Function { signature: self.signature.optional(count), ..self }
    }

    /// Its result holds for a statement.
    pub(crate) const fn stable(self) -> Function {
        Function { volatility: Volatility::Stable, ..self }
    }

    /// Its result holds for one call.
    pub(crate) const fn volatile(self) -> Function {
        Function { volatility: Volatility::Volatile, ..self }
    }

    /// Name, parameters and result.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The name of a function, the symbol of an operator.
    pub const fn name(&self) -> &'static str {
        self.signature.name
    }

    /// Whether the result is NULL, without a call, as soon as an argument is.
    pub const fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Whether equal arguments give equal results.
    pub const fn volatility(&self) -> Volatility {
        self.volatility
    }

    /// Its part of the documentation.
    pub const fn category(&self) -> Category {
        self.category
    }
}

/// The array type of an element type that has one.
pub(crate) const fn array_of(element: Type) -> Type {
    match Element::of(element) {
        Some(element) => Type::Array(element),
        None => Type::Unknown,
    }
}

/// The parameters by their short names, for the tables.
pub(crate) mod params {
    use super::{Param, Type, array_of};

    pub(crate) const BOOL: Param = Param::Is(Type::Boolean);
    pub(crate) const INT2: Param = Param::Is(Type::SmallInt);
    pub(crate) const INT4: Param = Param::Is(Type::Integer);
    pub(crate) const INT8: Param = Param::Is(Type::BigInt);
    pub(crate) const NUMERIC: Param = Param::Is(Type::Numeric);
    pub(crate) const FLOAT4: Param = Param::Is(Type::Real);
    pub(crate) const FLOAT8: Param = Param::Is(Type::Double);
    pub(crate) const TEXT: Param = Param::Is(Type::Text);
    pub(crate) const CHAR: Param = Param::Is(Type::Char);
    pub(crate) const BYTEA: Param = Param::Is(Type::Bytea);
    pub(crate) const DATE: Param = Param::Is(Type::Date);
    pub(crate) const TIME: Param = Param::Is(Type::Time);
    pub(crate) const TIMESTAMP: Param = Param::Is(Type::Timestamp);
    pub(crate) const TIMESTAMPTZ: Param = Param::Is(Type::TimestampTz);
    pub(crate) const INTERVAL: Param = Param::Is(Type::Interval);
    pub(crate) const JSON: Param = Param::Is(Type::Json);
    pub(crate) const JSONB: Param = Param::Is(Type::Jsonb);
    pub(crate) const TEXTS: Param = Param::Is(array_of(Type::Text));
    pub(crate) const INT4S: Param = Param::Is(array_of(Type::Integer));
    pub(crate) const FLOAT8S: Param = Param::Is(array_of(Type::Double));
    pub(crate) const ANY: Param = Param::Any;
    pub(crate) const ANYELEMENT: Param = Param::AnyElement;
    pub(crate) const ANYNONARRAY: Param = Param::AnyNonArray;
    pub(crate) const ANYARRAY: Param = Param::AnyArray;
    pub(crate) const ANYCOMPATIBLE: Param = Param::AnyCompatible;
    pub(crate) const ANYCOMPATIBLEARRAY: Param = Param::AnyCompatibleArray;
}

/// The results by their short names, for the tables.
pub(crate) mod results {
    use super::{Returns, Type, array_of};

    pub(crate) const BOOL: Returns = Returns::Is(Type::Boolean);
    pub(crate) const INT2: Returns = Returns::Is(Type::SmallInt);
    pub(crate) const INT4: Returns = Returns::Is(Type::Integer);
    pub(crate) const INT8: Returns = Returns::Is(Type::BigInt);
    pub(crate) const NUMERIC: Returns = Returns::Is(Type::Numeric);
    pub(crate) const FLOAT4: Returns = Returns::Is(Type::Real);
    pub(crate) const FLOAT8: Returns = Returns::Is(Type::Double);
    pub(crate) const TEXT: Returns = Returns::Is(Type::Text);
    pub(crate) const BYTEA: Returns = Returns::Is(Type::Bytea);
    pub(crate) const DATE: Returns = Returns::Is(Type::Date);
    pub(crate) const TIME: Returns = Returns::Is(Type::Time);
    pub(crate) const TIMESTAMP: Returns = Returns::Is(Type::Timestamp);
    pub(crate) const TIMESTAMPTZ: Returns = Returns::Is(Type::TimestampTz);
    pub(crate) const INTERVAL: Returns = Returns::Is(Type::Interval);
    pub(crate) const UUID: Returns = Returns::Is(Type::Uuid);
    pub(crate) const JSON: Returns = Returns::Is(Type::Json);
    pub(crate) const JSONB: Returns = Returns::Is(Type::Jsonb);
    pub(crate) const TEXTS: Returns = Returns::Is(array_of(Type::Text));
    pub(crate) const INT4S: Returns = Returns::Is(array_of(Type::Integer));
    pub(crate) const FLOAT8S: Returns = Returns::Is(array_of(Type::Double));
    pub(crate) const ANYELEMENT: Returns = Returns::AnyElement;
    pub(crate) const ANYARRAY: Returns = Returns::AnyArray;
    pub(crate) const ANYCOMPATIBLE: Returns = Returns::AnyCompatible;
    pub(crate) const ANYCOMPATIBLEARRAY: Returns = Returns::AnyCompatibleArray;
    pub(crate) const FIRST: Returns = Returns::First;
    pub(crate) const FIRST_WHOLE: Returns = Returns::FirstWhole;
}
