//! How far long work is, on a terminal.

use std::cell::{Cell, OnceCell};
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// Input up to this length shows nothing.
const SHORT_BYTES: u64 = 16 << 20;

/// A bar that appears when much was read.
pub(crate) struct Progress {
    /// The length of the input, where it is known.
    total_bytes: Option<u64>,
    read_bytes: Cell<u64>,
    /// Whether a person looks at standard error and nothing else is written there.
    is_shown: bool,
    bar: OnceCell<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(total_bytes: Option<u64>) -> Progress {
        let is_shown = io::stderr().is_terminal() && !io::stdout().is_terminal();
        Progress { total_bytes, read_bytes: Cell::new(0), is_shown, bar: OnceCell::new() }
    }

    /// For work whose output does not say how far it is.
    pub(crate) fn of_work() -> Progress {
        let is_shown = io::stderr().is_terminal();
        Progress { total_bytes: None, read_bytes: Cell::new(0), is_shown, bar: OnceCell::new() }
    }

    /// So much is done of so much, which may have become more.
    pub(crate) fn reach(&self, done_bytes: u64, total_bytes: u64) {
        if self.is_shown && total_bytes > SHORT_BYTES {
            let bar = self.bar.get_or_init(|| bar(Some(total_bytes)));
            bar.set_length(total_bytes);
            bar.set_position(done_bytes);
        }
    }

    /// So many more bytes were read.
    pub(crate) fn advance(&self, bytes: u64) {
        self.read_bytes.set(self.read_bytes.get() + bytes);
        if self.is_shown && self.read_bytes.get() > SHORT_BYTES {
            self.bar.get_or_init(|| bar(self.total_bytes)).set_position(self.read_bytes.get());
        }
    }

    /// Writes something else to standard error.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match self.bar.get() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

fn bar(total_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match total_bytes {
        Some(bytes) => {
            (ProgressBar::new(bytes), "{bar:40} {percent:>3}% of {binary_total_bytes}, {eta} left")
        }
        None => (ProgressBar::no_length(), "{spinner} {binary_bytes}, {binary_bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is fixed"))
}
