//! Functions and operators of arrays.
//!
//! Elements are equal where comparisons say so; NULL is found only by functions that look for NULL.

use cofferdam_types::row::encode_row;
use cofferdam_types::{ArrayRef, Value};

use crate::args::{Answer, WRITTEN, array, give, give_bool, give_count, int, value};
use crate::context::{Context, Output, Problem, Sink};
use crate::signature::params::{ANYARRAY, ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYELEMENT, INT4, INT4S};
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function(
        "array_append",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE],
        results::ANYCOMPATIBLEARRAY,
        append,
        "with an element at the end",
    )
    .lenient(),
    function(
        "array_cat",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLEARRAY],
        results::ANYCOMPATIBLEARRAY,
        cat,
        "one array behind the other",
    )
    .lenient(),
    function("array_dims", &[ANYARRAY], results::TEXT, dims, "first and last subscript as `[1:3]`"),
    function("array_fill", &[ANYELEMENT, INT4S], results::ANYARRAY, fill, "so many copies of an element")
        .lenient(),
    function(
        "array_length",
        &[ANYARRAY, INT4],
        results::INT4,
        length,
        "number of elements of a dimension, NULL for an empty array",
    ),
    function("array_lower", &[ANYARRAY, INT4], results::INT4, lower, "first subscript of a dimension"),
    function(
        "array_ndims",
        &[ANYARRAY],
        results::INT4,
        ndims,
        "number of dimensions: 1, or NULL for an empty array",
    ),
    function(
        "array_position",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, INT4],
        results::INT4,
        position,
        "subscript of the first such element, from a subscript on",
    )
    .optional(1)
    .lenient(),
    function(
        "array_positions",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE],
        results::INT4S,
        positions,
        "subscripts of all such elements",
    )
    .lenient(),
    function(
        "array_prepend",
        &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY],
        results::ANYCOMPATIBLEARRAY,
        prepend,
        "with an element at the start",
    )
    .lenient(),
    function(
        "array_remove",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE],
        results::ANYCOMPATIBLEARRAY,
        remove,
        "without such elements",
    )
    .lenient(),
    function(
        "array_replace",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, ANYCOMPATIBLE],
        results::ANYCOMPATIBLEARRAY,
        replace,
        "with another element in place of each such",
    )
    .lenient(),
    function("array_upper", &[ANYARRAY, INT4], results::INT4, length, "last subscript of a dimension"),
    function("cardinality", &[ANYARRAY], results::INT4, cardinality, "number of elements"),
    function("trim_array", &[ANYARRAY, INT4], results::ANYARRAY, trim, "without so many elements at the end"),
    function(
        "width_bucket",
        &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY],
        results::INT4,
        bucket,
        "how many of the thresholds, which are in order, a value reaches",
    ),
];

pub(crate) const OPERATORS: &[Function] = &[
    function(
        "||",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLEARRAY],
        results::ANYCOMPATIBLEARRAY,
        cat,
        "one array behind the other",
    )
    .lenient(),
    function(
        "||",
        &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE],
        results::ANYCOMPATIBLEARRAY,
        append,
        "with an element at the end",
    )
    .lenient(),
    function(
        "||",
        &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY],
        results::ANYCOMPATIBLEARRAY,
        prepend,
        "with an element at the start",
    )
    .lenient(),
    function(
        "@>",
        &[ANYARRAY, ANYARRAY],
        results::BOOL,
        contains,
        "whether each element of the second is in the first",
    ),
    function(
        "<@",
        &[ANYARRAY, ANYARRAY],
        results::BOOL,
        is_contained,
        "whether each element of the first is in the second",
    ),
    function("&&", &[ANYARRAY, ANYARRAY], results::BOOL, overlaps, "whether they have an element in common"),
];

/// Puts an array's bytes into a sink, element by element.
pub(crate) struct Builder<'s> {
    sink: &'s mut dyn Sink,
    start: usize,
    count: u32,
}

impl<'s> Builder<'s> {
    /// An empty array behind what is in the sink.
    pub(crate) fn new(cx: &'s mut Context<'_>) -> Result<Builder<'s>, Problem> {
        Builder::in_sink(cx.sink)
    }

    /// The same for a sink alone.
    pub(crate) fn in_sink(sink: &'s mut dyn Sink) -> Result<Builder<'s>, Problem> {
        let start = sink.len();
        sink.append(&[0; 4])?;
        Ok(Builder { sink, start, count: 0 })
    }

    pub(crate) fn push(&mut self, element: Value<'_>) -> Result<(), Problem> {
        let sink = &mut *self.sink;
        encode_row(element, &mut |piece: &[u8]| sink.append(piece))?;
        self.count = self.count.checked_add(1).ok_or_else(Problem::too_long)?;
        Ok(())
    }

    /// Copies the elements of an array, where there is one.
    fn push_all(&mut self, array: Option<ArrayRef<'_>>) -> Result<(), Problem> {
        array.into_iter().flat_map(ArrayRef::iter).try_for_each(|element| self.push(element))
    }

    /// Writes how many elements there are.
    pub(crate) fn finish(self) -> Answer<'static> {
        if let Some(count) = self.sink.bytes_mut().get_mut(self.start..self.start + 4) {
            count.copy_from_slice(&self.count.to_le_bytes());
        }
        WRITTEN
    }
}

/// Whether an element is the one that is sought, NULL being equal to NULL.
fn is_same(a: Value<'_>, b: Value<'_>) -> bool {
    if a.is_null() || b.is_null() { a.is_null() && b.is_null() } else { is_equal(a, b) }
}

/// Whether two elements are equal in a comparison.
fn is_equal(a: Value<'_>, b: Value<'_>) -> bool {
    a.compare(&b).is_some_and(core::cmp::Ordering::is_eq)
}

fn append<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let mut builder = Builder::new(cx)?;
    builder.push_all(array(args, 0))?;
    builder.push(value(args, 1))?;
    builder.finish()
}

fn prepend<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let mut builder = Builder::new(cx)?;
    builder.push(value(args, 0))?;
    builder.push_all(array(args, 1))?;
    builder.finish()
}

fn cat<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (left, right) = (array(args, 0), array(args, 1));
    if left.is_none() || right.is_none() {
        return give(left.or(right).map_or(Value::Null, Value::Array));
    }
    let mut builder = Builder::new(cx)?;
    builder.push_all(left)?;
    builder.push_all(right)?;
    builder.finish()
}

fn len(args: &[Value<'_>], index: usize) -> usize {
    array(args, index).map_or(0, ArrayRef::len)
}

fn cardinality<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(len(args, 0))
}

/// Something of the first dimension of an array with elements; NULL for others.
fn of_dimension<'v>(args: &[Value<'v>], give: impl Fn(usize) -> usize) -> Answer<'v> {
    match (len(args, 0), int(args, 1)) {
        (count @ 1.., 1) => give_count(give(count)),
        _ => Ok(Output::NULL),
    }
}

fn length<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    of_dimension(args, |count| count)
}

fn lower<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    of_dimension(args, |_| 1)
}

fn ndims<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    if len(args, 0) == 0 { Ok(Output::NULL) } else { give_count(1) }
}

fn dims<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    match len(args, 0) {
        0 => Ok(Output::NULL),
        count => {
            crate::output::write(cx, format_args!("[1:{count}]"))?;
            WRITTEN
        }
    }
}

fn position<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let Some(array) = array(args, 0) else { return Ok(Output::NULL) };
    let from = match args.get(2) {
        None => 1,
        Some(Value::Null) => {
            return Err(Problem::new("22004", "initial position must not be null"));
        }
        Some(_) => int(args, 2),
    };
    let skipped = usize::try_from(from - 1).unwrap_or(0);
    let found = array.iter().skip(skipped).position(|element| is_same(element, value(args, 1)));
    found.map_or(Ok(Output::NULL), |at| give_count(at + skipped + 1))
}

fn bucket<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let mut reached = 0;
    for threshold in array(args, 1).into_iter().flat_map(ArrayRef::iter) {
        match value(args, 0).compare(&threshold) {
            None => return Err(Problem::new("22004", "thresholds array must not contain NULLs")),
            Some(order) => reached += usize::from(order.is_ge()),
        }
    }
    give_count(reached)
}

fn positions<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let Some(array) = array(args, 0) else { return Ok(Output::NULL) };
    let mut builder = Builder::new(cx)?;
    for (at, element) in array.iter().enumerate() {
        if is_same(element, value(args, 1)) {
            builder.push(Value::Integer(at as i32 + 1))?;
        }
    }
    builder.finish()
}

fn remove<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let Some(array) = array(args, 0) else { return Ok(Output::NULL) };
    let mut builder = Builder::new(cx)?;
    for element in array.iter().filter(|element| !is_same(*element, value(args, 1))) {
        builder.push(element)?;
    }
    builder.finish()
}

fn replace<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let Some(array) = array(args, 0) else { return Ok(Output::NULL) };
    let mut builder = Builder::new(cx)?;
    for element in array.iter() {
        builder.push(if is_same(element, value(args, 1)) { value(args, 2) } else { element })?;
    }
    builder.finish()
}

fn fill<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let Some(dimensions) = array(args, 1) else {
        return Err(Problem::new("22004", "dimension array or low bound array cannot be null"));
    };
    let mut dimensions = dimensions.iter();
    let count = match (dimensions.next(), dimensions.next()) {
        (None, _) => 0,
        (Some(Value::Integer(count)), None) if count < 0 => {
            return Err(Problem::new("54000", "array size exceeds the maximum allowed (134217727)"));
        }
        (Some(Value::Integer(count)), None) => count,
        (Some(_), None) => return Err(Problem::new("22004", "dimension values cannot be null")),
        (Some(_), Some(_)) => {
            return Err(Problem::new("0A000", "arrays of several dimensions are not supported"));
        }
    };
    let element = value(args, 0);
    let bytes = cofferdam_types::row::row_bytes(&element).saturating_mul(count as usize);
    if bytes > crate::context::RESULT_BYTES_MAX {
        return Err(Problem::new("54000", "array size exceeds the maximum allowed (134217727)"));
    }
    cx.sink.reserve(bytes + 4)?;
    let mut builder = Builder::new(cx)?;
    for _ in 0..count {
        builder.push(element)?;
    }
    builder.finish()
}

fn trim<'v>(args: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let (count, cut) = (len(args, 0), int(args, 1));
    let kept = usize::try_from(cut).ok().and_then(|cut| count.checked_sub(cut));
    let Some(kept) = kept else {
        let message = "number of elements to trim must be between 0 and #";
        return Err(Problem::count("2202E", message, count as i64));
    };
    let mut builder = Builder::new(cx)?;
    for element in array(args, 0).into_iter().flat_map(ArrayRef::iter).take(kept) {
        builder.push(element)?;
    }
    builder.finish()
}

/// Whether each element of one is in the other; NULL is in none.
fn is_subset(part: Option<ArrayRef<'_>>, all: Option<ArrayRef<'_>>) -> bool {
    let (Some(part), Some(all)) = (part, all) else { return false };
    part.iter().all(|element| all.iter().any(|other| is_equal(element, other)))
}

fn contains<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_bool(is_subset(array(args, 1), array(args, 0)))
}

fn is_contained<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_bool(is_subset(array(args, 0), array(args, 1)))
}

fn overlaps<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    let (Some(left), Some(right)) = (array(args, 0), array(args, 1)) else { return give_bool(false) };
    give_bool(left.iter().any(|element| right.iter().any(|other| is_equal(element, other))))
}
