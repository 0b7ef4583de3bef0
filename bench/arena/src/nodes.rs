//! Nodes of 64 bytes: warm, cold, and against malloc; blocks whose layout is known at run time only.

use crate::peers::{
    NODES_COUNT, Node, OURS, OURS_ON_HEAP, ScopeDown, ScopeDown8, ScopeUp, ScopeUp8, checked, heap_statement,
    statement, write_nodes,
};
use bench_harness::measure::EQUAL;
use bench_harness::{Bar, Random, Row, Session, black_box};
use blink_alloc::{Blink, BlinkAlloc};
use bump_scope::traits::BumpAllocatorTyped;
use cofferdam_arena::{Arena, Budget};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;

/// Bytes that hold all nodes of a repetition, for peers that are told beforehand.
const NODES_BYTES: usize = NODES_COUNT as usize * size_of::<Node>();

pub fn rows(session: &mut Session) {
    session.row("arena/nodes_64b", warm);
    session.row("arena/nodes_64b_vs_malloc", versus_malloc);
    session.row("arena/mixed_layout", mixed);
    session.row("arena/cold", cold);
    session.row("arena/cold_sized", cold_sized);
}

/// Memory for all nodes, from a cache line on.
fn lines() -> NonNull<Node> {
    let layout = Layout::from_size_align(NODES_BYTES, 64).expect("a small layout");
    // SAFETY: the layout is not of size zero.
    let memory = unsafe { System.alloc(layout) };
    NonNull::new(memory).expect("memory for all nodes").cast()
}

/// Nodes written one after the other: no allocator can do it in less.
fn bare_nodes() -> impl FnMut() {
    let first = lines();
    move || {
        let mut next = first;
        write_nodes!(|node| {
            // SAFETY: there is memory for as many nodes as are written.
            unsafe {
                next.write(node);
                let here = next;
                next = next.add(1);
                here.as_ref()
            }
        });
    }
}

/// The same, with the position kept in memory, as every bump allocator must that is shared by reference: each node
/// waits for the position that the one before it has stored. No check of the end.
fn bumped_nodes() -> impl FnMut() {
    let first = lines();
    let position = Box::new(Cell::new(first));
    move || {
        position.set(first);
        write_nodes!(|node| {
            let here = position.get();
            // SAFETY: as above.
            unsafe {
                position.set(here.add(1));
                here.write(node);
                here.as_ref()
            }
        });
    }
}

/// Nodes written into an arena of ours, and the reset.
fn arena_nodes(budget: &Budget) -> impl FnMut() + use<> {
    let mut arena = Arena::new(budget);
    checked(move || {
        write_nodes!(|node| arena.alloc_with(|| node)?);
        arena.reset();
        Ok(())
    })
}

fn warm(name: &'static str) -> Row<'static> {
    let mut bumpalo = bumpalo::Bump::<8>::with_min_align();
    let mut up: ScopeUp8 = ScopeUp8::new();
    let mut down: ScopeDown8 = ScopeDown8::new();
    let mut blink = Blink::new();
    Row::new(name, "1,000 nodes of 64 bytes written, then the whole reset; per node", NODES_COUNT, EQUAL)
        .ours(OURS, arena_nodes(&statement()))
        .info(OURS_ON_HEAP, arena_nodes(&heap_statement()))
        .peer("bumpalo", move || {
            write_nodes!(|node| bumpalo.alloc_with(|| node));
            bumpalo.reset();
        })
        .peer("bump-scope-up", move || {
            write_nodes!(|node| up.alloc_with(|| node).into_mut());
            up.reset_to_start();
        })
        .peer("bump-scope-down", move || {
            write_nodes!(|node| down.alloc_with(|| node).into_mut());
            down.reset_to_start();
        })
        .peer("blink-alloc", move || {
            write_nodes!(|node| blink.emplace_no_drop().with(|| node));
            blink.reset();
        })
        .peer("typed-arena", || {
            let arena = typed_arena::Arena::with_capacity(NODES_COUNT as usize);
            write_nodes!(|node| arena.alloc(node));
        })
        .info("mimalloc", malloc_nodes(mimalloc::MiMalloc))
        .info("the writes alone", bare_nodes())
        .info("a bare position in memory", bumped_nodes())
}

/// Allocates all nodes one by one, then frees them in the same order.
fn malloc_nodes(allocator: impl GlobalAlloc) -> impl FnMut() {
    let layout = Layout::new::<Node>();
    let mut nodes: Vec<NonNull<Node>> = Vec::with_capacity(NODES_COUNT as usize);
    move || {
        write_nodes!(|node| {
            // SAFETY: the layout is not of size zero.
            let memory =
                NonNull::new(unsafe { allocator.alloc(layout) }).expect("memory for a node").cast::<Node>();
            // SAFETY: `memory` is fresh and has the layout of a node.
            unsafe { memory.write(node) };
            nodes.push(memory);
            // SAFETY: it was written just now and nobody else has it.
            unsafe { memory.as_ref() }
        });
        for memory in nodes.drain(..) {
            // SAFETY: it came from the same allocator with the same layout and is freed once.
            unsafe { allocator.dealloc(memory.as_ptr().cast(), layout) };
        }
    }
}

fn versus_malloc(name: &'static str) -> Row<'static> {
    Row::new(
        name,
        "1,000 nodes of 64 bytes: arena and reset against malloc and free; per node",
        NODES_COUNT,
        Bar::Ratio(0.2),
    )
    .ours(OURS, arena_nodes(&statement()))
    .info(OURS_ON_HEAP, arena_nodes(&heap_statement()))
    .peer("malloc", malloc_nodes(System))
    .info("mimalloc", malloc_nodes(mimalloc::MiMalloc))
    .info("the writes alone", bare_nodes())
    .info("a bare position in memory", bumped_nodes())
}

/// Layouts from 8 to 256 bytes, most of them for words, in an order that no predictor learns from one repetition.
fn layouts() -> Vec<Layout> {
    let mut random = Random::new(8256);
    (0..NODES_COUNT)
        .map(|_| {
            let align = [8, 8, 8, 8, 4, 2, 1, 16][random.below(8)];
            Layout::from_size_align(8 + random.below(249), align).expect("a small layout")
        })
        .collect()
}

/// Writes the first and the last eight bytes of a block of at least eight, and lets it escape.
#[inline(always)]
fn touch(memory: NonNull<u8>, layout: Layout, number: u64) {
    let bytes = memory.as_ptr();
    // SAFETY: the block was handed out with `layout`, whose size is at least 8; the writes are unaligned ones.
    unsafe {
        bytes.cast::<u64>().write_unaligned(number);
        bytes.add(layout.size() - 8).cast::<u64>().write_unaligned(number);
    }
    black_box(bytes);
}

/// One block for each layout through `$alloc`, touched at both ends.
macro_rules! write_blocks {
    ($layouts:expr, |$layout:ident| $alloc:expr) => {
        for (number, &$layout) in $layouts.iter().enumerate() {
            touch($alloc, $layout, number as u64);
        }
    };
}

/// Blocks written into an arena of ours, and the reset.
fn arena_blocks(budget: &Budget, layouts: &'static [Layout]) -> impl FnMut() + use<> {
    let mut arena = Arena::new(budget);
    checked(move || {
        write_blocks!(layouts, |layout| arena.alloc_layout(layout)?);
        arena.reset();
        Ok(())
    })
}

fn mixed(name: &'static str) -> Row<'static> {
    let layouts: &'static [Layout] = layouts().leak();
    let mut bumpalo = bumpalo::Bump::new();
    let mut up: ScopeUp = ScopeUp::new();
    let mut down: ScopeDown = ScopeDown::new();
    let mut down8: ScopeDown8 = ScopeDown8::new();
    let mut blink = BlinkAlloc::new();
    let about = "1,000 blocks of 8 to 256 bytes, layout known at run time, written at both ends, then reset; per block";
    Row::new(name, about, NODES_COUNT, EQUAL)
        .ours(OURS, arena_blocks(&statement(), layouts))
        .info(OURS_ON_HEAP, arena_blocks(&heap_statement(), layouts))
        .peer("bumpalo", move || {
            write_blocks!(layouts, |layout| bumpalo.alloc_layout(layout));
            bumpalo.reset();
        })
        .peer("bump-scope-up", move || {
            write_blocks!(layouts, |layout| up.allocate_layout(layout));
            up.reset_to_start();
        })
        .peer("bump-scope-down", move || {
            write_blocks!(layouts, |layout| down.allocate_layout(layout));
            down.reset_to_start();
        })
        .peer("bump-scope-down8", move || {
            write_blocks!(layouts, |layout| down8.allocate_layout(layout));
            down8.reset_to_start();
        })
        .peer("blink-alloc", move || {
            write_blocks!(layouts, |layout| blink.allocate(layout).expect("memory").cast());
            blink.reset();
        })
        .info("mimalloc", malloc_blocks(mimalloc::MiMalloc, layouts))
        .info("malloc", malloc_blocks(System, layouts))
}

fn malloc_blocks(allocator: impl GlobalAlloc, layouts: &'static [Layout]) -> impl FnMut() {
    let mut blocks: Vec<NonNull<u8>> = Vec::with_capacity(layouts.len());
    move || {
        write_blocks!(layouts, |layout| {
            // SAFETY: no layout is of size zero.
            let memory = NonNull::new(unsafe { allocator.alloc(layout) }).expect("memory");
            blocks.push(memory);
            memory
        });
        for (memory, &layout) in blocks.drain(..).zip(layouts) {
            // SAFETY: it came from the same allocator with the same layout and is freed once.
            unsafe { allocator.dealloc(memory.as_ptr(), layout) };
        }
    }
}

/// An arena of ours created, nodes written into it, dropped.
fn cold_nodes(budget: Budget) -> impl FnMut() {
    checked(move || {
        let arena = Arena::new(&budget);
        write_nodes!(|node| arena.alloc_with(|| node)?);
        Ok(())
    })
}

fn cold(name: &'static str) -> Row<'static> {
    Row::new(name, "an arena created, 1,000 nodes of 64 bytes written, dropped; per node", NODES_COUNT, EQUAL)
        .ours(OURS, cold_nodes(statement()))
        .info(OURS_ON_HEAP, cold_nodes(heap_statement()))
        .peer("bumpalo", || {
            let bump = bumpalo::Bump::<8>::with_min_align();
            write_nodes!(|node| bump.alloc_with(|| node));
        })
        .peer("bump-scope-up", || {
            let bump: ScopeUp8 = ScopeUp8::new();
            write_nodes!(|node| bump.alloc_with(|| node).into_mut());
        })
        .peer("bump-scope-down", || {
            let bump: ScopeDown8 = ScopeDown8::new();
            write_nodes!(|node| bump.alloc_with(|| node).into_mut());
        })
        .peer("blink-alloc", || {
            let blink = Blink::new();
            write_nodes!(|node| blink.emplace_no_drop().with(|| node));
        })
        .peer("typed-arena", || {
            let arena = typed_arena::Arena::new();
            write_nodes!(|node| arena.alloc(node));
        })
}

fn cold_sized(name: &'static str) -> Row<'static> {
    let about = "the same when the size is known at creation; per node";
    let budget = statement();
    Row::new(name, about, NODES_COUNT, EQUAL)
        .ours(
            OURS,
            checked(move || {
                let arena = Arena::with_capacity(&budget, NODES_BYTES)?;
                write_nodes!(|node| arena.alloc_with(|| node)?);
                Ok(())
            }),
        )
        .peer("bumpalo", || {
            let bump = bumpalo::Bump::<8>::with_min_align_and_capacity(NODES_BYTES);
            write_nodes!(|node| bump.alloc_with(|| node));
        })
        .peer("bump-scope-up", || {
            let bump: ScopeUp8 = ScopeUp8::with_size(NODES_BYTES + 256);
            write_nodes!(|node| bump.alloc_with(|| node).into_mut());
        })
        .peer("bump-scope-down", || {
            let bump: ScopeDown8 = ScopeDown8::with_size(NODES_BYTES + 256);
            write_nodes!(|node| bump.alloc_with(|| node).into_mut());
        })
        .peer("blink-alloc", || {
            let blink = Blink::with_chunk_size(NODES_BYTES + 256);
            write_nodes!(|node| blink.emplace_no_drop().with(|| node));
        })
        .peer("typed-arena", || {
            let arena = typed_arena::Arena::with_capacity(NODES_COUNT as usize);
            write_nodes!(|node| arena.alloc(node));
        })
}
