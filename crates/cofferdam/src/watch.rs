//! Who ends a statement before it is through: a [`Canceller`], a progress handler, and the time limit of `session`.
//!
//! A statement asks before each batch of rows, and inside of long work such as sorting and spilling. All three are the retryable error
//! 57014.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is called every so often while a statement runs, with nothing locked: `true` ends the statement. It may be called by every
/// thread that runs statements of the connection.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let handler: cofferdam::ProgressHandler = std::sync::Arc::new(|| true);
/// connection.set_progress_handler(Some(handler));
/// let error = connection.execute("SELECT count(*) FROM generate_series(1, 1000000)").unwrap_err();
/// assert_eq!(error.sqlstate(), "57014");
/// # Ok::<(), cofferdam::Error>(())
/// ```
pub type ProgressHandler = Arc<dyn Fn() -> bool + Send + Sync>;

/// What a connection has been told of that.
#[derive(Default)]
pub(crate) struct Watch {
    is_cancelled: Arc<AtomicBool>,
    has_handler: AtomicBool,
    handler: Mutex<Option<ProgressHandler>>,
}

impl Watch {
    /// What was cancelled before is over.
    pub(crate) fn forget_cancels(&self) {
        self.is_cancelled.store(false, Ordering::Relaxed);
    }

    pub(crate) fn flag(&self) -> &Arc<AtomicBool> {
        &self.is_cancelled
    }

    pub(crate) fn set_handler(&self, handler: Option<ProgressHandler>) {
        self.has_handler.store(handler.is_some(), Ordering::Relaxed);
        // The one that goes is dropped with nothing locked.
        let _before = {
            let mut place = self.handler.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *place, handler)
        };
    }

    /// Whether the handler, if there is one, ends the statement.
    pub(crate) fn handler_ends(&self) -> bool {
        self.has_handler.load(Ordering::Relaxed) && self.ask_handler()
    }

    #[cold]
    fn ask_handler(&self) -> bool {
        let handler = self.handler.lock().unwrap_or_else(PoisonError::into_inner).clone();
        handler.is_some_and(|handler| handler())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("is_cancelled", &self.is_cancelled)
            .field("has_handler", &self.has_handler)
            .finish_non_exhaustive()
    }
}

/// Cancels the statements of a connection: see [`Connection::canceller`](crate::Connection::canceller).
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
/// let mut statement = connection.statement(endless)?;
/// let query = statement.prepare()?;
/// let canceller = connection.canceller();
/// let thread = std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_millis(5));
///     canceller.cancel();
/// });
/// assert_eq!(query.rows()?.next_row().unwrap_err().sqlstate(), "57014");
/// thread.join().expect("no panic");
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Canceller {
    flag: Arc<AtomicBool>,
}

impl Canceller {
    pub(crate) fn new(watch: &Watch) -> Canceller {
        Canceller { flag: Arc::clone(watch.flag()) }
    }

    /// Ends every statement that runs on the connection now with SQLSTATE 57014, at its next batch. Statements that are
    /// prepared later are not affected.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
    /// let mut statement = connection.statement(endless)?;
    /// let query = statement.prepare()?;
    /// connection.canceller().cancel();
    /// assert_eq!(query.rows()?.next_row().unwrap_err().sqlstate(), "57014");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// The flag that [`Canceller::cancel`] sets, for those who can set a flag and call nothing: registries of signal
    /// handlers.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// let endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
    /// let mut statement = connection.statement(endless)?;
    /// let query = statement.prepare()?;
    /// let flag = connection.canceller().flag();
    /// flag.store(true, std::sync::atomic::Ordering::Relaxed);
    /// assert_eq!(query.rows()?.next_row().unwrap_err().sqlstate(), "57014");
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}
