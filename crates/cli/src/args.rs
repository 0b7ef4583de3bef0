//! The command line.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use cofferdam_tpch::Table;

/// SQL under a hard memory limit.
///
/// Without -c and -f, statements are read from standard input; each runs at its `;`.
#[derive(Parser, Debug)]
#[command(name = "cofferdam", version, subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// A statement, or several with `;` between them; may be given several times.
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true)]
    pub commands: Vec<String>,

    /// A file of statements; may be given several times. -c and -f run in the order in which they stand.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// How rows are shown.
    #[arg(long, value_enum, default_value_t = Mode::Table)]
    pub mode: Mode,

    /// Shows the memory tree after each statement; of `sql`, at the end.
    #[arg(long, global = true)]
    pub show_memory: bool,

    #[command(flatten)]
    pub limits: Limits,

    /// The directory of a database, which is made where there is none; write ./demo for one that is named like a
    /// subcommand. Without it, or with :memory:, tables are in memory and gone at the end.
    #[arg(value_name = "DATABASE")]
    pub database: Option<PathBuf>,

    #[command(subcommand)]
    pub subcommand: Option<Command>,
}

/// What the command line says that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'c> {
    /// The text of -c.
    Text(&'c str),
    /// The file of -f.
    File(&'c Path),
}

impl Cli {
    /// Reads the command line; what is wrong with it ends the program. Gives the places of -c and of -f too.
    pub(crate) fn read() -> (Cli, [Vec<usize>; 2]) {
        let matches = Cli::command().get_matches();
        let places = |name| matches.indices_of(name).into_iter().flatten().collect();
        let places = [places("commands"), places("files")];
        match Cli::from_arg_matches(&matches) {
            Ok(cli) => (cli, places),
            Err(error) => error.exit(),
        }
    }

    /// What runs, in the order in which it stands.
    pub(crate) fn sources(&self, [commands, files]: [Vec<usize>; 2]) -> Vec<Source<'_>> {
        let texts = commands.into_iter().zip(self.commands.iter().map(|text| Source::Text(text)));
        let files = files.into_iter().zip(self.files.iter().map(|path| Source::File(path)));
        let mut sources: Vec<_> = texts.chain(files).collect();
        sources.sort_by_key(|(place, _)| *place);
        sources.into_iter().map(|(_, source)| source).collect()
    }
}

/// What a whole run may take.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// All memory that may be taken, such as 16MiB; the setting memory_limit.
    #[arg(long, value_name = "SIZE", value_parser = cofferdam::parse_bytes, global = true)]
    pub memory: Option<u64>,

    /// How many threads a statement may use at most; the setting threads.
    #[arg(long, value_name = "N", default_value = "1", value_parser = threads, global = true)]
    pub threads: NonZeroUsize,
}

/// What the program does beside running statements.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Generates TPC-H data, loads it into a database, runs its 22 queries under a limit (16 MiB unless --memory
    /// says otherwise), and checks the answers.
    Demo(Demo),
    /// Looks into SQL without running it.
    #[command(subcommand)]
    Sql(Sql),
    /// Reads all of a database's files and tells everything that is wrong with them. Writes nothing.
    ///
    /// The exit code is 0 where nothing is wrong, 1 otherwise.
    Check(Check),
    /// Shows what there is in a database: its files and logs, tables, segments, how columns are encoded. Writes nothing.
    Inspect(Inspect),
    /// Copies a database to another directory, and checks the copy.
    ///
    /// The copy has all commits up to one, and none behind it. A database that another process has open is copied by that
    /// process: the library's call does so while others write.
    Backup(Backup),
    /// Writes TPC-H tables as .tbl files. Takes several hundred MiB of memory whatever the scale.
    TpchData(TpchData),
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The directory of the database.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
}

/// Arguments of `inspect`.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The directory of the database.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// Only this table, with its indexes, columns and levels.
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,

    /// Shows the levels, segments and row groups.
    #[arg(long)]
    pub segments: bool,

    /// Shows how the columns of each segment are encoded and what their values lie between; reads all of them.
    #[arg(long)]
    pub columns: bool,

    /// Writes one JSON object with an array for each table of the output.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `backup`.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The directory of the database.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    /// The directory of the copy, which is made, or is empty.
    #[arg(value_name = "TO")]
    pub to: PathBuf,

    /// Does not check the copy.
    #[arg(long)]
    pub no_check: bool,
}

/// What `sql` does with a script: a file, or - for standard input.
#[derive(Subcommand, Debug)]
pub(crate) enum Sql {
    /// Says which statements are wrong, and where.
    ///
    /// With -0, each text has one line of output: OK, or ERR with the byte offset of the mistake and a message. The exit
    /// code is 0 then, whatever the texts say.
    Check(Texts),
    /// Shows each statement's tree.
    Parse(Parse),
    /// Prints each statement in one canonical form, on one line.
    ///
    /// With -0, each text has one entry of output, which is empty where the text is wrong.
    Print(Texts),
    /// Lays a script out for people; comments stay.
    ///
    /// A statement that is wrong is reported and stays as it is.
    Format(Format),
    /// Prints each statement's fingerprint, which is the same for statements that differ in their literals only.
    ///
    /// With -0, each text has one line of output: the fingerprints of its statements, or ERR as `check` says it.
    Fingerprint(Texts),
    /// Prints each statement in canonical form with parameters ($1, $2, …) for its literals.
    ///
    /// Statements with one fingerprint may differ in the order of their parts; those with one normal form do not.
    Normalize(Script),
    /// Shows the words and signs of a script and where each stands, in bytes.
    Tokens(Script),
    /// Shows what the statements of a script take to parse: nodes, bytes by stage, the peak.
    Stats(Script),
}

/// Arguments of `sql parse`.
#[derive(Args, Debug)]
pub(crate) struct Parse {
    #[command(flatten)]
    pub script: Script,

    /// Draws boxes in Graphviz's language: … --dot | dot -Tsvg > tree.svg.
    #[arg(long)]
    pub dot: bool,
}

/// Arguments of `sql format`.
#[derive(Args, Debug)]
pub(crate) struct Format {
    #[command(flatten)]
    pub script: Script,

    /// How long a line gets at most where a break helps, in characters.
    #[arg(long, value_name = "N", default_value = "88")]
    pub width: usize,

    /// How many blanks a level is indented by.
    #[arg(long, value_name = "N", default_value = "4")]
    pub indent: usize,

    /// How keywords are written.
    #[arg(long, value_enum, default_value_t = Case::Upper)]
    pub keywords: Case,
}

/// How keywords are written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Case {
    Upper,
    Lower,
    Keep,
}

/// Texts that `sql` reads.
#[derive(Args, Debug)]
pub(crate) struct Texts {
    #[command(flatten)]
    pub script: Script,

    /// Texts are separated by NUL bytes, each with any number of statements; not by `;`.
    #[arg(short = '0', long = "null")]
    pub separated_by_nul: bool,
}

/// A script that `sql` reads.
#[derive(Args, Debug)]
pub(crate) struct Script {
    /// The file; - is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
}

impl Sql {
    /// The script that is read.
    pub(crate) fn script(&self) -> &Script {
        match self {
            Sql::Check(texts) | Sql::Print(texts) | Sql::Fingerprint(texts) => &texts.script,
            Sql::Parse(parse) => &parse.script,
            Sql::Format(format) => &format.script,
            Sql::Normalize(script) | Sql::Tokens(script) | Sql::Stats(script) => script,
        }
    }
}

/// Arguments of `demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The scale factor; 1 is about 1 GB of files.
    #[arg(long, default_value = "0.1", value_parser = scale)]
    pub scale: f64,

    /// The directory for the files and the database, which are kept; by default a temporary one.
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,

    /// Keeps the files of the temporary directory.
    #[arg(long)]
    pub keep_data: bool,
}

/// Arguments of `tpch-data`.
#[derive(Args, Debug)]
pub(crate) struct TpchData {
    /// The scale factor; 1 is about 1 GB of files.
    #[arg(long, default_value = "0.1", value_parser = scale)]
    pub scale: f64,

    /// The directory for the files; it is created.
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,

    /// The tables.
    #[arg(long, value_delimiter = ',', default_values = Table::ALL.map(Table::name), value_parser = tables())]
    pub tables: Vec<Table>,
}

/// How rows are shown.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Aligned columns for people.
    Table,
    /// RFC 4180, with a header; NULL is empty, an empty text is quoted.
    Csv,
    /// An array with an object for each row.
    Json,
}

/// Reads the name of a table of TPC-H.
fn tables() -> impl TypedValueParser<Value = Table> {
    PossibleValuesParser::new(Table::ALL.map(Table::name))
        .try_map(|name| Table::named(&name).ok_or("there is no such table"))
}

fn threads(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "write a whole number from 1")
}

fn scale(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(scale) if (0.001..=1000.0).contains(&scale) => Ok(scale),
        _ => Err("write a number from 0.001 to 1000"),
    }
}
