//! A session: statements and dot commands in order, their output, and whether any of them failed.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, StdinLock, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use cofferdam::{
    Budget, Canceller, Connection, Database, Error, Options, Statement, human_bytes, statements,
};
use cofferdam_arena::Arena;

use crate::args::{Limits, Mode};
use crate::format::escaped::Escaped;
use crate::format::{Stopped, write_rows};
use crate::holder::holder;
use crate::input::{Piece, ReadError, Script};
use crate::interrupt;
use crate::parameters::Parameters;
use crate::position::Position;
use crate::report::{Finding, Place, report};
use crate::untracked::{LIMIT_BYTES, Untracked};
use crate::watch::{Screen, Watch};
use crate::{FAILED, USAGE, complain};

/// What is written at a time.
const OUTPUT_BYTES: usize = 8 << 10;

/// What a session needs beside the bound of what is untracked: the pages of the tree of budgets, a connection, a small
/// statement.
const ROOM_BYTES: u64 = 64 << 10;
/// The same for one with stored tables: also the least that the store needs, and room for it to work with.
const STORE_ROOM_BYTES: u64 = 1 << 20;

/// The SQLSTATE of a database that somebody else has open.
const LOCKED: &str = "55006";

const HELP: &str = "\
.help                 this list
.memory [on|off]      show the memory tree now and after each statement, or stop that
.mode table|csv|json  how rows are shown
.param                the values for parameters
.param clear [NAME]   forget one, or all
.param set NAME VALUE have VALUE stand for $NAME in what follows: text, or NULL
.settings             the settings with their values
.tables               the tables and their indexes
.timer on|off         show how long each statement takes, or stop that
.quit                 leave
";

const SETTINGS: &str =
    "SELECT name, setting, default_setting AS default, scope, description FROM cofferdam_settings()";

const TABLES: &str = "SELECT name, kind, parent AS of, columns_count AS columns, rows_estimate AS rows, bytes \
                      FROM cofferdam_tables() ORDER BY coalesce(parent, name), kind = 'index', name";

/// Statements that run one after the other on one connection.
pub(crate) struct Session {
    untracked: Untracked,
    connection: Connection,
    watch: Watch,
    out: BufWriter<Screen>,
    mode: Mode,
    show_memory: bool,
    show_time: bool,
    parameters: Parameters,
    has_failed: bool,
}

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// With the next statement.
    Next,
    /// No further.
    Quit,
}

/// Why there is no session.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at most")]
pub(crate) enum Refusal {
    /// The memory limit is too small for any.
    TooSmall(String),
    /// The database does not open.
    Database(Error),
    /// Somebody else has the database in the directory open.
    Locked(Error, PathBuf),
}

impl Refusal {
    /// `budget` had no room; it keeps the record of that.
    pub(crate) fn memory(budget: &Budget) -> Refusal {
        Refusal::Database(budget.last_refusal().expect("a refusal is recorded").into())
    }

    /// Says so to people, and gives the exit code.
    pub(crate) fn complain(&self) -> u8 {
        match self {
            Refusal::TooSmall(message) => {
                complain(format_args!("error: {message}"));
                USAGE
            }
            Refusal::Database(error) => {
                complain_of(error, None);
                FAILED
            }
            Refusal::Locked(error, path) => {
                let holder = holder(path);
                complain_of(error, holder.as_ref().map(|hint| hint as &dyn Display));
                FAILED
            }
        }
    }
}

/// Writes an error that is no statement's to standard error, with what would help: `hint`, or what the error says.
fn complain_of(error: &Error, hint: Option<&dyn Display>) {
    let own = error.hint();
    let hint = hint.or(own.as_ref().map(|hint| hint as &dyn Display));
    complain(Finding::of(error, hint).without_place());
}

impl Session {
    /// A session on the database in a directory, or on one in memory.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn open(
        directory: Option<&Path>,
        limits: Limits,
        mode: Mode,
        show_memory: bool,
    ) -> Result<Session, Refusal> {
        let (database, untracked) = open(directory, limits, "a session", room_bytes(directory.is_some()))?;
        let connection = database.connect().map_err(Refusal::Database)?;
        let watch = Watch::new(connection.progress());
        let out = BufWriter::with_capacity(OUTPUT_BYTES, watch.screen());
        Ok(Session {
            untracked,
            connection,
            watch,
            out,
            mode,
            show_memory,
            show_time: false,
            parameters: Parameters::default(),
            has_failed: false,
        })
    }

    /// The connection, to register tables.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Where output goes.
    pub(crate) fn out(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// Whether a statement or a command failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Runs the statements of a text, or the dot command that it is.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn run_text(&mut self, text: &str, origin: &str) -> io::Result<()> {
        if interrupt::exit_code().is_some() {
            return Ok(());
        }
        if text.trim_start().starts_with('.') {
            return self.run_command(text.as_bytes()).map(|_| ());
        }
        let (mut position, mut seen) = (Position::START, 0);
        for span in statements(text) {
            let (start, end) = (span.start as usize, (span.start + span.len) as usize);
            position = position.after(&text.as_bytes()[seen..start]);
            seen = start;
            self.run_statement(&text[start..end], Place { origin, position })?;
            if interrupt::exit_code().is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Runs what standard input says, each piece as soon as it is complete.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn run_stdin(&mut self) -> io::Result<()> {
        let stdin = io::stdin().lock();
        let is_interactive = stdin.is_terminal() && io::stdout().is_terminal();
        self.run_script(Prompting { stdin, is_interactive }, "stdin", is_interactive)
    }

    /// Runs what a file says, one piece after the other.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn run_file(&mut self, path: &Path) -> io::Result<()> {
        if interrupt::exit_code().is_some() {
            return Ok(());
        }
        let origin = path.display().to_string();
        match File::open(path) {
            Ok(file) => self.run_script(file, &origin, false),
            Err(error) => {
                self.input_failed(ReadError::Io(error), &origin, 1);
                Ok(())
            }
        }
    }

    fn run_script(&mut self, source: impl Read, origin: &str, is_interactive: bool) -> io::Result<()> {
        let database = self.connection.database().clone();
        let Ok(budget) = database.budget().child("input", u64::MAX) else {
            self.fail(format_args!("error[53200]: no memory to read statements"));
            return Ok(());
        };
        let mut script = Script::new(source);
        loop {
            // What a statement's text took is back before the next one is read.
            let arena = Arena::new(&budget);
            let flow = match script.next_piece(&arena) {
                Ok(None) => return Ok(()),
                Ok(Some((Piece::DotCommand(line), _))) => self.run_command(line)?,
                Ok(Some((Piece::Statement(bytes), position))) => {
                    self.run_bytes(bytes, Place { origin, position })?;
                    Flow::Next
                }
                Err(error) => {
                    self.input_failed(error, origin, script.position().line);
                    return Ok(());
                }
            };
            if is_interactive {
                interrupt::forget();
            }
            if flow == Flow::Quit || interrupt::exit_code().is_some() {
                return Ok(());
            }
        }
    }

    fn input_failed(&mut self, error: ReadError, origin: &str, line: usize) {
        let origin = Escaped(origin);
        match error {
            ReadError::Io(error) => self.fail(format_args!("error[58030]: could not read {origin}: {error}")),
            ReadError::OutOfMemory => {
                let limit = human_bytes(self.connection.database().budget().limit());
                self.fail(format_args!(
                    "error[53200]: the statement at line {line} of {origin} does not fit the memory limit of {limit}; \
                     what follows is not read (raise --memory)"
                ));
            }
        }
    }

    fn run_bytes(&mut self, bytes: &[u8], place: Place<'_>) -> io::Result<()> {
        match std::str::from_utf8(bytes) {
            Ok(sql) => self.run_statement(sql, place),
            Err(error) => {
                let line = place.position.after(&bytes[..error.valid_up_to()]).line;
                self.fail(format_args!("error[22021]: {} line {line} is not valid UTF-8", place.origin));
                Ok(())
            }
        }
    }

    /// Runs one statement and flushes its output.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn run_statement(&mut self, sql: &str, place: Place<'_>) -> io::Result<()> {
        let Session { untracked, connection, watch, out, mode, show_memory, parameters, .. } = self;
        let budget = connection.database().budget();
        let mut view = View {
            budget,
            untracked,
            watch,
            out,
            canceller: connection.canceller(),
            mode: *mode,
            show_memory: *show_memory,
        };
        let begun = Instant::now();
        watch.begin();
        let outcome = interrupt::busy(|| {
            let outcome = match connection.statement(sql) {
                Ok(statement) => view.answer(statement, parameters),
                Err(error) => Err(error.into()),
            };
            let flushed = view.out.flush();
            view.watch.end();
            flushed.map(|()| outcome)
        })?;
        let took = begun.elapsed();
        match outcome {
            Ok(()) => Ok(()),
            Err(Stopped::Output(error)) => Err(error),
            Err(Stopped::Statement(error)) => {
                self.has_failed = true;
                report(&error, sql, place, self.mode);
                Ok(())
            }
        }?;
        self.tell_time(took)
    }

    /// Says how long a statement took if that is asked for: with the rows, or beside them where a program reads these.
    fn tell_time(&mut self, took: Duration) -> io::Result<()> {
        let ms = took.as_secs_f64() * 1e3;
        match (self.show_time, self.mode) {
            (false, _) => Ok(()),
            (true, Mode::Table) => {
                writeln!(self.out, "time: {ms:.3} ms")?;
                self.out.flush()
            }
            (true, _) => {
                complain(format_args!("time: {ms:.3} ms"));
                Ok(())
            }
        }
    }

    /// Runs the statement of a dot command.
    fn run_own(&mut self, command: &str, sql: &str) -> io::Result<()> {
        self.run_statement(sql, Place { origin: command, position: Position::START })
    }

    /// Runs a dot command.
    fn run_command(&mut self, line: &[u8]) -> io::Result<Flow> {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        match (words.next().unwrap_or_default(), words.next(), words.next()) {
            (".quit" | ".exit", None, _) => return Ok(Flow::Quit),
            (".help", None, _) => self.out.write_all(HELP.as_bytes())?,
            (".memory", None | Some("on"), None) => {
                self.show_memory = true;
                self.show_tree()?;
            }
            (".memory", Some("off"), None) => self.show_memory = false,
            (".param", None, None) => self.parameters.write(&mut self.out)?,
            (".param", Some("clear"), None) => self.parameters.clear(),
            (".param", Some("clear"), Some(name)) if words.next().is_none() => {
                if !self.parameters.remove(name) {
                    self.fail(format_args!("error: there is no value for the parameter `{}`", Escaped(name)));
                }
            }
            (".param", Some("set"), Some(name)) => match value_of(&line, name) {
                Some(value) => self.parameters.set(name, value),
                None => self.fail(format_args!("error: .param set {} needs a value", Escaped(name))),
            },
            (".settings", None, _) => self.run_own(".settings", SETTINGS)?,
            (".tables", None, _) => self.run_own(".tables", TABLES)?,
            (".timer", Some("on"), None) => self.show_time = true,
            (".timer", Some("off"), None) => self.show_time = false,
            (".mode", Some(name), None) => match Mode::from_str(name, false) {
                Ok(mode) => self.mode = mode,
                Err(_) => self.fail(format_args!(
                    "error: unknown mode `{}`; there are table, csv and json",
                    Escaped(name)
                )),
            },
            _ => {
                self.fail(format_args!("error: unknown command `{}`; .help lists them", Escaped(line.trim())))
            }
        }
        self.out.flush()?;
        Ok(Flow::Next)
    }

    /// Shows the memory tree as it is now.
    ///
    /// # Errors
    /// The output takes no more.
    pub(crate) fn show_tree(&mut self) -> io::Result<()> {
        let Session { untracked, connection, watch, out, mode, .. } = self;
        let budget = connection.database().budget();
        let canceller = connection.canceller();
        View { budget, untracked, watch, out, canceller, mode: *mode, show_memory: true }.memory()
    }

    fn fail(&mut self, message: fmt::Arguments<'_>) {
        self.has_failed = true;
        complain(message);
    }
}

/// What stands behind the name in a `.param set NAME VALUE`.
fn value_of<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let behind = line.trim().strip_prefix(".param")?.trim_start().strip_prefix("set")?;
    Some(behind.trim_start().strip_prefix(name)?.trim()).filter(|value| !value.is_empty())
}

/// What the output of one statement needs of its session.
struct View<'v> {
    budget: &'v Budget,
    untracked: &'v mut Untracked,
    watch: &'v Watch,
    out: &'v mut BufWriter<Screen>,
    canceller: Canceller,
    mode: Mode,
    show_memory: bool,
}

impl View<'_> {
    /// Writes the answer, and then the memory tree, while the statement's budgets still stand in it.
    fn answer(&mut self, statement: Statement<'_>, parameters: &Parameters) -> Result<(), Stopped> {
        // Without values a statement is told that it can have no parameters.
        let mut statement = if parameters.is_empty() { statement } else { statement.with_parameters() };
        let query = match statement.prepare() {
            Ok(query) => query,
            Err(error) => {
                self.memory()?;
                return Err(error.into());
            }
        };
        if interrupt::exit_code().is_some() {
            // The signal came before the statement could notice, and preparing it has made it forget.
            self.canceller.cancel();
        }
        let outcome = match query.rows_with(&parameters.of(&query)) {
            Ok(mut rows) => write_rows(&mut rows, self.mode, self.budget, self.out),
            Err(error) => Err(error.into()),
        };
        self.memory()?;
        outcome
    }

    /// Brings `untracked` up to date and shows the tree if it is asked for: with the rows, or beside them where a program
    /// reads these.
    fn memory(&mut self) -> io::Result<()> {
        self.watch.end();
        if let Err(peak) = self.untracked.update() {
            let (peak, limit) = (human_bytes(peak), human_bytes(LIMIT_BYTES));
            complain(format_args!(
                "warning: {peak} were taken outside of the budgets, above the bound of {limit}"
            ));
        }
        match (self.show_memory, self.mode) {
            (false, _) => Ok(()),
            (true, Mode::Table) => writeln!(self.out, "{}", self.budget.memory_tree()),
            (true, _) => {
                complain(self.budget.memory_tree());
                Ok(())
            }
        }
    }
}

/// Standard input that asks for more with a prompt, where a person sits at it.
struct Prompting {
    stdin: StdinLock<'static>,
    is_interactive: bool,
}

impl Read for Prompting {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.is_interactive {
            // Standard output is flushed and unlocked for nobody else, so the prompt goes where errors go.
            let _ = write!(io::stderr(), "cofferdam> ");
        }
        self.stdin.read(bytes)
    }
}

/// What a session needs at least, beside the bound of what is untracked.
fn room_bytes(has_store: bool) -> u64 {
    if has_store { STORE_ROOM_BYTES } else { ROOM_BYTES }
}

/// The database in a directory, or one in memory, under the limits of the command line, and the budget of what is untracked.
///
/// # Errors
/// [`Refusal`]: among others the memory limit is too small for `who`, which needs `room_bytes`.
pub(crate) fn open(
    directory: Option<&Path>,
    limits: Limits,
    who: &str,
    room_bytes: u64,
) -> Result<(Database, Untracked), Refusal> {
    check_limit(limits, who, room_bytes)?;
    let mut options = Options::new().threads(limits.threads).untracked(LIMIT_BYTES);
    if let Some(bytes) = limits.memory {
        options = options.memory_limit(bytes);
    }
    let database = match directory {
        Some(path) => Database::open(path, options),
        None => Database::open_in_memory(options),
    };
    let database = database.map_err(|error| match directory {
        Some(path) if error.sqlstate() == LOCKED => Refusal::Locked(error, path.to_owned()),
        _ => Refusal::Database(error),
    })?;
    let untracked = Untracked::of(&database);
    Ok((database, untracked))
}

/// Whether a session on a directory can be opened under the limits.
///
/// # Errors
/// [`Refusal::TooSmall`].
pub(crate) fn check_store_limit(limits: Limits) -> Result<(), Refusal> {
    check_limit(limits, "a session", room_bytes(true))
}

/// Under too small a limit nothing runs.
fn check_limit(limits: Limits, who: &str, room_bytes: u64) -> Result<(), Refusal> {
    let Some(bytes) = limits.memory.filter(|bytes| *bytes < LIMIT_BYTES + room_bytes) else { return Ok(()) };
    Err(Refusal::TooSmall(format!(
        "--memory {} is too small: {} are set aside for what no budget pays for, and {who} needs {}; \
         write --memory {}KiB or more",
        human_bytes(bytes),
        human_bytes(LIMIT_BYTES),
        human_bytes(room_bytes),
        (LIMIT_BYTES + room_bytes) / 1024,
    )))
}
