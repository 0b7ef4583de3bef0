//! Which overload a call means, and which casts its arguments need: PostgreSQL's rules.
//!
//! 1. Entries that take so many arguments, each of which is of the parameter's type or can be cast to it implicitly; a
//!    quoted literal or NULL (`unknown`) can become anything.
//! 2. An entry that takes exactly these types wins; of an operator with one unknown operand, the entry that takes the
//!    other operand's type twice.
//! 3. Of the rest, those remain that match the most arguments exactly, then those that match the most exactly or by
//!    the preferred type of the argument's category.
//! 4. Unknown arguments are given the category that all remaining entries agree on, or text where one of them takes
//!    text; entries of other categories drop out, and those without the category's preferred type where one has it.
//! 5. If all known arguments have one type, the unknown ones are taken for it.
//! 6. One entry must remain.
//!
//! `select 'a' || 1`, for example: candidates are `text || anynonarray` and `anycompatible || anycompatiblearray` and
//! others; `1` matches `anynonarray` as a text cannot be cast to an array implicitly, and one remains.
//!
//! **Memory.** Candidates are indices in a fixed list on the stack.

use cofferdam_types::Type;

use crate::Signature;
use crate::signature::{Param, Returns, array_of};

/// The most overloads that a name may have; a test holds the tables against it.
pub(crate) const OVERLOADS_MAX: usize = 96;

/// The most arguments of a call: those of PostgreSQL.
pub const ARGUMENTS_MAX: usize = 100;

/// Why a call means no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotResolved {
    /// Nothing has this name (42883).
    NoSuchName,
    /// Entries of this name take other arguments (42883).
    NoMatch,
    /// More than one entry fits equally well (42725).
    Ambiguous,
    /// The result's type depends on arguments whose types are all unknown (42804).
    Undetermined,
    /// There are more than [`ARGUMENTS_MAX`] arguments (54023).
    TooManyArguments,
}

impl NotResolved {
    /// The five characters that SQL clients tell errors apart by.
    pub const fn sqlstate(self) -> &'static str {
        match self {
            NotResolved::NoSuchName | NotResolved::NoMatch => "42883",
            NotResolved::Ambiguous => "42725",
            NotResolved::Undetermined => "42804",
            NotResolved::TooManyArguments => "54023",
        }
    }
}

/// What the polymorphic types stand for in a call; [`Type::Unknown`] where the entry has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bound {
    element: Type,
    compatible: Type,
}

const UNBOUND: Bound = Bound { element: Type::Unknown, compatible: Type::Unknown };

impl Bound {
    /// The type that an argument is to be cast to.
    pub(crate) fn argument(self, signature: &Signature, index: usize, given: Type) -> Type {
        match signature.param(index) {
            Param::Is(ty) if is_same(given, ty) => given,
            Param::Is(ty) => ty,
            Param::Any if given == Type::Unknown => Type::Text,
            Param::Any => given,
            Param::AnyElement | Param::AnyNonArray => self.element,
            Param::AnyArray => array_of(self.element),
            Param::AnyCompatible => self.compatible,
            Param::AnyCompatibleArray => array_of(self.compatible),
        }
    }

    /// The type of the result.
    pub(crate) fn result(self, signature: &Signature, args: &[Type]) -> Type {
        let first = || args.first().map_or(Type::Unknown, |given| self.argument(signature, 0, *given));
        match signature.returns() {
            Returns::Is(ty) => ty,
            Returns::AnyElement => self.element,
            Returns::AnyArray => array_of(self.element),
            Returns::AnyCompatible => self.compatible,
            Returns::AnyCompatibleArray => array_of(self.compatible),
            Returns::First => first(),
            Returns::FirstWhole => whole(first()),
        }
    }
}

/// The decimal type of numbers without digits behind the point, and one more before it, since rounding may carry.
fn whole(ty: Type) -> Type {
    match ty {
        Type::Decimal { precision, scale } => {
            let digits = (precision - scale.min(precision)).saturating_add(1);
            Type::Decimal { precision: digits.min(Type::DECIMAL_DIGITS_MAX), scale: 0 }
        }
        other => other,
    }
}

/// Finds the entry that `args` mean among those of one name.
///
/// `entries` are the signatures by number; the name has been compared already where `is_named` says so.
pub(crate) fn select<'s>(
    numbered: impl Iterator<Item = (u16, &'s Signature)>,
    get: impl Fn(u16) -> &'s Signature,
    args: &[Type],
    is_operator: bool,
) -> Result<(u16, Bound), NotResolved> {
    if args.len() > ARGUMENTS_MAX {
        return Err(NotResolved::TooManyArguments);
    }
    let mut types = [Type::Unknown; ARGUMENTS_MAX];
    for (to, from) in types.iter_mut().zip(args) {
        *to = normal(*from);
    }
    let types = types.get(..args.len()).unwrap_or(&[]);
    let mut list = Candidates { numbers: [0; OVERLOADS_MAX], count: 0 };
    let (mut is_named, mut is_undetermined) = (false, false);
    let assumed = assumed_operands(types, is_operator);
    for (number, signature) in numbered {
        is_named = true;
        if !signature.takes(types.len()) || !can_cast_all(signature, types) {
            continue;
        }
        if is_exact(signature, types) || assumed.is_some_and(|assumed| is_exact(signature, &assumed)) {
            return bind(signature, args).map(|bound| (number, bound));
        }
        match bind(signature, types) {
            Ok(_) => list.push(number),
            Err(NotResolved::Undetermined) => {
                is_undetermined = true;
                list.push(number);
            }
            Err(_) => {}
        }
    }
    if !is_named {
        return Err(NotResolved::NoSuchName);
    }
    let number = match list.slice() {
        [] if is_undetermined => return Err(NotResolved::Undetermined),
        [] => return Err(NotResolved::NoMatch),
        [only] => *only,
        _ => list.narrow(&get, types).ok_or(NotResolved::Ambiguous)?,
    };
    bind(get(number), args).map(|bound| (number, bound))
}

/// Both operands, where one of two is unknown and taken for the type of the other.
fn assumed_operands(types: &[Type], is_operator: bool) -> Option<[Type; 2]> {
    match *types {
        [Type::Unknown, other] | [other, Type::Unknown] if is_operator && other != Type::Unknown => {
            Some([other; 2])
        }
        _ => None,
    }
}

fn is_exact(signature: &Signature, types: &[Type]) -> bool {
    types.iter().enumerate().all(|(index, given)| signature.param(index) == Param::Is(*given))
}

/// Whether each argument alone could go to its parameter.
fn can_cast_all(signature: &Signature, types: &[Type]) -> bool {
    types.iter().enumerate().all(|(index, given)| match signature.param(index) {
        Param::Is(ty) => is_implicit(*given, ty),
        Param::AnyArray | Param::AnyCompatibleArray => matches!(given, Type::Array(_) | Type::Unknown),
        Param::AnyNonArray => !matches!(given, Type::Array(_)),
        Param::Any | Param::AnyElement | Param::AnyCompatible => true,
    })
}

/// What the polymorphic parameters stand for.
fn bind(signature: &Signature, args: &[Type]) -> Result<Bound, NotResolved> {
    let mut bound = UNBOUND;
    let (mut has_element, mut has_compatible) = (false, false);
    for (index, given) in args.iter().enumerate() {
        let param = signature.param(index);
        let given = match (param, *given) {
            (Param::AnyArray | Param::AnyCompatibleArray, Type::Array(element)) => element.ty(),
            (_, given) => given,
        };
        match param {
            Param::AnyElement | Param::AnyNonArray | Param::AnyArray => {
                has_element = true;
                bound.element = same_element(bound.element, given).ok_or(NotResolved::NoMatch)?;
            }
            Param::AnyCompatible | Param::AnyCompatibleArray => {
                has_compatible = true;
                bound.compatible = common(bound.compatible, given).ok_or(NotResolved::NoMatch)?;
            }
            Param::Is(_) | Param::Any => {}
        }
    }
    if has_element && bound.element == Type::Unknown {
        return Err(NotResolved::Undetermined);
    }
    if has_compatible && bound.compatible == Type::Unknown {
        bound.compatible = Type::Text;
    }
    check_casts(signature, args, bound)?;
    Ok(bound)
}

/// Whether the arguments fit what the polymorphic types were found to stand for.
fn check_casts(signature: &Signature, args: &[Type], bound: Bound) -> Result<(), NotResolved> {
    for (index, given) in args.iter().enumerate() {
        let to = bound.argument(signature, index, *given);
        let fits = match signature.param(index) {
            Param::AnyArray | Param::AnyCompatibleArray => to != Type::Unknown && is_implicit(*given, to),
            Param::AnyCompatible => is_implicit(*given, to),
            _ => true,
        };
        if !fits {
            return Err(NotResolved::NoMatch);
        }
    }
    Ok(())
}

/// The one type of `anyelement`, so far and with one more.
fn same_element(so_far: Type, given: Type) -> Option<Type> {
    match (so_far, given) {
        (Type::Unknown, given) => Some(given),
        (so_far, Type::Unknown) => Some(so_far),
        (so_far, given) if so_far == given => Some(given),
        (so_far, given) if is_same(so_far, given) => Some(normal(given)),
        _ => None,
    }
}

/// The common type, so far and with one more: the wider of one category.
fn common(so_far: Type, given: Type) -> Option<Type> {
    match (so_far, given) {
        (Type::Unknown, given) => Some(given),
        (so_far, Type::Unknown) => Some(so_far),
        (so_far, given) if so_far == given => Some(given),
        (so_far, given) if is_same(so_far, given) => Some(normal(given)),
        (so_far, given) if category(so_far) != category(given) => None,
        (so_far, given) => {
            let widens = is_implicit(so_far, given) && !is_implicit(given, so_far);
            Some(if !is_preferred(so_far) && widens { given } else { so_far })
        }
    }
}

/// Numbers of entries that are still in question.
struct Candidates {
    numbers: [u16; OVERLOADS_MAX],
    count: usize,
}

impl Candidates {
    fn push(&mut self, number: u16) {
        if let Some(slot) = self.numbers.get_mut(self.count) {
            *slot = number;
            self.count += 1;
        }
    }

    fn slice(&self) -> &[u16] {
        self.numbers.get(..self.count).unwrap_or(&[])
    }

    /// Keeps those that `keep` wants, unless it wants none.
    fn retain(&mut self, keep: impl Fn(u16) -> bool) {
        let mut kept = Candidates { numbers: [0; OVERLOADS_MAX], count: 0 };
        for number in self.slice() {
            if keep(*number) {
                kept.push(*number);
            }
        }
        if kept.count > 0 {
            *self = kept;
        }
    }

    /// Keeps those with the highest score.
    fn retain_best(&mut self, score: impl Fn(u16) -> usize) {
        let best = self.slice().iter().map(|number| score(*number)).max().unwrap_or(0);
        self.retain(|number| score(number) == best);
    }

    fn only(&self) -> Option<u16> {
        match self.slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// Steps 3 to 6 of the rules above.
    fn narrow<'s>(&mut self, get: impl Fn(u16) -> &'s Signature, types: &[Type]) -> Option<u16> {
        let known = || types.iter().enumerate().filter(|(_, given)| **given != Type::Unknown);
        self.retain_best(|number| {
            known().filter(|(index, given)| get(number).param(*index) == Param::Is(**given)).count()
        });
        if self.count == 1 {
            return self.only();
        }
        self.retain_best(|number| {
            known()
                .filter(|(index, given)| match get(number).param(*index) {
                    Param::Is(ty) => ty == **given || (is_preferred(ty) && category(ty) == category(**given)),
                    _ => false,
                })
                .count()
        });
        if self.count == 1 || !types.contains(&Type::Unknown) {
            return self.only();
        }
        self.retain_by_unknowns(&get, types);
        if self.count == 1 {
            return self.only();
        }
        let mut known_types = types.iter().filter(|given| **given != Type::Unknown);
        let first = *known_types.next()?;
        if !known_types.all(|given| *given == first) {
            return None;
        }
        let assumed = [first; ARGUMENTS_MAX];
        let assumed = assumed.get(..types.len()).unwrap_or(&[]);
        let mut fitting = self.slice().iter().filter(|number| {
            let signature = get(**number);
            can_cast_all(signature, assumed) && bind(signature, assumed).is_ok()
        });
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some(*only),
            _ => None,
        }
    }

    /// Step 4: the categories of the unknown arguments.
    fn retain_by_unknowns<'s>(&mut self, get: impl Fn(u16) -> &'s Signature, types: &[Type]) {
        let unknowns = || types.iter().enumerate().filter(|(_, ty)| **ty == Type::Unknown).map(|(i, _)| i);
        let mut slots = [None; ARGUMENTS_MAX];
        for index in unknowns() {
            match self.category_of_slot(&get, index) {
                Some(found) => slots[index] = Some(found),
                None => return,
            }
        }
        self.retain(|number| {
            unknowns().all(|index| {
                let (here, is_preferred) = place(get(number).param(index));
                slots[index].is_some_and(|(wanted, wants_preferred)| {
                    here == wanted && (is_preferred || !wants_preferred)
                })
            })
        });
    }

    /// The category that the candidates agree on for an argument, and whether one takes its preferred type.
    fn category_of_slot<'s>(
        &self,
        get: impl Fn(u16) -> &'s Signature,
        index: usize,
    ) -> Option<(Group, bool)> {
        let mut found: Option<(Group, bool)> = None;
        let mut has_conflict = false;
        for number in self.slice() {
            let (group, is_preferred) = place(get(*number).param(index));
            found = match found {
                None => Some((group, is_preferred)),
                Some((so_far, preferred)) if so_far == group => Some((group, preferred | is_preferred)),
                Some(_) if group == Group::Text => Some((group, is_preferred)),
                Some(other) => {
                    has_conflict = true;
                    Some(other)
                }
            };
        }
        found.filter(|(group, _)| !has_conflict || *group == Group::Text)
    }
}

/// PostgreSQL's type categories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Group {
    Boolean,
    Number,
    Text,
    Datetime,
    Timespan,
    Array,
    Other,
    Polymorphic,
    Unknown,
}

fn category(ty: Type) -> Group {
    match ty {
        Type::Boolean => Group::Boolean,
        Type::SmallInt
        | Type::Integer
        | Type::BigInt
        | Type::Decimal { .. }
        | Type::Numeric
        | Type::Real
        | Type::Double => Group::Number,
        Type::Text | Type::Char => Group::Text,
        Type::Date | Type::Time | Type::Timestamp | Type::TimestampTz => Group::Datetime,
        Type::Interval => Group::Timespan,
        Type::Bytea | Type::Uuid | Type::Json | Type::Jsonb => Group::Other,
        Type::Array(_) => Group::Array,
        Type::Unknown => Group::Unknown,
    }
}

/// Whether a type is the one that its category prefers.
fn is_preferred(ty: Type) -> bool {
    matches!(ty, Type::Boolean | Type::Double | Type::Text | Type::TimestampTz | Type::Interval)
}

fn place(param: Param) -> (Group, bool) {
    match param {
        Param::Is(ty) => (category(ty), is_preferred(ty)),
        _ => (Group::Polymorphic, false),
    }
}

/// The type that stands for all decimals; others stand for themselves.
pub(crate) fn normal(ty: Type) -> Type {
    match ty {
        Type::Decimal { .. } => Type::Numeric,
        Type::Array(element) if matches!(element.ty(), Type::Decimal { .. }) => array_of(Type::Numeric),
        other => other,
    }
}

fn is_same(a: Type, b: Type) -> bool {
    normal(a) == normal(b)
}

/// Whether a value of one type becomes one of the other without a cast being written.
pub(crate) fn is_implicit(from: Type, to: Type) -> bool {
    let rank = |ty| match ty {
        Type::SmallInt => Some(0),
        Type::Integer => Some(1),
        Type::BigInt => Some(2),
        Type::Numeric => Some(3),
        Type::Real => Some(4),
        Type::Double => Some(5),
        _ => None,
    };
    match (normal(from), normal(to)) {
        (Type::Unknown, _) => true,
        (from, to) if from == to => true,
        (Type::Array(from), Type::Array(to)) => is_implicit(from.ty(), to.ty()),
        (Type::Text, Type::Char) | (Type::Char, Type::Text) | (Type::Time, Type::Interval) => true,
        (Type::Date, Type::Timestamp | Type::TimestampTz) | (Type::Timestamp, Type::TimestampTz) => true,
        (from, to) => match (rank(from), rank(to)) {
            (Some(from), Some(to)) => from < to,
            _ => false,
        },
    }
}
