//! Tests of `key.rs`: the byte order against [`Value::total_cmp`], and bytes that were tampered with.

use super::*;
use core::cmp::Ordering;
use core::convert::Infallible;
use proptest::prelude::*;
use std::format;
use std::string::{String, ToString as _};
use std::vec;
use std::vec::Vec;

const ORDERS: [KeyOrder; 4] = [
    KeyOrder::ASC,
    KeyOrder::DESC,
    KeyOrder { descending: false, nulls_first: true },
    KeyOrder { descending: true, nulls_first: false },
];

/// A value that owns its text.
#[derive(Clone, Debug)]
enum Owned {
    Text(String),
    Char(String),
    Bytea(Vec<u8>),
    Array(Vec<u8>, Type),
    Other(Value<'static>),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Owned::Text(text) => Value::Text(text),
            Owned::Char(text) => Value::Char(text),
            Owned::Bytea(bytes) => Value::Bytea(bytes),
            Owned::Array(bytes, ty) => Value::Array(ArrayRef::new(bytes, Element::of(*ty).unwrap()).unwrap()),
            Owned::Other(value) => *value,
        }
    }
}

fn key(value: Value<'_>, order: KeyOrder) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(value, order, &mut |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok::<(), Infallible>(())
    })
    .unwrap();
    bytes
}

fn array_bytes<'v>(values: impl ExactSizeIterator<Item = Value<'v>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::array::encode(values, &mut |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok::<(), Infallible>(())
    })
    .unwrap();
    bytes
}

fn arrays_of_texts() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::option::of("[\0\u{1}a]{0,2}"), 0..3).prop_map(|texts| {
        array_bytes(texts.iter().map(|text| text.as_ref().map_or(Value::Null, |text| Value::Text(text))))
    })
}

fn arrays_of_numerics() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::option::of(decimals()), 0..3).prop_map(|numbers| {
        array_bytes(numbers.into_iter().map(|number| number.map_or(Value::Null, Value::Decimal)))
    })
}

fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        (-3..3i32).prop_map(f64::from),
        prop::sample::select(
            &[-0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE][..]
        ),
    ]
}

fn decimals() -> impl Strategy<Value = Decimal> {
    let limit = POW10[38] - 1;
    prop_oneof![
        (-limit..=limit, 0..=38usize, 0..=38u8).prop_map(|(n, cut, scale)| Decimal::new(
            n / POW10[cut],
            scale
        )
        .unwrap()),
        (-1..=1i128, 0..=37usize, 0..=38u8)
            .prop_map(|(n, e, scale)| Decimal::new(n * POW10[e], scale).unwrap()),
    ]
}

/// Two values of one type, or NULL; often near or equal.
fn pairs() -> impl Strategy<Value = (Owned, Owned)> {
    fn two<S: Strategy>(
        one: impl Fn() -> S,
        to: fn(S::Value) -> Owned,
    ) -> impl Strategy<Value = (Owned, Owned)> {
        let or_null = move || {
            prop::option::weighted(0.9, one())
                .prop_map(move |value| value.map_or(Owned::Other(Value::Null), to))
        };
        (or_null(), or_null())
    }
    prop_oneof![
        two(any::<bool>, |value| Owned::Other(Value::Boolean(value))),
        two(any::<i32>, |value| Owned::Other(Value::Integer(value))),
        two(|| -2..2i32, |value| Owned::Other(Value::Integer(value))),
        two(any::<i64>, |value| Owned::Other(Value::BigInt(value))),
        two(decimals, |value| Owned::Other(Value::Decimal(value))),
        two(doubles, |value| Owned::Other(Value::Double(value))),
        two(
            || Date::MIN.days()..=Date::MAX.days(),
            |days| Owned::Other(Value::Date(Date::from_days(days.into()).unwrap()))
        ),
        two(any::<(i32, i32, i64)>, |(months, days, micros)| {
            Owned::Other(Value::Interval(Interval { months, days, micros }))
        }),
        two(
            || (-1..2i32, -31..31i32, -1..2i64),
            |(months, days, half_days)| Owned::Other(Value::Interval(Interval {
                months,
                days,
                micros: half_days * DAY_MICROS / 2
            }))
        ),
        two(any::<i16>, |value| Owned::Other(Value::SmallInt(value))),
        two(any::<u32>, |bits| Owned::Other(Value::Real(f32::from_bits(bits)))),
        two(any::<u128>, |bits| Owned::Other(Value::Uuid(Uuid::from_u128(bits)))),
        two(
            || 0..=Time::MAX.micros(),
            |micros| Owned::Other(Value::Time(Time::from_micros(micros).unwrap()))
        ),
        two(
            || Timestamp::MIN.micros()..=Timestamp::MAX.micros(),
            |micros| Owned::Other(Value::Timestamp(Timestamp::from_micros(micros).unwrap()))
        ),
        two(|| "[ab\u{1}]{0,3} {0,2}", Owned::Char),
        two(|| prop::collection::vec(0..3u8, 0..4), Owned::Bytea),
        two(arrays_of_texts, |bytes| Owned::Array(bytes, Type::Text)),
        two(arrays_of_numerics, |bytes| Owned::Array(bytes, Type::Numeric)),
        two(|| "[\0\u{1}ab\u{ff}]{0,4}", Owned::Text),
        two(|| "\\PC{0,80}", Owned::Text),
    ]
}

fn expected(a: Value<'_>, b: Value<'_>, order: KeyOrder) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (false, false) if order.descending => b.total_cmp(&a),
        (false, false) => a.total_cmp(&b),
        (x, y) if order.nulls_first => y.cmp(&x),
        (x, y) => x.cmp(&y),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn bytes_have_the_order_of_the_values((a, b) in pairs()) {
        for order in ORDERS {
            let (x, y) = (key(a.value(), order), key(b.value(), order));
            prop_assert_eq!(x.cmp(&y), expected(a.value(), b.value(), order), "{:?}", order);
            prop_assert_eq!(x.len(), key_bytes(&a.value()));
        }
    }

    /// No key is the start of another: columns behind it decide only when it is equal.
    #[test]
    fn columns_are_compared_one_by_one((a, b) in pairs(), (c, d) in pairs()) {
        for order in ORDERS {
            let left = [key(a.value(), order), key(c.value(), order)].concat();
            let right = [key(b.value(), order), key(d.value(), order)].concat();
            let first = expected(a.value(), b.value(), order);
            prop_assert_eq!(left.cmp(&right), first.then(expected(c.value(), d.value(), order)));
        }
    }

    #[test]
    fn keys_read_back((a, _) in pairs()) {
        let value = a.value();
        // NULL reads back as any type.
        let ty = if value.is_null() { Type::Text } else { value.ty() };
        for order in ORDERS {
            let mut bytes = key(value, order);
            let len = bytes.len();
            bytes.extend_from_slice(b"next");
            let mut text = [0; 1300];
            let (read, used) = decode_key(&bytes, ty, order, &mut text).unwrap();
            prop_assert_eq!(used, len);
            prop_assert!(read.total_cmp(&value).is_eq());
            if let (Value::Decimal(x), Value::Decimal(y)) = (read, value) {
                prop_assert_eq!((x.unscaled(), x.scale()), (y.unscaled(), y.scale()));
            }
            for end in 0..len {
                prop_assert!(decode_key(&bytes[..end], ty, order, &mut [0; 1300]).is_err());
            }
        }
    }

    /// What decodes at all encodes to the same bytes, so damage is either seen or another valid key.
    #[test]
    fn any_bytes_decode_or_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..24), index in 0..19usize) {
        let ty = [
            Type::Boolean, Type::Integer, Type::BigInt, Type::Double, Type::Text, Type::Date, Type::Interval,
            Type::Decimal { precision: 38, scale: 5 }, Type::Numeric, Type::SmallInt, Type::Real, Type::Char,
            Type::Bytea, Type::Time, Type::Timestamp, Type::TimestampTz, Type::Uuid,
            Type::Array(Element::of(Type::Integer).unwrap()), Type::Array(Element::of(Type::Text).unwrap()),
        ][index];
        if let Some(header) = bytes.first_mut() {
            *header %= 3;
        }
        for order in ORDERS {
            let mut text = [0; 200];
            match decode_key(&bytes, ty, order, &mut text) {
                Ok((value, used)) => {
                    let again = key(value, order);
                    prop_assert_eq!(&again[..], &bytes[..used]);
                }
                Err(error) => prop_assert_eq!(error.sqlstate(), "XX001"),
            }
        }
    }
}

#[test]
fn example_of_the_header_is_true() {
    let value = Value::Decimal(Decimal::parse(b"12.5").unwrap());
    let mut bytes = vec![1, 0xa8];
    bytes.extend_from_slice(&(125 * POW10[35]).to_be_bytes());
    assert_eq!(key(value, KeyOrder::ASC), bytes);
}

#[test]
fn layout_is_fixed() {
    let hex = |value, order| key(value, order).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(Value::Null, KeyOrder::ASC), "02");
    assert_eq!(hex(Value::Null, KeyOrder::DESC), "00");
    assert_eq!(hex(Value::Boolean(true), KeyOrder::ASC), "0101");
    assert_eq!(hex(Value::Integer(-1), KeyOrder::ASC), "017fffffff");
    assert_eq!(hex(Value::Integer(-1), KeyOrder::DESC), "0180000000");
    assert_eq!(hex(Value::BigInt(1), KeyOrder::ASC), "018000000000000001");
    assert_eq!(hex(Value::Double(-0.0), KeyOrder::ASC), "018000000000000000");
    assert_eq!(hex(Value::Double(1.0), KeyOrder::ASC), "01bff0000000000000");
    assert_eq!(hex(Value::Text("a\0"), KeyOrder::ASC), "016100ff0001");
    assert_eq!(hex(Value::Text("a"), KeyOrder::DESC), "019efffe");
    assert_eq!(hex(Value::Decimal(Decimal::ZERO), KeyOrder::ASC), format!("0180{:032}", 0));
}

#[test]
fn decimals_need_a_scale_that_holds_them() {
    let bytes = key(Value::Decimal(Decimal::parse(b"1.25").unwrap()), KeyOrder::ASC);
    let read = |precision, scale| {
        decode_key(&bytes, Type::Decimal { precision, scale }, KeyOrder::ASC, &mut [])
            .map(|(v, _)| v.to_string())
    };
    assert_eq!(read(5, 3).unwrap(), "1.250");
    assert_eq!(
        read(5, 1).unwrap_err().to_string(),
        "encoded numeric is corrupt at byte 1: the scale of the column does not hold the number"
    );
}

#[test]
fn small_buffers_say_what_they_need() {
    let bytes = key(Value::Text("hello"), KeyOrder::ASC);
    let error = decode_key(&bytes, Type::Text, KeyOrder::ASC, &mut [0; 3]).unwrap_err();
    assert_eq!(error, Error::BufferTooSmall { needed_bytes: 5, given_bytes: 3 });
    let mut small = [0; 3];
    let mut sink = SliceSink::new(&mut small);
    let error = encode_key(Value::Integer(1), KeyOrder::ASC, &mut sink).unwrap_err();
    assert_eq!(error.to_string(), "buffer of 3 bytes is too small, 5 bytes are needed");
    assert_eq!(error.sqlstate(), "54000");
    assert_eq!(sink.written(), b"");
    encode_key(Value::Boolean(false), KeyOrder::ASC, &mut sink).unwrap();
    assert_eq!(sink.written(), [1, 0]);
}
