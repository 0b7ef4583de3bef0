//! Pages and symbols whose bytes are not what was written.

use std::collections::BTreeSet;

use super::*;

/// Small pages of all forms, with the symbols of those that need some.
fn samples() -> Vec<(Vec<u8>, Option<SymbolTable>)> {
    let rows = 20;
    let some = |cells: Cells| -> Cells {
        cells.into_iter().enumerate().map(|(i, cell)| cell.filter(|_| i % 7 != 3)).collect()
    };
    let double = |i: usize| f64::from_bits(noise(i) >> 2);
    let mut samples: Vec<_> = [
        (Kind::Bool, ints((0..rows).map(|i| (noise(i) % 2) as i64))),
        (Kind::I32, some(ints((0..rows).map(|i| (noise(i) % 900) as i64 * 10)))),
        (Kind::I64, ints((0..rows).map(|i| 3 * i as i64 + (noise(i) % 2) as i64))),
        (Kind::I64, ints((0..rows).map(|i| noise(i / 5) as i64))),
        (Kind::I64, some(ints((0..rows).map(|i| noise(noise(i) as usize % 3) as i64)))),
        (Kind::I64, ints((0..rows).map(|_| 5))),
        (Kind::I128, wides((0..rows).map(|i| i128::from(noise(i) >> 40) - (1 << 90)))),
        (Kind::I128, wides((0..6).map(|i| i128::from(noise(i)) << 63))),
        (Kind::I128, wides((0..rows).map(|i| i128::from(noise(noise(i) as usize % 3)) << 63))),
        (Kind::I128, wides((0..rows).map(|i| i128::from(noise(i / 7)) << 63))),
        (Kind::F64, doubles((0..rows).map(|i| (noise(i) % 100) as f64 / 4.0))),
        (Kind::F64, doubles((0..rows).map(|i| double(i / 7)))),
        (Kind::Text, some(texts((0..rows).map(|i| format!("{:x}", noise(i) >> 40))))),
        (Kind::Text, texts((0..rows).map(|i| format!("{:x}", noise(noise(i) as usize % 3))))),
        (Kind::Text, texts((0..rows).map(|i| format!("{:x}", i / 7)))),
        (Kind::Text, vec![None; rows]),
        (Kind::Text, vec![]),
        (Kind::Text, (0..5).map(|i| Some(Cell::Long(noise(i), 9000, 7))).chain([None]).collect()),
    ]
    .into_iter()
    .map(|(kind, cells)| (Column::of(&cells).encode(kind, None).0, None))
    .collect();
    let cells = sentences(400);
    let table = symbols_of(&cells);
    for cells in [cells[..8].to_vec(), (0..40).map(|i| cells[i / 5].clone()).collect()] {
        let (bytes, stats) = Column::of(&cells).encode(Kind::Text, Some(&table));
        assert!(stats.encoding.is_compressed);
        samples.push((bytes, Some(table.clone())));
    }
    samples
}

/// Aim: a page with wrong bytes is refused by its checksum; with a right checksum it is refused for what is wrong, or
/// everything that reads it agrees and stays in its bounds. Method: each byte of small pages of all forms becomes other
/// ones, each page is cut and extended.
#[test]
fn wrong_bytes_are_refused_or_harmless() {
    let mut said = BTreeSet::new();
    for (page, symbols) in samples() {
        assert_eq!(probe(&page, symbols.as_ref()), Ok(()));
        for place in 0..page.len() {
            let byte = page[place];
            let mut damaged = page.clone();
            for other in [byte ^ 1, byte ^ 0x80, 0, 1, 3, 8, 33, 64, 0xff] {
                damaged[place] = other;
                if other != byte {
                    assert_eq!(Page::parse(&damaged).err(), Some("the checksum of the page is wrong"));
                }
                said.extend(probe(&sealed(&damaged), symbols.as_ref()).err());
            }
        }
        for len in 0..page.len() {
            assert!(Page::parse(&page[..len]).is_err());
            said.extend(probe(&sealed(&page[..len]), symbols.as_ref()).err());
        }
        said.extend(probe(&sealed(&[&page[..], &[0; 3]].concat()), symbols.as_ref()).err());
    }
    // What takes more than one byte.
    said.extend(crafted().map(|page| Page::parse(&sealed(&page)).unwrap_err()));
    let all = [
        "a code of the dictionary has no entry",
        "a long text has no row",
        "a long text is short",
        "a run ends before it begins",
        "a run ends behind every page",
        "a text ends before it begins",
        "a text is too long",
        "more rows than a page takes",
        "no such field of integers",
        "no such flags of these values",
        "no such form of these values",
        "no such kind of values",
        "no such number of digits",
        "no such number of entries of a dictionary",
        "no such width of integers",
        "the checksum of the page is wrong",
        "the first text does not begin with the bytes",
        "the last run does not end with the last row",
        "the last text does not end with the bytes",
        "the number of NULLs is wrong",
        "the page ends too early",
        "the rows of long texts do not ascend",
        "the texts have more bytes than a page takes",
        "there are no runs",
        "there is more than the page's values",
    ];
    assert_eq!(said.into_iter().collect::<Vec<_>>(), all);

    let mut page = samples().swap_remove(0).0;
    let tail = page.len() - TAIL_BYTES;
    page[tail] ^= 1;
    let crc = crc32c::crc32c(&page[..tail + 4]);
    page[tail + 4..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Page::parse(&page).err(), Some("the page has another length"));
}

/// Pages with one mistake that takes several bytes.
fn crafted() -> impl Iterator<Item = Vec<u8>> {
    let heavy = texts((0..9).map(|i| (0..8192).map(|k| noise(i * 8192 + k) as u8).collect::<Vec<u8>>()));
    let (heavy, _) = Column::of(&heavy).encode(Kind::Text, None);
    // One text instead of nine.
    let mut long = heavy.clone();
    long[2] = 1;
    let body = HEADER_BYTES + 4 + 9 * 8192;
    long.truncate(body);
    long.extend([32, 4, 0, 0, 0, 0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut many = heavy;
    many[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&(TEXT_BYTES_MAX as u32 + 1).to_le_bytes());
    [long, many].into_iter()
}

/// Aim: texts that decode to more than the page says are refused, and the heap stays as it was. Method: a page whose
/// number of bytes is made smaller.
#[test]
fn compressed_texts_cannot_outgrow_what_the_page_says() {
    let cells = sentences(400);
    let table = symbols_of(&cells);
    let (mut page, _) = Column::of(&cells[..100].to_vec()).encode(Kind::Text, Some(&table));
    // The bytes of all texts stand behind those of the stored ones.
    page[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&10u32.to_le_bytes());
    let page = sealed(&page);
    let page = Page::parse(&page).unwrap();
    let (mut slices, arena) = (Slices::of(100), arena());
    let mut heap = collections::Vec::new_in(&arena);
    heap.extend_from_slice(b"before").unwrap();
    let mut data = slices.data(Kind::Text);
    let mut read = |rows: usize| {
        let into =
            ColumnMut { data: &mut data, valid: &mut [true; 100], all_valid: &mut true, heap: &mut heap };
        let decoded = page.decode(0..rows, into, 0, Some(&table));
        assert_eq!(&heap[..], b"before");
        decoded
    };
    let is_too_long = |error| matches!(error, PageError::Corrupt("the texts are longer than the page says"));
    assert!(read(100).is_err_and(is_too_long));
    assert!(read(1).is_err_and(is_too_long));
    let mut buffer = collections::Vec::new_in(&arena);
    assert!(page.text_at(0, Some(&table), &mut buffer).is_err_and(is_too_long));
}

/// Aim: symbols have one form, and no other is read. Method: every byte becomes others, with and without the checksum.
#[test]
fn symbols_are_read_as_they_are_written_and_no_others() {
    let arena = arena();
    let table = symbols_of(&texts((0..300).map(|i| format!("{}{}", ["ab", "abc", "b"][i % 3], i % 10))));
    let mut form = collections::Vec::new_in(&arena);
    table.write(&mut form).unwrap();
    let with_crc = |body: &[u8]| [body, &crc32c::crc32c(body).to_le_bytes()[..]].concat();
    let body = form[..form.len() - 4].to_vec();
    assert_eq!(with_crc(&body), form[..]);
    let rewritten = |bytes: &[u8]| {
        let mut again = collections::Vec::new_in(&arena);
        SymbolTable::parse(bytes).map(|table| table.write(&mut again).unwrap())?;
        assert_eq!(again[..], bytes[..]);
        Ok::<(), &str>(())
    };
    assert_eq!(rewritten(&form), Ok(()));
    let mut said = BTreeSet::new();
    for place in 0..body.len() {
        for other in [body[place] ^ 1, body[place] ^ 0x40, 0, 1, 2, 100, 255] {
            let mut damaged = body.clone();
            damaged[place] = other;
            said.extend(rewritten(&with_crc(&damaged)).err());
        }
        said.extend(rewritten(&with_crc(&body[..place])).err());
        said.extend(rewritten(&form[..place]).err());
    }
    said.extend(rewritten(&with_crc(&[&body[..], b"more"].concat())).err());
    // 256 symbols: 255 of a byte each, but 0, and one more.
    let singles: Vec<u8> = (1..=255).collect();
    let full = [&[255, 1, 0, 0, 0, 0, 0, 0], &singles[..], b"ab"].concat();
    said.extend(rewritten(&with_crc(&full)).err());
    assert_eq!(
        said.into_iter().collect::<Vec<_>>(),
        [
            "more than 255 symbols",
            "symbols are not in order",
            "the checksum of the symbols is wrong",
            "the symbols end too early",
            "there is more than the symbols",
        ]
    );
}

/// Aim: nothing is trained with where nothing can be gained.
#[test]
fn symbols_are_made_only_where_they_save() {
    let arena = arena();
    let train = |texts: &[&[u8]]| SymbolTable::train(texts.iter().copied(), &arena).unwrap().is_some();
    assert!(!train(&[]));
    assert!(!train(&[b"", b"", b""]));
    assert!(!train(&[b"only once"]));
    let noise: Vec<[u8; 8]> = (0..3000).map(|i| noise(i).to_le_bytes()).collect();
    assert!(!train(&noise.iter().map(|text| &text[..]).collect::<Vec<_>>()));
    assert!(train(&[b"again and again".as_slice(); 20]));
    assert!(train(&[[b'x'; 40_000].as_slice()]));
}
