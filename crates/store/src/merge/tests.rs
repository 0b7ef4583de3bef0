use super::*;
use cofferdam_arena::Budget;
use proptest::prelude::*;

type Version = (std::vec::Vec<u8>, u64, bool);

/// Versions in order, shown so many rows at a time.
struct Rows {
    rows: std::vec::Vec<Version>,
    shape: KeyShape,
    from: usize,
    width: usize,
    prefixes: std::vec::Vec<u64>,
    sequences: std::vec::Vec<u64>,
    deletes: std::vec::Vec<bool>,
    /// Sequences up to which windows are called plain where they are.
    plain_until: u64,
    is_plain: bool,
}

impl Rows {
    fn new(mut rows: std::vec::Vec<Version>, shape: KeyShape, width: usize, plain_until: u64) -> Rows {
        rows.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        rows.dedup_by(|a, b| (&a.0, a.1) == (&b.0, b.1));
        let mut source = Rows {
            rows,
            shape,
            from: 0,
            width,
            prefixes: vec![],
            sequences: vec![],
            deletes: vec![],
            plain_until,
            is_plain: false,
        };
        source.show();
        source
    }

    fn show(&mut self) {
        let rows = &self.rows[self.from..(self.from + self.width).min(self.rows.len())];
        self.prefixes = rows.iter().map(|row| self.shape.prefix(&row.0)).collect();
        self.sequences = rows.iter().map(|row| row.1).collect();
        self.deletes = rows.iter().map(|row| row.2).collect();
        let has_versions = rows.windows(2).any(|pair| pair[0].0 == pair[1].0);
        self.is_plain = !has_versions && rows.iter().all(|row| row.1 <= self.plain_until && !row.2);
    }

    fn move_on(&mut self) {
        self.from = (self.from + self.width).min(self.rows.len());
        self.show();
    }
}

impl Sources for [Rows] {
    fn count(&self) -> usize {
        self.len()
    }

    fn window(&self, source: usize) -> Window<'_> {
        let Rows { prefixes, sequences, deletes, is_plain, .. } = &self[source];
        Window { prefixes, sequences, deletes, is_plain: *is_plain }
    }

    fn put_key(&self, source: usize, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error> {
        Ok(key.extend_from_slice(&self[source].rows[self[source].from + row].0)?)
    }
}

/// The versions that a merge picks, asked for so many rows at a time.
fn merged(sources: &mut [Rows], shape: KeyShape, filter: &Filter<'_>, room: usize) -> std::vec::Vec<Version> {
    let budget = Budget::unlimited("merge").unwrap();
    let arena = Arena::new(&budget);
    let mut merge = Merge::new(shape, sources.len(), &arena).unwrap();
    let mut picks = Vec::new_in(&arena);
    let mut found = vec![];
    let mut left = room;
    loop {
        let step = merge.step(sources, filter, &mut picks, &mut left).unwrap();
        for pick in picks.iter() {
            let source = &sources[usize::from(pick.source)];
            let start = source.from + pick.start as usize;
            found.extend_from_slice(&source.rows[start..start + pick.count as usize]);
        }
        picks.clear();
        match step {
            Step::Full => left = room,
            Step::Window(source) => {
                sources[source].move_on();
                merge.moved_on(source);
            }
            Step::End => return found,
        }
    }
}

/// What a reader sees, by the definition.
fn visible(all: &[Version], snapshot: u64, own: u64) -> std::vec::Vec<Version> {
    let sees = |sequence: u64| {
        if sequence < OWN_SEQUENCE { sequence <= snapshot } else { sequence <= own }
    };
    let mut keys: std::vec::Vec<_> = all.iter().map(|row| row.0.clone()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter_map(|key| {
            let versions = all.iter().filter(|row| row.0 == key && sees(row.1));
            versions.max_by_key(|row| row.1).filter(|row| !row.2).cloned()
        })
        .collect()
}

fn versions(keys: u8) -> impl Strategy<Value = std::vec::Vec<std::vec::Vec<Version>>> {
    let sequence = prop_oneof![9 => 1u64..20, 1 => (0u64..5).prop_map(|own| OWN_SEQUENCE + own)];
    let version = (0..keys, sequence);
    prop::collection::vec(prop::collection::vec(version, 0..30), 1..5).prop_map(|sources| {
        let rows = |source: std::vec::Vec<(u8, u64)>| {
            let row = |(number, sequence): (u8, u64)| {
                // Keys that share their prefix, and keys that are the start of others; a version is a tombstone
                // wherever it is found.
                let key = [b"\x01prefix00".as_slice(), &vec![7; usize::from(number % 3)], &[number]].concat();
                (key, sequence, (sequence + u64::from(number)) % 3 == 0)
            };
            source.into_iter().map(row).collect()
        };
        sources.into_iter().map(rows).collect()
    })
}

proptest! {
    /// Aim: a reader sees the newest version of each key up to its snapshot, whatever the windows and batches are.
    #[test]
    fn a_snapshot_sees_the_newest_version_of_each_key(
        sources in versions(12), width in 1usize..9, room in 1usize..7, snapshot in 0u64..22, own in 0u64..5,
    ) {
        let shape = KeyShape { skip: 1, is_exact: false };
        let all: std::vec::Vec<Version> = sources.iter().flatten().cloned().collect();
        let own = OWN_SEQUENCE + own - 1;
        let mut sources: std::vec::Vec<Rows> =
            sources.into_iter().map(|rows| Rows::new(rows, shape, width, snapshot)).collect();
        let found = merged(&mut sources, shape, &Filter::Visible { snapshot, own }, room);
        prop_assert_eq!(found, visible(&all, snapshot, own));
    }

    /// Aim: what a flush keeps shows every snapshot, those to come included, what it saw before, and nothing that is not
    /// needed stays. Method: all snapshots, and leaving out any one version changes what some snapshot sees.
    #[test]
    fn what_is_needed_is_kept_and_no_more(
        sources in versions(6), width in 1usize..9, mut snapshots in prop::collection::vec(0u64..20, 0..3),
        is_bottom: bool,
    ) {
        let shape = KeyShape { skip: 0, is_exact: false };
        snapshots.push(20);
        snapshots.sort();
        snapshots.dedup();
        let all: std::vec::Vec<Version> = sources.iter().flatten().filter(|row| row.1 < 20).cloned().collect();
        let mut sources: std::vec::Vec<Rows> = sources
            .into_iter()
            .map(|rows| {
                let rows = rows.into_iter().filter(|row| row.1 < 20).collect();
                Rows::new(rows, shape, width, snapshots[0])
            })
            .collect();
        let kept = merged(&mut sources, shape, &Filter::Needed { snapshots: &snapshots, is_bottom }, 5);
        for &snapshot in snapshots.iter().chain(&[25]) {
            prop_assert_eq!(visible(&kept, snapshot, 0), visible(&all, snapshot, 0), "snapshot {}", snapshot);
        }
        if is_bottom {
            for left_out in 0..kept.len() {
                let mut fewer = kept.clone();
                let version = fewer.remove(left_out);
                // Whether there is an older version below a tombstone is not known when it comes.
                if version.2 {
                    continue;
                }
                let differs = |&snapshot: &u64| visible(&fewer, snapshot, 0) != visible(&kept, snapshot, 0);
                prop_assert!(snapshots.iter().any(differs), "{:?} is not needed", version);
            }
        }
    }

    #[test]
    fn keys_that_fit_a_prefix_need_no_comparison_of_bytes(
        keys in prop::collection::vec(prop::collection::vec((any::<i64>(), 1u64..4), 0..40), 1..4), width in 1usize..9,
    ) {
        let shape = KeyShape { skip: 1, is_exact: true };
        let row = |(key, sequence): (i64, u64)| {
            ([&[1][..], &cofferdam_types::key::bigint_key(key % 8)].concat(), sequence, false)
        };
        let sources: std::vec::Vec<std::vec::Vec<Version>> =
            keys.into_iter().map(|keys| keys.into_iter().map(row).collect()).collect();
        let all: std::vec::Vec<Version> = sources.iter().flatten().cloned().collect();
        let mut sources: std::vec::Vec<Rows> =
            sources.into_iter().map(|rows| Rows::new(rows, shape, width, 2)).collect();
        let found = merged(&mut sources, shape, &Filter::Visible { snapshot: 2, own: 0 }, 3);
        prop_assert_eq!(found, visible(&all, 2, 0));
    }
}

#[test]
fn the_search_for_the_end_of_a_run_finds_it_wherever_it_is() {
    let prefixes: std::vec::Vec<u64> = (0..100).map(|n| n / 3).collect();
    for at in 0..100 {
        for bound in 0..40 {
            let expected = (at..100).find(|&row| prefixes[row] >= bound).unwrap_or(100);
            assert_eq!(first_not_below(&prefixes, at, bound), expected, "from {at}, bound {bound}");
        }
    }
}
