//! PostgreSQL: a server of our own on a socket in a temporary folder, and a connection to it.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tempfile::TempDir;

use super::{Engine, Kind, Outcome, Rows};

/// The user and group that the server runs as where we are root: it refuses to be.
const NOBODY: u32 = 65534;

/// How long the server may take to start.
const START: Duration = Duration::from_secs(30);

/// A server, which stops when this value is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Makes a cluster and starts it. `bin` is the folder of `initdb` and `postgres`; by default they are looked for in PATH and
    /// where Debian has them.
    ///
    /// # Errors
    /// There are none, or they fail.
    pub fn start(bin: Option<&Path>) -> Result<Server, String> {
        let bin = bin
            .map(Path::to_owned)
            .or_else(find)
            .ok_or("no initdb was found: name its folder with --postgres-bin")?;
        let folder = TempDir::with_prefix("difftest-pg-").map_err(|error| error.to_string())?;
        let is_root =
            fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let (initdb, postgres) = (bin.join("initdb"), bin.join("postgres"));
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).map_err(|error| error.to_string())?;
        }
        let data = folder.path().join("data");
        let output = command(&initdb)
            .arg("-D")
            .arg(&data)
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--lc-ctype=C.UTF-8",
                "--no-sync",
            ])
            .output()
            .map_err(|error| format!("initdb: {error}"))?;
        if !output.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let log = fs::File::create(folder.path().join("log")).map_err(|error| error.to_string())?;
        // Where there is this program, a server does not outlive us, however we end.
        let mut server = match in_path("setpriv") {
            Some(setpriv) => {
                let mut server = command(&setpriv);
                server.args(["--pdeathsig", "INT"]).arg(&postgres);
                server
            }
            None => command(&postgres),
        };
        let child = server
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "timezone=UTC",
                "-c",
                "statement_timeout=10s",
            ])
            .args(["-c", "jit=off"])
            .stderr(log)
            .spawn()
            .map_err(|error| format!("postgres: {error}"))?;
        Ok(Server { child, folder })
    }

    /// A connection, as soon as the server takes one.
    ///
    /// # Errors
    /// It takes none.
    pub fn connect(&self) -> Result<Postgres, String> {
        let started = Instant::now();
        loop {
            let mut config = Config::new();
            config.host_path(self.folder.path()).user("postgres").dbname("postgres");
            match config.connect(NoTls) {
                Ok(client) => return Ok(Postgres { client }),
                Err(error) if started.elapsed() > START => {
                    let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                    return Err(format!("{error}\n{log}"));
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The one signal upon which it leaves nothing behind and waits for nobody.
        let pid = self.child.id().to_string();
        let stopped = Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|status| status.success());
        if !stopped {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let mut places = path();
    places.extend(versions.into_iter().rev());
    places.into_iter().find(|place| place.join("initdb").is_file() && place.join("postgres").is_file())
}

fn in_path(name: &str) -> Option<PathBuf> {
    path().into_iter().map(|place| place.join(name)).find(|program| program.is_file())
}

fn path() -> Vec<PathBuf> {
    std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect()
}

/// A connection to a server.
pub struct Postgres {
    client: Client,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}

impl Engine for Postgres {
    fn reset(&mut self) -> Result<(), String> {
        let sql = "ROLLBACK; SET client_min_messages = error; DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public";
        self.client.batch_execute(sql).map_err(|error| error.to_string())
    }

    fn run(&mut self, sql: &str) -> Outcome {
        self.ask(sql).unwrap_or_else(|error| match error.as_db_error() {
            Some(error) => Outcome::Error {
                sqlstate: error.code().code().to_owned(),
                message: error.message().to_owned(),
            },
            None => Outcome::Error { sqlstate: "08006".to_owned(), message: error.to_string() },
        })
    }
}

impl Postgres {
    fn ask(&mut self, sql: &str) -> Result<Outcome, postgres::Error> {
        // The types come with the prepared statement, the texts with the simple one.
        let statement = self.client.prepare(sql)?;
        let mut answer = Rows::default();
        for column in statement.columns() {
            answer.types.push(type_name(column.type_()).to_owned());
            answer.kinds.push(kind(column.type_()));
        }
        let mut count = 0;
        for message in self.client.simple_query(sql)? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    answer.rows.push((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect());
                }
                SimpleQueryMessage::CommandComplete(rows) => count = rows,
                _ => {}
            }
        }
        Ok(if statement.columns().is_empty() { Outcome::Done(count) } else { Outcome::Rows(answer) })
    }
}

fn type_name(ty: &Type) -> &str {
    match ty.name() {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bpchar" => "character",
        "varchar" => "character varying",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "time" => "time without time zone",
        "_int4" => "integer[]",
        "_text" => "text[]",
        "_date" => "date[]",
        other => other,
    }
}

fn kind(ty: &Type) -> Kind {
    match *ty {
        Type::BOOL => Kind::Boolean,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC => Kind::Number,
        Type::FLOAT4 | Type::FLOAT8 => Kind::Float,
        _ => Kind::Text,
    }
}
