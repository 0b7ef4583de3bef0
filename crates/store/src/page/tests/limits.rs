//! Pages under memory limits.

use cofferdam_arena::{AllocError, Arena, Budget};
use cofferdam_testkit::Failure;
use cofferdam_testkit::sweep::Sweep;

use super::*;

fn budget() -> Budget {
    Budget::root("root", 64 << 20).unwrap().child("pages", 32 << 20).unwrap()
}

/// Aim: encoding under any limit gives the same page, or a refusal that leaves what was written before. Method: the limit
/// sweep over pages of each kind.
#[test]
fn encoding_is_refused_or_the_same() {
    let budget = budget();
    let sentences = sentences(900);
    let table = symbols_of(&sentences);
    for (kind, cells) in [
        (Kind::I64, ints((0..2048).map(|i| noise(noise(i) as usize % 9) as i64))),
        (Kind::I128, wides((0..2048).map(|i| i128::from(noise(noise(i) as usize % 9)) << 60))),
        (Kind::F64, doubles((0..2048).map(|i| f64::from_bits(noise(i))))),
        (Kind::Text, sentences.clone()),
        (Kind::Text, (0..2048).map(|i| sentences[noise(i) as usize % 20].clone()).collect()),
    ] {
        let (expected, _) = check(kind, &cells, Some(&table));
        let mut column = Column::of(&cells);
        let swept = Sweep::new().run_under(&budget, |budget| {
            let failure = |error: AllocError| Failure::of(budget, &error, true);
            let (scratch_arena, arena) = (Arena::new(budget), Arena::new(budget));
            let mut out = collections::Vec::new_in(&arena);
            out.extend_from_slice(b"before").map_err(failure)?;
            let encoded = column.encode_to(kind, Some(&table), &scratch_arena, &mut out);
            if encoded.is_err() {
                assert_eq!(&out[..], b"before");
            }
            encoded.map_err(failure)?;
            Ok::<_, Failure>(out[6..].to_vec())
        });
        let swept = swept.unwrap();
        assert_eq!(swept.value, expected);
        assert!(swept.refusals_count > 3);
    }
}

/// Aim: the scratch takes what it says. Method: pages of all kinds with one scratch.
#[test]
fn scratch_is_bounded() {
    let budget = budget();
    let scratch_arena = Arena::new(&budget);
    let out_arena = arena();
    let mut scratch = EncodeScratch::new_in(&scratch_arena);
    let mut encode_all = |kind, cells: &Cells| {
        let mut column = Column::of(cells);
        for _ in 0..3 {
            let mut out = collections::Vec::new_in(&out_arena);
            column.encode_with(kind, None, &mut scratch, &mut out).unwrap();
        }
        budget.used()
    };
    let words = texts((0..2048).map(|i| format!("{}", noise(i) % 99)));
    assert!(encode_all(Kind::Text, &words) <= 48 << 10);
    let numbers = ints((0..2048).map(|i| (noise(i) % 99) as i64));
    assert!(encode_all(Kind::I64, &numbers) <= 48 << 10);
    assert!(encode_all(Kind::I128, &numbers) <= 112 << 10);
}

/// Aim: training takes at most what it says, and under any limit gives the same table or a refusal.
#[test]
fn training_is_refused_or_the_same() {
    let budget = budget();
    let sentences = sentences(900);
    let texts: Vec<&[u8]> = sentences
        .iter()
        .flatten()
        .map(|cell| match cell {
            Cell::Text(text) => text.as_slice(),
            _ => unreachable!(),
        })
        .collect();
    let expected = symbols_of(&sentences).crc();
    let swept = Sweep::new().run_under(&budget, |budget| {
        let arena = Arena::new(budget);
        let table = SymbolTable::train(texts.iter().copied(), &arena);
        table.map_err(|error| Failure::of(budget, &error, true)).map(|table| table.unwrap().crc())
    });
    let swept = swept.unwrap();
    assert_eq!(swept.value, expected);
    assert!(swept.limit_bytes <= 64 << 10, "{} bytes", swept.limit_bytes);
}

/// Aim: decoding texts under any limit gives the same, or a refusal. Method: pages of each form of texts.
#[test]
fn decoding_is_refused_or_the_same() {
    let budget = budget();
    let sentences = sentences(900);
    let table = symbols_of(&sentences);
    let (mut slices, rows) = (Slices::of(900), 0..900);
    for cells in [
        sentences.clone(),
        (0..900).map(|i| sentences[noise(i) as usize % 20].clone()).collect(),
        (0..900).map(|i| sentences[noise(i) as usize % 700].clone()).collect(),
    ] {
        for symbols in [None, Some(&table)] {
            let (bytes, _) = check(Kind::Text, &cells, symbols);
            let page = Page::parse(&bytes).unwrap();
            let swept = Sweep::new().run_under(&budget, |budget| {
                let arena = Arena::new(budget);
                let mut data = slices.data(Kind::Text);
                let mut heap = collections::Vec::new_in(&arena);
                let into =
                    ColumnMut { data: &mut data, valid: &mut [], all_valid: &mut true, heap: &mut heap };
                match page.decode(rows.clone(), into, 0, symbols) {
                    Err(PageError::Memory(error)) => return Err(Failure::of(budget, &error, true)),
                    decoded => decoded.unwrap(),
                }
                Ok(rows.clone().map(|row| cell_of(&data, row, &heap)).collect::<Vec<_>>())
            });
            let expected: Vec<Cell> = cells.iter().flatten().cloned().collect();
            assert!(swept.unwrap().value == expected);
        }
    }
}
