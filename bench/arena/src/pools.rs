//! Objects of one size, taken and put back.

use crate::peers::{OURS, checked, statement};
use bench_harness::{Bar, Random, Row, Session, black_box};
use cofferdam_arena::{Pool, PoolBox, SharedPool};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

/// Objects that live at the same time.
const OBJECTS_COUNT: usize = 256;

/// What a pool holds: 64 bytes, all of them written.
type Object = [u64; 8];

pub fn rows(session: &mut Session) {
    session.row("arena/pool_get_put", get_put);
    session.row("arena/pool_get_put_batch", batch);
}

/// A fixed random order in which a batch is put back.
fn order() -> &'static [usize] {
    let mut order: Vec<usize> = (0..OBJECTS_COUNT).collect();
    Random::new(256).shuffle(&mut order);
    order.leak()
}

fn malloc_object(allocator: &impl GlobalAlloc, number: u64) -> NonNull<Object> {
    // SAFETY: an object is not of size zero.
    let memory = unsafe { allocator.alloc(Layout::new::<Object>()) };
    let memory = NonNull::new(memory).expect("memory for an object").cast::<Object>();
    // SAFETY: the memory is fresh and has the layout of an object.
    unsafe { memory.write([number; 8]) };
    memory
}

fn free_object(allocator: &impl GlobalAlloc, memory: NonNull<Object>) {
    // SAFETY: callers pass what `malloc_object` gave them with this allocator, once.
    unsafe { allocator.dealloc(memory.as_ptr().cast(), Layout::new::<Object>()) };
}

fn malloc_pair(allocator: impl GlobalAlloc) -> impl FnMut() {
    move || {
        for number in 0..OBJECTS_COUNT as u64 {
            let memory = black_box(malloc_object(&allocator, number));
            free_object(&allocator, memory);
        }
    }
}

fn malloc_batch(allocator: impl GlobalAlloc) -> impl FnMut() {
    let (order, mut live) = (order(), Vec::with_capacity(OBJECTS_COUNT));
    move || {
        live.extend((0..OBJECTS_COUNT as u64).map(|number| malloc_object(&allocator, number)));
        black_box(&live);
        for &index in order {
            free_object(&allocator, live[index]);
        }
        live.clear();
    }
}

fn get_put(name: &'static str) -> Row<'static> {
    let budget = statement();
    let pool: Pool<Object> = Pool::new(&budget);
    let shared: SharedPool<Object> = SharedPool::new(&budget).expect("the limit is far away");
    let mut slab: slab::Slab<Object> = slab::Slab::with_capacity(OBJECTS_COUNT);
    let about = "an object of 64 bytes taken, written and put back at once; per pair";
    Row::new(name, about, OBJECTS_COUNT as u64, Bar::Ratio(0.5))
        .ours(
            OURS,
            checked(move || {
                for number in 0..OBJECTS_COUNT as u64 {
                    black_box(&*pool.get([number; 8])?);
                }
                Ok(())
            }),
        )
        .limit_ns(10.0)
        .peer("malloc", malloc_pair(System))
        .info(
            "ours, shared by threads",
            checked(move || {
                for number in 0..OBJECTS_COUNT as u64 {
                    black_box(&*shared.get([number; 8])?);
                }
                Ok(())
            }),
        )
        .info("slab", move || {
            for number in 0..OBJECTS_COUNT as u64 {
                let key = slab.insert([number; 8]);
                black_box(&slab[key]);
                slab.remove(key);
            }
        })
        .info("mimalloc", malloc_pair(mimalloc::MiMalloc))
}

fn batch(name: &'static str) -> Row<'static> {
    let mut slab: slab::Slab<Object> = slab::Slab::with_capacity(OBJECTS_COUNT);
    let (order, mut live) = (order(), Vec::with_capacity(OBJECTS_COUNT));
    // The boxes borrow the pool, and both are the row's until its end.
    let pool: &'static Pool<Object> = Box::leak(Box::new(Pool::new(&statement())));
    let mut live_ours: Vec<Option<PoolBox<'static, Object>>> = Vec::with_capacity(OBJECTS_COUNT);
    let about = "256 objects of 64 bytes taken and written, then put back in random order; per pair";
    Row::new(name, about, OBJECTS_COUNT as u64, Bar::Ratio(0.5))
        .ours(
            OURS,
            checked(move || {
                for number in 0..OBJECTS_COUNT as u64 {
                    live_ours.push(Some(pool.get([number; 8])?));
                }
                black_box(&live_ours);
                for &index in order {
                    live_ours[index] = None;
                }
                live_ours.clear();
                Ok(())
            }),
        )
        .limit_ns(10.0)
        .peer("malloc", malloc_batch(System))
        .info("slab", move || {
            live.extend((0..OBJECTS_COUNT as u64).map(|number| slab.insert([number; 8])));
            black_box(&slab);
            for &index in order {
                slab.remove(live[index]);
            }
            live.clear();
        })
        .info("mimalloc", malloc_batch(mimalloc::MiMalloc))
}
