//! Runs files of sqllogictest on other engines, to learn which records none of PostgreSQL's kind can pass.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use cofferdam_conformance::slt::{Report, files_below, run_file, summary};
use difftest::engines::{Engine as _, Postgres, Server, Single, Sqlite};

/// Runs files of sqllogictest on another engine, with the conditions of `postgresql`, and lists the records that fail there.
#[derive(Parser)]
#[command(name = "slt-peers")]
struct Arguments {
    /// Files and folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,

    /// The engine.
    #[arg(long, value_enum, default_value = "postgres")]
    engine: Engine,

    /// Shows the failures in groups in place of each.
    #[arg(long)]
    summary: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Postgres,
    Sqlite,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("slt-peers: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<bool> {
    let mut total = Report::default();
    let server = match arguments.engine {
        Engine::Postgres => Some(Server::start(None).map_err(io::Error::other)?),
        Engine::Sqlite => None,
    };
    for path in &arguments.paths {
        for file in files_below(path)? {
            let report = match &server {
                Some(server) => {
                    let mut engine: Postgres = server.connect().map_err(io::Error::other)?;
                    engine.reset().map_err(io::Error::other)?;
                    run_file(&file, &mut Single(engine), &mut || ())?
                }
                None => run_file(&file, &mut Single(Sqlite::new().map_err(io::Error::other)?), &mut || ())?,
            };
            println!("{}: {report}", file.display());
            total.add(report);
        }
    }
    if arguments.summary {
        for (count, group, place) in summary(&total.failures) {
            println!("{count:>7}  {group}  ({place})");
        }
    } else {
        total.failures.iter().for_each(|failure| println!("{failure}"));
    }
    println!("{total}");
    Ok(total.failures.is_empty())
}
