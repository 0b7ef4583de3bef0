//! Rows, contestants and rounds: see the crate's header for the method.

use crate::clock::{Presence, Sample, pin_to};
use crate::report::Verdict;
use crate::{Options, Random, report};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long one sample lasts, about.
const SAMPLE_TIME: Duration = Duration::from_micros(500);
/// The same in a quick run.
const SAMPLE_TIME_QUICK: Duration = Duration::from_micros(100);
/// Rounds after which everything is built anew, at other addresses: where memory happens to lie in cache lines and
/// pages moves the cost of bump allocation by a third.
const ROUNDS_PER_BUILD: usize = 5;
/// The heap is disturbed before each build by so many blocks of up to so many bytes, which stay until the row's end.
const SHIFTS_COUNT: usize = 32;
const SHIFT_BYTES_MAX: usize = 8 << 10;
/// How often and how long a disturbed sample is repeated before it counts nevertheless.
const RETRIES_MAX: usize = 40;
/// The time for them.
const RETRY_TIME: Duration = Duration::from_millis(40);

/// What a contestant is to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that is judged.
    Ours,
    /// A candidate for the best peer.
    Peer,
    /// Shown, never judged.
    Info,
}

/// The highest ratio that passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// A figure; "equal" is 1.05.
    Ratio(f64),
    /// 1.05, or what the row's own noise makes of it: the third quartile, over rounds, of the difference between
    /// the best peer and its twin, a second contestant that does exactly the same.
    Noise {
        /// The name of the twin.
        twin: &'static str,
    },
    /// At least so many times the peer's throughput. Operations are bytes, and what is shown are megabytes (10^6 bytes)
    /// a second.
    Times {
        /// What passes.
        bar: f64,
        /// What is hoped for.
        goal: f64,
    },
}

/// "Equal": within 5 %.
pub const EQUAL: Bar = Bar::Ratio(1.05);

/// Runs so many repetitions and says how long they took together.
type Sampler<'a> = Box<dyn FnMut(u64) -> Sample + 'a>;

/// One who does the work of a row.
pub struct Contestant<'a> {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    sampler: Sampler<'a>,
    repetitions_count: u64,
    /// Nanoseconds per operation, a figure per round.
    pub(crate) samples: Vec<f64>,
    pub(crate) disturbed_count: usize,
}

/// One line of the speed table.
pub struct Row<'a> {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) bar: Bar,
    pub(crate) contestants: Vec<Contestant<'a>>,
    pub(crate) limit_ns: Option<f64>,
    pub(crate) evidence: Option<Box<dyn Fn() -> String + 'a>>,
    operations_count: u64,
    repetitions_fixed: Option<u64>,
    rounds_count_max: usize,
}

impl<'a> Row<'a> {
    /// A row `area/name` in which one repetition is `operations_count` operations; cost is given per operation.
    pub fn new(name: &'static str, about: &'static str, operations_count: u64, bar: Bar) -> Row<'a> {
        Row {
            name,
            about,
            bar,
            contestants: Vec::new(),
            limit_ns: None,
            evidence: None,
            operations_count,
            repetitions_fixed: None,
            rounds_count_max: usize::MAX,
        }
    }

    /// Adds a contestant whose repetitions the harness times.
    pub fn add(self, role: Role, name: &'static str, mut repetition: impl FnMut() + 'a) -> Self {
        self.add_timed(role, name, move |repetitions_count| {
            let presence = Presence::now();
            for _ in 0..repetitions_count {
                repetition();
            }
            presence.sample_since()
        })
    }

    /// Adds a contestant that times itself: it gets the number of repetitions and returns their time in total.
    pub fn add_timed(
        mut self,
        role: Role,
        name: &'static str,
        sampler: impl FnMut(u64) -> Sample + 'a,
    ) -> Self {
        self.contestants.push(Contestant {
            name,
            role,
            sampler: Box::new(sampler),
            repetitions_count: 1,
            samples: Vec::new(),
            disturbed_count: 0,
        });
        self
    }

    /// The one that is judged.
    pub fn ours(self, name: &'static str, repetition: impl FnMut() + 'a) -> Self {
        self.add(Role::Ours, name, repetition)
    }

    /// A candidate for the best peer.
    pub fn peer(self, name: &'static str, repetition: impl FnMut() + 'a) -> Self {
        self.add(Role::Peer, name, repetition)
    }

    /// Shown, never judged.
    pub fn info(self, name: &'static str, repetition: impl FnMut() + 'a) -> Self {
        self.add(Role::Info, name, repetition)
    }

    /// Ours must also stay below so many nanoseconds, which gets a `ROW` line of its own.
    pub fn limit_ns(mut self, limit_ns: f64) -> Self {
        self.limit_ns = Some(limit_ns);
        self
    }

    /// Every sample is exactly so many repetitions, without calibration; for works that are long by themselves.
    pub fn repetitions(mut self, repetitions_count: u64) -> Self {
        self.repetitions_fixed = Some(repetitions_count);
        self
    }

    /// No more rounds than this, however many were asked for.
    pub fn rounds_max(mut self, rounds_count: usize) -> Self {
        self.rounds_count_max = rounds_count;
        self
    }

    /// A line that is made after the measuring and shows that it measured what it should.
    pub fn evidence(mut self, line: impl Fn() -> String + 'a) -> Self {
        self.evidence = Some(Box::new(line));
        self
    }

    /// Adds the samples of an earlier build of the same row.
    fn absorb(&mut self, earlier: Row<'_>) {
        for (contestant, mut earlier) in self.contestants.iter_mut().zip(earlier.contestants) {
            contestant.samples.append(&mut earlier.samples);
            contestant.disturbed_count += earlier.disturbed_count;
        }
    }

    fn measure(&mut self, rounds_count: usize, options: &Options, random: &mut Random) {
        let sample = if options.quick { SAMPLE_TIME_QUICK } else { SAMPLE_TIME };
        for contestant in &mut self.contestants {
            contestant.repetitions_count = match self.repetitions_fixed {
                Some(repetitions_count) => repetitions_count,
                None => calibrate(&mut contestant.sampler, sample),
            };
        }
        let mut order: Vec<usize> = (0..self.contestants.len()).collect();
        for _ in 0..rounds_count {
            random.shuffle(&mut order);
            for &index in &order {
                self.contestants[index].take_sample(self.operations_count);
            }
        }
    }
}

impl Contestant<'_> {
    fn take_sample(&mut self, operations_count: u64) {
        let start = Instant::now();
        let mut sample = (self.sampler)(self.repetitions_count);
        for _ in 0..RETRIES_MAX {
            if sample.is_undisturbed || start.elapsed() > RETRY_TIME {
                break;
            }
            self.disturbed_count += 1;
            sample = (self.sampler)(self.repetitions_count);
        }
        // Rounds pair the columns, so an unmeasurable sample keeps its place.
        self.samples.push(sample.spent_ns / (operations_count * self.repetitions_count) as f64);
    }
}

/// How many repetitions fill `sample`; warms everything up on the way.
fn calibrate(sampler: &mut Sampler<'_>, sample: Duration) -> u64 {
    let goal_ns = sample.as_nanos() as f64;
    let mut repetitions_count = 1;
    loop {
        let start = Instant::now();
        sampler(repetitions_count);
        let spent_ns = (start.elapsed().as_nanos() as f64).max(1.0);
        if spent_ns * 2.0 >= goal_ns || repetitions_count >= 1 << 30 {
            return ((repetitions_count as f64 * goal_ns / spent_ns) as u64).max(1);
        }
        repetitions_count *= 2;
    }
}

/// One run of a bench program.
pub struct Session {
    options: Options,
    random: Random,
    verdicts: Vec<Verdict>,
}

impl Session {
    /// Starts from the program's arguments; the exit code is for a command line that was not understood.
    ///
    /// # Errors
    /// See [`Options::parse`]; the text has been printed.
    pub fn from_arguments() -> Result<Session, ExitCode> {
        let options = Options::parse(std::env::args().skip(1)).map_err(|text| {
            eprintln!("{text}");
            ExitCode::from(2)
        })?;
        Ok(Session::new(options))
    }

    /// Starts from `options`.
    pub fn new(options: Options) -> Session {
        let pinned = options.pin && pin_to(0);
        println!(
            "{} rounds, seed {}, system allocator{}{}",
            options.rounds_count,
            options.seed,
            if pinned { ", on processor 0" } else { "" },
            if options.quick { ", quick: not a measurement of speed" } else { "" }
        );
        let random = Random::new(options.seed);
        Session { options, random, verdicts: Vec::new() }
    }

    /// What was asked for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Measures one row and prints its table, if `--only` wants `name`. It is built several times, at different
    /// addresses; the evidence is that of the last build. Memory that the row holds is gone before the next one.
    pub fn row<'a>(&mut self, name: &'static str, build: impl Fn(&'static str) -> Row<'a>) {
        if !self.options.wants(name) {
            return;
        }
        let mut measured: Option<Row<'a>> = None;
        let mut rounds_done = 0;
        let mut shifts = Vec::new();
        let row = loop {
            shifts.extend((0..SHIFTS_COUNT).map(|_| {
                let bytes = 16 * (1 + self.random.below(SHIFT_BYTES_MAX / 16));
                Vec::<u8>::with_capacity(bytes)
            }));
            let mut row = build(name);
            let rounds_all = self.options.rounds_count.min(row.rounds_count_max);
            let rounds_count = (rounds_all - rounds_done).min(ROUNDS_PER_BUILD);
            row.measure(rounds_count, &self.options, &mut self.random);
            if let Some(earlier) = measured.take() {
                row.absorb(earlier);
            }
            rounds_done += rounds_count;
            if rounds_done == rounds_all {
                break row;
            }
            measured = Some(row);
        };
        let verdicts = report::judge(&row);
        report::print_table(&row, &verdicts);
        self.verdicts.extend(verdicts);
    }

    /// Adds a row that was found out in another way than by time, if `--only` wants it.
    pub fn figure(&mut self, verdict: Verdict) {
        if self.options.wants(&verdict.name) {
            self.verdicts.push(verdict);
        }
    }

    /// What was judged so far.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Prints the `ROW` lines; the code is 1 when `--strict` was given and a row failed, or when `--only` fits none.
    pub fn finish(self) -> ExitCode {
        for verdict in &self.verdicts {
            println!("{verdict}");
        }
        if self.verdicts.is_empty() {
            eprintln!("no row of this bench contains `{}`", self.options.only.as_deref().unwrap_or_default());
            return ExitCode::from(2);
        }
        ExitCode::from(u8::from(self.options.strict && self.verdicts.iter().any(|verdict| !verdict.passes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(ns: u64) -> impl FnMut(u64) -> Sample {
        move |repetitions_count| Sample::clean((ns * repetitions_count) as f64)
    }

    fn options() -> Options {
        Options { quick: true, ..Options::default() }
    }

    /// Aim: the verdict follows the medians. Method: contestants that claim fixed times.
    #[test]
    fn the_best_peer_is_the_cheapest() {
        let mut row = Row::new("test/row", "fixed times", 10, EQUAL)
            .add_timed(Role::Ours, "ours", spin(1000))
            .add_timed(Role::Peer, "slow", spin(3000))
            .add_timed(Role::Peer, "quick", spin(800))
            .add_timed(Role::Info, "quickest", spin(1))
            .limit_ns(90.0)
            .repetitions(1);
        row.measure(9, &options(), &mut Random::new(1));
        let lines: Vec<String> = report::judge(&row).iter().map(Verdict::to_string).collect();
        assert_eq!(
            lines,
            [
                "ROW test/row unit=ns ours=100.00 peer=quick:80.00 ratio=1.250 bar=1.050 pass=no",
                "ROW test/row_limit unit=ns ours=100.00 peer=limit:90.00 ratio=1.111 bar=1.000 pass=no",
            ]
        );
    }

    #[test]
    fn noise_widens_the_bar() {
        let mut flip = 0;
        let mut row = Row::new("test/row", "a twin that differs by a half", 1, Bar::Noise { twin: "twin" })
            .add_timed(Role::Ours, "ours", spin(140))
            .add_timed(Role::Peer, "peer", spin(100))
            .add_timed(Role::Info, "twin", move |repetitions_count| {
                flip += 1;
                Sample::clean(repetitions_count as f64 * if flip % 2 == 0 { 150.0 } else { 100.0 })
            })
            .repetitions(1);
        row.measure(9, &options(), &mut Random::new(1));
        let line = report::judge(&row)[0].to_string();
        assert!(line.ends_with("ratio=1.400 bar=1.500 pass=yes"), "{line}");
    }

    /// Aim: throughput is judged the other way round. Method: a peer that takes ten times as long for 1,000 bytes.
    #[test]
    fn throughput_is_to_be_high() {
        let mut row = Row::new("test/row", "fixed times", 1000, Bar::Times { bar: 8.0, goal: 15.0 })
            .add_timed(Role::Ours, "ours", spin(4_000))
            .add_timed(Role::Peer, "peer", spin(40_000))
            .repetitions(1);
        row.measure(9, &options(), &mut Random::new(1));
        let line = report::judge(&row)[0].to_string();
        let expected =
            "ROW test/row unit=MB/s ours=250.00 peer=peer:25.00 ratio=10.000 bar=8.000 goal=15.000 pass=yes";
        assert_eq!(line, expected);
    }

    /// Aim: a sample that is always disturbed fails the row instead of looking fast.
    #[test]
    fn disturbed_samples_never_pass() {
        let mut row = Row::new("test/row", "nothing to measure", 1, EQUAL)
            .add_timed(Role::Ours, "ours", |_| Sample::USELESS)
            .add_timed(Role::Peer, "peer", spin(1))
            .repetitions(1);
        row.measure(9, &options(), &mut Random::new(1));
        assert!(!report::judge(&row)[0].passes());
        assert_eq!(row.contestants[0].disturbed_count, 9 * RETRIES_MAX);
    }
}
