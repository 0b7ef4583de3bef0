//! Values as text, appended to the sink.

use core::fmt;

use cofferdam_types::{Value, cast};

use crate::context::{Context, Problem, Writer};

/// Appends what `write!` makes.
pub(crate) fn write(cx: &mut Context<'_>, arguments: fmt::Arguments<'_>) -> Result<(), Problem> {
    Ok(Writer::new(cx.sink).format(arguments)?)
}

/// Appends PostgreSQL's text form of a value; nothing for NULL.
pub(crate) fn write_value(value: Value<'_>, cx: &mut Context<'_>) -> Result<(), Problem> {
    match value {
        Value::Null => Ok(()),
        Value::Text(text) | Value::Char(text) | Value::Json(text) | Value::Jsonb(text) => {
            Ok(cx.sink.append(text.as_bytes())?)
        }
        other => {
            let session = cx.session.conversions;
            Ok(Writer::new(cx.sink).with(|out| cast::write_text(other, &session, out))?)
        }
    }
}
