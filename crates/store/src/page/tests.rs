//! Pages against the values that they were made of.

mod damage;
mod golden;
mod limits;
mod series;

use std::vec::Vec;

use cofferdam_arena::collections;
use proptest::prelude::*;

use super::model::*;
use super::*;

/// Symbols for texts like these.
fn symbols_of(cells: &Cells) -> SymbolTable {
    let samples = cells.iter().flatten().filter_map(|cell| match cell {
        Cell::Text(text) => Some(text.as_slice()),
        _ => None,
    });
    SymbolTable::train(samples, &arena()).unwrap().expect("the texts can be compressed")
}

/// Words that look like sentences.
fn sentences(count: usize) -> Cells {
    const WORDS: [&str; 12] = [
        "carefully",
        "regular",
        "deposits",
        "sleep",
        "furiously",
        "ironic",
        "packages",
        "above",
        "the",
        "final",
        "requests",
        "haggle",
    ];
    let word = |i: usize, k: u64| WORDS[((noise(i) >> (8 * k)) % 12) as usize];
    texts((0..count).map(|i| format!("{} {} {}, {i}", word(i, 0), word(i, 1), word(i, 2))))
}

/// Aim: data that is made for an encoding gets it, and comes back. Method: each shape of each kind.
#[test]
fn every_shape_is_chosen_where_it_is_smallest() {
    let rows = 2048;
    let shape = |kind, cells: &Cells| check(kind, cells, None).1.encoding.shape;
    let numbers: [(Shape, Cells); 6] = [
        (Shape::Constant, ints((0..rows).map(|_| 7))),
        (Shape::FrameOfReference, ints((0..rows).map(|i| 1000 + (noise(i) % 500) as i64))),
        (Shape::Linear, ints((0..rows).map(|i| 40 + 3 * i as i64 + (noise(i) % 5) as i64))),
        (Shape::RunLength, ints((0..rows).map(|i| noise(i / 60) as i64 % 1000))),
        (Shape::Dictionary, ints((0..rows).map(|i| noise(noise(i) as usize % 9) as i64 >> 33))),
        (Shape::Nothing, vec![None; rows]),
    ];
    for (expected, cells) in &numbers {
        assert_eq!(shape(Kind::I32, cells), *expected);
        assert_eq!(shape(Kind::I64, cells), *expected);
    }
    assert_eq!(shape(Kind::I64, &ints((0..rows).map(|i| noise(i) as i64))), Shape::Plain);

    let bools = |bit: fn(usize) -> bool| ints((0..2048).map(|i| bit(i).into()));
    assert_eq!(shape(Kind::Bool, &bools(|_| true)), Shape::Constant);
    assert_eq!(shape(Kind::Bool, &bools(|i| noise(i).is_multiple_of(3))), Shape::FrameOfReference);
    assert_eq!(shape(Kind::Bool, &bools(|i| i / 700 == 1)), Shape::RunLength);

    let wide = |i: usize| i128::from(noise(i)) << 60 | i128::from(noise(i + 1));
    let base = 123_456_789_012_345_678_901_234_567_i128;
    for (expected, cells) in [
        (Shape::Constant, wides((0..rows).map(|_| -base))),
        (Shape::FrameOfReference, wides((0..rows).map(|i| base - i128::from(noise(i) >> 20)))),
        (Shape::RunLength, wides((0..rows).map(|i| wide(i / 50)))),
        (Shape::Dictionary, wides((0..rows).map(|i| wide(noise(i) as usize % 30)))),
        (Shape::Dictionary, wides((0..rows).map(|i| i128::from(noise(noise(i) as usize % 30))))),
        (Shape::Plain, wides((0..rows).map(wide))),
    ] {
        assert_eq!(shape(Kind::I128, &cells), expected);
    }

    let double = |i: usize| f64::from_bits(noise(i) >> 2);
    for (expected, digits, cells) in [
        (Shape::Constant, None, doubles((0..rows).map(|_| -0.0))),
        (Shape::Constant, Some(1), doubles((0..rows).map(|_| 2.5))),
        (Shape::FrameOfReference, Some(2), doubles((0..rows).map(|i| (noise(i) % 9999) as f64 / 100.0))),
        (Shape::FrameOfReference, Some(14), doubles((0..rows).map(|i| (noise(i) % 9_999_999) as f64 / 1e14))),
        (Shape::Linear, Some(0), doubles((0..rows).map(|i| 10.0 * i as f64 - 1e6))),
        (Shape::RunLength, None, doubles((0..rows).map(|i| double(i / 40)))),
        (Shape::Dictionary, None, doubles((0..rows).map(|i| double(noise(i) as usize % 20)))),
        (Shape::Plain, None, doubles((0..rows).map(double))),
    ] {
        let encoding = check(Kind::F64, &cells, None).1.encoding;
        assert_eq!((encoding.shape, encoding.digits), (expected, digits));
    }

    let word = |i: usize| format!("{:08x}", noise(i) as u32);
    for (expected, cells) in [
        (Shape::Constant, texts((0..rows).map(|_| "DELIVER IN PERSON"))),
        (Shape::Constant, texts((0..rows).map(|_| ""))),
        (Shape::RunLength, texts((0..rows).map(|i| word(i / 100)))),
        (Shape::RunLength, texts((0..rows).map(|i| format!("{:05}", i / 5)))),
        (Shape::Dictionary, texts((0..rows).map(|i| word(noise(i) as usize % 100)))),
        (Shape::Dictionary, texts((0..rows).map(|i| word(noise(i) as usize % 900)))),
        (Shape::Plain, texts((0..rows).map(word))),
        (Shape::Nothing, vec![None; rows]),
    ] {
        let encoding = check(Kind::Text, &cells, None).1.encoding;
        assert_eq!((encoding.shape, encoding.is_compressed), (expected, false));
    }
}

/// Aim: symbols are used where they save enough, and not elsewhere. Method: sentences one by one, as a dictionary, and
/// in runs; texts that the symbols do not fit.
#[test]
fn texts_are_compressed_where_it_pays() {
    let sentences = sentences(1200);
    let table = symbols_of(&sentences);
    let compressed = |cells: &Cells| {
        let stats = check(Kind::Text, cells, Some(&table)).1;
        (stats.encoding.shape, stats.encoding.is_compressed)
    };
    assert_eq!(compressed(&sentences), (Shape::Plain, true));
    let some = |place: fn(usize) -> usize| (0..1200).map(|i| sentences[place(i)].clone()).collect();
    assert_eq!(compressed(&some(|i| noise(i) as usize % 700)), (Shape::Dictionary, true));
    assert_eq!(compressed(&some(|i| noise(i) as usize % 100)), (Shape::Dictionary, true));
    assert_eq!(compressed(&some(|i| i / 50)), (Shape::RunLength, true));
    // Two sentences are not worth it.
    assert_eq!(compressed(&some(|i| noise(i) as usize % 2)), (Shape::Dictionary, false));
    let strange = texts((0..1000).map(|i| (noise(i) | 0x8080_8080_8080_8080).to_le_bytes()));
    assert_eq!(compressed(&strange), (Shape::Plain, false));
    // A page may stop in the middle of trying.
    assert_eq!(compressed(&texts([vec![0xff; 8000]])), (Shape::Plain, false));
}

/// Aim: numbers take the bits that are worked out by hand.
#[test]
fn bytes_are_as_worked_out() {
    let bytes = |kind, cells: &Cells| check(kind, cells, None).0.len();
    let frame = HEADER_BYTES + TAIL_BYTES;
    // 50 multiples of a hundred: base, divisor, 6 bits a row.
    let quantities = ints((0..2048).map(|i| 100 + 100 * (noise(i) % 50) as i64));
    assert_eq!(bytes(Kind::I64, &quantities), frame + 2 + 16 + 6 * 256);
    // 33 bits are stored as 40, 57 as 64.
    for (bits, stored) in [(1, 1), (31, 31), (32, 32), (33, 40), (41, 48), (56, 56), (57, 64), (63, 64)] {
        let most = ((1u64 << bits) - 1) as i64;
        let cells = ints((0..65).map(|i| match i {
            0 => 0,
            1 => 1,
            2 => most,
            _ => noise(i) as i64 & most,
        }));
        assert_eq!(bytes(Kind::I64, &cells), frame + 2 + (65 * stored as usize).div_ceil(8), "{bits} bits");
    }
    // One value: its base. Row numbers: a step. Nothing: nothing.
    assert_eq!(bytes(Kind::I64, &ints((0..2000).map(|_| 1 << 40))), frame + 2 + 8);
    assert_eq!(bytes(Kind::I64, &ints(0..2000)), frame + 2 + 8);
    assert_eq!(bytes(Kind::I64, &ints((0..2000).map(|i| 5 - 100 * i))), frame + 2 + 24);
    assert_eq!(bytes(Kind::I64, &vec![]), frame);
    assert_eq!(bytes(Kind::Text, &vec![None; 2048]), frame);
}

/// Aim: whatever the number of rows and of NULLs, what goes in comes out. Method: every kind, sizes about the limits of
/// the loops, patterns of NULLs.
#[test]
fn all_sizes_and_nulls_come_back() {
    let patterns: [fn(usize) -> bool; 6] =
        [|_| false, |i| i % 2 == 0, |i| i != 3, |i| i < 5, |i| i > 5, |i| noise(i).is_multiple_of(7)];
    let sentences = sentences(400);
    let table = symbols_of(&sentences);
    for rows in [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 255, 256, 257, 2047, 2048] {
        for is_null in patterns {
            let nulled = |cells: Cells| -> Cells {
                cells.into_iter().enumerate().map(|(i, cell)| cell.filter(|_| !is_null(i))).collect()
            };
            let number = |i: usize| (noise(i) % 1000) as i64 - 500;
            check(Kind::Bool, &nulled(ints((0..rows).map(|i| number(i) & 1))), None);
            check(Kind::I32, &nulled(ints((0..rows).map(number))), None);
            check(Kind::I64, &nulled(ints((0..rows).map(|i| number(i / 9) << 20))), None);
            check(Kind::I128, &nulled(wides((0..rows).map(|i| i128::from(number(i)) << 70))), None);
            check(Kind::F64, &nulled(doubles((0..rows).map(|i| number(i) as f64 / 8.0))), None);
            let text: Cells = (0..rows).map(|i| sentences[(noise(i) % 300) as usize].clone()).collect();
            check(Kind::Text, &nulled(text), Some(&table));
        }
    }
}

/// Aim: differences that overflow, and doubles that are no numbers, come back bit by bit.
#[test]
fn extremes_come_back() {
    let extremes = [i64::MIN, i64::MAX, 0, -1, 1, i64::MIN + 1, i64::MAX - 1];
    for first in extremes {
        for second in extremes {
            for count in [1, 2, 3, 100] {
                check(Kind::I64, &ints((0..count).map(|i| if i % 2 == 0 { first } else { second })), None);
                // A line from one to the other.
                let step = (i128::from(second) - i128::from(first)) / count.max(1);
                let line = (0..=count).map(|i| (i128::from(first) + i * step) as i64);
                check(Kind::I64, &ints(line), None);
            }
        }
    }
    check(Kind::I32, &ints((0..100).map(|i| if i % 2 == 0 { i32::MIN } else { i32::MAX }.into())), None);
    let wide = [i128::MIN, i128::MAX, 0, -1, i64::MIN.into(), i64::MAX.into(), 1 << 64, u64::MAX.into()];
    for first in wide {
        for second in wide {
            check(Kind::I128, &wides([first, second]), None);
            check(Kind::I128, &wides((0..100).map(|i| if i % 3 == 0 { first } else { second })), None);
            // 64 bits of differences suffice.
            check(Kind::I128, &wides((0..9).map(|i| second.wrapping_add(i << 60).max(second))), None);
        }
    }
    let odd = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.3,
        1e15,
        1e16,
        9.007199254740993e15,
        f64::MIN,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::EPSILON,
        5e-324,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(0xfff8_dead_beef_0000),
    ];
    for first in odd {
        check(Kind::F64, &doubles([first]), None);
        for second in odd {
            check(Kind::F64, &doubles([first, second]), None);
            check(Kind::F64, &doubles((0..50).map(|i| if i % 3 == 0 { first } else { second })), None);
        }
    }
    check(Kind::F64, &doubles(odd), None);
    let strange = ["", "\0", "\0\0", "ÿ", "\u{10ffff}", &"\0".repeat(8192), &"a".repeat(8192)];
    check(Kind::Text, &texts(strange), None);
    check(Kind::Text, &texts((0..500).map(|i| strange[noise(i) as usize % 5])), None);
    // As much as a page takes, and every row of other bytes.
    let heavy =
        texts((0..9).map(|i| (0..8192).map(|k| (noise(i * 8192 + k) % 256) as u8).collect::<Vec<u8>>()));
    let (bytes, _) = check(Kind::Text, &heavy, None);
    assert!(bytes.len() <= PAGE_BYTES_MAX);
}

/// Aim: rows whose text is elsewhere say where, next to others and NULLs, and the page stays within its bound.
#[test]
fn long_texts_are_referred_to() {
    let long = |i: usize| Some(Cell::Long(noise(i), 8193 + (noise(i) % 1000) as u32, noise(i) as u32));
    let words = ["", "AIR", "TRUCK", "the beginning of it"];
    let mixed = |i: usize| match noise(i) % 5 {
        0 => None,
        1 => long(i),
        _ => Some(Cell::Text(words[noise(i + 1) as usize % 4].into())),
    };
    for rows in [1, 5, 300, 2048] {
        check(Kind::Text, &(0..rows).map(long).collect(), None);
        check(Kind::Text, &(0..rows).map(mixed).collect(), None);
    }
    // All that a page can have at once: references, texts of all bytes that it takes, NULLs.
    let full = (0..2048).map(|i| match i {
        0 => None,
        1..10 => Some(Cell::Text((0..8192).map(|k| noise(i * 8192 + k) as u8).collect())),
        _ => long(i),
    });
    let (bytes, _) = check(Kind::Text, &full.collect(), None);
    assert!(bytes.len() <= PAGE_BYTES_MAX, "{} bytes", bytes.len());
}

/// Aim: bounds of texts cut behind 16 bytes still hold, and are as tight as that allows.
#[test]
fn text_bounds_are_cut_upwards() {
    let zone = |values: &[&[u8]]| check(Kind::Text, &texts(values), None).1.zone.unwrap();
    let bound = |text: &[u8]| ZoneBound::Text(TextBound::of(text));
    let short = zone(&[b"b", b"abc", b"sixteen bytes 16"]);
    assert_eq!((short.min, short.max), (bound(b"abc"), bound(b"sixteen bytes 16")));
    let long = zone(&[b"seventeen bytes 17", b"seventeen bytes 18"]);
    assert_eq!((long.min, long.max), (bound(b"seventeen bytes "), bound(b"seventeen bytes!")));
    let high =
        zone(&[b"a", &[[1; 14].as_slice(), &[0xff; 9]].concat(), &[[1; 15].as_slice(), &[0xff; 9]].concat()]);
    assert_eq!(high.max, bound(b"a"));
    let top = zone(&[&[[1; 10].as_slice(), &[0xff; 9]].concat()]);
    assert_eq!(top.max, bound(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 2]));
    assert_eq!(zone(&[&[0xff; 17]]).max, ZoneBound::Unbounded);
    // A long text of which 16 bytes are known may be greater than a text of just these.
    let beginning = Cell::Text(b"the beginning of".to_vec());
    check(Kind::Text, &vec![Some(beginning), Some(Cell::Long(1, 9000, 2))], None);
}

/// Aim: a search by integer gives what a search row by row does. Method: ascending and descending values of every shape,
/// every range, wanted values in and between.
#[test]
fn integers_are_searched() {
    let shapes: [fn(usize) -> i64; 6] = [
        |_| 4,
        |i| 3 * i as i64,
        |i| i as i64 / 40,
        |i| (i * i) as i64,
        |i| (i / 100) as i64 * 7,
        |i| -(i as i64 / 9),
    ];
    for value in shapes {
        for kind in [Kind::I32, Kind::I64] {
            let (bytes, _) = check(kind, &ints((0..500).map(value)), None);
            let page = Page::parse(&bytes).unwrap();
            let sign = if value(499) < value(0) { -1 } else { 1 };
            for range in [0..500, 0..0, 500..500, 7..7, 0..1, 10..11, 37..418, 120..121, 499..500] {
                for wanted in [i64::MIN, -300, -1, 0, 1, 5, 7, 12, 60, 61, 1000, 240_000, i64::MAX] {
                    let before = |found: i64| sign * found < wanted;
                    let expected = range.clone().find(|row| !before(value(*row))).unwrap_or(range.end);
                    assert_eq!(page.partition_point(range.clone(), before), expected, "{range:?} {wanted}");
                }
            }
        }
    }
    let (bytes, _) = check(Kind::Bool, &ints((0..500).map(|i| (i > 321).into())), None);
    assert_eq!(Page::parse(&bytes).unwrap().partition_point(0..500, |value| value < 1), 322);
}

/// Aim: values come as their types, and bytes that are no value of the type are told.
#[test]
fn values_have_their_types() {
    let arena = arena();
    let mut buffer = collections::Vec::new_in(&arena);
    let mut value = |kind: Kind, cell: Cell, ty: Type| {
        let (bytes, _) = check(kind, &vec![None, Some(cell)], None);
        let page = Page::parse(&bytes).unwrap();
        if Kind::of(ty) == kind {
            let null = page.value_at(0, ty, None, &mut buffer);
            assert!(matches!(null, Ok(PageValue::Inline(Value::Null))));
        }
        match page.value_at(1, ty, None, &mut buffer) {
            Ok(PageValue::Inline(value)) => Ok(value.to_string()),
            Ok(PageValue::Long(long)) => Ok(format!("{} bytes at {}", long.len, long.offset)),
            Err(PageError::Corrupt(what)) => Err(what),
            Err(PageError::Memory(_)) => unreachable!(),
        }
    };
    let decimal = |precision| Type::Decimal { precision, scale: 2 };
    let text = |bytes: &[u8]| Cell::Text(bytes.to_vec());
    assert_eq!(value(Kind::Bool, Cell::Int(1), Type::Boolean), Ok("t".into()));
    assert_eq!(value(Kind::I32, Cell::Int(-5), Type::Integer), Ok("-5".into()));
    assert_eq!(value(Kind::I32, Cell::Int(10_561), Type::Date), Ok("1998-12-01".into()));
    assert_eq!(
        value(Kind::I32, Cell::Int(i64::from(i32::MAX - 1).into()), Type::Date),
        Err("a value is out of its type's range")
    );
    assert_eq!(value(Kind::I64, Cell::Int(1 << 40), Type::BigInt), Ok((1i64 << 40).to_string()));
    assert_eq!(
        value(Kind::I128, Cell::Int((1 << 96) + (3 << 64)), Type::Interval),
        Ok("1 mon 3 days".into())
    );
    assert_eq!(value(Kind::I64, Cell::Int(-1250), decimal(15)), Ok("-12.50".into()));
    assert_eq!(
        value(Kind::I128, Cell::Int(1 << 100), decimal(38)),
        Ok("12676506002282294014967032053.76".into())
    );
    assert_eq!(
        value(Kind::I128, Cell::Int(i128::MAX), decimal(38)),
        Err("a value is out of its type's range")
    );
    assert_eq!(value(Kind::F64, Cell::Double(0.1f64.to_bits()), Type::Double), Ok("0.1".into()));
    assert_eq!(value(Kind::Text, text("Größe".as_bytes()), Type::Text), Ok("Größe".into()));
    assert_eq!(
        value(Kind::Text, text(b"\xff"), Type::Text),
        Err("the bytes of a value are none of its type")
    );
    assert_eq!(value(Kind::Text, Cell::Long(70, 9000, 3), Type::Text), Ok("9000 bytes at 70".into()));
    assert_eq!(value(Kind::I64, Cell::Int(1), Type::Integer), Err("the page is of another kind of values"));

    let (bytes, _) = check(Kind::I64, &ints([1]), None);
    let mut slices = Slices::of(1);
    let mut data = slices.data(Kind::F64);
    let mut buffer = collections::Vec::new_in(&arena);
    let into = ColumnMut { data: &mut data, valid: &mut [true], all_valid: &mut true, heap: &mut buffer };
    let other = Page::parse(&bytes).unwrap().decode(0..1, into, 0, None);
    assert!(matches!(other, Err(PageError::Corrupt("the page is of another kind of values"))));
}

/// Aim: a compressed page cannot be read without its symbols or with others.
#[test]
fn compressed_texts_name_their_symbols() {
    let cells = sentences(300);
    let table = symbols_of(&cells);
    let other = symbols_of(&texts((0..1000).map(|i| format!("row number {}", i % 90))));
    let (bytes, stats) = check(Kind::Text, &cells, Some(&table));
    assert!(stats.encoding.is_compressed);
    let page = Page::parse(&bytes).unwrap();
    let (mut slices, arena) = (Slices::of(300), arena());
    for (symbols, expected) in [
        (None, "the symbols of the texts are missing"),
        (Some(&other), "the texts are compressed with other symbols"),
    ] {
        let mut buffer = collections::Vec::new_in(&arena);
        let is_expected = |error| matches!(error, PageError::Corrupt(what) if what == expected);
        assert!(page.text_at(0, symbols, &mut buffer).is_err_and(is_expected));
        let mut data = slices.data(Kind::Text);
        let into =
            ColumnMut { data: &mut data, valid: &mut [true; 300], all_valid: &mut true, heap: &mut buffer };
        assert!(page.decode(0..300, into, 0, symbols).is_err_and(is_expected));
    }
}

/// A cell of chance: numbers of `bits` bits about some base, one of `distinct`, each standing `run` times or so.
fn random_cells(kind: Kind, seed: u64, rows: usize, nulls: u64, distinct: u64, run: u64, bits: u32) -> Cells {
    let mut state = seed as usize;
    let mut next = move || {
        state = state.wrapping_add(1);
        noise(state ^ (seed << 20) as usize)
    };
    let cell = |pick: u64| {
        let number = noise(pick as usize ^ seed as usize);
        let short = (number >> (64 - bits.min(63))) as i64;
        match kind {
            Kind::Bool => Cell::Int((number % 2).into()),
            Kind::I32 => Cell::Int((short as i32).into()),
            Kind::I64 => Cell::Int(short.wrapping_sub(seed as i64).into()),
            Kind::I128 => Cell::Int(i128::from(number) << (bits % 64) | i128::from(seed)),
            Kind::F64 if seed.is_multiple_of(2) => Cell::Double((short as f64 / 1000.0).to_bits()),
            Kind::F64 => Cell::Double(number),
            Kind::Text => {
                let (text, len) = (format!("{number:x} and {short}"), number as usize % 25);
                Cell::Text(text.into_bytes().into_iter().take(len).collect())
            }
        }
    };
    let mut current = 0;
    (0..rows)
        .map(|_| {
            if next() % run == 0 {
                current = next() % distinct;
            }
            (next() % 100 >= nulls).then(|| cell(current))
        })
        .collect()
}

/// 64 cases, or PROPTEST_CASES.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config())]

    /// Aim: encode, then decode, is nothing, whatever the values. Method: cells of random density, runs, distinct
    /// values and bits, read back in every way against the cells; with symbols of some of them.
    #[test]
    fn what_goes_in_comes_out(
        kind in 0usize..6, seed: u64, rows in 0usize..2049, nulls in prop_oneof![Just(0u64), 0u64..101],
        distinct in prop_oneof![1u64..40, 1u64..5000], run in 1u64..60, bits in 1u32..65,
    ) {
        let kind = KINDS[kind];
        let cells = random_cells(kind, seed, rows, nulls, distinct, run, bits);
        let samples = cells.iter().flatten().step_by(2).filter_map(|cell| match cell {
            Cell::Text(text) => Some(text.as_slice()),
            _ => None,
        });
        let table = SymbolTable::train(samples, &arena()).unwrap();
        check(kind, &cells, table.as_ref());
    }

    /// Aim: any bytes come back from any table. Method: tables trained with one text, used for others.
    #[test]
    fn symbols_hold_any_bytes(
        samples in prop::collection::vec(prop::collection::vec(0u8..6, 0..60), 0..60),
        other in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let arena = arena();
        let table = SymbolTable::train(samples.iter().map(Vec::as_slice), &arena).unwrap();
        let mut form = collections::Vec::new_in(&arena);
        let Some(table) = table else { return Ok(()) };
        table.write(&mut form).unwrap();
        let read = SymbolTable::parse(&form).unwrap();
        for text in samples.iter().chain([&other]) {
            let mut out = collections::Vec::new_in(&arena);
            table.encode(text, &mut out).unwrap();
            prop_assert_eq!(out.len(), table.encoded_bytes(text));
            let len = out.len();
            // What stands behind a form is not part of it.
            out.extend_from_slice(&[0xff, 1, 2, 3, 4, 5, 6, 7]).unwrap();
            let mut decoded = vec![0; text.len() + 8];
            prop_assert_eq!(read.decode(&out, 0..len, &mut decoded), Some(text.len()));
            prop_assert_eq!(&decoded[..text.len()], &text[..]);
        }
    }
}
