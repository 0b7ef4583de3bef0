//! A bounded compiler session with stage checks (seeds 000 and 003): parse, IR and code arenas under one limit, figures
//! after each file of a batch, and an error that names the stage.
//!
//! Run with `cargo run -p cofferdam-arena --example compiler_session`.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::{AllocError, Budget, COMPILE_STAGES, CompilerArenas, Session, SessionError};

/// A toy compiler: a stack program for sums such as `1 + 2 + 3`. Returns the length of its code in bytes.
fn compile(session: &Session<'_>, source: &str) -> Result<usize, SessionError> {
    let out_of_memory = |error: AllocError| session.explain(error);
    session.begin(&COMPILE_STAGES[0]);
    let numbers = session
        .parse()
        .alloc_slice_from_iter(source.split('+').filter_map(|word| word.trim().parse::<u32>().ok()))
        .map_err(out_of_memory)?;
    session.finish_stage(1024)?;
    session.begin(&COMPILE_STAGES[1]);
    let registers = session
        .ir()
        .alloc_slice_fill_with(numbers.len(), |index| (index % 8) as u8)
        .map_err(out_of_memory)?;
    session.finish_stage(1024)?;
    session.begin(&COMPILE_STAGES[2]);
    let mut code = cofferdam_arena::collections::Vec::new_in(session.code());
    for (number, register) in numbers.iter().zip(registers) {
        code.push(0xb8 + *register).map_err(out_of_memory)?;
        code.extend_from_slice(&number.to_le_bytes()).map_err(out_of_memory)?;
    }
    session.finish_stage(0)?;
    session.begin(&COMPILE_STAGES[3]);
    session.finish_stage(0)?;
    Ok(code.len())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let process = Budget::root("process", 1 << 20)?;
    let mut arenas = CompilerArenas::new(&process, 24 << 10)?;
    let large = "1 + ".repeat(2000) + "1";
    for source in ["1 + 2 + 3", &large, "4 + 5"] {
        let session = arenas.session();
        match compile(&session, source) {
            Ok(bytes) => println!("{bytes} bytes of code; {}", session.stats()),
            Err(error) => println!("{error}"),
        }
    }
    let error = compile(&arenas.session(), &large).expect_err("24 KiB are too few for 2001 numbers");
    assert!(matches!(error, SessionError::OutOfMemory { stage: "analysis", .. }), "{error}");
    assert_eq!(compile(&arenas.session(), "4 + 5")?, 10); // the next compilation works
    assert!(arenas.stats().peak_bytes <= 24 << 10);
    drop(arenas);
    assert_eq!(process.used(), 4096);
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
