//! Functions and operators of arrays.

use cofferdam_types::Value;
use cofferdam_types::row::encode_row;

use crate::args::{Answer, WRITTEN};
use crate::context::{Context, Problem, Sink};

/// Puts an array's bytes into a sink, element by element.
pub(crate) struct Builder<'s> {
    sink: &'s mut dyn Sink,
    start: usize,
    count: u32,
}

impl<'s> Builder<'s> {
    /// An empty array behind what is in the sink.
    pub(crate) fn new(cx: &'s mut Context<'_>) -> Result<Builder<'s>, Problem> {
        Builder::in_sink(cx.sink)
    }

    /// The same for a sink alone.
    pub(crate) fn in_sink(sink: &'s mut dyn Sink) -> Result<Builder<'s>, Problem> {
        let start = sink.len();
        sink.append(&[0; 4])?;
        Ok(Builder { sink, start, count: 0 })
    }

    pub(crate) fn push(&mut self, element: Value<'_>) -> Result<(), Problem> {
        let sink = &mut *self.sink;
        encode_row(element, &mut |piece: &[u8]| sink.append(piece))?;
        self.count += 1;
        Ok(())
    }

    /// Writes how many elements there are.
    pub(crate) fn finish(self) -> Answer<'static> {
        if let Some(count) = self.sink.bytes_mut().get_mut(self.start..self.start + 4) {
            count.copy_from_slice(&self.count.to_le_bytes());
        }
        WRITTEN
    }
}
