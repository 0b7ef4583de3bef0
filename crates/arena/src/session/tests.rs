//! Sessions: one limit, named stages, recovery, batches.

extern crate std;
use super::*;
use std::string::ToString;
use std::vec::Vec;

const KIB: u64 = 1024;

/// What a compilation does here: each stage allocates `bytes` in its arena.
fn compile(session: &Session<'_>, stage_bytes: [usize; 4]) -> Result<StageReport, SessionError> {
    let mut last = None;
    for (index, (stage, bytes)) in COMPILE_STAGES.iter().zip(stage_bytes).enumerate() {
        session.begin(stage);
        let arena = if index == 0 {
            session.parse()
        } else if index == 1 {
            session.ir()
        } else {
            session.code()
        };
        // An interpreter needs long for each.
        let each = if cfg!(miri) { 500 } else { 100 };
        for _ in 0..bytes.div_ceil(each) {
            arena.alloc_zeroed_slice::<u8>(each).map_err(|error| session.explain(error))?;
        }
        last = Some(session.finish_stage(0)?);
    }
    Ok(last.expect("there are four stages"))
}

#[test]
fn an_exhaustion_names_its_stage_and_the_next_compilation_works() {
    with_test_context(16 * KIB, |context| {
        for (index, stage) in COMPILE_STAGES.iter().enumerate() {
            let mut bytes = [1000; 4];
            bytes[index] = 25_000;
            let error = compile(&context.session(), bytes).unwrap_err();
            let SessionError::OutOfMemory { stage: named, limit_bytes, used_bytes, .. } = error else {
                panic!("{error}")
            };
            assert_eq!((named, limit_bytes), (stage.name(), 16 * KIB));
            assert!(used_bytes <= limit_bytes);
            assert!(error.to_string().starts_with(&std::format!("out of memory at stage {}", stage.name())));
            let report = compile(&context.session(), [1000; 4]).unwrap();
            assert_eq!(report.stage, "final assembly");
        }
    });
}

#[test]
fn a_stage_that_swallowed_a_refusal_does_not_pass() {
    with_test_context(8 * KIB, |context| {
        let session = context.session();
        session.begin(&COMPILE_STAGES[1]);
        assert!(session.ir().alloc_slice_fill(100_000, 0u8).is_err());
        let error = session.finish_stage(0).unwrap_err();
        assert!(matches!(error, SessionError::OutOfMemory { stage: "register allocation", .. }), "{error}");
        drop(session);
        assert!(context.session().finish_stage(0).is_ok(), "the next session begins clean");
    });
}

#[test]
fn a_stage_does_not_begin_where_its_known_need_does_not_fit() {
    with_test_context(8 * KIB, |context| {
        let session = context.session();
        session.begin(&COMPILE_STAGES[2]);
        session.code().alloc_slice_fill(3000, 0u8).unwrap();
        assert!(session.finish_stage(4 * KIB).is_ok());
        let error = session.finish_stage(5 * KIB).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no room after stage code generation: the next needs 5.0 KiB, 4.0 KiB free of the limit 8.0 KiB; \
             raise the session's limit"
        );
    });
}

#[test]
fn figures_are_those_of_the_arenas_and_readable() {
    with_test_context(1 << 20, |context| {
        let session = context.session();
        assert_eq!(session.stats().allocated_bytes(), 0, "no fixed reservation");
        session.parse().alloc_slice_fill(400, 0u8).unwrap();
        session.ir().alloc_slice_fill(800, 0u8).unwrap();
        let stats = session.stats();
        assert_eq!((stats.used_bytes(), stats.allocated_bytes()), (1200, 2048));
        assert_eq!(session.budget().used(), 2048);
        let shown = stats.to_string();
        assert!(shown.ends_with("total: 1.2 KiB used of 2.0 KiB, peak 2.0 KiB of 1.0 MiB"), "{shown}");
        session.begin(&COMPILE_STAGES[0]);
        let report = session.finish_stage(0).unwrap();
        assert_eq!(report.to_string(), "analysis: 2.0 KiB used of 1.0 MiB, peak 2.0 KiB");
    });
}

#[test]
fn the_peak_of_a_batch_is_that_of_its_largest_file() {
    let peak_of = |files: &[usize]| {
        with_test_context(1 << 20, |context| {
            for bytes in files {
                compile(&context.session(), [*bytes; 4]).unwrap();
            }
            context.arenas().stats().peak_bytes
        })
    };
    let files: Vec<usize> =
        (0..if cfg!(miri) { 8 } else { 100 }).map(|n| 100 + (n * 37) % 100 * 100).collect();
    let largest = *files.iter().max().unwrap();
    assert_eq!(peak_of(&files), peak_of(&[largest]));
}

#[test]
fn a_limit_of_nothing_refuses_the_first_allocation_and_not_the_birth() {
    with_test_context(0, |context| {
        let session = context.session();
        session.begin(&COMPILE_STAGES[0]);
        let error = session.parse().alloc(1u8).map_err(|error| session.explain(error)).unwrap_err();
        assert!(
            matches!(error, SessionError::OutOfMemory { stage: "analysis", limit_bytes: 0, .. }),
            "{error}"
        );
    });
    with_test_context(1024, |context| {
        assert!(context.session().parse().alloc(1u8).is_ok(), "limit = capacity works");
    });
}
