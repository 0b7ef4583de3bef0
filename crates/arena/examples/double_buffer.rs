//! Double buffer (seed 001, pattern 2): writes go on while the other side is flushed, and the flushed side is forgotten
//! in one step.
//!
//! Run with `cargo run -p cofferdam-arena --example double_buffer`.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::{Budget, DoubleBuffer, DoubleBufferError, Growth, Loc};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let process = Budget::root("process", 4 << 20)?;
    let memtable = process.child("memtable", 2 << 20)?;
    let buffer = DoubleBuffer::new(&memtable, Growth::STATEMENT)?;

    let mut sealed_rows: Vec<Loc<str>> = Vec::new();
    for row in 0..1000 {
        sealed_rows.push(buffer.write()?.alloc_str(&format!("row {row}"))?);
    }
    buffer.swap()?;
    let during_flush = buffer.write()?.alloc_str("row 1000")?; // a write beside the flush

    let mut segment = String::new();
    {
        let pin = buffer.sealed().ok_or("a swap seals a side")?.read()?;
        for row in &sealed_rows {
            segment.push_str(pin.get(*row)?);
        }
        assert!(buffer.reset_sealed().is_err(), "not flushed yet");
        buffer.mark_flushed()?;
        assert!(matches!(buffer.reset_sealed(), Err(DoubleBufferError::Pinned(_))), "a reader is there");
    }
    buffer.reset_sealed()?;
    println!("flushed {} rows, {} bytes, while writing on", sealed_rows.len(), segment.len());
    assert_eq!(buffer.active().read()?.get(during_flush), Ok("row 1000"));
    assert!(buffer.active().read()?.get(sealed_rows[0]).is_err());
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
