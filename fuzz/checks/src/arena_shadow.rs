//! Arenas and budgets against a shadow allocator.
//!
//! The bytes are a program over a small tree of budgets and some arenas in it. A shadow keeps, in plain vectors, every
//! allocation that should be alive (place, size, alignment, what was written into it), every direct charge and
//! every limit. It checks
//!
//! - **alignment and overlap** of each new allocation with all that are alive, in all arenas;
//! - **contents** of everything that is about to be forgotten, and of all at the end;
//! - **owner**: an arena says that its own places are its own, and that those of others are not;
//! - **accounting**: what each budget holds is what was charged plus its arenas' chunks, to the byte;
//! - **limits**: no budget ever hands out more than a limit that was not lowered;
//! - **refusals**: each leaves a record, and none is made while there is clearly room.
//!
//! # Panics
//! All of this panics when the product disagrees with the shadow: that is the finding.

use crate::Decisions;
use cofferdam_arena::collections::{Map, String as ArenaString, Vec as ArenaVec};
use cofferdam_arena::{
    Arena, Budget, Growth, Observer, PressureEvent, Reason, Reservoir, ReservoirOptions, Scope, UNIT,
};
use std::alloc::Layout;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most budgets below the root, and most arenas, at one time.
const BUDGETS_MAX: usize = 6;
const ARENAS_MAX: usize = 5;
/// Most steps of one program; most steps inside a scope.
const STEPS_MAX: usize = 400;
const SCOPE_STEPS_MAX: usize = 12;
const SCOPE_DEPTH_MAX: usize = 3;
/// What an arena's chunk needs beyond an allocation: its header.
const HEADER_BYTES: u64 = 128;

/// The most that the root pays for pages of nodes here; and for tables, or for what comes with a chunk.
const ROOT_BYTES_MAX: u64 = 32 << 10;
const BESIDE_BYTES_MAX: u64 = 64 << 10;

/// Runs the program in `data`.
pub fn check(data: &[u8]) {
    let mut decisions = Decisions::new(data);
    let limit_bytes = (64 << 10) << decisions.below(7);
    let mut world = World::new(limit_bytes, decisions.one_in(2));
    for _ in 0..STEPS_MAX {
        if decisions.is_done() {
            break;
        }
        world.step(&mut decisions);
        world.check_accounting();
    }
    world.finish();
}

/// One allocation that should be alive.
#[derive(Clone, Copy, Debug)]
struct Piece {
    place: NonNull<u8>,
    bytes: usize,
    seed: u8,
}

impl Piece {
    /// What was written at `index`.
    fn expected(self, index: usize) -> u8 {
        self.seed.wrapping_add((index as u8).wrapping_mul(31))
    }

    fn fill(self) {
        for index in 0..self.bytes {
            // SAFETY: the arena handed out so many bytes, and nobody else has them: the shadow has just checked.
            unsafe { self.place.add(index).write(self.expected(index)) };
        }
    }

    fn check_contents(self) {
        for index in 0..self.bytes {
            // SAFETY: the bytes were written by `fill` and the arena has not been told to forget them.
            let found = unsafe { self.place.add(index).read() };
            assert_eq!(found, self.expected(index), "byte {index} of {self:?} has changed");
        }
    }

    fn start(self) -> usize {
        self.place.as_ptr().addr()
    }

    fn overlaps(self, other: Piece) -> bool {
        self.start() < other.start() + other.bytes && other.start() < self.start() + self.bytes
    }
}

/// An arena and what should be alive in it.
struct ShadowArena {
    arena: Arena,
    budget_index: usize,
    pieces: Vec<Piece>,
}

impl ShadowArena {
    fn check_contents(&self) {
        self.pieces.iter().for_each(|piece| piece.check_contents());
    }

    fn forget(&mut self) {
        self.check_contents();
        self.pieces.clear();
    }
}

/// A budget and what it should say.
struct ShadowBudget {
    budget: Budget,
    parent_index: Option<usize>,
    limit_bytes: u64,
    charged_bytes: u64,
    /// Own limit was never set below what was handed out.
    is_strict: bool,
}

/// Counts what the tree says was leaked.
#[derive(Default)]
struct Leaks(AtomicU64);

impl Observer for Leaks {
    fn pressure_changed(&self, event: &PressureEvent) {
        assert_ne!(event.from, event.to, "an event for a change that is none");
        assert!(!event.path.as_str().is_empty());
    }

    fn leaked(&self, path: &str, bytes: u64) {
        assert!(!path.is_empty());
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

struct World {
    /// The first one is the root; `None` where one was dropped.
    budgets: Vec<Option<ShadowBudget>>,
    arenas: Vec<ShadowArena>,
    leaks: Arc<Leaks>,
    leaked_bytes: u64,
    names_count: usize,
    seeds_count: u8,
    /// Chunks come from a reservoir and stay warm, below a budget of their own; the root pays for tables too.
    on_reservoir: bool,
}

impl World {
    fn new(limit_bytes: u64, on_reservoir: bool) -> World {
        let root = match on_reservoir {
            true => {
                let reservoir = Reservoir::new(ReservoirOptions::new(limit_bytes)).expect("addresses");
                Budget::root_on_reservoir("root", limit_bytes, reservoir).expect("room for a tree")
            }
            false => Budget::root("root", limit_bytes).expect("room for a tree"),
        };
        let leaks = Arc::new(Leaks::default());
        root.set_observer(Some(leaks.clone()));
        let root =
            ShadowBudget { budget: root, parent_index: None, limit_bytes, charged_bytes: 0, is_strict: true };
        World {
            budgets: vec![Some(root)],
            arenas: Vec::new(),
            leaks,
            leaked_bytes: 0,
            names_count: 0,
            seeds_count: 0,
            on_reservoir,
        }
    }

    fn step(&mut self, decisions: &mut Decisions<'_>) {
        match decisions.below(20) {
            0 => self.add_budget(decisions),
            1 => self.drop_budget(decisions),
            2 => self.charge(decisions),
            3 => self.release(decisions),
            4 => self.set_limit(decisions),
            5 | 6 => self.add_arena(decisions),
            7 => self.drop_arena(decisions),
            8 => self.forget_all(decisions),
            9 => self.rehome(decisions),
            10 => self.collections(decisions),
            11 | 12 => self.scope(decisions),
            _ => self.allocate(decisions),
        }
    }

    // ------------------------------------------------------------------------------------------------ choosing

    fn budget_index(&self, decisions: &mut Decisions<'_>) -> usize {
        let live: Vec<usize> =
            (0..self.budgets.len()).filter(|&index| self.budgets[index].is_some()).collect();
        live[decisions.below(live.len())]
    }

    fn budget(&self, index: usize) -> &ShadowBudget {
        self.budgets[index].as_ref().expect("a live budget was chosen")
    }

    fn next_seed(&mut self) -> u8 {
        self.seeds_count = self.seeds_count.wrapping_add(1);
        self.seeds_count
    }

    // ------------------------------------------------------------------------------------------------- budgets

    fn add_budget(&mut self, decisions: &mut Decisions<'_>) {
        let parent_index = self.budget_index(decisions);
        let limit_bytes = if decisions.one_in(3) { u64::MAX } else { 64 * u64::from(decisions.short()) };
        if self.budgets.iter().flatten().count() > BUDGETS_MAX {
            return;
        }
        self.names_count += 1;
        let name = format!("b{}", self.names_count);
        let parent = &self.budget(parent_index).budget;
        match parent.child(&name, limit_bytes) {
            Ok(budget) => {
                let child = ShadowBudget {
                    budget,
                    parent_index: Some(parent_index),
                    limit_bytes,
                    charged_bytes: 0,
                    is_strict: true,
                };
                match self.budgets.iter().position(Option::is_none) {
                    Some(free) => self.budgets[free] = Some(child),
                    None => self.budgets.push(Some(child)),
                }
            }
            Err(_) => self.check_refusal(parent_index, 5 * UNIT),
        }
    }

    /// Drops the last handle of a budget that has neither children nor arenas; open charges are a leak that the
    /// observer must hear of.
    fn drop_budget(&mut self, decisions: &mut Decisions<'_>) {
        let index = self.budget_index(decisions);
        let is_used = index == 0
            || self.arenas.iter().any(|arena| arena.budget_index == index)
            || self.budgets.iter().flatten().any(|budget| budget.parent_index == Some(index));
        if is_used {
            return;
        }
        let dropped = self.budgets[index].take().expect("a live budget was chosen");
        self.leaked_bytes += dropped.charged_bytes;
        drop(dropped);
        assert_eq!(
            self.leaks.0.load(Ordering::Relaxed),
            self.leaked_bytes,
            "leaks that the observer was told of"
        );
    }

    fn charge(&mut self, decisions: &mut Decisions<'_>) {
        let index = self.budget_index(decisions);
        let bytes = match decisions.byte() % 16 {
            0 => u64::MAX - u64::from(decisions.byte()),
            _ => decisions.size() as u64,
        };
        match self.budget(index).budget.charge(bytes) {
            Ok(()) => {
                let charged = bytes.next_multiple_of(UNIT);
                self.budgets[index].as_mut().expect("live").charged_bytes += charged;
            }
            Err(_) => self.check_refusal(index, bytes),
        }
    }

    fn release(&mut self, decisions: &mut Decisions<'_>) {
        let index = self.budget_index(decisions);
        let wanted = (decisions.size() as u64).next_multiple_of(UNIT);
        let shadow = self.budgets[index].as_mut().expect("a live budget was chosen");
        let bytes = wanted.min(shadow.charged_bytes);
        shadow.budget.release(bytes);
        shadow.charged_bytes -= bytes;
    }

    fn set_limit(&mut self, decisions: &mut Decisions<'_>) {
        let index = self.budget_index(decisions);
        let limit_bytes = (16 << 10) + 64 * u64::from(decisions.short());
        let held_bytes = self.held_bytes(index);
        let shadow = self.budgets[index].as_mut().expect("a live budget was chosen");
        shadow.budget.set_limit(limit_bytes);
        shadow.limit_bytes = limit_bytes;
        // Credit of the children may stand above the new limit for a while too.
        shadow.is_strict = shadow.is_strict && held_bytes <= limit_bytes;
    }

    // -------------------------------------------------------------------------------------------------- arenas

    fn add_arena(&mut self, decisions: &mut Decisions<'_>) {
        let budget_index = self.budget_index(decisions);
        let growth = match decisions.byte() % 4 {
            0 => Growth::CHAIN,
            1 => Growth::doubling(decisions.size(), decisions.size()),
            2 => Growth::for_estimate(decisions.size()),
            _ => Growth::STATEMENT,
        };
        if self.arenas.len() < ARENAS_MAX {
            let arena = Arena::with_growth(&self.budget(budget_index).budget, growth);
            assert_eq!(arena.stats().allocated_bytes, 0, "a new arena takes nothing");
            self.arenas.push(ShadowArena { arena, budget_index, pieces: Vec::new() });
        }
    }

    fn drop_arena(&mut self, decisions: &mut Decisions<'_>) {
        if !self.arenas.is_empty() {
            let index = decisions.below(self.arenas.len());
            self.arenas.swap_remove(index).forget();
        }
    }

    fn forget_all(&mut self, decisions: &mut Decisions<'_>) {
        if self.arenas.is_empty() {
            return;
        }
        let index = decisions.below(self.arenas.len());
        let shadow = &mut self.arenas[index];
        shadow.forget();
        let before = shadow.arena.stats();
        match decisions.byte() % 4 {
            0 => {
                shadow.arena.release();
                assert_eq!(shadow.arena.stats().allocated_bytes, 0, "a released arena holds nothing");
            }
            1 => {
                let keep_bytes = decisions.size();
                shadow.arena.reset_keeping(keep_bytes);
                let after = shadow.arena.stats();
                assert!(
                    after.allocated_bytes <= before.allocated_bytes.min(keep_bytes),
                    "{after:?} of {keep_bytes}"
                );
            }
            _ => {
                shadow.arena.reset();
                assert_eq!(
                    shadow.arena.stats().allocated_bytes,
                    before.allocated_bytes,
                    "a reset keeps every chunk"
                );
            }
        }
        assert_eq!(shadow.arena.stats().used_bytes, 0);
    }

    fn rehome(&mut self, decisions: &mut Decisions<'_>) {
        if self.arenas.is_empty() {
            return;
        }
        let index = decisions.below(self.arenas.len());
        let budget_index = self.budget_index(decisions);
        let target = self.budget(budget_index).budget.clone();
        let bytes = self.arenas[index].arena.stats().allocated_bytes as u64;
        match self.arenas[index].arena.rehome(&target) {
            Ok(()) => self.arenas[index].budget_index = budget_index,
            Err(_) => self.check_refusal(budget_index, bytes),
        }
        self.arenas[index].check_contents();
    }

    fn allocate(&mut self, decisions: &mut Decisions<'_>) {
        if self.arenas.is_empty() {
            return self.add_arena(decisions);
        }
        let index = decisions.below(self.arenas.len());
        let seed = self.next_seed();
        let shadow = &self.arenas[index];
        match allocate_one(&shadow.arena, decisions, seed) {
            Ok(piece) => {
                self.check_new(index, piece);
                piece.fill();
                self.arenas[index].pieces.push(piece);
            }
            Err(asked) => self.check_refusal(self.arenas[index].budget_index, chunk_bytes_for(asked)),
        }
    }

    /// Collections over the arena, beside plain allocations: they must behave as those of the standard library.
    fn collections(&mut self, decisions: &mut Decisions<'_>) {
        if self.arenas.is_empty() {
            return;
        }
        let index = decisions.below(self.arenas.len());
        let shadow = &self.arenas[index];
        let arena = &shadow.arena;
        let mut ours = (ArenaVec::new_in(arena), ArenaString::new_in(arena), Map::new_in(arena));
        let mut model: (Vec<u64>, String, HashMap<u16, u64>) = Default::default();
        for step in 0..u64::from(decisions.byte()) {
            let outcome = match decisions.byte() % 6 {
                0..=2 => ours.0.push(step).map(|()| model.0.push(step)),
                3 => ours.1.push_str("añ€").map(|()| model.1.push_str("añ€")),
                4 => {
                    let key = u16::from(decisions.byte());
                    let before = model.2.get(&key).copied();
                    ours.2.insert(key, step).map(|old| {
                        assert_eq!(old, before);
                        model.2.insert(key, step);
                    })
                }
                _ => {
                    assert_eq!(ours.0.pop(), model.0.pop());
                    let key = u16::from(decisions.byte());
                    assert_eq!(ours.2.remove(&key), model.2.remove(&key));
                    Ok(())
                }
            };
            if outcome.is_err() {
                assert!(arena.budget().last_refusal().is_some(), "a refusal without a record");
                break;
            }
        }
        assert_eq!(
            (&ours.0[..], ours.1.as_str(), ours.2.len()),
            (&model.0[..], model.1.as_str(), model.2.len())
        );
        assert!(model.2.iter().all(|(key, value)| ours.2.get(key) == Some(value)));
        let numbers = ours.0.into_slice();
        assert_eq!(numbers, &model.0[..]);
        let (place, bytes) = (NonNull::from(&mut *numbers).cast(), size_of_val(numbers));
        if bytes > 0 {
            self.check_new(index, Piece { place, bytes, seed: 0 });
        }
        self.arenas[index].check_contents();
    }

    /// Nested scopes: what is in them goes with them, what was before stays.
    fn scope(&mut self, decisions: &mut Decisions<'_>) {
        if self.arenas.is_empty() {
            return;
        }
        let index = decisions.below(self.arenas.len());
        let seed = self.next_seed();
        let mut shadow = self.arenas.swap_remove(index);
        let mut alive: Vec<Piece> = shadow.pieces.clone();
        alive.extend(self.arenas.iter().flat_map(|arena| arena.pieces.iter().copied()));
        let used_before = shadow.arena.stats().used_bytes;
        scope_steps(shadow.arena.scope(), decisions, &mut alive, seed, 0);
        assert_eq!(shadow.arena.stats().used_bytes, used_before, "a scope leaves nothing behind");
        shadow.check_contents();
        self.arenas.push(shadow);
    }

    // -------------------------------------------------------------------------------------------------- checks

    fn check_new(&self, index: usize, piece: Piece) {
        for (other_index, other) in self.arenas.iter().enumerate() {
            let owns = other.arena.owns(piece.place.as_ptr());
            assert!(piece.bytes == 0 || owns == (other_index == index), "the owner of {piece:?}");
            for &alive in &other.pieces {
                assert!(!piece.overlaps(alive), "{piece:?} overlaps {alive:?}");
            }
        }
    }

    /// A refusal has a record; and there was really no room for `asked` bytes under some limit.
    fn check_refusal(&self, index: usize, asked: u64) {
        let shadow = self.budget(index);
        let record = shadow.budget.last_refusal().expect("a refusal without a record");
        assert!(record.path().starts_with("root"), "{record}");
        if record.reason() == Reason::TooLarge {
            assert!(asked > 1 << 40, "{asked} bytes are not too large");
            return;
        }
        assert_eq!(record.reason(), Reason::Limit, "{record}");
        // A chunk of a reservoir may come with its neighbours on a page and with tables.
        let beside_bytes = if self.on_reservoir { BESIDE_BYTES_MAX } else { 0 };
        let needed = asked.next_multiple_of(UNIT).saturating_add(beside_bytes);
        let mut above = Some(index);
        let mut has_room = true;
        while let Some(at) = above {
            let budget = self.budget(at);
            let limit_bytes = budget.budget.limit();
            has_room = has_room && self.held_bytes(at).saturating_add(needed) <= limit_bytes;
            above = budget.parent_index;
        }
        assert!(!has_room, "refused {asked} bytes although there is room: {record}\n{}", self.tree());
    }

    /// What the budget and those below it hold, as the product says, without credit.
    fn held_bytes(&self, index: usize) -> u64 {
        self.budget(index).budget.walk().next().expect("the budget itself").used_bytes
    }

    fn tree(&self) -> String {
        self.budget(0).budget.memory_tree().to_string()
    }

    fn check_accounting(&self) {
        for (index, shadow) in self.budgets.iter().enumerate() {
            let Some(shadow) = shadow else { continue };
            let chunks: usize = self
                .arenas
                .iter()
                .filter(|arena| arena.budget_index == index)
                .map(|arena| {
                    let stats = arena.arena.stats();
                    assert_eq!(arena.arena.chunk_sizes().sum::<usize>(), stats.allocated_bytes);
                    assert_eq!(arena.arena.chunk_sizes().count(), stats.chunks_count);
                    assert!(stats.used_bytes <= stats.allocated_bytes, "{stats:?}");
                    stats.allocated_bytes
                })
                .sum();
            let stats = shadow.budget.walk().next().expect("the budget itself");
            let expected = shadow.charged_bytes + chunks as u64;
            if index == 0 {
                // The root also pays for the tree's own pages.
                let pages =
                    stats.own_bytes.checked_sub(expected).expect("the root holds what it was charged");
                let pages_max =
                    if self.on_reservoir { ROOT_BYTES_MAX + BESIDE_BYTES_MAX } else { ROOT_BYTES_MAX };
                assert!(
                    (4 << 10..=pages_max).contains(&pages) && pages % (4 << 10) == 0,
                    "{pages} bytes of pages"
                );
            } else {
                assert_eq!(stats.own_bytes, expected, "what {} holds itself\n{}", stats.path, self.tree());
            }
            assert!(shadow.budget.used() >= stats.used_bytes);
            assert!(shadow.budget.peak() >= stats.own_bytes);
            if shadow.is_strict {
                assert!(shadow.budget.used() <= shadow.limit_bytes, "past a limit\n{}", self.tree());
            }
        }
    }

    /// Everything is given back, and the root ends as it began.
    fn finish(mut self) {
        self.arenas.drain(..).for_each(|mut arena| arena.forget());
        for shadow in self.budgets.iter_mut().flatten() {
            shadow.budget.release(std::mem::take(&mut shadow.charged_bytes));
        }
        self.check_accounting();
        let root = self.budget(0).budget.clone();
        while let Some(shadow) = self.budgets.pop() {
            drop(shadow);
        }
        assert_eq!(self.leaks.0.load(Ordering::Relaxed), self.leaked_bytes, "nothing else was leaked");
        let stats: Vec<_> = root.walk().collect();
        let own = if self.on_reservoir { 2 } else { 1 };
        assert_eq!(stats.len(), own, "only the root (and what is warm) is left\n{}", root.memory_tree());
        assert!(stats[0].own_bytes <= ROOT_BYTES_MAX + BESIDE_BYTES_MAX, "only pages and tables are left");
    }
}

/// The chunk for an allocation of its own: a power of two up to 32 KiB, then whole granules of 64 KiB.
fn chunk_bytes_for(asked: u64) -> u64 {
    let bytes = asked.saturating_add(HEADER_BYTES);
    match bytes {
        0..=0x8000 => bytes.next_power_of_two().max(UNIT),
        _ => bytes.div_ceil(0x10000).saturating_mul(0x10000),
    }
}

/// One allocation in a random way; the error is how many bytes were asked for.
fn allocate_one(arena: &Arena, decisions: &mut Decisions<'_>, seed: u8) -> Result<Piece, u64> {
    let bytes = decisions.size();
    let piece = |place: *mut u8, bytes: usize| Piece {
        place: NonNull::new(place).expect("allocations are not null"),
        bytes,
        seed,
    };
    let kind = decisions.byte();
    if kind >= 250 {
        let huge = isize::MAX as usize - 4096 - bytes;
        let layout = Layout::from_size_align(huge, 1).expect("a possible layout");
        assert!(arena.alloc_layout(layout).is_err(), "{huge} bytes out of nowhere");
        return Err(huge as u64);
    }
    match kind % 5 {
        0 => {
            let text: String =
                (0..bytes.min(300)).map(|index| char::from(b'a' + (index % 26) as u8)).collect();
            let copy = arena.alloc_str(&text).map_err(|_| text.len() as u64)?;
            assert_eq!(&*copy, text.as_str());
            Ok(piece(copy.as_mut_ptr(), copy.len()))
        }
        1 => {
            let zeroes = arena.alloc_zeroed_slice::<u32>(bytes / 4).map_err(|_| bytes as u64)?;
            assert!(zeroes.iter().all(|&zero| zero == 0) && zeroes.as_ptr().addr() % 4 == 0);
            let len = size_of_val(zeroes);
            Ok(piece(zeroes.as_mut_ptr().cast(), len))
        }
        2 => {
            let numbers = arena.alloc_slice_from_iter((0..bytes as u64 / 8).filter(|number| number % 3 != 0));
            let numbers = numbers.map_err(|_| 4 * bytes as u64)?;
            assert_eq!(
                numbers.len() as u64,
                (0..bytes as u64 / 8).filter(|number| number % 3 != 0).count() as u64
            );
            assert!(numbers.iter().all(|number| number % 3 != 0) && numbers.as_ptr().addr() % 8 == 0);
            let len = size_of_val(numbers);
            Ok(piece(numbers.as_mut_ptr().cast(), len))
        }
        _ => {
            let align = 1 << (decisions.byte() % 13);
            let layout = Layout::from_size_align(bytes, align).expect("a possible layout");
            let place = arena.alloc_layout(layout).map_err(|_| (bytes + align) as u64)?;
            assert_eq!(place.addr().get() % align, 0, "{bytes} bytes aligned to {align}");
            Ok(piece(place.as_ptr(), bytes))
        }
    }
}

fn scope_steps(
    mut scope: Scope<'_>,
    decisions: &mut Decisions<'_>,
    alive: &mut Vec<Piece>,
    seed: u8,
    depth: usize,
) {
    let before = alive.len();
    for step in 0..decisions.below(SCOPE_STEPS_MAX) {
        if depth < SCOPE_DEPTH_MAX && decisions.one_in(8) {
            scope_steps(scope.scope(), decisions, alive, seed.wrapping_add(1), depth + 1);
        }
        match allocate_one(&scope, decisions, seed.wrapping_mul(7).wrapping_add(step as u8)) {
            Ok(piece) => {
                assert!(piece.bytes == 0 || scope.owns(piece.place.as_ptr()), "the owner of {piece:?}");
                assert!(alive.iter().all(|&other| !piece.overlaps(other)), "{piece:?} overlaps another");
                piece.fill();
                alive.push(piece);
            }
            Err(_) => assert!(scope.budget().last_refusal().is_some(), "a refusal without a record"),
        }
    }
    alive[before..].iter().for_each(|piece| piece.check_contents());
    drop(scope);
    alive.truncate(before);
}
