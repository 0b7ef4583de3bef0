//! Sort keys: bytes whose order is the order of the rows, encoded column by column.
//!
//! ```text
//! key      | 0 NULL first, 1 value, 2 NULL last | payload | … the next column
//! prefix   the first eight bytes of the first payload, as a number; 0 and the greatest stand for NULL too
//!
//! payload: integers big-endian with the sign turned, doubles likewise, text with 00 written as 00 ff up to 00 01; every
//!          bit turned if descending; of NULL as many zeros as a value has, nothing for text
//! ```
//!
//! Prefixes never contradict keys: a smaller one belongs to a smaller key. So a sort compares numbers, and looks at the
//! bytes where they are equal. Of a single key of at most eight bytes the prefix is the key: only its header is kept, and only
//! looked at where the prefix is 0 or the greatest (*whole* keys).
//!
//! Types whose values do not stand in their vectors in their order (intervals, numbers with a scale of their own, padded text, arrays) are encoded value by value as
//! `cofferdam_types::key` does.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::SortKey;
use cofferdam_types::key::{KeyOrder, double_key, encode_key};
use cofferdam_types::{Type, Value};

use crate::batch::{Element, Kind, Rows, Store, TextView, Vector, VectorId, value_at};

const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;
const PREFIX_BYTES: usize = 8;
const TEXT_END: [u8; 2] = [0, 1];

/// What is known of all keys of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyShape {
    /// The length of what is kept of a key, where all have the same.
    pub(super) kept_bytes: Option<usize>,
    /// Whether the prefix and the header are the key.
    pub(super) is_whole: bool,
}

/// The columns of a key.
#[derive(Debug)]
pub(crate) struct SortKeys<'a> {
    columns: &'a [KeyColumn],
    shape: KeyShape,
}

#[derive(Clone, Copy, Debug)]
struct KeyColumn {
    /// By position in the input.
    column: usize,
    ty: Type,
    form: Form,
    order: KeyOrder,
}

/// How the payload of a column is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bool,
    I32,
    I64,
    I128,
    F64,
    Text,
    /// Value by value.
    Any,
}

impl Form {
    fn of(ty: Type) -> Form {
        match (Kind::of(ty), ty) {
            (_, Type::Interval) => Form::Any,
            (Kind::Bool, _) => Form::Bool,
            (Kind::I32, _) => Form::I32,
            (Kind::I64, _) => Form::I64,
            (Kind::I128, Type::Decimal { .. } | Type::Uuid) => Form::I128,
            (Kind::F64, _) => Form::F64,
            (Kind::Text, Type::Text | Type::Bytea | Type::Json | Type::Unknown) => Form::Text,
            (Kind::I128 | Kind::Text, _) => Form::Any,
        }
    }

    /// The length of a payload, if all have the same.
    const fn payload_bytes(self) -> Option<usize> {
        match self {
            Form::Bool => Some(1),
            Form::I32 => Some(4),
            Form::I64 | Form::F64 => Some(8),
            Form::I128 => Some(16),
            Form::Text | Form::Any => None,
        }
    }
}

impl<'a> SortKeys<'a> {
    /// The keys over an input whose columns have these types.
    pub(crate) fn new(
        keys: &[SortKey],
        types: impl Fn(usize) -> Type,
        arena: &'a Arena,
    ) -> Result<SortKeys<'a>, AllocError> {
        let columns = arena.alloc_slice_from_iter(keys.iter().map(|key| {
            let column = key.column as usize;
            let ty = types(column);
            let order = KeyOrder { descending: key.descending, nulls_first: key.nulls_first };
            KeyColumn { column, ty, form: Form::of(ty), order }
        }))?;
        let mut bytes = columns.iter().map(|column| column.form.payload_bytes().map(|payload| payload + 1));
        let key_bytes = bytes.try_fold(0, |sum, bytes| Some(sum + bytes?));
        let is_whole = columns.len() == 1 && key_bytes.is_some_and(|bytes| bytes <= 1 + PREFIX_BYTES);
        let shape = KeyShape { kept_bytes: if is_whole { Some(1) } else { key_bytes }, is_whole };
        Ok(SortKeys { columns, shape })
    }

    pub(crate) fn shape(&self) -> KeyShape {
        self.shape
    }

    /// Whether all rows are equal.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
}

/// The keys of one batch. Made once per operator; the memory is used again for every batch.
#[derive(Debug)]
pub(crate) struct KeyEncoder<'a> {
    bytes: Vec<'a, u8>,
    /// Where each key starts, and where the last one ends.
    starts: Vec<'a, usize>,
    /// Where the next column of each key goes.
    ends: Vec<'a, usize>,
    is_whole: bool,
}

impl<'a> KeyEncoder<'a> {
    pub(crate) fn new(arena: &'a Arena) -> KeyEncoder<'a> {
        KeyEncoder {
            bytes: Vec::new_in(arena),
            starts: Vec::new_in(arena),
            ends: Vec::new_in(arena),
            is_whole: false,
        }
    }

    /// What is kept of the `i`-th key that was encoded.
    #[inline(always)]
    pub(crate) fn key(&self, i: usize) -> &[u8] {
        let start = self.starts[i];
        &self.bytes[start..if self.is_whole { start + 1 } else { self.starts[i + 1] }]
    }

    /// All of the `i`-th key that was encoded.
    #[inline(always)]
    pub(crate) fn whole_key(&self, i: usize) -> &[u8] {
        &self.bytes[self.starts[i]..self.starts[i + 1]]
    }

    /// The prefix of the `i`-th key that was encoded.
    #[inline(always)]
    pub(crate) fn prefix(&self, i: usize) -> u64 {
        prefix_of(self.whole_key(i))
    }

    /// Encodes the keys of the given rows.
    pub(crate) fn encode(
        &mut self,
        keys: &SortKeys<'_>,
        inputs: &[VectorId],
        rows: Rows<'_>,
        store: &Store<'_>,
    ) -> Result<(), AllocError> {
        self.is_whole = keys.shape.is_whole;
        self.measure(keys, inputs, rows, store)?;
        for column in keys.columns {
            let vector = store.vector(inputs[column.column]);
            let order = column.order;
            match column.form {
                Form::Bool => self.put(order, vector, rows, |v: bool| [u8::from(v)]),
                Form::I32 => self.put(order, vector, rows, |v: i32| (v ^ i32::MIN).to_be_bytes()),
                Form::I64 => self.put(order, vector, rows, |v: i64| (v ^ i64::MIN).to_be_bytes()),
                Form::I128 => self.put(order, vector, rows, |v: i128| (v ^ i128::MIN).to_be_bytes()),
                Form::F64 => self.put(order, vector, rows, double_key),
                Form::Text => self.put_texts(order, vector, rows, store),
                Form::Any => self.put_values(column, vector, rows, store),
            }
        }
        Ok(())
    }

    /// Finds the size of each key and makes room.
    fn measure(
        &mut self,
        keys: &SortKeys<'_>,
        inputs: &[VectorId],
        rows: Rows<'_>,
        store: &Store<'_>,
    ) -> Result<(), AllocError> {
        let count = rows.len();
        let fixed: usize =
            keys.columns.iter().map(|column| 1 + column.form.payload_bytes().unwrap_or(0)).sum();
        self.starts.clear();
        self.starts.resize(count + 1, fixed)?;
        for column in keys.columns {
            let vector = store.vector(inputs[column.column]);
            let is_valid = |row: &(usize, usize)| vector.is_valid(row.1);
            let valid = (0..count).map(|i| (i, rows.nth(i))).filter(is_valid);
            match column.form {
                Form::Text => {
                    for (i, row) in valid {
                        let text = store.text(vector, row);
                        self.starts[i] += text.len() + memchr::memchr_iter(0, text).count() + TEXT_END.len();
                    }
                }
                Form::Any => {
                    for (i, row) in valid {
                        let mut bytes = 0;
                        put_value(column, value_at(store, vector, row, column.ty), &mut |part| {
                            bytes += part.len()
                        });
                        self.starts[i] += bytes - 1;
                    }
                }
                _ => {}
            }
        }
        let mut total = 0;
        for start in self.starts.iter_mut() {
            total += core::mem::replace(start, total);
        }
        // The last element counted a key that is not there.
        self.bytes.clear();
        self.bytes.resize_zeroed(self.starts[count])?;
        self.ends.clear();
        self.ends.extend_from_slice(&self.starts[..count])
    }

    #[inline(always)]
    fn put<T: Element, const N: usize>(
        &mut self,
        order: KeyOrder,
        vector: &Vector<'_>,
        rows: Rows<'_>,
        payload: impl Fn(T) -> [u8; N],
    ) {
        let values = vector.values::<T>();
        let mask = if order.descending { u8::MAX } else { 0 };
        for (i, end) in self.ends.iter_mut().enumerate() {
            let (row, at) = (rows.nth(i), *end);
            *end = at + 1 + N;
            if vector.is_valid(row) {
                let key = &mut self.bytes[at..at + 1 + N];
                key[0] = VALUE;
                key[1..].copy_from_slice(&payload(values.get(row)).map(|byte| byte ^ mask));
            } else {
                self.bytes[at] = null(order);
            }
        }
    }

    fn put_texts(&mut self, order: KeyOrder, vector: &Vector<'_>, rows: Rows<'_>, store: &Store<'_>) {
        let views = vector.values::<TextView>();
        let heap = store.heap(vector.heap);
        for (i, end) in self.ends.iter_mut().enumerate() {
            let row = rows.nth(i);
            if !vector.is_valid(row) {
                self.bytes[*end] = null(order);
                *end += 1;
                continue;
            }
            self.bytes[*end] = VALUE;
            let start = *end + 1;
            let mut at = start;
            let mut put = |part: &[u8]| {
                self.bytes[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            };
            let mut rest = views.get(row).of(heap);
            while let Some(zero) = memchr::memchr(0, rest) {
                put(&rest[..=zero]);
                put(&[u8::MAX]);
                rest = &rest[zero + 1..];
            }
            put(rest);
            put(&TEXT_END);
            if order.descending {
                self.bytes[start..at].iter_mut().for_each(|byte| *byte = !*byte);
            }
            *end = at;
        }
    }

    fn put_values(&mut self, column: &KeyColumn, vector: &Vector<'_>, rows: Rows<'_>, store: &Store<'_>) {
        for (i, end) in self.ends.iter_mut().enumerate() {
            let value = value_at(store, vector, rows.nth(i), column.ty);
            put_value(column, value, &mut |part| {
                self.bytes[*end..*end + part.len()].copy_from_slice(part);
                *end += part.len();
            });
        }
    }
}

fn put_value(column: &KeyColumn, value: Value<'_>, put: &mut impl FnMut(&[u8])) {
    let mut sink = |part: &[u8]| -> Result<(), core::convert::Infallible> {
        put(part);
        Ok(())
    };
    let Ok(()) = encode_key(value, column.order, &mut sink);
}

const fn null(order: KeyOrder) -> u8 {
    if order.nulls_first { NULL_FIRST } else { NULL_LAST }
}

#[inline(always)]
fn prefix_of(key: &[u8]) -> u64 {
    match key {
        [VALUE, payload @ ..] => match payload.first_chunk() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => {
                let mut bytes = [0; PREFIX_BYTES];
                bytes[..payload.len()].copy_from_slice(payload);
                u64::from_be_bytes(bytes)
            }
        },
        [NULL_LAST, ..] => u64::MAX,
        // No keys at all: all rows are equal.
        _ => 0,
    }
}
