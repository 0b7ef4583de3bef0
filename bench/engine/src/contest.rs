//! Who takes part, where its database is, and what a statement takes of it.

use crate::Outcome;
use crate::options::Options;
use bench_harness::footprint::{self, Footprint};
use bench_harness::report::figure;
use cofferdam_tpch::{SCHEMA, Table};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One who runs statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contestant {
    /// The program `cofferdam`, under the limit.
    Ours,
    /// DuckDB without a limit.
    DuckDb,
    /// DuckDB under the same limit as ours.
    DuckDbLimited,
    /// SQLite, whose cache is half of the limit.
    Sqlite,
}

impl Contestant {
    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Contestant::Ours => "cofferdam",
            Contestant::DuckDb => "duckdb",
            Contestant::DuckDbLimited => "duckdb, limited",
            Contestant::Sqlite => "sqlite",
        }
    }

    /// Those of whom the database is the same have the same word.
    fn engine(self) -> &'static str {
        match self {
            Contestant::Ours => "cofferdam",
            Contestant::DuckDb | Contestant::DuckDbLimited => "duckdb",
            Contestant::Sqlite => "sqlite",
        }
    }
}

/// What a statement may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Of memory, in MiB.
    pub memory_mib: u64,
    /// Of threads.
    pub threads_count: u32,
}

/// What a statement has taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// Processor time, of the process and of the system for it, in seconds.
    pub cpu_s: f64,
    /// The most private memory of the process, in MiB, as [`footprint`] samples it.
    pub private_mib: f64,
}

/// How a statement ended: what it took, or what the contestant said of its failure.
pub type Ended = Result<Taken, String>;

/// The databases of all contestants at one scale.
#[derive(Debug)]
pub struct Contest {
    program: PathBuf,
    python: Option<PathBuf>,
    /// Where the databases are, and answers.
    dir: PathBuf,
    scale: f64,
    timeout: u64,
}

/// Where the largest table is as text while databases are loaded, and for statements that read it.
pub const TEXT: &str = "tbl";

impl Contest {
    /// Finds the programs and the place.
    ///
    /// # Errors
    /// Our program is not there, or the place cannot be made.
    pub fn new(options: &Options) -> Outcome<Contest> {
        let dir = options.dir()?.join(format!("sf{}", options.scale));
        fs::create_dir_all(dir.join("answers"))?;
        let contest = Contest {
            program: options.program()?,
            python: options.python.clone(),
            dir,
            scale: options.scale,
            timeout: options.timeout,
        };
        println!("{}, databases in {}", contest.program.display(), contest.dir.display());
        Ok(contest)
    }

    /// Who can take part, of those that the options name; who cannot is said.
    pub fn contestants(&self, options: &Options) -> Vec<Contestant> {
        let mut contestants = vec![Contestant::Ours];
        match &self.python {
            Some(_) => contestants.push(Contestant::DuckDb),
            None => {
                println!("SKIPPED duckdb: no Python with it (how to get one is in bench/engine/README.md)")
            }
        }
        if options.limited && self.python.is_some() {
            contestants.push(Contestant::DuckDbLimited);
        }
        if options.sqlite {
            contestants.push(Contestant::Sqlite);
        }
        contestants
    }

    /// A contestant's database.
    pub fn database(&self, contestant: Contestant) -> PathBuf {
        self.dir.join(contestant.engine())
    }

    /// Where a contestant's last answer to what is called `name` is.
    pub fn answer(&self, contestant: Contestant, name: &str) -> PathBuf {
        self.dir.join("answers").join(format!("{name}.{}", contestant.engine()))
    }

    /// The folder with the tables as text, made where it is not there.
    ///
    /// # Errors
    /// The generator fails.
    pub fn text(&self) -> Outcome<PathBuf> {
        let folder = self.dir.join(TEXT);
        if !folder.join("done").exists() {
            let scale = self.scale.to_string();
            let mut command = Command::new(&self.program);
            command.args(["tpch-data", "--scale", &scale, "--out"]).arg(&folder).stdout(Stdio::null());
            if !command.status()?.success() {
                return Err("the generator failed".into());
            }
            File::create(folder.join("done"))?;
        }
        Ok(folder)
    }

    /// Loads a contestant's database where it is not there yet, and says what that took; `None` where it was there.
    ///
    /// # Errors
    /// The generator fails, or the contestant.
    pub fn load(&self, contestant: Contestant, limits: Limits) -> Outcome<Option<Taken>> {
        let path = self.database(contestant);
        let done = path.with_extension("done");
        if done.exists() {
            return Ok(None);
        }
        let text = self.text()?;
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        let mut script = SCHEMA.to_owned();
        for table in Table::ALL.map(Table::name) {
            let file = text.join(format!("{table}.tbl"));
            let file = file.to_str().ok_or("the folder's name is not UTF-8")?.replace('\'', "''");
            script.push_str(&format!("\nCOPY {table} FROM '{file}' (DELIMITER '|');"));
        }
        let taken = self.run(contestant, "load", &script, limits, u64::MAX)?;
        File::create(done)?;
        Ok(Some(taken?))
    }

    /// Runs `script` on a contestant's database, in a process of its own; its rows are in [`Contest::answer`].
    ///
    /// # Errors
    /// The process cannot be started. What the contestant fails at is the inner error.
    pub fn statement(
        &self,
        contestant: Contestant,
        name: &str,
        script: &str,
        limits: Limits,
    ) -> Outcome<Ended> {
        self.run(contestant, name, script, limits, self.timeout)
    }

    fn run(
        &self,
        contestant: Contestant,
        name: &str,
        script: &str,
        limits: Limits,
        timeout: u64,
    ) -> Outcome<Ended> {
        let file = self.dir.join(format!("{name}.sql"));
        let deadline = match contestant {
            Contestant::Ours if timeout < u64::MAX => format!("SET statement_timeout = '{timeout}s';\n"),
            _ => String::new(),
        };
        fs::write(&file, deadline + script)?;
        let answer = self.answer(contestant, name);
        let mut command = match contestant {
            Contestant::Ours => self.ours(&file, limits),
            _ => self.peer(contestant, &file, &answer, limits, timeout),
        };
        let errors = self.dir.join("stderr");
        let figures = self.dir.join("stdout");
        // Ours prints its rows; the others' own figures are what they print.
        let output = if contestant == Contestant::Ours { &answer } else { &figures };
        command.stdin(Stdio::null()).stdout(File::create(output)?).stderr(File::create(&errors)?);
        let before = children_cpu_s();
        let run = footprint::run(&mut command)?;
        let cpu_s = children_cpu_s() - before;
        if !run.status.success() {
            let said = fs::read(&errors)?;
            let said = String::from_utf8_lossy(&said);
            let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            return Ok(Err(format!("{} ({})", line.trim(), run.status)));
        }
        let cpu_s = match contestant {
            Contestant::Ours => cpu_s,
            _ => figure(&fs::read_to_string(&figures)?, "cpu_s")?,
        };
        Ok(Ok(Taken { cpu_s, private_mib: private_mib(&run.footprint) }))
    }

    fn ours(&self, file: &Path, limits: Limits) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(self.database(Contestant::Ours)).arg("--memory").arg(format!("{}MiB", limits.memory_mib));
        command
            .arg("--threads")
            .arg(limits.threads_count.to_string())
            .args(["--mode", "csv", "-f"])
            .arg(file);
        command
    }

    fn peer(
        &self,
        contestant: Contestant,
        file: &Path,
        answer: &Path,
        limits: Limits,
        timeout: u64,
    ) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/queries.py");
        let mut command = Command::new(self.python.as_deref().unwrap_or(Path::new("python3")));
        let memory = if contestant == Contestant::DuckDb { 0 } else { limits.memory_mib };
        command.arg(script).arg(contestant.engine()).arg(self.database(contestant)).arg(file).arg(answer);
        command.arg(memory.to_string()).arg(limits.threads_count.to_string());
        command.arg(if timeout == u64::MAX { 0 } else { timeout }.to_string());
        command
    }
}

fn private_mib(footprint: &Footprint) -> f64 {
    footprint.private_bytes_peak as f64 / f64::from(1 << 20)
}

/// Processor time of all processes that this one started and that have ended.
fn children_cpu_s() -> f64 {
    // SAFETY: `rusage` is plain integers, for which all zeroes are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a live, exclusively borrowed `rusage`.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The rows of an answer of ours: a header and rows as the mode `csv` writes them.
///
/// # Errors
/// It cannot be read.
pub fn rows(path: &Path) -> Outcome<Vec<Vec<String>>> {
    let text = fs::read_to_string(path)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    if reader.headers()?.len() != 1 {
        return reader.records().map(|record| Ok(record?.iter().map(str::to_owned).collect())).collect();
    }
    // Of one column, NULL is an empty line, which the reader passes over.
    let field = |line: &str| {
        line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(line).to_owned()
    };
    Ok(text.lines().skip(1).map(|line| vec![field(line)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_alone_in_a_row_is_a_row() {
        let path = std::env::temp_dir().join(format!("bench-engine-rows-{}", std::process::id()));
        for (text, expected) in [
            ("a\r\n\r\n\"\"\r\nx\r\n", vec![vec![""], vec![""], vec!["x"]]),
            ("a,b\r\n1,\"x,y\"\r\n", vec![vec!["1", "x,y"]]),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(rows(&path).unwrap(), expected);
        }
        fs::remove_file(&path).unwrap();
    }

    /// Aim: a child's processor time is charged to the statement. Method: a shell that counts, beside one that sleeps.
    #[test]
    fn processor_time_of_children_counts() {
        let before = children_cpu_s();
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", busy]).status().unwrap().success());
        assert!(children_cpu_s() - before > 0.01);
    }
}
