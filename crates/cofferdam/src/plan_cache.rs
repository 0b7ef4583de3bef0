//! The plan cache: plans of statements that came before, found again by their text.
//!
//! ```text
//!   a text comes       first time    planned in the statement's memory; the cache remembers its hash
//!                      again         planned in the cache's memory, and kept when the statement ends
//!                      from then on  taken out of the cache, run, put back: no parsing, no planning
//! ```
//!
//! A plan is taken out whole, so the cache has no locks that a running statement holds; who comes for it meanwhile plans as if there were
//! none. What is kept:
//!
//! - P1 The plans of queries, `INSERT`, `UPDATE` and `DELETE`, of texts up to 8 KiB that read no file: files change unseen.
//! - P2 A plan is found by those alone for whom the definitions of tables are what it was made for: not after any table, index or view has
//!   been made, replaced or dropped, not by a connection that has registered files, nor in a transaction that has changed definitions or
//!   began before they were changed (`definitions.rs`).
//! - P3 A plan is made anew when so many rows have been changed that its tables may be others: 1,000, and a fifth of those it reads.
//! - P4 Everything kept is charged to the budget `plans`, whose limit is the setting `plan_cache_size`, or a 32nd part of the memory limit
//!   where that is less. It gives way: a charge anywhere below the same limit that would fail takes the plans first that nobody has asked
//!   for longest.
//! - P5 The reclaimer never waits for the lock: who has it may be the one whose charge asks.
//!
//! **Memory.** A plan takes what its tree and plan take, from about 4 KiB on, and its place in the list. The hashes of texts that came once
//! are 256 bytes beside the budgets.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use allocator_api2::vec::Vec;
use cofferdam_arena::{Budget, BudgetAlloc, BudgetOptions, Reclaim};

use crate::definitions::{Definitions, Made};
use crate::kept_plan::{KeptPlan, Planned};
use crate::named::{Named, Taken};

/// The setting `plan_cache_size` unless somebody says otherwise.
pub(crate) const SIZE_DEFAULT_BYTES: u64 = 1 << 20;
/// Longer texts are not looked for.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// The cache takes at most a share of so many of the memory limit.
const LIMIT_SHARE: u64 = 32;
/// With less it keeps nothing.
const LIMIT_BYTES_MIN: u64 = 16 << 10;
/// How many texts that came once are remembered.
const SIGHTINGS: usize = 64;
/// What the statements begin with whose plans are kept.
const BEGINNINGS: [&str; 7] = ["select", "insert", "update", "delete", "with", "values", "table"];

/// The plans of a database; clones are handles to the same ones.
#[derive(Clone, Debug)]
pub(crate) struct PlanCache(Arc<Shared>);

struct Shared {
    db: Budget,
    definitions: Arc<Definitions>,
    size_bytes: AtomicU64,
    /// Parts of the hashes of texts that came once.
    sightings: [AtomicU32; SIGHTINGS],
    hits_count: AtomicU64,
    misses_count: AtomicU64,
    kept: OnceLock<Kept>,
}

struct Kept {
    budget: Budget,
    list: Mutex<List>,
}

struct List {
    plans: Vec<KeptPlan, BudgetAlloc>,
    /// Counts what is put back, so that plans know when they were used last.
    clock: u64,
}

/// What the plan cache has and did.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let database = Database::open_in_memory(Options::new())?;
/// let connection = database.connect()?;
/// connection.prepare_cached("SELECT 1")?;
/// connection.prepare_cached("SELECT 1")?;
/// let counts = database.plan_cache_counts();
/// assert_eq!((counts.plans_count, counts.hits_count, counts.misses_count), (1, 1, 1));
/// assert!(counts.bytes > 0);
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanCacheCounts {
    /// Plans that wait to be used again.
    pub plans_count: u64,
    /// What they take, with those in use.
    pub bytes: u64,
    /// Statements that found their plan.
    pub hits_count: u64,
    /// Statements that could have and did not.
    pub misses_count: u64,
}

/// How a statement uses the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Not at all.
    Never,
    /// Its plan is kept if its text comes again.
    Seen,
    /// Its plan is kept.
    Always,
}

/// What the cache says of a text.
#[allow(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
#[derive(Debug)]
pub(crate) enum Found {
    /// Its plan.
    Plan(KeptPlan),
    /// There is none, and one is to be made here.
    Wanted,
    /// There is none, and none is to be made here.
    Nothing,
}

/// A plan in use, which goes back to where it is kept when it is dropped.
#[derive(Debug)]
pub(crate) struct Checkout {
    home: Home,
    /// There until it is dropped.
    plan: Option<KeptPlan>,
}

/// Where a plan is kept.
#[derive(Debug)]
enum Home {
    Cache(PlanCache),
    /// Among the statements with names, by its number.
    Named(Arc<Named>, u64),
}

impl Checkout {
    /// Of the plan cache.
    pub(crate) fn new(home: &PlanCache, plan: KeptPlan) -> Checkout {
        Checkout { home: Home::Cache(home.clone()), plan: Some(plan) }
    }

    /// Of a statement that has a name.
    pub(crate) fn named(home: &Arc<Named>, taken: Taken) -> Checkout {
        Checkout { home: Home::Named(Arc::clone(home), taken.number), plan: Some(taken.plan) }
    }

    /// Whether it is a statement that has a name, whose text is not that of the statement that runs it.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.home, Home::Named(..))
    }

    pub(crate) fn plan(&self) -> &KeptPlan {
        self.plan.as_ref().expect("it goes when this does")
    }

    /// Another plan of the same statement takes its place.
    pub(crate) fn replace(&mut self, plan: KeptPlan) {
        self.plan = Some(plan);
    }

    pub(crate) fn planned(&self) -> Planned<'_> {
        self.plan().planned()
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        match (&self.home, self.plan.take()) {
            (Home::Cache(cache), Some(plan)) => cache.put(plan),
            (Home::Named(named, number), Some(plan)) => named.put(Taken { plan, number: *number }),
            (_, None) => {}
        }
    }
}

impl PlanCache {
    pub(crate) fn new(db: &Budget, definitions: &Arc<Definitions>, size_bytes: u64) -> PlanCache {
        let shared = Arc::new(Shared {
            db: db.clone(),
            definitions: Arc::clone(definitions),
            size_bytes: AtomicU64::new(size_bytes),
            sightings: [const { AtomicU32::new(0) }; SIGHTINGS],
            hits_count: AtomicU64::new(0),
            misses_count: AtomicU64::new(0),
            kept: OnceLock::new(),
        });
        // Its budget is made beside those of the database: made with the first plan it might be the only one to stay of a page of budgets
        // that were made for a statement. Without room it is made with a plan all the same.
        if shared.limit_bytes() >= LIMIT_BYTES_MIN {
            let _ = shared.open();
        }
        PlanCache(shared)
    }

    /// The setting `plan_cache_size`.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.0.size_bytes.load(Ordering::Relaxed)
    }

    /// Sets it; what is too much then goes.
    pub(crate) fn set_size_bytes(&self, bytes: u64) {
        self.0.size_bytes.store(bytes, Ordering::Relaxed);
        self.fit();
    }

    /// Follows a memory limit that has changed.
    pub(crate) fn fit(&self) {
        let (limit, Some(kept)) = (self.0.limit_bytes(), self.0.kept.get()) else { return };
        kept.budget.set_limit(limit);
        if kept.budget.used() > limit {
            kept.drop_least_used(kept.budget.used() - limit);
        }
    }

    pub(crate) fn counts(&self) -> PlanCacheCounts {
        let kept = self.0.kept.get();
        PlanCacheCounts {
            plans_count: kept.map_or(0, |kept| kept.lock().plans.len() as u64),
            bytes: kept.map_or(0, |kept| kept.budget.used()),
            hits_count: self.0.hits_count.load(Ordering::Relaxed),
            misses_count: self.0.misses_count.load(Ordering::Relaxed),
        }
    }

    /// The plan of a text that is made for `now`, if there is one; else whether one is to be made. `with_parameters` tells plans apart in
    /// which parameters may stand.
    pub(crate) fn take(&self, sql: &str, with_parameters: bool, how: Use, now: Made) -> Found {
        if how == Use::Never || self.0.limit_bytes() < LIMIT_BYTES_MIN {
            return Found::Nothing;
        }
        if sql.len() > TEXT_BYTES_MAX || !may_be_kept(sql) {
            return Found::Nothing;
        }
        let hash = hash(sql, with_parameters);
        if let Some(kept) = self.0.kept.get()
            && let Some(plan) = kept.take(hash, sql, now)
        {
            self.0.hits_count.fetch_add(1, Ordering::Relaxed);
            return Found::Plan(plan);
        }
        self.0.misses_count.fetch_add(1, Ordering::Relaxed);
        let is_wanted = how == Use::Always || self.sighted(hash);
        if is_wanted { Found::Wanted } else { Found::Nothing }
    }

    /// Whether the text came before; from now on it did.
    fn sighted(&self, hash: u64) -> bool {
        // Never 0, which stands for none.
        let part = (hash >> 32) as u32 | 1;
        let place = &self.0.sightings[hash as usize % SIGHTINGS];
        place.swap(part, Ordering::Relaxed) == part
    }

    /// The text had no plan that could be kept: it has to come twice again before it is tried once more.
    pub(crate) fn forget_sighting(&self, sql: &str, with_parameters: bool) {
        let hash = hash(sql, with_parameters);
        self.0.sightings[hash as usize % SIGHTINGS].store(0, Ordering::Relaxed);
    }

    /// The budget that pays for plans; `None` where there is no room for one.
    pub(crate) fn budget(&self) -> Option<&Budget> {
        self.0.open().map(|kept| &kept.budget)
    }

    /// Keeps a plan that was taken or made, if it is one still. `with_parameters` is as it was when it was taken.
    pub(crate) fn put(&self, plan: KeptPlan) {
        let Some(kept) = self.0.kept.get() else { return };
        let is_one = self.0.definitions.settled().is_some_and(|now| now.version == plan.made().version);
        if !is_one || self.0.limit_bytes() < LIMIT_BYTES_MIN || kept.budget.used() > self.0.limit_bytes() {
            return;
        }
        kept.put(plan);
    }
}

impl Shared {
    /// What the cache may take.
    fn limit_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Relaxed).min(self.db.limit_on_path() / LIMIT_SHARE)
    }

    fn open(self: &Arc<Shared>) -> Option<&Kept> {
        if let Some(kept) = self.kept.get() {
            return Some(kept);
        }
        let budget = self.db.child_with("plans", BudgetOptions::limit(self.limit_bytes()).keeps_refusals());
        let budget = budget.ok()?;
        let kept = self.kept.get_or_init(|| {
            let list = List { plans: Vec::new_in(BudgetAlloc::new(&budget)), clock: 0 };
            Kept { budget, list: Mutex::new(list) }
        });
        // One of the handles that a database has for its life.
        BudgetAlloc::count_taken();
        kept.budget.set_reclaimer(Some(Arc::new(Reclaimer(Arc::downgrade(self)))));
        Some(kept)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.get() {
            kept.budget.set_reclaimer(None);
        }
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, List> {
        // Every change is one step, so whoever panicked with the lock has left it whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, hash: u64, sql: &str, now: Made) -> Option<KeptPlan> {
        let mut list = self.lock();
        let index = list.plans.iter().position(|plan| plan.is_of(hash, sql))?;
        let plan = list.plans.swap_remove(index);
        drop(list);
        // One that is made for others goes here.
        plan.is_good(now).then_some(plan)
    }

    fn put(&self, mut plan: KeptPlan) {
        let mut list = self.lock();
        list.clock += 1;
        plan.used_at = list.clock;
        if list.plans.iter().any(|known| known.is_of(plan.hash, plan.text())) {
            return drop(list);
        }
        if list.plans.try_reserve(1).is_ok() {
            list.plans.push(plan);
        }
    }

    /// Drops the plans that nobody has asked for longest until so many bytes are free, and gives how many are.
    fn drop_least_used(&self, bytes: u64) -> u64 {
        let Ok(mut list) = self.list.try_lock() else { return 0 };
        let before = self.budget.used();
        let mut freed = 0;
        while freed < bytes {
            let least = list.plans.iter().enumerate().min_by_key(|(_, plan)| plan.used_at);
            let Some((index, _)) = least else { break };
            drop(list.plans.swap_remove(index));
            freed = before.saturating_sub(self.budget.used());
        }
        if list.plans.is_empty() {
            // The list goes with the last of them.
            list.plans = Vec::new_in(list.plans.allocator().clone());
            freed = before.saturating_sub(self.budget.used());
        }
        freed
    }
}

/// Takes plans where others need the memory.
struct Reclaimer(Weak<Shared>);

impl Reclaim for Reclaimer {
    fn reclaim(&self, bytes: u64) -> u64 {
        let shared = self.0.upgrade();
        shared.and_then(|shared| shared.kept.get().map(|kept| kept.drop_least_used(bytes))).unwrap_or(0)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

/// Whether a text looks like a statement whose plan is kept.
fn may_be_kept(sql: &str) -> bool {
    let text = sql.trim_start_matches([' ', '\t', '\r', '\n', '(']).as_bytes();
    BEGINNINGS.iter().any(|word| {
        text.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// Mixes all bits of a text; in memory only, so it may change.
pub(crate) fn hash(sql: &str, with_parameters: bool) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word) * u128::from(MULTIPLIER);
        (wide >> 64) as u64 ^ wide as u64 ^ word.rotate_left(29)
    };
    let mut hash = mix(sql.len() as u64, u64::from(with_parameters) + 1);
    for chunk in sql.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_no_candidates_are_told() {
        for (sql, is_candidate) in [
            ("SELECT 1", true),
            ("  \n(select 1) union select 2", true),
            ("With t as (select 1) select * from t", true),
            ("table a", true),
            ("BEGIN", false),
            ("set x = 1", false),
            ("", false),
            ("sel", false),
            ("größer", false),
        ] {
            assert_eq!(may_be_kept(sql), is_candidate, "{sql}");
        }
    }

    #[test]
    fn hashes_tell_texts_apart() {
        let texts: std::collections::HashSet<u64> =
            (0..10_000).map(|n| hash(&format!("SELECT {n}"), n % 2 == 0)).collect();
        assert_eq!(texts.len(), 10_000);
        assert_ne!(hash("SELECT 1", true), hash("SELECT 1", false));
    }
}
