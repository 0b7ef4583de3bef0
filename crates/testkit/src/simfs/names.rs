//! The names of one directory, as processes see them and as a crash leaves them.
//!
//! Both maps are kept, and the changes since the last sync. A crash applies some of the changes, in their order, to the
//! durable map, and costs the number of changes. A rename is one change: the old and the new name change together or
//! not at all, which every file system with a journal promises. Apart from that nothing is promised: a file may have
//! the name that it was renamed to although its creation is lost, and a removal may be kept where the creation of what
//! took its name is lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::crash::{Crash, CrashPolicy};
use super::rng::Rng;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    File(u32),
    Directory(u32),
}

type Map = BTreeMap<Arc<str>, Node>;

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    seen: Map,
    durable: Map,
    changes: Vec<Change>,
}

/// A creation binds, a removal unbinds, a rename does both.
#[derive(Clone, Debug)]
struct Change {
    unbinds: Option<Arc<str>>,
    binds: Option<(Arc<str>, Node)>,
    /// A sync failed, and the system does not know any more that this is to be written.
    is_dropped: bool,
}

impl Change {
    fn apply(&self, map: &mut Map) {
        if let Some(name) = &self.unbinds {
            map.remove(name);
        }
        if let Some((name, node)) = &self.binds {
            map.insert(Arc::clone(name), *node);
        }
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.unbinds.iter().chain(self.binds.iter().map(|(name, _)| name))
    }
}

impl Names {
    pub(super) fn get(&self, name: &str) -> Option<(Arc<str>, Node)> {
        self.seen.get_key_value(name).map(|(name, node)| (Arc::clone(name), *node))
    }

    pub(super) fn seen(&self) -> impl Iterator<Item = (&Arc<str>, Node)> {
        self.seen.iter().map(|(name, node)| (name, *node))
    }

    /// Everything that a name stands for, stood for, or may stand for after a crash.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> {
        let changed = self.changes.iter().filter_map(|change| change.binds.as_ref().map(|(_, node)| *node));
        self.seen.values().chain(self.durable.values()).copied().chain(changed)
    }

    pub(super) fn bind(&mut self, name: Arc<str>, node: Node) {
        self.change(None, Some((name, node)));
    }

    pub(super) fn unbind(&mut self, name: Arc<str>) {
        self.change(Some(name), None);
    }

    pub(super) fn rename(&mut self, from: Arc<str>, to: Arc<str>, node: Node) {
        self.change(Some(from), Some((to, node)));
    }

    fn change(&mut self, unbinds: Option<Arc<str>>, binds: Option<(Arc<str>, Node)>) {
        let change = Change { unbinds, binds, is_dropped: false };
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    /// Makes all changes durable but those that were dropped.
    pub(super) fn sync(&mut self) {
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            if !change.is_dropped {
                change.apply(durable);
            }
            change.is_dropped
        });
        debug_assert!(!self.changes.is_empty() || self.seen == self.durable);
    }

    /// A sync that fails. With `drops`, any changes reach the disk and the others are dropped; without, the first ones
    /// reach it and the others stay to be synced in their order.
    pub(super) fn fail_sync(&mut self, drops: bool, rng: &mut Rng) {
        let chance = CrashPolicy::default().draw_chance(rng);
        let mut is_written = true;
        let durable = &mut self.durable;
        self.changes.retain_mut(|change| {
            is_written = (is_written || drops) && !change.is_dropped && rng.is_one_of(chance, 64);
            if is_written {
                change.apply(durable);
            }
            change.is_dropped |= drops;
            !is_written
        });
    }

    /// What is left after a crash; all of it is durable then.
    pub(super) fn crash(&mut self, policy: &CrashPolicy, rng: &mut Rng, crash: &mut Crash) {
        if self.changes.is_empty() {
            return;
        }
        let chance = policy.draw_chance(rng);
        let changes = std::mem::take(&mut self.changes);
        for change in &changes {
            if !change.is_dropped && rng.is_one_of(chance, 64) {
                crash.names_kept += 1;
                change.apply(&mut self.durable);
            } else {
                crash.names_lost += 1;
            }
        }
        for name in changes.iter().flat_map(Change::names) {
            match self.durable.get(name) {
                Some(&node) => self.seen.insert(Arc::clone(name), node),
                None => self.seen.remove(name),
            };
        }
        debug_assert_eq!(self.seen, self.durable);
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    #[derive(Clone, Debug)]
    enum Step {
        Create(usize),
        Rename(usize, usize),
        Remove(usize),
        Sync,
        FailSync { drops: bool },
    }

    type Model = BTreeMap<&'static str, u32>;
    /// The name that goes, and the one that comes.
    type ModelChange = (Option<&'static str>, Option<(&'static str, u32)>);

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..4usize).prop_map(Step::Create),
            3 => (0..4usize, 0..4usize).prop_map(|(from, to)| Step::Rename(from, to)),
            2 => (0..4usize).prop_map(Step::Remove),
            1 => Just(Step::Sync),
            1 => any::<bool>().prop_map(|drops| Step::FailSync { drops }),
        ];
        proptest::collection::vec(step, 1..11)
    }

    fn seen(names: &Names) -> BTreeMap<String, u32> {
        let file = |node| match node {
            Node::File(file) => file,
            Node::Directory(_) => unreachable!("there are none"),
        };
        names.seen().map(|(name, node)| (name.to_string(), file(node))).collect()
    }

    /// What any of the changes leave, in their order.
    fn outcomes(durable: &Model, changes: &[ModelChange]) -> BTreeSet<Model> {
        let apply = |mut map: Model, change: &ModelChange| {
            change.0.map(|name| map.remove(name));
            change.1.map(|(name, file)| map.insert(name, file));
            map
        };
        changes.iter().fold(BTreeSet::from([durable.clone()]), |maps, change| {
            maps.into_iter().flat_map(|map| [apply(map.clone(), change), map]).collect()
        })
    }

    proptest! {
        /// Aim: the names after a crash are what some of the unsynced changes make of the synced names. Method: all
        /// subsets of the changes by brute force.
        #[test]
        fn every_survivor_is_made_of_changes(steps in steps(), seed: u64) {
            let (mut names, mut rng) = (Names::default(), Rng::new(seed));
            let (mut model, mut durable, mut changes) = (Model::new(), Model::new(), Vec::new());
            let (mut files_count, mut is_doubtful) = (0, false);
            for step in steps {
                match step {
                    Step::Create(at) if !model.contains_key(NAMES[at]) => {
                        files_count += 1;
                        names.bind(Arc::from(NAMES[at]), Node::File(files_count));
                        model.insert(NAMES[at], files_count);
                        changes.push((None, Some((NAMES[at], files_count))));
                    }
                    Step::Rename(from, to) if from != to && model.contains_key(NAMES[from]) => {
                        let file = model.remove(NAMES[from]).unwrap();
                        names.rename(Arc::from(NAMES[from]), Arc::from(NAMES[to]), Node::File(file));
                        model.insert(NAMES[to], file);
                        changes.push((Some(NAMES[from]), Some((NAMES[to], file))));
                    }
                    Step::Remove(at) if model.remove(NAMES[at]).is_some() => {
                        names.unbind(Arc::from(NAMES[at]));
                        changes.push((Some(NAMES[at]), None));
                    }
                    Step::Sync => {
                        names.sync();
                        if !is_doubtful {
                            durable = model.clone();
                            changes.clear();
                        }
                    }
                    Step::FailSync { drops } => {
                        names.fail_sync(drops, &mut rng);
                        is_doubtful |= drops;
                    }
                    _ => {}
                }
                let now: BTreeMap<String, u32> = model.iter().map(|(name, file)| (name.to_string(), *file)).collect();
                prop_assert_eq!(seen(&names), now);
            }
            let possible = outcomes(&durable, &changes);
            for seed in 0..8 {
                let mut names = names.clone();
                let policy = CrashPolicy::default();
                names.crash(&policy, &mut Rng::new(seed), &mut Crash::default());
                let survivor = seen(&names);
                let is_possible = possible
                    .iter()
                    .any(|map| map.iter().map(|(name, file)| (name.to_string(), *file)).eq(survivor.clone()));
                prop_assert!(is_possible, "{survivor:?} is none of {possible:?}");
                // It is durable.
                names.crash(&CrashPolicy::lose_everything(), &mut Rng::new(seed), &mut Crash::default());
                prop_assert_eq!(seen(&names), survivor);
            }
        }
    }

    /// Aim: every outcome of the usual replacement of a file comes up. Method: count over seeds.
    #[test]
    fn creations_and_renames_survive_each_on_its_own() {
        let mut names = Names::default();
        names.bind(Arc::from("root"), Node::File(1));
        names.sync();
        names.bind(Arc::from("temp"), Node::File(2));
        names.rename(Arc::from("temp"), Arc::from("root"), Node::File(2));
        let mut outcomes = BTreeMap::<_, usize>::new();
        for seed in 0..400 {
            let mut names = names.clone();
            names.crash(&CrashPolicy::default(), &mut Rng::new(seed), &mut Crash::default());
            *outcomes.entry(seen(&names).into_iter().collect::<Vec<_>>()).or_default() += 1;
        }
        let old = ("root".to_owned(), 1);
        let expected = [vec![old.clone()], vec![old, ("temp".to_owned(), 2)], vec![("root".to_owned(), 2)]];
        assert!(outcomes.keys().eq(&expected), "{outcomes:?}");
        assert!(outcomes.values().all(|&count| count > 20), "{outcomes:?}");
    }

    #[test]
    fn a_failed_sync_forgets_names_or_keeps_them_for_the_next() {
        let outcomes = |drops| -> BTreeSet<BTreeMap<String, u32>> {
            let outcome = |seed| {
                let (mut names, mut rng) = (Names::default(), Rng::new(seed));
                names.bind(Arc::from("a"), Node::File(1));
                names.bind(Arc::from("b"), Node::File(2));
                names.bind(Arc::from("c"), Node::File(3));
                names.unbind(Arc::from("c"));
                names.fail_sync(drops, &mut rng);
                names.sync();
                assert!(drops || names.durable == names.seen, "changes are synced in their order");
                names.crash(&CrashPolicy::keep_everything(), &mut rng, &mut Crash::default());
                seen(&names)
            };
            (0..100).map(outcome).collect()
        };
        assert_eq!(outcomes(false).len(), 1);
        assert!(outcomes(true).len() >= 4, "each change is forgotten on its own");
    }
}
