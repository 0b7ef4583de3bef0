//! What fuzzing does with pages: `fuzz/checks` calls it.
#![allow(clippy::disallowed_types)]

use std::string::String;
use std::vec::Vec;

use cofferdam_arena::collections;

use super::model::*;
use super::*;

/// Columns whose values `data` chooses come back as they were; pages and symbols of wrong bytes, but with the right
/// checksum, are refused or read without leaving their bounds, by all ways alike.
///
/// # Panics
/// When one of these does not hold.
pub(crate) fn check_bytes(data: &[u8]) {
    let Some((&first, data)) = data.split_first() else { return };
    let table = table(data);
    match first % 4 {
        0 => {
            let _ = probe(&sealed(data), table.as_ref());
        }
        1 => {
            let with_crc = [data, &crate::sum::crc32c(data).to_le_bytes()].concat();
            if let Ok(table) = SymbolTable::parse(&with_crc) {
                let arena = arena();
                let mut form = collections::Vec::new_in(&arena);
                table.write(&mut form).unwrap();
                assert_eq!(form[..], with_crc[..]);
                let _ = check(Kind::Text, &cells(Kind::Text, data), Some(&table));
            }
        }
        _ => {
            let kind = KINDS[usize::from(first) / 4 % KINDS.len()];
            let (page, _) = check(kind, &cells(kind, data), table.as_ref());
            // Some bytes of it become others.
            let mut damaged = page.clone();
            for change in data.rchunks_exact(3).take(usize::from(first) / 64 + 1) {
                let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % damaged.len();
                // Most of what matters is in the first bytes.
                let place = if change[1] & 1 == 0 { place % damaged.len().min(64) } else { place };
                damaged[place] = change[2];
            }
            let _ = probe(&sealed(&damaged), table.as_ref());
        }
    }
}

/// Symbols for what is in the data, where there are some.
fn table(data: &[u8]) -> Option<SymbolTable> {
    SymbolTable::train(data.chunks(16), &arena()).unwrap()
}

/// A column: the first bytes say how its values follow from the others.
fn cells(kind: Kind, data: &[u8]) -> Cells {
    let Some(([rows_low, rows_high, run, shape], values)) = data.split_first_chunk() else {
        return Cells::new();
    };
    let rows = usize::from(u16::from_le_bytes([*rows_low, *rows_high])) % (ROWS_MAX + 1);
    let run = usize::from(*run) % 32 + 1;
    let byte = |at: usize| values.get(at % values.len().max(1)).copied().unwrap_or(0);
    let number = |row: usize| {
        let word = (0..8).fold(0, |word, k| word << 8 | u64::from(byte(row / run * 3 + k)));
        let bits = word >> (shape % 64);
        if shape & 64 != 0 { bits.wrapping_add(row as u64 * u64::from(*shape)) } else { bits }
    };
    let mut texts_bytes = 0;
    let cell = |row: usize| {
        let (number, length) = (number(row), usize::from(byte(row / run)));
        if shape & 128 != 0 && byte(row) < 40 {
            return None;
        }
        Some(match kind {
            Kind::Bool => Cell::Int((number % 2).into()),
            Kind::I32 => Cell::Int((number as i32).into()),
            Kind::I64 => Cell::Int((number as i64).into()),
            Kind::I128 => Cell::Int(i128::from(number as i64) << (shape % 65) | i128::from(byte(row))),
            Kind::F64 if shape & 1 == 0 => Cell::Double((number as f64 / 100.0).to_bits()),
            Kind::F64 => Cell::Double(number),
            Kind::Text if length == 255 => Cell::Long(number, INLINE_BYTES_MAX as u32 + 1 + *shape as u32, 0),
            Kind::Text => {
                let text: Vec<u8> = (0..length % 40).map(|k| byte(row / run + k)).collect();
                texts_bytes += text.len();
                Cell::Text(if texts_bytes > TEXT_BYTES_MAX { String::new().into_bytes() } else { text })
            }
        })
    };
    (0..rows).map(cell).collect()
}
