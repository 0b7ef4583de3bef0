//! Casts whose results are of any length: what has to be made is appended to a sink.

use cofferdam_arena::AllocError;
use cofferdam_types::{Buffer, Error, Session, Type, Value, cast};

use crate::context::{Output, Problem, Sink};

/// What a cast makes, behind what the sink has already.
struct Tail<'s> {
    sink: &'s mut dyn Sink,
    start: usize,
    refused: Option<AllocError>,
}

impl Buffer for Tail<'_> {
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.append(bytes).map_err(|error| {
            self.refused = Some(error);
            Error::BufferTooSmall { needed_bytes: bytes.len() as u32, given_bytes: 0 }
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

/// The value as one of type `to`, as an explicit cast makes it. Bytes of a result are always appended to the sink.
/// When it fails, the sink has what it had before.
///
/// # Errors
/// [`Problem::Value`] with those of [`cast::cast_in`]; [`Problem::OutOfMemory`].
pub fn convert(
    value: Value<'_>,
    to: Type,
    session: &Session<'_>,
    sink: &mut dyn Sink,
) -> Result<Output<'static>, Problem> {
    let start = sink.len();
    let given = value.heap_bytes().unwrap_or(&[]);
    let mut tail = Tail { sink: &mut *sink, start, refused: None };
    let made = cast::cast_in(value, to, session, &mut tail).map(|value| match value.heap_bytes() {
        None => Made::Fixed(value.without_bytes().unwrap_or_default()),
        // The cast gave a part of what it was given, or what it has made.
        Some(bytes) if given.as_ptr_range().contains(&bytes.as_ptr()) => {
            let from = bytes.as_ptr() as usize - given.as_ptr() as usize;
            Made::Part(from, bytes.len())
        }
        Some(bytes) => Made::Bytes(bytes.len()),
    });
    let refused = tail.refused;
    let result = match made {
        Ok(Made::Fixed(value)) => {
            sink.truncate(start);
            Ok(Output::Value(value))
        }
        Ok(Made::Part(from, len)) => {
            sink.truncate(start);
            let part = given.get(from..from + len).unwrap_or(&[]);
            sink.append(part).map(|()| Output::Written).map_err(Problem::OutOfMemory)
        }
        Ok(Made::Bytes(len)) => {
            sink.truncate(start + len);
            Ok(Output::Written)
        }
        Err(error) => Err(refused.map_or(Problem::Value(error), Problem::OutOfMemory)),
    };
    if result.is_err() {
        sink.truncate(start);
    }
    result
}

/// The result of a cast, apart from where its bytes lie.
enum Made {
    Fixed(Value<'static>),
    /// A part of the bytes of the operand, from a position on.
    Part(usize, usize),
    /// So many bytes at the end of the sink.
    Bytes(usize),
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::collections::Vec;
    use cofferdam_arena::{Arena, Budget};

    /// Aim: results of any length stand behind what the sink had, whether they were made or are a part of the operand.
    #[test]
    fn bytes_are_appended() {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let mut sink: Vec<'_, u8> = Vec::new_in(&arena);
        sink.extend_from_slice(b"before").unwrap();
        let long = "ab".repeat(500);
        let hex = std::format!("\\x{long}");
        let cases = [
            (Value::Text(&hex), Type::Bytea, 500),
            (Value::Char("ab   "), Type::Text, 2),
            (Value::Text(&long), Type::Text, 1000),
            (Value::Integer(-7), Type::Text, 2),
            (Value::Text("{1,2}"), Type::Integer.array().unwrap(), 14),
        ];
        for (value, to, bytes) in cases {
            assert_eq!(convert(value, to, &Session::UTC, &mut sink), Ok(Output::Written), "{to}");
            assert_eq!(sink.len(), 6 + bytes, "{to}");
            sink.truncate(6);
        }
        let fixed = convert(Value::Text("7"), Type::Integer, &Session::UTC, &mut sink);
        assert_eq!(fixed, Ok(Output::Value(Value::Integer(7))));
        assert!(convert(Value::Text("{1,x}"), cases[4].1, &Session::UTC, &mut sink).is_err());
        assert_eq!(&sink[..], b"before");
    }
}
