//! Templates of numbers: written by them and read.

use cofferdam_types::{Decimal, Error, Excerpt, TextBuffer, Type};

use crate::context::{Problem, Sink, Writer};

/// The most characters of a number that is written digit by digit.
const DIGITS_MAX: usize = 400;

/// A word of a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    Digit,
    Zero,
    /// `.` or `D`
    Point,
    /// `,` or `G`
    Group,
    Currency,
    Minus,
    Plus,
    Sign,
    /// `S`
    Anchored,
    Brackets,
    Narrow,
    Roman {
        is_upper: bool,
    },
    Ordinal {
        is_upper: bool,
    },
    Shift,
    Exponent,
    Blank,
}

const WORDS: [(&str, Word); 36] = [
    (",", Word::Group),
    (".", Word::Point),
    ("0", Word::Zero),
    ("9", Word::Digit),
    ("B", Word::Blank),
    ("b", Word::Blank),
    ("C", Word::Blank),
    ("c", Word::Blank),
    ("D", Word::Point),
    ("d", Word::Point),
    ("EEEE", Word::Exponent),
    ("eeee", Word::Exponent),
    ("FM", Word::Narrow),
    ("fm", Word::Narrow),
    ("G", Word::Group),
    ("g", Word::Group),
    ("L", Word::Currency),
    ("l", Word::Currency),
    ("MI", Word::Minus),
    ("mi", Word::Minus),
    ("PL", Word::Plus),
    ("pl", Word::Plus),
    ("PR", Word::Brackets),
    ("pr", Word::Brackets),
    ("RN", Word::Roman { is_upper: true }),
    ("rn", Word::Roman { is_upper: false }),
    ("SG", Word::Sign),
    ("sg", Word::Sign),
    ("SP", Word::Blank),
    ("sp", Word::Blank),
    ("S", Word::Anchored),
    ("s", Word::Anchored),
    ("TH", Word::Ordinal { is_upper: true }),
    ("th", Word::Ordinal { is_upper: false }),
    ("V", Word::Shift),
    ("v", Word::Shift),
];

#[derive(Clone, Copy)]
enum Piece<'t> {
    Word(Word),
    Text(&'t str),
}

/// The pieces of a template.
#[derive(Clone, Copy)]
struct Pieces<'t> {
    rest: &'t str,
    in_quotes: bool,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        loop {
            let c = self.rest.chars().next()?;
            if c == '"' {
                self.in_quotes = !self.in_quotes;
                self.rest = self.rest.get(1..).unwrap_or("");
                continue;
            }
            let is_escape = c == '\\' && (self.in_quotes || self.rest.as_bytes().get(1) == Some(&b'"'));
            if is_escape {
                self.rest = self.rest.get(1..).unwrap_or("");
            }
            let is_plain = self.in_quotes || is_escape;
            let found = WORDS.iter().find(|(known, _)| !is_plain && self.rest.starts_with(known));
            let len = match found {
                Some((known, _)) => known.len(),
                None => self.rest.chars().next()?.len_utf8(),
            };
            let (taken, rest) = self.rest.split_at_checked(len)?;
            self.rest = rest;
            return Some(found.map_or(Piece::Text(taken), |(_, word)| Piece::Word(*word)));
        }
    }
}

fn pieces(template: &str) -> Pieces<'_> {
    Pieces { rest: template, in_quotes: false }
}

/// Where an anchored sign stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Anchor {
    None,
    Before,
    Behind,
}

/// What a template says as a whole.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Digits before the point, behind it, and shifted before it by `V`.
    before: usize,
    behind: usize,
    shift: usize,
    /// The place where zeros begin, and how many places there are up to their end.
    zero_start: usize,
    zero_end: usize,
    has_zero: bool,
    has_point: bool,
    has_shift: bool,
    is_narrow: bool,
    anchor: Anchor,
    is_anchored: bool,
    digits_before_anchor: usize,
    has_brackets: bool,
    has_minus: bool,
    has_plus: bool,
    roman: bool,
    exponent: bool,
}

fn bad(message: &'static str) -> Problem {
    Problem::new("42601", message)
}

impl Form {
    fn of(template: &str) -> Result<Form, Problem> {
        let mut form = Form {
            before: 0,
            behind: 0,
            shift: 0,
            zero_start: 0,
            zero_end: 0,
            has_zero: false,
            has_point: false,
            has_shift: false,
            is_narrow: false,
            anchor: Anchor::None,
            is_anchored: false,
            digits_before_anchor: 0,
            has_brackets: false,
            has_minus: false,
            has_plus: false,
            roman: false,
            exponent: false,
        };
        for piece in pieces(template) {
            if let Piece::Word(word) = piece {
                form.add(word)?;
            }
        }
        if form.exponent
            && form.is_narrow
                | form.roman
                | form.has_brackets
                | form.has_minus
                | form.has_plus
                | form.has_shift
                | form.is_anchored
        {
            return Err(bad("\"EEEE\" is incompatible with other formats"));
        }
        Ok(form)
    }

    fn add(&mut self, word: Word) -> Result<(), Problem> {
        if self.exponent && word != Word::Exponent {
            return Err(bad("\"EEEE\" must be the last pattern used"));
        }
        match word {
            Word::Digit if self.has_brackets => return Err(bad("\"9\" must be ahead of \"PR\"")),
            Word::Zero if self.has_brackets => return Err(bad("\"0\" must be ahead of \"PR\"")),
            Word::Digit if self.has_shift => self.shift += 1,
            Word::Digit if self.has_point => self.behind += 1,
            Word::Digit => self.before += 1,
            Word::Zero => {
                if !self.has_zero && !self.has_point {
                    self.has_zero = true;
                    self.zero_start = self.before;
                }
                if self.has_point {
                    self.behind += 1;
                } else {
                    self.before += 1;
                }
                self.zero_end = self.before + self.behind;
            }
            Word::Point if self.has_point => return Err(bad("multiple decimal points")),
            Word::Point if self.has_shift => {
                return Err(bad("cannot use \"V\" and decimal point together"));
            }
            Word::Point => self.has_point = true,
            Word::Narrow => self.is_narrow = true,
            Word::Anchored if self.is_anchored => return Err(bad("cannot use \"S\" twice")),
            Word::Anchored if self.has_plus || self.has_minus || self.has_brackets => {
                return Err(bad("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
            }
            Word::Anchored => {
                self.is_anchored = true;
                if self.has_point {
                    self.anchor = Anchor::Behind;
                } else {
                    self.anchor = Anchor::Before;
                    self.digits_before_anchor = self.before;
                }
            }
            Word::Minus if self.is_anchored => return Err(bad("cannot use \"S\" and \"MI\" together")),
            Word::Minus => self.has_minus = true,
            Word::Plus if self.is_anchored => return Err(bad("cannot use \"S\" and \"PL\" together")),
            Word::Plus => self.has_plus = true,
            Word::Sign if self.is_anchored => return Err(bad("cannot use \"S\" and \"SG\" together")),
            Word::Sign => (self.has_minus, self.has_plus) = (true, true),
            Word::Brackets if self.is_anchored || self.has_plus || self.has_minus => {
                return Err(bad("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
            }
            Word::Brackets => self.has_brackets = true,
            Word::Roman { .. } => self.roman = true,
            Word::Shift if self.has_point => {
                return Err(bad("cannot use \"V\" and decimal point together"));
            }
            Word::Shift => self.has_shift = true,
            Word::Exponent if self.exponent => return Err(bad("cannot use \"EEEE\" twice")),
            Word::Exponent => self.exponent = true,
            Word::Group | Word::Currency | Word::Ordinal { .. } | Word::Blank => {}
        }
        Ok(())
    }
}

/// Digits of a number that is to be written: its magnitude as text.
struct Digits {
    bytes: [u8; DIGITS_MAX],
    len: usize,
}

impl Digits {
    fn new() -> Digits {
        Digits { bytes: [0; DIGITS_MAX], len: 0 }
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(self.get()).unwrap_or("")
    }

    fn before_point(&self) -> usize {
        self.get().iter().position(|byte| *byte == b'.').unwrap_or(self.len)
    }

    /// `#` in place of digits that do not fit.
    fn overflow(&mut self, form: &Form) {
        self.len = (form.before + form.behind + 1).min(DIGITS_MAX);
        self.bytes.get_mut(..self.len).unwrap_or(&mut []).fill(b'#');
        if let Some(point) = self.bytes.get_mut(form.before).filter(|_| form.before < self.len) {
            *point = b'.';
        }
    }
}

impl core::fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Digits of a double that count.
pub(super) const DOUBLE_DIGITS: usize = 15;

/// Templates of more digits than this are refused: no number has them.
const TEMPLATE_DIGITS_MAX: usize = 200;

fn checked(template: &str) -> Result<Form, Problem> {
    let form = Form::of(template)?;
    match form.before + form.behind + form.shift <= TEMPLATE_DIGITS_MAX {
        true => Ok(form),
        false => Err(Problem::new("54000", "the template has too many digits")),
    }
}

/// Appends an exact number by a template.
pub(super) fn write_exact(
    number: Decimal,
    is_int: bool,
    template: &str,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    use core::fmt::Write as _;
    let mut form = checked(template)?;
    let is_negative = number.unscaled() < 0;
    if form.roman {
        let rounded = number.rescale(0)?.to_i64().ok().and_then(|whole| i32::try_from(whole).ok());
        let out_of_range = Error::OutOfRange { ty: Type::Integer, text: Excerpt::new(&[]) };
        return write_roman(rounded.ok_or(out_of_range)?.into(), &form, template, sink);
    }
    if form.exponent && is_int {
        // An integer is shown as a double is, which is to the nearest even digit.
        return write_real(number.to_f64(), DOUBLE_DIGITS, template, sink);
    }
    if form.exponent {
        return write_exponent(number, form.behind, template, sink);
    }
    let mut digits = Digits::new();
    let shifted = match form.shift {
        0 => number,
        shift => {
            form.before += shift;
            number.checked_mul(power_of_ten(shift)?)?
        }
    };
    let scale = form.behind.min(usize::from(Decimal::SCALE_MAX)) as u8;
    // Where 38 digits do not hold all that are wanted, those that are there are written with zeros behind them.
    let rounded = shifted.rescale(scale).or_else(|_| shifted.rescale(shifted.scale().min(scale)))?;
    let _ = write!(digits, "{}", rounded.abs());
    let missing = form.behind - usize::from(rounded.scale()).min(form.behind);
    if missing > 0 {
        let point = if rounded.scale() == 0 { "." } else { "" };
        let _ = write!(digits, "{point}{:0<missing$}", "");
    }
    // What is left of a number after rounding may have no sign any more.
    let has_sign = is_negative && rounded.unscaled() != 0;
    write_digits(digits, has_sign, form, template, sink)
}

fn power_of_ten(exponent: usize) -> Result<Decimal, Problem> {
    let power = u32::try_from(exponent).ok().and_then(|exponent| 10i128.checked_pow(exponent));
    Ok(Decimal::new(power.unwrap_or(i128::MAX), 0)?)
}

/// Appends a double by a template; `precise` digits of it count.
pub(super) fn write_real(
    number: f64,
    precise: usize,
    template: &str,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    use core::fmt::Write as _;
    let mut form = checked(template)?;
    if form.roman {
        let rounded = number.round_ties_even();
        return write_roman(if rounded.is_finite() { rounded as i64 } else { 0 }, &form, template, sink);
    }
    let mut digits = Digits::new();
    if form.exponent {
        if !number.is_finite() {
            let width = form.before + form.behind + 6;
            sink.append(b" ")?;
            for index in 1..width {
                sink.append(if index == form.before + 1 { b"." } else { b"#" })?;
            }
            return Ok(());
        }
        let behind = form.behind;
        let _ = write!(digits, "{:.behind$e}", number.abs());
        return write_scientific(digits.as_str(), number < 0.0, template, sink);
    }
    let mut number = number;
    if form.shift > 0 {
        form.before += form.shift;
        number *= 10f64.powi(form.shift as i32);
    }
    let write_with = |digits: &mut Digits, behind: usize| match number.is_finite() {
        true => write!(digits, "{:.behind$}", number.abs()),
        false => digits.write_str(if number.is_nan() { "NaN" } else { "Infinity" }),
    };
    let _ = write_with(&mut digits, 0);
    let whole = digits.len;
    if whole >= precise {
        form.behind = 0;
    } else if whole + form.behind > precise {
        form.behind = precise - whole;
    }
    digits.len = 0;
    let behind = form.behind;
    let _ = write_with(&mut digits, behind);
    write_digits(digits, number < 0.0, form, template, sink)
}

fn write_exponent(
    number: Decimal,
    behind: usize,
    template: &str,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    use core::fmt::Write as _;
    let magnitude = number.unscaled().unsigned_abs();
    let digits = if magnitude == 0 { 1 } else { magnitude.ilog10() as i32 + 1 };
    let exponent = if magnitude == 0 { 0 } else { digits - 1 - i32::from(number.scale()) };
    // All digits with the point behind the first, rounded.
    let scale = (digits - 1) as u8;
    let mantissa = Decimal::new(magnitude as i128, scale)?;
    let kept = behind.min(37) as u8;
    let mut rounded = mantissa.rescale(kept).or_else(|_| mantissa.rescale(kept.min(scale)))?;
    let mut exponent = exponent;
    if rounded >= Decimal::from(10i32) {
        exponent += 1;
        rounded = rounded.div_at(Decimal::from(10i32), rounded.scale())?;
    }
    let mut text = Digits::new();
    let missing = behind - usize::from(rounded.scale()).min(behind);
    let point = if rounded.scale() == 0 && missing > 0 { "." } else { "" };
    let _ = write!(text, "{rounded}{point}{:0<missing$}e{exponent}", "");
    write_scientific(text.as_str(), number.unscaled() < 0, template, sink)
}

/// Appends `1.5e3` as ` 1.5e+03`, with what of the template stands around.
fn write_scientific(
    shown: &str,
    is_negative: bool,
    template: &str,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((shown, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut is_written = false;
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => sink.append(text.as_bytes())?,
            Piece::Word(Word::Digit | Word::Zero | Word::Point | Word::Exponent) if !is_written => {
                is_written = true;
                let sign = if is_negative { '-' } else { ' ' };
                let of_exponent = if exponent < 0 { '-' } else { '+' };
                let exponent = exponent.abs();
                Writer::new(sink).format(format_args!("{sign}{mantissa}e{of_exponent}{exponent:02}"))?;
            }
            Piece::Word(_) => {}
        }
    }
    Ok(())
}

/// Roman numbers: up to 3999.
fn write_roman(number: i64, form: &Form, template: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    const UNITS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    use core::fmt::Write as _;
    let mut text = TextBuffer::new();
    if (1..=3999).contains(&number) {
        let mut rest = number;
        for (value, letters) in UNITS {
            while rest >= value {
                rest -= value;
                // Fifteen letters at most.
                let _ = text.write_str(letters);
            }
        }
    } else {
        let _ = text.write_str("###############");
    }
    for piece in pieces(template) {
        match piece {
            Piece::Text(plain) => sink.append(plain.as_bytes())?,
            Piece::Word(Word::Roman { is_upper }) => {
                if !form.is_narrow {
                    for _ in text.as_str().len()..15 {
                        sink.append(b" ")?;
                    }
                }
                for byte in text.as_bytes() {
                    sink.append(&[if is_upper { *byte } else { byte.to_ascii_lowercase() }])?;
                }
            }
            Piece::Word(_) => {}
        }
    }
    Ok(())
}

/// A number that is being written by a template, place by place.
struct Place<'d> {
    form: Form,
    digits: &'d [u8],
    is_negative: bool,
    /// The digit that comes next.
    at: usize,
    /// Places of the template that were passed.
    place: usize,
    /// Places that stay empty because the number is shorter.
    spaces: usize,
    /// All places.
    count: usize,
    /// The last digit that `FM` leaves.
    last: Option<usize>,
    sign_done: bool,
    has_digit: bool,
}

fn write_digits(
    mut digits: Digits,
    is_negative: bool,
    mut form: Form,
    template: &str,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let before = digits.before_point();
    let mut spaces = 0;
    if before < form.before {
        spaces = form.before - before;
    } else if before > form.before {
        digits.overflow(&form);
    }
    let sign_done = if form.has_plus || form.has_minus {
        form.has_minus
    } else {
        if !is_negative && form.is_narrow {
            form.has_brackets = false;
        }
        if form.anchor == Anchor::Before && form.before == form.digits_before_anchor {
            form.anchor = Anchor::Behind;
        }
        !is_negative && form.is_narrow && !form.is_anchored
    };
    let mut last = None;
    if form.is_narrow && form.has_point {
        last = digits.get().iter().position(|byte| *byte == b'.');
        if let Some(point) = last {
            let significant = digits.get().iter().rposition(|byte| *byte != b'0').unwrap_or(point);
            let mut relevant = significant.max(point);
            if form.zero_end > spaces {
                relevant = relevant.max((digits.len - 1).min(form.zero_end - spaces));
            }
            last = Some(relevant);
        }
    }
    let mut count = (form.before + form.behind) as isize - 1;
    count += isize::from(!sign_done && spaces == 0);
    let mut place = Place {
        form,
        digits: digits.get(),
        is_negative,
        at: 0,
        place: 0,
        spaces,
        count: usize::try_from(count).unwrap_or(0),
        last,
        sign_done,
        has_digit: false,
    };
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => sink.append(text.as_bytes())?,
            Piece::Word(word) => place.write(word, sink)?,
        }
    }
    Ok(())
}

impl Place<'_> {
    fn write(&mut self, word: Word, sink: &mut dyn Sink) -> Result<(), Problem> {
        let narrow = self.form.is_narrow;
        let text: &[u8] = match word {
            Word::Digit | Word::Zero | Word::Point => return self.write_place(word, sink),
            Word::Group if self.has_digit => b",",
            Word::Group if narrow => b"",
            Word::Group | Word::Currency => b" ",
            Word::Minus if self.is_negative => b"-",
            Word::Plus if !self.is_negative => b"+",
            Word::Minus | Word::Plus if narrow => b"",
            Word::Minus | Word::Plus => b" ",
            Word::Sign if self.is_negative => b"-",
            Word::Sign => b"+",
            Word::Ordinal { is_upper } => self.ordinal(is_upper),
            _ => b"",
        };
        Ok(sink.append(text)?)
    }

    fn ordinal(&self, is_upper: bool) -> &'static [u8] {
        if self.digits.first() == Some(&b'#') || self.is_negative || self.form.has_point {
            return b"";
        }
        let tens = self.digits.iter().rev().nth(1).copied();
        let last = self.digits.last().copied();
        let ending: (&[u8], &[u8]) = match (tens, last) {
            (Some(b'1'), _) => (b"TH", b"th"),
            (_, Some(b'1')) => (b"ST", b"st"),
            (_, Some(b'2')) => (b"ND", b"nd"),
            (_, Some(b'3')) => (b"RD", b"rd"),
            _ => (b"TH", b"th"),
        };
        if is_upper { ending.0 } else { ending.1 }
    }

    /// Whether the next digit is a lone zero before the point, which a `9` does not show.
    fn is_hidden_zero(&self) -> bool {
        !self.form.has_zero && self.at == 0 && self.digits.first() == Some(&b'0') && self.form.behind != 0
    }

    fn ends_at_point(&self) -> bool {
        self.last.is_some_and(|last| self.digits.get(last) == Some(&b'.'))
    }

    fn write_sign(&mut self, sink: &mut dyn Sink) -> Result<(), Problem> {
        let starts = self.place >= self.spaces || (self.form.has_zero && self.form.zero_start == self.place);
        if self.sign_done || !starts || (self.is_hidden_zero() && !self.ends_at_point()) {
            return Ok(());
        }
        let text: &[u8] = match (self.form.is_anchored, self.form.has_brackets, self.is_negative) {
            (true, _, _) if self.form.anchor != Anchor::Before => return Ok(()),
            (true, _, true) => b"-",
            (true, _, false) => b"+",
            (_, true, true) => b"<",
            (_, true, false) => b" ",
            (_, _, true) => b"-",
            (_, _, false) if self.form.is_narrow => b"",
            (_, _, false) => b" ",
        };
        self.sign_done = true;
        Ok(sink.append(text)?)
    }

    fn write_place(&mut self, word: Word, sink: &mut dyn Sink) -> Result<(), Problem> {
        self.has_digit = false;
        self.write_sign(sink)?;
        let narrow = self.form.is_narrow;
        if self.place < self.spaces {
            let is_zero = self.form.has_zero && self.form.zero_start <= self.place;
            if is_zero {
                sink.append(b"0")?;
                self.has_digit = true;
            } else if !narrow {
                sink.append(b" ")?;
            }
        } else {
            self.write_digit(word, sink)?;
            if self.at < self.digits.len() {
                self.at += 1;
            }
        }
        let mut end = self.count + usize::from(self.spaces > 0) + usize::from(self.form.has_point);
        if self.last == Some(self.at) {
            end = self.place;
        }
        if self.place + 1 == end {
            let text: &[u8] = match (self.form.has_brackets && self.sign_done, self.is_negative) {
                (true, true) => b">",
                (true, false) => b" ",
                (false, _) if !self.form.is_anchored || self.form.anchor != Anchor::Behind => b"",
                (false, true) => b"-",
                (false, false) => b"+",
            };
            sink.append(text)?;
        }
        self.place += 1;
        Ok(())
    }

    fn write_digit(&mut self, word: Word, sink: &mut dyn Sink) -> Result<(), Problem> {
        let narrow = self.form.is_narrow;
        match self.digits.get(self.at) {
            Some(b'.') => sink.append(b".")?,
            digit => {
                let is_past = self.last.is_some_and(|last| self.at > last);
                if is_past && word != Word::Zero {
                    return Ok(());
                }
                if self.is_hidden_zero() {
                    if !narrow {
                        sink.append(b" ")?;
                    } else if self.ends_at_point() {
                        sink.append(b"0")?;
                    }
                } else if let Some(digit) = digit {
                    sink.append(&[*digit])?;
                    self.has_digit = true;
                }
            }
        }
        Ok(())
    }
}

/// Reads a number by a template; nothing for an empty template.
pub(super) fn read(text: &str, template: &str) -> Result<Option<Decimal>, Problem> {
    if template.is_empty() {
        return Ok(None);
    }
    let form = checked(template)?;
    if form.exponent {
        return Err(Problem::new("0A000", "\"EEEE\" not supported for input"));
    }
    if form.roman {
        return Err(Problem::new("0A000", "\"RN\" not supported for input"));
    }
    let mut reading = Reading {
        rest: text,
        is_negative: false,
        has_sign: false,
        has_point: false,
        digits: 0,
        unscaled: 0,
        scale: 0,
    };
    for piece in pieces(template) {
        if reading.rest.is_empty() {
            break;
        }
        match piece {
            Piece::Word(word) => reading.take(word, &form)?,
            // A character of the template stands for one of the text.
            Piece::Text(_) => reading.skip(),
        }
    }
    reading.take_sign_behind();
    reading.finish(&form)
}

/// A number that is being read.
struct Reading<'t> {
    rest: &'t str,
    is_negative: bool,
    has_sign: bool,
    has_point: bool,
    digits: usize,
    unscaled: i128,
    scale: u8,
}

impl Reading<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn skip(&mut self) {
        let len = self.rest.chars().next().map_or(0, char::len_utf8);
        self.rest = self.rest.get(len..).unwrap_or("");
    }

    fn take(&mut self, word: Word, form: &Form) -> Result<(), Problem> {
        match word {
            Word::Digit | Word::Zero | Word::Point => self.take_place(word, form)?,
            Word::Group if self.peek() == Some(b',') => self.skip(),
            Word::Currency => {
                while self
                    .peek()
                    .is_some_and(|byte| !byte.is_ascii_digit() && !matches!(byte, b'+' | b'-' | b'.'))
                {
                    self.skip();
                }
            }
            Word::Minus | Word::Plus | Word::Sign => self.take_sign(),
            Word::Anchored => self.take_sign(),
            Word::Ordinal { .. } => {
                for _ in 0..2 {
                    if self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) {
                        self.skip();
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_sign(&mut self) {
        match self.peek() {
            Some(b'-') => (self.is_negative, self.has_sign) = (true, true),
            Some(b'+') => self.has_sign = true,
            Some(b' ') => {}
            _ => return,
        }
        self.skip();
    }

    fn take_place(&mut self, word: Word, form: &Form) -> Result<(), Problem> {
        while self.peek() == Some(b' ') {
            self.skip();
        }
        if !self.has_sign && self.digits == 0 {
            match self.peek() {
                Some(b'-') => (self.is_negative, self.has_sign) = (true, true),
                Some(b'+') => self.has_sign = true,
                Some(b'<') if form.has_brackets => (self.is_negative, self.has_sign) = (true, true),
                _ => {}
            }
            if matches!(self.peek(), Some(b'-' | b'+' | b'<')) {
                self.skip();
            }
        }
        match self.peek() {
            Some(b'.') if !self.has_point => {
                self.has_point = true;
                self.skip();
                if word != Word::Point {
                    return self.take_digit();
                }
                Ok(())
            }
            _ if word == Word::Point => Ok(()),
            _ => self.take_digit(),
        }
    }

    fn take_digit(&mut self) -> Result<(), Problem> {
        let Some(digit) = self.peek().filter(u8::is_ascii_digit) else { return Ok(()) };
        let grown = self.unscaled.checked_mul(10).and_then(|n| n.checked_add(i128::from(digit - b'0')));
        self.unscaled = grown.ok_or(Problem::Value(Error::NumericOverflow {
            precision: Decimal::SCALE_MAX,
            scale: 0,
            text: Excerpt::new(&[]),
        }))?;
        self.digits += 1;
        self.scale += u8::from(self.has_point);
        self.skip();
        Ok(())
    }

    /// A sign that stands behind the digits.
    fn take_sign_behind(&mut self) {
        if !self.has_sign && self.digits > 0 && self.peek() == Some(b'-') {
            self.is_negative = true;
        }
    }

    fn finish(self, form: &Form) -> Result<Option<Decimal>, Problem> {
        if self.digits == 0 {
            return Err(Problem::about("22P02", "invalid input syntax for type numeric: \"%\"", " "));
        }
        let unscaled = if self.is_negative { -self.unscaled } else { self.unscaled };
        let number = Decimal::new(unscaled, self.scale)?;
        if form.has_shift {
            return Ok(Some(number.checked_div(power_of_ten(form.shift)?)?));
        }
        Ok(Some(number))
    }
}
