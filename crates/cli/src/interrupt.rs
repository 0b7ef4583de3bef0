//! Ctrl-C and its like: they end the statement that runs, and what the program leaves lying about is cleaned up.
//!
//! ```text
//!   while the program waits for input       the signal's own effect: the process ends
//!   while a statement runs                  the statement is cancelled (57014); what comes after it is not run, except
//!                                           where a person sits at the prompt; a second signal ends the process
//!   while `sql` looks at its input          it ends with what it has written so far; a second signal ends the process
//!   during the demo                         the query is cancelled or the generator stopped, and the files are removed
//! ```
//!
//! A handler does nothing but set flags; statements look at theirs before each batch of rows and inside of long work.
//! The flags are for the whole process, as signals are.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cofferdam::Canceller;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Shells report a program that a signal ended as this and the signal's number.
const ENDED_BY_SIGNAL: u8 = 128;

/// The signals that can be caught and end programs.
const CAUGHT: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Whether a signal may end the process at once.
static IS_IDLE: AtomicBool = AtomicBool::new(true);
static HAS_COME: AtomicBool = AtomicBool::new(false);
/// The last signal that came.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// From here on Ctrl-C cancels the statement that runs, and when none does it ends the process.
///
/// # Errors
/// What the system says.
pub(crate) fn cancel_statements(canceller: &Canceller) -> io::Result<()> {
    end_work()?;
    flag::register(SIGINT, canceller.flag()).map(|_| ())
}

/// From here on Ctrl-C is for [`check`] to find while the program is [`busy`], and otherwise ends the process.
///
/// # Errors
/// What the system says.
pub(crate) fn end_work() -> io::Result<()> {
    flag::register_conditional_default(SIGINT, &IS_IDLE)?;
    flag::register_conditional_default(SIGINT, &HAS_COME)?;
    flag::register_usize(SIGINT, &NUMBER, SIGINT as usize)?;
    flag::register(SIGINT, &HAS_COME).map(|_| ())
}

/// What a signal sets.
pub(crate) fn flag() -> &'static AtomicBool {
    &HAS_COME
}

/// Whether the work shall go on.
///
/// # Errors
/// Of the kind [`Interrupted`](io::ErrorKind::Interrupted), when a signal has come.
pub(crate) fn check() -> io::Result<()> {
    if HAS_COME.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

/// From here on no signal that can be caught ends the process; whoever runs asks [`exit_code`].
///
/// # Errors
/// What the system says.
pub(crate) fn clean_up_first() -> io::Result<()> {
    CAUGHT.into_iter().try_for_each(|signal| {
        flag::register_usize(signal, &NUMBER, signal as usize)?;
        flag::register(signal, &HAS_COME).map(|_| ())
    })
}

/// From here on the signals that [`clean_up_first`] catches cancel statements too.
///
/// # Errors
/// What the system says.
pub(crate) fn cancel_too(canceller: &Canceller) -> io::Result<()> {
    CAUGHT.into_iter().try_for_each(|signal| flag::register(signal, canceller.flag()).map(|_| ()))
}

/// Runs a statement, which a signal shall not end in the middle of its output.
pub(crate) fn busy<T>(work: impl FnOnce() -> T) -> T {
    IS_IDLE.store(false, Ordering::SeqCst);
    let result = work();
    IS_IDLE.store(true, Ordering::SeqCst);
    result
}

/// Waits for input within what is [`busy`]: a signal may end the process meanwhile.
///
/// # Errors
/// As `wait` and [`check`].
pub(crate) fn waiting<T>(wait: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let was_idle = IS_IDLE.swap(true, Ordering::SeqCst);
    let result = check().and_then(|()| wait());
    IS_IDLE.store(was_idle, Ordering::SeqCst);
    result
}

/// The exit code of a program that a signal ended; `None` while none has come.
pub(crate) fn exit_code() -> Option<u8> {
    let number = NUMBER.load(Ordering::SeqCst) as u8;
    HAS_COME.load(Ordering::SeqCst).then_some(ENDED_BY_SIGNAL + number)
}

/// Forgets a signal that ended a statement and shall end nothing else.
pub(crate) fn forget() {
    HAS_COME.store(false, Ordering::SeqCst);
}
