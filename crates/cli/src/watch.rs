//! How far a statement is, for a person at a terminal: a line on standard error that appears when the statement has run for a second,
//! and goes before anything else is shown.
//!
//! ```text
//!   ████████████████▌░░░░░░░░░░░░░░░░░░░░░░░  41% of 6,001,215 rows read, 3s
//!   2,480,128 rows read, 3s                                                  where nobody knows how many there will be
//! ```
//!
//! A thread of its own draws it, and only where standard error is a terminal is there one. Rows that are written to a terminal push the
//! line away for the rest of the statement; those that go to a file or a program do not.

use std::io::{self, IsTerminal, StdoutLock, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cofferdam::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Statements that take no longer than this show nothing.
const DELAY: Duration = Duration::from_secs(1);
/// Between two looks at how far the statement is.
const PERIOD: Duration = Duration::from_millis(200);
/// What drawing takes of the thread's stack, and some more.
const STACK_BYTES: usize = 256 << 10;

const KNOWN: &str = "{bar:40} {percent:>3}% of {human_len} rows read, {elapsed}";
const UNKNOWN: &str = "{human_pos} rows read, {elapsed}";

/// The line, and whoever draws it; nobody where no person would see it.
pub(crate) struct Watch {
    line: Option<Arc<Line>>,
    thread: Option<JoinHandle<()>>,
}

/// Standard output, which the line makes way for.
pub(crate) struct Screen {
    out: StdoutLock<'static>,
    line: Option<Arc<Line>>,
    is_terminal: bool,
}

struct Line {
    progress: Arc<Progress>,
    target: fn() -> ProgressDrawTarget,
    delay: Duration,
    state: Mutex<State>,
    has_changed: Condvar,
}

#[derive(Default)]
struct State {
    /// When the statement began that runs, unless its line stays away.
    begun: Option<Instant>,
    /// The line that is shown, and whether it says how many rows there will be.
    bar: Option<(ProgressBar, bool)>,
    is_over: bool,
}

impl Watch {
    /// Watches a connection's statements, if a person looks at standard error.
    pub(crate) fn new(progress: Arc<Progress>) -> Watch {
        if !io::stderr().is_terminal() {
            return Watch { line: None, thread: None };
        }
        Watch::with(Line::new(progress, ProgressDrawTarget::stderr, DELAY))
    }

    fn with(line: Line) -> Watch {
        let line = Arc::new(line);
        let drawn = Arc::clone(&line);
        let thread = thread::Builder::new().name("progress".into()).stack_size(STACK_BYTES);
        match thread.spawn(move || drawn.draw_while_statements_run()) {
            Ok(thread) => Watch { line: Some(line), thread: Some(thread) },
            // Then there is no line.
            Err(_) => Watch { line: None, thread: None },
        }
    }

    /// Standard output.
    pub(crate) fn screen(&self) -> Screen {
        let (out, is_terminal) = (io::stdout().lock(), io::stdout().is_terminal());
        Screen { out, line: self.line.clone(), is_terminal }
    }

    /// A statement begins.
    pub(crate) fn begin(&self) {
        if let Some(line) = &self.line {
            line.state().begun = Some(Instant::now());
            line.has_changed.notify_one();
        }
    }

    /// It is over, and its line goes.
    pub(crate) fn end(&self) {
        if let Some(line) = &self.line {
            line.make_way(true);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.make_way(true);
            line.state().is_over = true;
            line.has_changed.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            // It draws and does nothing else: where it failed there was no line.
            let _ = thread.join();
        }
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(line) = &self.line {
            line.make_way(self.is_terminal);
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Line {
    fn new(progress: Arc<Progress>, target: fn() -> ProgressDrawTarget, delay: Duration) -> Line {
        Line { progress, target, delay, state: Mutex::default(), has_changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the line away, for the rest of the statement or until it is drawn next.
    fn make_way(&self, for_good: bool) {
        let mut state = self.state();
        if let Some((bar, _)) = state.bar.take() {
            bar.finish_and_clear();
        }
        if for_good {
            state.begun = None;
        }
    }

    fn draw_while_statements_run(&self) {
        let mut state = self.state();
        while !state.is_over {
            let Some(begun) = state.begun else {
                state = self.has_changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let rest = match self.delay.checked_sub(begun.elapsed()) {
                Some(rest) if !rest.is_zero() => rest,
                _ => {
                    self.draw(&mut state, begun);
                    PERIOD.min(self.delay)
                }
            };
            let outcome = self.has_changed.wait_timeout(state, rest);
            state = outcome.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn draw(&self, state: &mut State, begun: Instant) {
        let (read, expected) = (self.progress.rows_read(), self.progress.rows_expected());
        let expected = expected.filter(|rows| *rows > 0);
        if state.bar.as_ref().is_none_or(|(_, is_known)| *is_known != expected.is_some()) {
            let template = if expected.is_some() { KNOWN } else { UNKNOWN };
            let style = ProgressStyle::with_template(template).expect("the template is fixed");
            let bar = ProgressBar::with_draw_target(expected, (self.target)());
            let bar = bar.with_style(style).with_elapsed(begun.elapsed()).with_position(read);
            if let Some((old, _)) = state.bar.replace((bar, expected.is_some())) {
                old.finish_and_clear();
            }
        }
        if let Some((bar, _)) = &state.bar {
            if let Some(expected) = expected {
                // A guess may have been too small.
                bar.set_length(expected.max(read));
            }
            bar.set_position(read);
            bar.tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use cofferdam::{Connection, Database, Options};
    use indicatif::TermLike;

    use super::*;

    /// What a terminal was sent, with `<` where a line was cleared.
    static SENT: Mutex<String> = Mutex::new(String::new());

    #[derive(Debug)]
    struct Terminal;

    fn send(text: &str) -> io::Result<()> {
        SENT.lock().unwrap().push_str(text);
        Ok(())
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            send(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            send(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            send("<")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn connection() -> Connection {
        let connection =
            Database::open_in_memory(Options::new()).and_then(|database| database.connect()).unwrap();
        connection.execute("CREATE TABLE t (n integer)").unwrap();
        connection.execute("INSERT INTO t VALUES (1), (2), (3), (4)").unwrap();
        connection
    }

    fn sent_within(patience: Duration, is_there: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let sent = SENT.lock().unwrap().clone();
            if is_there(&sent) || begun.elapsed() > patience {
                return sent;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Aim: a statement that runs for long says how far it is, with the whole where that is known; its line goes when rows are shown and
    /// when it is over, and short ones have none. Method: a connection's figures and a terminal that notes what it is sent.
    #[test]
    fn the_line_comes_and_goes() {
        let (patience, connection) = (Duration::from_secs(20), connection());
        let target = || ProgressDrawTarget::term_like_with_hz(Box::new(Terminal), 200);
        let watch = Watch::with(Line::new(connection.progress(), target, Duration::from_millis(5)));
        connection.execute("SELECT sum(n) FROM t").unwrap();
        watch.begin();
        let sent = sent_within(patience, |sent| sent.contains("100% of 4 rows read"));
        assert!(sent.contains("100% of 4 rows read"), "{sent:?}");
        connection.execute("SELECT 1").unwrap();
        let sent = sent_within(patience, |sent| sent.contains("0 rows read, "));
        assert!(sent.contains("0 rows read, "), "{sent:?}");
        watch.end();
        assert!(SENT.lock().unwrap().ends_with('<'), "{:?}", SENT.lock().unwrap());
        SENT.lock().unwrap().clear();
        thread::sleep(Duration::from_millis(50));
        assert_eq!(*SENT.lock().unwrap(), "", "nothing runs");
        drop(watch);
        let watch = Watch::with(Line::new(connection.progress(), target, Duration::from_secs(3600)));
        watch.begin();
        thread::sleep(Duration::from_millis(50));
        drop(watch);
        assert_eq!(*SENT.lock().unwrap(), "", "it is short");
    }
}
