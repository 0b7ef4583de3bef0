//! All entries as one list each of functions and of operators, put together when the crate is compiled.

use crate::signature::{Category, Function, function, results};
use crate::{args, array, datetime, json, math, misc, pattern, template, text};

/// The parts of the list of functions.
const FUNCTION_PARTS: &[(Category, &[Function])] = &[
    (Category::Math, math::FLOAT),
    (Category::Math, math::NUMERIC),
    (Category::Math, math::WHOLE),
    (Category::Text, text::FUNCTIONS),
    (Category::Text, text::FORMAT),
    (Category::Text, text::QUOTE),
    (Category::Text, text::SPLIT),
    (Category::Pattern, pattern::FUNCTIONS),
    (Category::Binary, text::BYTES),
    (Category::Binary, text::ENCODE),
    (Category::Datetime, datetime::ARITHMETIC),
    (Category::Datetime, datetime::FIELDS),
    (Category::Datetime, datetime::MAKE),
    (Category::Datetime, datetime::ZONE),
    (Category::Format, template::FUNCTIONS),
    (Category::Array, array::FUNCTIONS),
    (Category::Json, json::BUILD),
    (Category::Json, json::EDIT),
    (Category::Json, json::QUERY),
    (Category::Misc, misc::FUNCTIONS),
];

/// The parts of the list of operators.
const OPERATOR_PARTS: &[(Category, &[Function])] = &[
    (Category::Math, math::FLOAT_OPERATORS),
    (Category::Math, math::NUMERIC_OPERATORS),
    (Category::Text, text::OPERATORS),
    (Category::Pattern, pattern::OPERATORS),
    (Category::Datetime, datetime::OPERATORS),
    (Category::Array, array::OPERATORS),
    (Category::Json, json::EDIT_OPERATORS),
    (Category::Json, json::QUERY_OPERATORS),
];

const FUNCTIONS_COUNT: usize = count(FUNCTION_PARTS);
const OPERATORS_COUNT: usize = count(OPERATOR_PARTS) + count_whole();

/// All functions.
pub(crate) static FUNCTIONS: [Function; FUNCTIONS_COUNT] = collect(FUNCTION_PARTS, &[]);
/// All operators.
pub(crate) static OPERATORS: [Function; OPERATORS_COUNT] = collect(OPERATOR_PARTS, math::WHOLE_OPERATORS);

const fn count(parts: &[(Category, &[Function])]) -> usize {
    let (mut sum, mut part) = (0, 0);
    while part < parts.len() {
        sum += parts[part].1.len();
        part += 1;
    }
    sum
}

const fn count_whole() -> usize {
    let (mut sum, mut part) = (0, 0);
    while part < math::WHOLE_OPERATORS.len() {
        sum += math::WHOLE_OPERATORS[part].len();
        part += 1;
    }
    sum
}

/// Copies the parts behind one another, each entry with the category of its part.
const fn collect<const N: usize>(parts: &[(Category, &[Function])], whole: &[&[Function]]) -> [Function; N] {
    let mut all = [NOTHING; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let (category, entries) = parts[part];
        let mut entry = 0;
        while entry < entries.len() {
            all[at] = Function { category, ..entries[entry] };
            (at, entry) = (at + 1, entry + 1);
        }
        part += 1;
    }
    part = 0;
    while part < whole.len() {
        let mut entry = 0;
        while entry < whole[part].len() {
            all[at] = Function { category: Category::Math, ..whole[part][entry] };
            (at, entry) = (at + 1, entry + 1);
        }
        part += 1;
    }
    all
}

/// What fills the lists before they are.
const NOTHING: Function = function("", &[], results::BOOL, nothing, "");

fn nothing<'v>(_: &[cofferdam_types::Value<'v>], _: &mut crate::Context<'_>) -> args::Answer<'v> {
    Ok(crate::Output::NULL)
}
