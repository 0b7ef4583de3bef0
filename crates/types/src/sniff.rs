//! Guesses the type of a column of text from some of its fields.
//!
//! The guess is the narrowest type that keeps every field as it is written: boolean, integer, bigint, numeric, double
//! precision, date, and text when nothing else fits. An empty field is NULL and fits everything.
//!
//! A field counts as a number only where its digits are those of the number: `007` and `+49` are text, since codes and
//! telephone numbers would lose characters. A field counts as boolean only as a whole word, since a column of single
//! letters that begins with some `F` is no column of booleans.

use crate::{Date, Type, number};

/// Collects what the fields of one column have in common.
///
/// Sixteen bytes or less, no memory of its own; one per column.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sniffer {
    kinds: u8,
    whole_digits: u8,
    scale: u8,
}

const _: () = assert!(size_of::<Sniffer>() <= 16);

// What has been seen, one bit each.
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const BIGINT: u8 = 4;
const DECIMAL: u8 = 8;
const DOUBLE: u8 = 16;
const DATE: u8 = 32;
const TEXT: u8 = 64;
const NUMBERS: u8 = INTEGER | BIGINT | DECIMAL | DOUBLE;

impl Sniffer {
    /// A sniffer that has seen nothing.
    pub const fn new() -> Sniffer {
        Sniffer { kinds: 0, whole_digits: 0, scale: 0 }
    }

    /// Looks at one field, white space around it aside.
    pub fn feed(&mut self, field: &[u8]) {
        // Nothing makes text narrower again.
        if self.kinds & TEXT == 0 {
            self.kinds |= self.kind(field.trim_ascii());
        }
    }

    /// The type of the fields so far; [`Type::Text`] where all were empty.
    pub fn ty(&self) -> Type {
        let digits = self.whole_digits.saturating_add(self.scale);
        match self.kinds {
            BOOLEAN => Type::Boolean,
            DATE => Type::Date,
            INTEGER => Type::Integer,
            kinds if kinds & !(INTEGER | BIGINT) == 0 && kinds != 0 => Type::BigInt,
            kinds if kinds & !NUMBERS == 0 && kinds != 0 => {
                if kinds & DOUBLE == 0 && digits <= Type::DECIMAL_DIGITS_MAX {
                    Type::Decimal { precision: digits.max(1), scale: self.scale }
                } else {
                    Type::Double
                }
            }
            _ => Type::Text,
        }
    }

    /// Whether a field was seen that is text and nothing else, so that looking further is of no use.
    pub fn is_settled(&self) -> bool {
        self.ty() == Type::Text && self.kinds != 0
    }

    fn kind(&mut self, field: &[u8]) -> u8 {
        match field {
            [] => 0,
            [b'-' | b'.' | b'0'..=b'9', ..] => match Shape::of(field) {
                Some(shape) => self.number(field, &shape),
                None if is_date(field) => DATE,
                None if matches!(field, b"-inf" | b"-Infinity") => DOUBLE,
                None => TEXT,
            },
            b"NaN" | b"nan" | b"inf" | b"Infinity" => DOUBLE,
            _ if field.eq_ignore_ascii_case(b"true") || field.eq_ignore_ascii_case(b"false") => BOOLEAN,
            _ => TEXT,
        }
    }

    fn number(&mut self, field: &[u8], shape: &Shape) -> u8 {
        if shape.has_exponent {
            return if number::parse_f64(field).is_ok() { DOUBLE } else { TEXT };
        }
        self.whole_digits = self.whole_digits.max(saturate(shape.whole_digits));
        self.scale = self.scale.max(saturate(shape.scale));
        if shape.has_point {
            return DECIMAL;
        }
        match number::parse_i64(field) {
            Ok(value) if i32::try_from(value).is_ok() => INTEGER,
            Ok(_) => BIGINT,
            Err(_) => DECIMAL,
        }
    }
}

fn saturate(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// The strict form, since a number such as 20240131 is one too.
fn is_date(field: &[u8]) -> bool {
    matches!(field, [_, _, _, _, b'-', _, _, b'-', _, _]) && Date::parse(field).is_ok()
}

/// How a number is written.
struct Shape {
    /// Digits before the point, a lone zero not counted.
    whole_digits: usize,
    /// Digits behind the point.
    scale: usize,
    has_point: bool,
    has_exponent: bool,
}

impl Shape {
    /// The shape of `-? digits (. digits)? (e [+-]? digits)?` without zeros in front; nothing for other texts.
    fn of(field: &[u8]) -> Option<Shape> {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = field.strip_prefix(b"-").unwrap_or(field);
        let whole = digits(text);
        let leading_zero = text.first() == Some(&b'0');
        if leading_zero && whole > 1 {
            return None;
        }
        let mut rest = text.get(whole..)?;
        let (mut scale, mut has_point) = (0, false);
        if let Some(fraction) = rest.strip_prefix(b".") {
            has_point = true;
            scale = digits(fraction);
            rest = fraction.get(scale..)?;
        }
        if whole + scale == 0 {
            return None;
        }
        let has_exponent = !rest.is_empty();
        if has_exponent {
            let exponent = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E"))?;
            let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
            if exponent.is_empty() || digits(exponent) != exponent.len() {
                return None;
            }
        }
        Some(Shape { whole_digits: whole - usize::from(leading_zero), scale, has_point, has_exponent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decimal, TextBuffer, Value, cast};
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn sniff(fields: &[&str]) -> Type {
        let mut sniffer = Sniffer::new();
        for field in fields {
            sniffer.feed(field.as_bytes());
        }
        sniffer.ty()
    }

    fn dec(precision: u8, scale: u8) -> Type {
        Type::Decimal { precision, scale }
    }

    #[test]
    fn columns_get_their_narrowest_type() {
        let cases: &[(&[&str], Type)] = &[
            (&[], Type::Text),
            (&["", " "], Type::Text),
            (&["true", "", "False"], Type::Boolean),
            (&["1", "-2147483648"], Type::Integer),
            (&["1", "2147483648"], Type::BigInt),
            (&["9223372036854775808"], dec(19, 0)),
            (&["1", "2.50", "-100.1"], dec(5, 2)),
            (&["0.05"], dec(2, 2)),
            (&["0.0"], dec(1, 1)),
            (&["0."], dec(1, 0)),
            (&[".5", "1."], dec(2, 1)),
            (&["99999999999999999999999999999999999999"], dec(38, 0)),
            (&["99999999999999999999999999999999999999", "0.5"], Type::Double),
            (&["1", "1e5"], Type::Double),
            (&["1.5", "NaN"], Type::Double),
            (&["-inf"], Type::Double),
            (&["1998-12-01", ""], Type::Date),
            (&["20240131"], Type::Integer),
            (&["1998-02-30"], Type::Text),
            (&["1998-12-01", "5"], Type::Text),
            (&["true", "1"], Type::Text),
            (&["F", "O"], Type::Text),
            (&["007"], Type::Text),
            (&["+49"], Type::Text),
            (&["1,5"], Type::Text),
            (&["-"], Type::Text),
            (&["."], Type::Text),
            (&["1e"], Type::Text),
            (&["1e999"], Type::Text),
            (&["5", "five", "5"], Type::Text),
            (&[" 5 "], Type::Integer),
            (&["0", "-0"], Type::Integer),
        ];
        for (fields, ty) in cases {
            assert_eq!(sniff(fields), *ty, "{fields:?}");
        }
    }

    #[test]
    fn text_settles_the_matter_and_numbers_do_not() {
        let mut sniffer = Sniffer::new();
        assert!(!sniffer.is_settled());
        sniffer.feed(b"1");
        assert!(!sniffer.is_settled());
        sniffer.feed(b"true");
        assert!(sniffer.is_settled());
        sniffer.feed(b"2");
        assert_eq!(sniffer.ty(), Type::Text);
    }

    proptest! {
        /// Whatever the guess, every field that was seen casts to it, and no digit of a decimal is lost.
        #[test]
        fn every_field_fits_the_guess(
            fields in prop::collection::vec("-?[0-9]{1,20}(\\.[0-9]{0,20})?(e-?[0-9]{1,3})?|true|199[0-9]-[01][0-9]-[0-3][0-9]|", 1..4)
        ) {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let ty = sniff(&fields);
            for field in fields.into_iter().filter(|field| !field.is_empty()) {
                let mut buffer = TextBuffer::new();
                let value = cast::cast(Value::Text(field), ty, &mut buffer);
                prop_assert!(value.is_ok(), "{field} as {ty}");
                if let Ok(Value::Decimal(value)) = value {
                    prop_assert_eq!(value, Decimal::parse(field.as_bytes()).unwrap());
                }
            }
        }
    }
}
