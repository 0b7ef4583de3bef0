//! `cofferdam-sql` beside its peers: speed and memory of the SQL front end.
//!
//! All parsers are in this process and work in turn, each over whole corpora and only over statements that both it and
//! ours accept: [`speed`]. Memory is counted, not sampled: [`memory`]. Where the shared corpora or a peer are missing,
//! the program says so and measures the rest.

mod allocator;
mod corpora;
mod memory;
mod peers;
mod speed;

use bench_harness::Session;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocator::SwitchedAllocator = allocator::SwitchedAllocator;

fn main() -> ExitCode {
    let mut session = match Session::from_arguments() {
        Ok(session) => session,
        Err(code) => return code,
    };
    let peers = peers::all();
    let mut corpora = corpora::from_files();
    corpora.extend(corpora::generated());
    for corpus in &corpora {
        speed::rows(&mut session, corpus, &peers);
    }
    if let Some(regress) = corpora.iter().find(|corpus| corpus.name == "regress") {
        speed::script_rows(&mut session, regress, &peers);
    }
    memory::statements(&mut session, &corpora, &peers);
    for corpus in &corpora {
        memory::corpus(&mut session, corpus, &peers);
    }
    session.finish()
}
