//! The tables that scripts use, and the rows that numbers stand for: the same numbers give the same row.

use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;

use super::cell::{Cell, ColumnSpec, IndexSpec, TableSpec};
use super::rng::Rng;

/// A kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A bigint key, and narrow columns with NULLs.
    Numbers,
    /// A key of an integer and a text that descends; wide columns and texts of many KiB.
    Pairs,
    /// Row ids.
    Heap,
}

/// Keys from here on are those of bulk work: their unique columns do not repeat.
pub(crate) const BULK_KEYS: u32 = 1_000;

const fn column(name: &'static str, ty: Type, is_nullable: bool) -> ColumnSpec {
    ColumnSpec { name, ty, is_nullable }
}

const NUMBERS: &[ColumnSpec] = &[
    column("id", Type::BigInt, false),
    column("n", Type::Integer, true),
    column("d", Type::Decimal { precision: 12, scale: 2 }, true),
    column("t", Type::Text, true),
];
const PAIRS: &[ColumnSpec] = &[
    column("a", Type::Integer, false),
    column("b", Type::Text, false),
    column("c", Type::Double, true),
    column("day", Type::Date, true),
    column("f", Type::Decimal { precision: 30, scale: 4 }, true),
    column("g", Type::Boolean, true),
    column("t", Type::Text, true),
];
const HEAP: &[ColumnSpec] =
    &[column("tag", Type::BigInt, false), column("n", Type::Integer, true), column("t", Type::Text, true)];

const ASC: KeyOrder = KeyOrder::ASC;
const DESC: KeyOrder = KeyOrder::DESC;
const DESC_NULLS_LAST: KeyOrder = KeyOrder { descending: true, nulls_first: false };
const ASC_NULLS_FIRST: KeyOrder = KeyOrder { descending: false, nulls_first: true };

/// The columns of the indexes of each shape, the order of the first one, and whether they are unique.
const INDEXES: [&[(&[u16], KeyOrder, bool)]; 3] = [
    &[
        (&[1], ASC, false),
        (&[2], DESC, true),
        (&[3, 1], DESC_NULLS_LAST, false),
        (&[1, 2], ASC, true),
        (&[3], DESC, true),
    ],
    &[
        (&[3], ASC_NULLS_FIRST, false),
        (&[4, 5], DESC_NULLS_LAST, true),
        (&[1], DESC, false),
        (&[5, 0], DESC, false),
        (&[2], ASC, false),
    ],
    &[(&[0], ASC, true), (&[1], DESC, false), (&[1, 0], ASC_NULLS_FIRST, false)],
];

/// Texts that an encoding of keys could confuse.
const TRICKY: [&str; 12] =
    ["", "\0", "\0\u{1}", "a", "a\0", "a\0\0", "aa", "ab", "b", "ÿ", "𝄞", "\u{10ffff}"];

impl Shape {
    pub(crate) const ALL: [Shape; 3] = [Shape::Numbers, Shape::Pairs, Shape::Heap];

    pub(crate) fn table(self, name: String) -> TableSpec {
        match self {
            Shape::Numbers => TableSpec { name, columns: NUMBERS, key: &[(0, ASC)] },
            Shape::Pairs => TableSpec { name, columns: PAIRS, key: &[(0, ASC), (1, DESC)] },
            Shape::Heap => TableSpec { name, columns: HEAP, key: &[] },
        }
    }

    /// The shape of a table that a script made.
    pub(crate) fn of(spec: &TableSpec) -> Shape {
        match spec.columns.len() {
            4 => Shape::Numbers,
            7 => Shape::Pairs,
            _ => Shape::Heap,
        }
    }

    pub(crate) fn index(self, name: String, kind: u8) -> IndexSpec {
        let kinds = INDEXES[self as usize];
        let (columns, order, is_unique) = kinds[usize::from(kind) % kinds.len()];
        IndexSpec { name, columns, order, is_unique }
    }

    /// The key that a number stands for; of a table with row ids, the number.
    pub(crate) fn key(self, key: u32) -> Vec<Cell> {
        match self {
            Shape::Numbers => vec![Cell::Big(i64::from(key) - 40)],
            Shape::Pairs => {
                let text = key / 8;
                let text = match TRICKY.get(text as usize) {
                    Some(text) => Cell::text(text),
                    None => Cell::text(&format!("k{text:05}")),
                };
                vec![Cell::Int((key % 8) as i32 - 3), text]
            }
            Shape::Heap => vec![Cell::Big(i64::from(key))],
        }
    }

    /// The row of a key; what is behind the key follows from `values`.
    pub(crate) fn row(self, key: u32, values: u32) -> Vec<Cell> {
        let mut rng = Rng::new(u64::from(values) | 1 << 40);
        let rng = &mut rng;
        let key_cells = self.key(key);
        let nullable = |rng: &mut Rng, cell: Cell| if rng.percent(25) { Cell::Null } else { cell };
        // Of the rows that conflict, a few; of bulk work, none.
        let distinct = |rng: &mut Rng| match key >= BULK_KEYS {
            true => i128::from(key) * 1_000 + 7,
            false => i128::from(rng.below(60)) - 20,
        };
        let rest = match self {
            Shape::Numbers => {
                let (n, d) = (rng.below(20) as i32, distinct(rng));
                let bytes = rng.below(60) * rng.below(6);
                let unique = if key >= BULK_KEYS { format!("{key}") } else { String::new() };
                let text = unique + &text(rng, bytes as usize);
                vec![
                    nullable(rng, Cell::Int(n - 10)),
                    nullable(rng, Cell::Decimal(d, 2)),
                    nullable(rng, Cell::text(&text)),
                ]
            }
            Shape::Pairs => {
                let c = Cell::double(rng.below(1 << 20) as f64 / 64.0 - 5_000.0);
                let day = Cell::Date(rng.below(40) as i32 * 500 - 9_000);
                let f = Cell::Decimal(distinct(rng) * 1_000_000_000_000_000_003, 4);
                let g = Cell::Bool(rng.percent(50));
                let t = long_text(rng);
                [c, day, f, g, t].map(|cell| nullable(rng, cell)).to_vec()
            }
            Shape::Heap => {
                let tag = if key >= BULK_KEYS { u64::from(key) } else { rng.below(200) };
                let (n, t) = (rng.below(9) as i32, long_text(rng));
                return vec![Cell::Big(tag as i64), nullable(rng, Cell::Int(n)), nullable(rng, t)];
            }
        };
        key_cells.into_iter().chain(rest).collect()
    }
}

/// Now and then one that is stored apart from its row.
fn long_text(rng: &mut Rng) -> Cell {
    let bytes = match rng.below(40) {
        0 => rng.between(8_000, 8_400),
        1 => rng.between(8_193, 20_000),
        2..=5 => rng.below(1_500),
        _ => rng.below(50),
    };
    Cell::text(&text(rng, bytes as usize))
}

/// A text of so many bytes or a few less, that does and does not compress.
fn text(rng: &mut Rng, bytes: usize) -> String {
    const WORDS: [&str; 8] = ["hull ", "keel ", "ä", "0", "pump\n", "sluice ", "\u{0}", "中"];
    let mut piece = String::new();
    while piece.len() < bytes.min(64) {
        piece.push_str(rng.pick::<&str>(&WORDS));
    }
    let mut text = String::with_capacity(bytes);
    while text.len() + piece.len() + 8 < bytes {
        text.push_str(&piece);
        text.push((b'a' + rng.below(26) as u8) as char);
    }
    for c in piece.chars().cycle() {
        if text.len() + c.len_utf8() > bytes {
            break;
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_give_rows_of_their_shape() {
        for shape in Shape::ALL {
            let spec = shape.table("t".to_owned());
            assert_eq!(Shape::of(&spec), shape);
            let mut kinds = [false; 8];
            for number in 0..400 {
                let row = shape.row(number, number * 7);
                assert_eq!(row, shape.row(number, number * 7));
                assert_eq!(row.len(), spec.columns.len());
                for (cell, column) in row.iter().zip(spec.columns) {
                    let fits = match (cell, column.ty) {
                        (Cell::Null, _) => column.is_nullable,
                        (Cell::Bool(_), Type::Boolean) => true,
                        (Cell::Int(_), Type::Integer) | (Cell::Big(_), Type::BigInt) => true,
                        (Cell::Decimal(_, scale), Type::Decimal { scale: known, .. }) => *scale == known,
                        (Cell::Double(_), Type::Double) | (Cell::Text(_), Type::Text) => true,
                        (Cell::Date(_), Type::Date) => true,
                        _ => false,
                    };
                    assert!(fits, "{cell} in {column:?}");
                    kinds[usize::from(cell.is_null())] = true;
                    kinds[2] |= matches!(cell, Cell::Text(text) if text.len() > 8 << 10);
                }
            }
            assert!(kinds[0] && kinds[1] && (kinds[2] || shape == Shape::Numbers), "{shape:?} {kinds:?}");
        }
    }
}
