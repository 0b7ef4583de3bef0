use proptest::prelude::*;

use super::super::crash::Survival;
use super::super::rng::Rng;
use super::*;

const SECTOR_BYTES: usize = 16;

#[derive(Clone, Debug)]
enum Step {
    Write { offset: usize, len: usize },
    SetLen(usize),
    Sync,
    FailSync(Unwritten),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let unwritten = prop_oneof![Just(Unwritten::Dirty), Just(Unwritten::Clean), Just(Unwritten::Evicted)];
    let step = prop_oneof![
        8 => (0usize..90, 1usize..40).prop_map(|(offset, len)| Step::Write { offset, len }),
        3 => (0usize..120).prop_map(Step::SetLen),
        2 => Just(Step::Sync),
        1 => unwritten.prop_map(Step::FailSync),
    ];
    proptest::collection::vec(step, 1..14)
}

/// A file that keeps every image since the last sync, the durable one first.
struct Model {
    images: Vec<Vec<u8>>,
    /// Something was cut off since the last sync.
    has_cut: bool,
    /// A sync failed and forgot what it was to write: nothing is certain any more.
    is_doubtful: bool,
}

impl Model {
    fn seen(&self) -> &[u8] {
        self.images.last().unwrap()
    }

    fn apply(&mut self, step: &Step, fill: u8, content: &Content) {
        let mut image = self.seen().to_vec();
        match *step {
            Step::Write { offset, len } => {
                image.resize(image.len().max(offset + len), 0);
                image[offset..offset + len].fill(fill);
            }
            Step::SetLen(len) => {
                self.has_cut |= len < image.len();
                image.resize(len, 0);
            }
            Step::Sync if !self.is_doubtful => {
                self.images.clear();
                self.has_cut = false;
            }
            Step::Sync => {}
            Step::FailSync(unwritten) => {
                self.is_doubtful |= unwritten != Unwritten::Dirty;
                if unwritten == Unwritten::Evicted {
                    // What readers see now is some of what was there, and nothing else.
                    assert_eq!(content.bytes().len(), image.len());
                    self.explain(content.bytes(), 3);
                    image = content.bytes().to_vec();
                }
            }
        }
        self.images.push(image);
    }

    /// Asserts that each sector consists of so many pieces at most, each of them from some image at the same place.
    fn explain(&self, survivor: &[u8], pieces_max: usize) {
        let byte_of = |image: &[u8], offset: usize| image.get(offset).copied().unwrap_or(0);
        for (index, sector) in survivor.chunks(SECTOR_BYTES).enumerate() {
            let (mut at, mut pieces_count) = (0, 0);
            while at < sector.len() {
                // The longest piece that begins here is never a worse choice than a shorter one.
                let reach = |image: &Vec<u8>| {
                    (at..sector.len())
                        .take_while(|&at| byte_of(image, index * SECTOR_BYTES + at) == sector[at])
                        .count()
                };
                let piece = self.images.iter().map(reach).max().unwrap();
                assert!(piece > 0, "sector {index} has a byte that was never there: {sector:?}");
                (at, pieces_count) = (at + piece, pieces_count + 1);
            }
            assert!(pieces_count <= pieces_max, "sector {index} is of {pieces_count} pieces: {sector:?}");
        }
    }

    fn explain_len(&self, len: usize) {
        let lens = || self.images.iter().map(Vec::len);
        assert!((lens().min().unwrap()..=lens().max().unwrap()).contains(&len), "a length of {len}");
    }
}

fn run(steps: &[Step], seed: u64) -> (Content, Model, Rng) {
    let (mut content, mut rng) = (Content::new(SECTOR_BYTES), Rng::new(seed));
    let mut model = Model { images: vec![Vec::new()], has_cut: false, is_doubtful: false };
    for (index, step) in steps.iter().enumerate() {
        let fill = index as u8 + 1;
        match *step {
            Step::Write { offset, len } => content.write(&vec![fill; len], offset, &mut rng),
            Step::SetLen(len) => content.set_len(len, &mut rng),
            Step::Sync => content.sync(),
            Step::FailSync(unwritten) => content.fail_sync(unwritten, &mut rng),
        }
        model.apply(step, fill, &content);
        assert_eq!(content.bytes(), model.seen(), "after {step:?}");
    }
    (content, model, rng)
}

fn crash(content: &mut Content, policy: &CrashPolicy, seed: u64) -> Crash {
    let mut crash = Crash::default();
    content.crash(policy, &[], &mut Rng::new(seed), &mut crash);
    crash
}

proptest! {
    /// Aim: nothing survives that was never there, and nothing that was synced is lost. Method: a model that keeps every
    /// image since the last sync must explain each sector of the survivor.
    #[test]
    fn every_survivor_can_be_explained(steps in steps(), seed: u64, torn_percent in prop_oneof![Just(0u32), Just(50)]) {
        let (mut content, model, _) = run(&steps, seed);
        let policy = CrashPolicy { torn_percent, ..CrashPolicy::default() };
        for seed in 0..8 {
            let mut content = content.clone();
            crash(&mut content, &policy, seed);
            let (is_torn, is_doubtful) = (torn_percent > 0, model.is_doubtful);
            let pieces_max = 1 + usize::from(is_torn || is_doubtful) + usize::from(model.has_cut);
            model.explain(content.bytes(), pieces_max);
            model.explain_len(content.bytes().len());

            // The survivor is durable, and a file like any other.
            let survivor = content.bytes().to_vec();
            crash(&mut content, &CrashPolicy::lose_everything(), seed);
            prop_assert_eq!(content.bytes(), &survivor[..]);
            content.write(b"more", 3, &mut Rng::new(1));
            crash(&mut content, &CrashPolicy::lose_everything(), seed);
            prop_assert_eq!(content.bytes(), &survivor[..]);
        }
        // The same seed leaves the same, and a sync leaves nothing to lose.
        let mut twins = [content.clone(), content.clone()];
        twins.iter_mut().for_each(|content| { crash(content, &policy, seed); });
        prop_assert_eq!(twins[0].bytes(), twins[1].bytes());
        if !model.is_doubtful {
            content.sync();
            crash(&mut content, &CrashPolicy::lose_everything(), seed);
            prop_assert_eq!(content.bytes(), model.seen());
        }
    }

    #[test]
    fn the_extremes_are_the_synced_and_the_seen_image(steps in steps(), seed: u64) {
        let steps: Vec<Step> = steps.into_iter().filter(|step| !matches!(step, Step::FailSync(_))).collect();
        let (mut content, model, _) = run(&steps, seed);
        let mut all = content.clone();
        crash(&mut all, &CrashPolicy::keep_everything(), seed);
        prop_assert_eq!(all.bytes(), model.seen());
        // The disk may have written any image of its own accord, so the synced one is what no write has changed twice.
        let lost = crash(&mut content, &CrashPolicy::lose_everything(), seed);
        prop_assert_eq!((lost.sectors_kept, lost.sectors_torn), (0, 0));
        prop_assert_eq!(content.bytes().len(), model.images[0].len());
        model.explain(content.bytes(), 1);
    }
}

/// How often each survivor comes up, over seeds of the crash.
fn survivors(content: &Content, policy: &CrashPolicy) -> std::collections::BTreeMap<Vec<u8>, usize> {
    let mut survivors = std::collections::BTreeMap::new();
    for seed in 0..400 {
        let mut content = content.clone();
        crash(&mut content, policy, seed);
        *survivors.entry(content.bytes().to_vec()).or_default() += 1;
    }
    survivors
}

/// Aim: what may survive does, so that a test which needs it to be handled fails. Method: count over seeds.
#[test]
fn sectors_survive_each_on_its_own() {
    let untorn = CrashPolicy { torn_percent: 0, ..CrashPolicy::default() };
    let mut content = Content::new(4);
    let rng = &mut Rng::new(1);
    content.write(b"aaaabbbb", 0, rng);
    content.sync();
    content.write(b"AAAABBBB", 0, rng);
    let survivors = survivors(&content, &untorn);
    let expected: [&[u8]; 4] = [b"AAAABBBB", b"AAAAbbbb", b"aaaaBBBB", b"aaaabbbb"];
    assert!(survivors.keys().map(Vec::as_slice).eq(expected), "{survivors:?}");
    assert!(survivors.values().all(|&count| count > 20), "{survivors:?}");
}

#[test]
fn torn_sectors_are_new_on_one_side() {
    let mut content = Content::new(4);
    let rng = &mut Rng::new(1);
    content.write(b"aaaa", 0, rng);
    content.sync();
    content.write(b"AAAA", 0, rng);
    let survivors = survivors(&content, &CrashPolicy { torn_percent: 50, ..CrashPolicy::default() });
    for torn in [b"Aaaa", b"AAaa", b"AAAa", b"aAAA", b"aaAA", b"aaaA"] {
        assert!(survivors.contains_key(&torn[..]), "{survivors:?}");
    }
    assert_eq!(survivors.len(), 8, "{survivors:?}");
}

#[test]
fn lengths_survive_apart_from_contents() {
    let mut content = Content::new(4);
    content.write(b"aaaabbbbcc", 0, &mut Rng::new(1));
    let untorn = CrashPolicy { torn_percent: 0, ..CrashPolicy::default() };
    let survivors = survivors(&content, &untorn);
    let lens: std::collections::BTreeSet<usize> = survivors.keys().map(Vec::len).collect();
    assert_eq!(lens, (0..=10).collect(), "{survivors:?}");
    // The length without the data, and the data without the last of it.
    assert!(survivors.contains_key(&[0; 10][..]) && survivors.contains_key(&b"aaaabb"[..]), "{survivors:?}");
}

#[test]
fn contents_between_two_writes_survive() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut content = Content::new(4);
        let rng = &mut Rng::new(seed);
        content.write(b"old.", 0, rng);
        content.sync();
        content.write(b"one.", 0, rng);
        content.write(b"two.", 0, rng);
        crash(&mut content, &CrashPolicy::default(), seed);
        seen.insert(content.bytes()[..3].to_vec());
    }
    for survivor in [b"old", b"one", b"two"] {
        assert!(seen.contains(&survivor[..]), "{seen:?}");
    }
}

#[test]
fn a_cut_is_done_or_undone_as_a_whole() {
    let untorn = CrashPolicy { torn_percent: 0, ..CrashPolicy::default() };
    for sync_fails in [false, true] {
        let mut content = Content::new(4);
        let rng = &mut Rng::new(1);
        content.write(b"aaaabbbbcccc", 0, rng);
        content.sync();
        content.set_len(2, rng);
        if sync_fails {
            content.fail_sync(Unwritten::Dirty, rng);
        }
        let survivors = survivors(&content, &untorn);
        // The system has filled the rest of the last sector with zeros, and may have written that.
        let expected: [&[u8]; 3] = [b"aa", b"aa\0\0bbbbcccc", b"aaaabbbbcccc"];
        assert!(survivors.keys().map(Vec::as_slice).eq(expected), "{survivors:?}");
    }
}

#[test]
fn what_was_cut_off_does_not_come_back_behind_the_cut() {
    let mut content = Content::new(4);
    let rng = &mut Rng::new(1);
    content.write(b"aaaabbbbcccc", 0, rng);
    content.sync();
    content.set_len(6, rng);
    content.set_len(2, rng);
    content.set_len(10, rng);
    let survivors = survivors(&content, &CrashPolicy::default());
    // Any length but the synced one says that the cut is done.
    let lens: std::collections::BTreeSet<usize> = survivors.keys().map(Vec::len).collect();
    assert!(lens.is_superset(&[2, 4, 8, 10, 12].into()) && !lens.contains(&11), "{survivors:?}");
    for survivor in survivors.keys().filter(|survivor| survivor.len() < 12) {
        assert!(survivor.starts_with(b"aa") && survivor[2..].iter().all(|&byte| byte == 0), "{survivors:?}");
    }
    assert!(survivors.contains_key(&b"aaaabbbbcccc"[..]), "{survivors:?}");
}

#[test]
fn stale_sectors_hold_other_data() {
    let mut content = Content::new(4);
    content.write(b"aaaabbbb", 0, &mut Rng::new(1));
    let policy = CrashPolicy { torn_percent: 0, stale_percent: 50, ..CrashPolicy::default() };
    let (mut stale_count, mut noise_count) = (0, 0);
    for seed in 0..400 {
        let (mut content, mut crash) = (content.clone(), Crash::default());
        content.crash(&policy, b"xxxxyyyy", &mut Rng::new(seed), &mut crash);
        for sector in content.bytes().chunks_exact(4) {
            match sector {
                b"aaaa" | b"bbbb" | b"\0\0\0\0" => {}
                b"xxxx" | b"yyyy" => stale_count += 1,
                _ => noise_count += 1,
            }
        }
    }
    assert!(stale_count > 20 && noise_count > 10, "{stale_count} {noise_count}");
}

#[test]
fn a_flipped_bit_stays_whatever_survives() {
    for policy in [CrashPolicy::keep_everything(), CrashPolicy::lose_everything()] {
        let mut content = Content::new(4);
        let rng = &mut Rng::new(1);
        content.write(b"aaaabbbb", 0, rng);
        content.sync();
        content.write(b"AA", 0, rng);
        content.flip(1, 1);
        content.flip(5, 1);
        crash(&mut content, &policy, 1);
        assert_eq!(&content.bytes()[4..], b"bcbb");
        assert!(matches!(&content.bytes()[..4], b"A@aa" | b"a`aa"), "{:?}", content.bytes());
    }
}

/// Aim: the sync after a failed one says that all is well, and it is not. Method: fail, sync, lose power.
#[test]
fn a_failed_sync_forgets_what_it_was_to_write() {
    let outcomes = |unwritten| {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut content = Content::new(4);
            let rng = &mut Rng::new(seed);
            content.write(b"aaaa", 0, rng);
            content.sync();
            content.write(b"AAAA", 0, rng);
            content.fail_sync(unwritten, rng);
            let seen = content.bytes().to_vec();
            content.sync();
            crash(&mut content, &CrashPolicy::keep_everything(), seed);
            outcomes.insert((seen, content.bytes().to_vec()));
        }
        outcomes.into_iter().collect::<Vec<_>>()
    };
    let pair = |seen: &[u8; 4], left: &[u8; 4]| (seen.to_vec(), left.to_vec());
    assert_eq!(outcomes(Unwritten::Dirty), [pair(b"AAAA", b"AAAA")]);
    assert_eq!(outcomes(Unwritten::Clean), [pair(b"AAAA", b"AAAA"), pair(b"AAAA", b"aaaa")]);
    assert_eq!(outcomes(Unwritten::Evicted), [pair(b"AAAA", b"AAAA"), pair(b"aaaa", b"aaaa")]);
}

#[test]
fn a_sector_that_is_written_again_after_a_failed_sync_is_synced() {
    for seed in 0..100 {
        let mut content = Content::new(4);
        let rng = &mut Rng::new(seed);
        content.write(b"aaaabbbb", 0, rng);
        content.sync();
        content.write(b"AAAABBBB", 0, rng);
        content.fail_sync(Unwritten::Clean, rng);
        // One byte is enough: the system has the rest of the sector in memory.
        content.write(b"*", 0, rng);
        content.sync();
        crash(&mut content, &CrashPolicy::lose_everything(), seed);
        assert!(content.bytes().starts_with(b"*AAA"), "{:?}", content.bytes());
    }
}

#[test]
fn survival_is_drawn_for_each_file() {
    let mut rng = Rng::new(1);
    let policy = CrashPolicy { survival: Survival::Drawn, ..CrashPolicy::default() };
    let chances: std::collections::BTreeSet<u32> = (0..100).map(|_| policy.draw_chance(&mut rng)).collect();
    assert_eq!(chances.into_iter().collect::<Vec<_>>(), [0, 4, 32, 60, 64]);
}
