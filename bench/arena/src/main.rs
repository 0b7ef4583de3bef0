//! `cofferdam-arena` beside its peers: the speed table of the memory core.
//!
//! Everybody does the same real work: each byte that is counted is written into the memory that was handed out, and
//! what was written escapes through `black_box`. Peers run at their best: tuned settings, memory kept over resets, and
//! the methods that their documents recommend. Ours is the plain public interface, with every failure checked.

mod interners;
mod nodes;
mod peers;
mod pools;
mod strings;
mod vectors;
mod whole;

use bench_harness::Session;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut session = match Session::from_arguments() {
        Ok(session) => session,
        Err(code) => return code,
    };
    nodes::rows(&mut session);
    strings::rows(&mut session);
    vectors::rows(&mut session);
    whole::rows(&mut session);
    pools::rows(&mut session);
    interners::rows(&mut session);
    session.finish()
}
