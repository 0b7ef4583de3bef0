//! Pages in files, which every later version reads and this one writes byte for byte.

use std::path::PathBuf;
use std::{env, fs};

use super::*;

/// The columns of the files: a name, the encoding, and what is in it. They are small, and nothing in them is of chance but [`noise`].
fn columns() -> Vec<(&'static str, &'static str, Kind, Cells)> {
    let rows = 60;
    let nulls = |cells: Cells| -> Cells {
        cells.into_iter().enumerate().map(|(i, cell)| cell.filter(|_| i % 9 != 4)).collect()
    };
    let double = |i: usize| f64::from_bits(noise(i) >> 2);
    let word = |i: usize| format!("{:x}", noise(i) >> 36);
    let wide = |i: usize| i128::from(noise(i)) << 60 | i128::from(noise(i + 1));
    vec![
        ("no-rows", "nothing", Kind::I32, vec![]),
        ("all-null", "nothing", Kind::Text, vec![None; rows]),
        ("bool", "frame of reference", Kind::Bool, ints((0..rows).map(|i| (noise(i) % 2) as i64))),
        ("i32-constant", "constant", Kind::I32, ints((0..rows).map(|_| -40))),
        (
            "i32-frame",
            "frame of reference",
            Kind::I32,
            nulls(ints((0..rows).map(|i| 9000 + (noise(i) % 2500) as i64))),
        ),
        (
            "i64-divisor",
            "frame of reference",
            Kind::I64,
            ints((0..rows).map(|i| 100 + 100 * (noise(i) % 50) as i64)),
        ),
        (
            "i64-linear",
            "linear",
            Kind::I64,
            ints((0..rows).map(|i| (1 << 40) + 4 * i as i64 + (noise(i) % 5) as i64)),
        ),
        ("i64-runs", "run length", Kind::I64, ints((0..rows).map(|i| noise(i / 15) as i64))),
        (
            "i64-dictionary",
            "dictionary",
            Kind::I64,
            nulls(ints((0..rows).map(|i| noise(noise(i) as usize % 3) as i64))),
        ),
        ("i64-plain", "plain", Kind::I64, ints((0..12).map(|i| noise(i) as i64))),
        (
            "i128-frame",
            "frame of reference",
            Kind::I128,
            wides((0..rows).map(|i| (1 << 100) - i128::from(noise(i) >> 50))),
        ),
        ("i128-dictionary", "dictionary", Kind::I128, wides((0..rows).map(|i| wide(noise(i) as usize % 3)))),
        ("i128-runs", "run length", Kind::I128, wides((0..900).map(|i| wide(i / 250)))),
        ("i128-plain", "plain", Kind::I128, wides((0..5).map(wide))),
        (
            "f64-digits",
            "frame of reference, 2 digits",
            Kind::F64,
            doubles((0..rows).map(|i| (noise(i) % 9000) as f64 / 100.0)),
        ),
        ("f64-runs", "run length", Kind::F64, doubles((0..rows).map(|i| double(i / 15)))),
        (
            "f64-dictionary",
            "dictionary",
            Kind::F64,
            doubles((0..rows).map(|i| double(noise(i) as usize % 3))),
        ),
        ("f64-plain", "plain", Kind::F64, doubles([0.1, -0.0, f64::NAN, f64::INFINITY, 1e300, 5e-324])),
        ("text-constant", "constant", Kind::Text, texts((0..rows).map(|_| "DELIVER IN PERSON"))),
        ("text-runs", "run length", Kind::Text, texts((0..900).map(|i| word(i / 250)))),
        (
            "text-dictionary",
            "dictionary",
            Kind::Text,
            nulls(texts((0..rows).map(|i| word(noise(i) as usize % 5)))),
        ),
        ("text-plain", "plain", Kind::Text, nulls(texts((0..20).map(word)))),
        ("text-compressed", "plain, compressed", Kind::Text, sentences(12)),
        ("text-dictionary-compressed", "dictionary, compressed", Kind::Text, {
            let sentences = sentences(12);
            (0..rows).map(|i| sentences[noise(i) as usize % 12].clone()).collect()
        }),
        (
            "text-long",
            "plain",
            Kind::Text,
            vec![Some(Cell::Text(b"short".to_vec())), None, Some(Cell::Long(1 << 33, 70_000, 0xdead_beef))],
        ),
    ]
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/formats/v1/pages")).join(name)
}

/// The bytes of a file; with UPDATE_GOLDEN=1, after it was written with `bytes`.
fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path("")).unwrap();
        fs::write(path(name), bytes).unwrap();
    }
    fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Aim: pages of this version of the format can always be read, and are written as they were. Method: a file for each
/// form; no file is forgotten.
#[test]
fn golden_pages_are_read_and_written() {
    let table = symbols_of(&sentences(400));
    let arena = arena();
    let mut form = collections::Vec::new_in(&arena);
    table.write(&mut form).unwrap();
    let form = file("symbols.bin", &form);
    let table = SymbolTable::parse(&form).unwrap();
    let mut names = vec![String::from("symbols.bin")];
    for (name, encoding, kind, cells) in columns() {
        let (bytes, stats) = check(kind, &cells, Some(&table));
        assert_eq!(stats.encoding.to_string(), encoding, "{name}");
        let name = format!("{name}.bin");
        let golden = file(&name, &bytes);
        assert!(golden == bytes, "{name} is written differently");
        names.push(name);
    }
    let mut files: Vec<String> = fs::read_dir(path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    files.sort();
    assert_eq!(files, names);
}
