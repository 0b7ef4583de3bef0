//! Functions and operators of JSON.
//!
//! Values are texts that were checked when they were made: `json` as it was written, `jsonb` in its normal form. They
//! are read where they stand (`scan`), without a tree. What makes a new `jsonb` writes a text to scratch memory first, and brings that
//! to normal form from there.
//!
//! Nothing here recurses: values are passed over by counting brackets, and containment keeps a stack of its own.

mod build;
mod edit;
pub(crate) mod query;
pub(crate) mod scan;

pub(crate) use build::FUNCTIONS as BUILD;
pub(crate) use edit::{FUNCTIONS as EDIT, OPERATORS as EDIT_OPERATORS};
pub(crate) use query::{FUNCTIONS as QUERY, OPERATORS as QUERY_OPERATORS};

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_types::{Buffer, Error, json};

use crate::context::{Context, Problem, Sink};

/// A sink that normal forms are written to, behind what it has.
struct Normalized<'s> {
    sink: &'s mut dyn Sink,
    start: usize,
    refused: Option<AllocError>,
}

impl Buffer for Normalized<'_> {
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.append(bytes).map_err(|refused| {
            self.refused = Some(refused);
            Error::BufferTooSmall { needed_bytes: 0, given_bytes: 0 }
        })
    }

    fn as_bytes(&self) -> &[u8] {
        self.sink.bytes().get(self.start..).unwrap_or(&[])
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        self.sink.bytes_mut().get_mut(self.start..).unwrap_or(&mut [])
    }

    fn truncate(&mut self, len: usize) {
        self.sink.truncate(self.start + len);
    }
}

/// Appends the normal form of a JSON text.
fn normalize(text: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    let start = sink.len();
    let mut out = Normalized { sink, start, refused: None };
    json::normalize(text, &mut out).map_err(|error| match out.refused {
        Some(refused) => Problem::OutOfMemory(refused),
        None => Problem::Value(error),
    })
}

/// Appends the normal form of what `write` writes.
fn write_normalized(
    cx: &mut Context<'_>,
    write: impl FnOnce(&mut dyn Sink, &cofferdam_types::Session<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let Context { scratch, sink, session, .. } = cx;
    let scope = scratch.scope();
    let mut text = Vec::<u8>::new_in(&scope);
    write(&mut text, &session.conversions)?;
    normalize(core::str::from_utf8(&text).unwrap_or(""), *sink)
}
