//! Short strings copied into an arena.

use crate::peers::{OURS, ScopeDown, ScopeUp, checked, statement};
use bench_harness::measure::EQUAL;
use bench_harness::{Random, Row, Session, black_box};
use blink_alloc::Blink;
use cofferdam_arena::Arena;
use std::alloc::{GlobalAlloc, Layout, System};

/// Strings in one repetition.
const STRINGS_COUNT: usize = 1000;

pub fn rows(session: &mut Session) {
    session.row("arena/short_strings", short_strings);
}

/// Words of 1 to 16 bytes, like the names in a statement.
fn words() -> &'static [&'static str] {
    let mut random = Random::new(16);
    let text = "customer_line_order_supplier_nation_region";
    let words: Vec<&'static str> = (0..STRINGS_COUNT)
        .map(|_| {
            let start = random.below(text.len() - 16);
            &text[start..start + 1 + random.below(16)]
        })
        .collect();
    words.leak()
}

macro_rules! write_words {
    ($words:expr, |$word:ident| $alloc:expr) => {
        for &$word in $words {
            black_box(&*$alloc);
        }
    };
}

fn short_strings(name: &'static str) -> Row<'static> {
    let words = words();
    let mut arena = Arena::new(&statement());
    let mut bumpalo = bumpalo::Bump::new();
    let mut up: ScopeUp = ScopeUp::new();
    let mut down: ScopeDown = ScopeDown::new();
    let mut blink = Blink::new();
    Row::new(
        name,
        "1,000 strings of 1 to 16 bytes copied, then reset; per string",
        STRINGS_COUNT as u64,
        EQUAL,
    )
    .ours(
        OURS,
        checked(move || {
            write_words!(words, |word| arena.alloc_str(word)?);
            arena.reset();
            Ok(())
        }),
    )
    .peer("bumpalo", move || {
        write_words!(words, |word| bumpalo.alloc_str(word));
        bumpalo.reset();
    })
    .peer("bump-scope-up", move || {
        write_words!(words, |word| up.alloc_str(word).into_mut());
        up.reset_to_start();
    })
    .peer("bump-scope-down", move || {
        write_words!(words, |word| down.alloc_str(word).into_mut());
        down.reset_to_start();
    })
    .peer("blink-alloc", move || {
        write_words!(words, |word| blink.copy_str(word));
        blink.reset();
    })
    .peer("typed-arena", move || {
        let arena = typed_arena::Arena::with_capacity(STRINGS_COUNT * 16);
        write_words!(words, |word| arena.alloc_str(word));
    })
    .info("mimalloc", malloc_words(mimalloc::MiMalloc, words))
    .info("malloc", malloc_words(System, words))
}

fn malloc_words(allocator: impl GlobalAlloc, words: &'static [&'static str]) -> impl FnMut() {
    let layout = |word: &str| Layout::for_value(word.as_bytes());
    let mut copies: Vec<*mut u8> = Vec::with_capacity(words.len());
    move || {
        for word in words {
            // SAFETY: no word is empty.
            let copy = unsafe { allocator.alloc(layout(word)) };
            assert!(!copy.is_null(), "memory for a word");
            // SAFETY: the block is fresh and as long as the word.
            unsafe { copy.copy_from_nonoverlapping(word.as_ptr(), word.len()) };
            copies.push(black_box(copy));
        }
        for (copy, word) in copies.drain(..).zip(words) {
            // SAFETY: it came from the same allocator with the same layout and is freed once.
            unsafe { allocator.dealloc(copy, layout(word)) };
        }
    }
}
