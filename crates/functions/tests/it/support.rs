//! A context to evaluate calls in, and calls read from text.

use cofferdam_arena::{Arena, Budget, Growing};
use cofferdam_functions::{
    Clock, Context, NotResolved, Output, Problem, Random, Resolved, Session, Sink, Site, eval, resolve,
    resolve_operator,
};
use cofferdam_types::{ArrayRef, Buffer, Element, Type, Value, cast};

/// 2024-02-29 12:34:56.789012 UTC.
const NOW_US: i64 = 1_709_210_096_789_012;

/// The same in microseconds since 2000, where timestamps count from.
const NOW_SINCE_2000_US: i64 = NOW_US - 946_684_800_000_000;

pub(crate) fn conversions() -> cofferdam_types::Session<'static> {
    let now = cofferdam_types::Timestamp::from_micros(NOW_SINCE_2000_US).expect("in range");
    cofferdam_types::Session { now, zones: &cofferdam_types::moment::Utc }
}

/// What calls are evaluated with.
pub(crate) struct World {
    /// Pays for arguments.
    arguments: Budget,
    /// Pays for what calls take.
    budget: Budget,
    random: Random,
    site: Site,
}

impl World {
    pub(crate) fn new(arguments: &Budget, budget: &Budget) -> World {
        World {
            arguments: arguments.clone(),
            budget: budget.clone(),
            random: Random::new(42),
            site: Site::new(budget),
        }
    }

    /// Does something in a context whose sink is this one.
    pub(crate) fn with<T>(&mut self, sink: &mut dyn Sink, work: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let mut scratch = Arena::new(&self.budget);
        work(&mut Context {
            clock: &Clock { transaction_us: NOW_US, statement_us: NOW_US, now_us: &|| NOW_US },
            session: &Session {
                database: "postgres",
                schema: "public",
                user: "postgres",
                version: "x",
                conversions: conversions(),
            },
            sink,
            scratch: &mut scratch,
            random: &mut self.random,
            site: &mut self.site,
            is_cancelled: &|| false,
        })
    }

    /// Evaluates a call and shows what it gives.
    pub(crate) fn eval(&mut self, call: &Resolved, args: &[Value<'_>]) -> Result<Option<String>, Problem> {
        let mut sink = Growing::<u8>::new(&self.budget);
        sink.extend_from_slice(b"before")?;
        let start = sink.len();
        let output = self.with(&mut sink, |context| eval(call.id, args, context));
        assert!(output.is_ok() || sink.len() == start, "what was there before is there after a failure");
        assert!(sink.starts_with(b"before"));
        match output? {
            Output::Value(Value::Null) => Ok(None),
            Output::Value(value) => {
                let is_text = matches!(value.ty(), Type::Text | Type::Char);
                assert!(
                    is_same(value.ty(), call.result) || (is_text && call.result == Type::Text),
                    "{} for {}",
                    value.ty(),
                    call.result
                );
                Ok(Some(value.to_string()))
            }
            Output::Written => Ok(Some(read_back(&sink[start..], call.result).to_string())),
        }
    }
}

fn is_same(a: Type, b: Type) -> bool {
    let is_decimal = |ty| matches!(ty, Type::Decimal { .. } | Type::Numeric);
    a == b || (is_decimal(a) && is_decimal(b))
}

/// The value of bytes that a function wrote.
pub(crate) fn read_back(bytes: &[u8], ty: Type) -> Value<'_> {
    let text = || std::str::from_utf8(bytes).expect("texts are UTF-8");
    match ty {
        Type::Text => Value::Text(text()),
        Type::Char => Value::Char(text()),
        Type::Json => Value::Json(text()),
        Type::Jsonb => Value::Jsonb(text()),
        Type::Bytea => Value::Bytea(bytes),
        Type::Array(element) => Value::Array(ArrayRef::new(bytes, element).expect("an array")),
        other => panic!("{other} is not written"),
    }
}

/// `name('1'::integer, NULL::text)`, `'a'::text || 'b'::text` or `@ '-1'::integer`.
#[derive(Debug)]
pub(crate) struct Call {
    name: String,
    is_operator: bool,
    args: Vec<(Option<String>, Type)>,
}

impl Call {
    pub(crate) fn parse(text: &str) -> Call {
        let bare = text.trim_start();
        let mut args = Vec::new();
        if bare.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && !bare.starts_with("NULL")
            && !bare.starts_with("E'")
        {
            let (name, mut rest) = bare.split_once('(').expect("arguments");
            while !rest.trim_start().starts_with(')') {
                let (arg, behind) = argument(rest);
                args.push(arg);
                rest = behind.trim_start().strip_prefix(',').unwrap_or(behind);
            }
            return Call {
                name: name.trim().trim_start_matches("pg_catalog.").trim_matches('"').to_lowercase(),
                is_operator: false,
                args,
            };
        }
        let mut rest = bare;
        if !is_operator_start(rest) {
            let (arg, behind) = argument(rest);
            args.push(arg);
            rest = behind.trim_start();
        }
        let end = rest.find([' ', '\'']).expect("an operator");
        let (name, behind) = rest.split_at(end);
        args.push(argument(behind).0);
        Call { name: name.to_string(), is_operator: true, args }
    }

    pub(crate) fn resolve(&self) -> Result<Resolved, NotResolved> {
        let types: Vec<Type> = self.args.iter().map(|(_, ty)| *ty).collect();
        match (self.is_operator, &types[..]) {
            (false, types) => resolve(&self.name, types),
            (true, [right]) => resolve_operator(&self.name, None, *right),
            (true, [left, right]) => resolve_operator(&self.name, Some(*left), *right),
            _ => panic!("operators have one or two operands"),
        }
    }

    /// Evaluates it: the type and the text of the result, or SQLSTATE and message.
    pub(crate) fn answer(&self, world: &mut World) -> Result<(Type, Option<String>), (String, String)> {
        let call = self.resolve().map_err(|problem| (problem.sqlstate().to_string(), String::new()))?;
        let shown = |error: &cofferdam_types::Error| (error.sqlstate().to_string(), error.to_string());
        let arena = Arena::new(&world.arguments.clone());
        let mut values = Vec::new();
        for (index, (text, ty)) in self.args.iter().enumerate() {
            let to = call.argument(index, *ty);
            let Some(text) = text else {
                values.push(Value::Null);
                continue;
            };
            let value = if *ty == Type::Unknown {
                read(text, to, &arena).map_err(|error| shown(&error))?
            } else {
                let value = read(text, *ty, &arena).map_err(|error| shown(&error))?;
                convert(value, to, &arena).map_err(|error| shown(&error))?
            };
            values.push(value);
        }
        let text = world.eval(&call, &values);
        let text = text.map_err(|problem| (problem.sqlstate().to_string(), problem.to_string()))?;
        Ok((call.result, text))
    }
}

fn is_operator_start(text: &str) -> bool {
    text.starts_with(|c: char| "+-*/<>=~!@#%^&|`?".contains(c))
}

/// `'text'::type`, `'text'` or `NULL` at the start; the rest.
fn argument(text: &str) -> ((Option<String>, Type), &str) {
    let text = text.trim_start();
    let (value, rest) = match text.strip_prefix("NULL") {
        Some(rest) => (None, rest),
        None => {
            let (is_escaped, text) = text.strip_prefix('E').map_or((false, text), |text| (true, text));
            let mut rest = text.strip_prefix('\'').unwrap_or_else(|| panic!("a literal at: {text}"));
            let mut value = String::new();
            loop {
                let (piece, behind) = rest.split_once('\'').expect("the end of a literal");
                value.push_str(piece);
                match behind.strip_prefix('\'') {
                    Some(more) => {
                        value.push('\'');
                        rest = more;
                    }
                    None if is_escaped => {
                        let value = value.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\");
                        break (Some(value), behind);
                    }
                    None => break (Some(value), behind),
                }
            }
        }
    };
    let Some(rest) = rest.strip_prefix("::") else { return ((value, Type::Unknown), rest) };
    let end = rest.find([',', ')', ' ']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    ((value, type_of(name)), rest)
}

pub(crate) fn type_of(name: &str) -> Type {
    match name.strip_suffix("[]") {
        Some(element) => Type::Array(Element::of(type_of(element)).expect("no arrays of arrays")),
        None => Type::parse(name).unwrap_or_else(|error| panic!("{error}")),
    }
}

/// Reads a value; what is bytes is copied to the arena.
pub(crate) fn read<'a>(text: &str, ty: Type, arena: &'a Arena) -> Result<Value<'a>, cofferdam_types::Error> {
    let text: &'a str = arena.alloc_str(text).expect("memory");
    let mut buffer = Bytes(Vec::new());
    let value = cast::read_in(text, ty, &conversions(), &mut buffer)?;
    Ok(kept(value, arena))
}

fn convert<'a>(value: Value<'a>, to: Type, arena: &'a Arena) -> Result<Value<'a>, cofferdam_types::Error> {
    if value.is_null() || is_same(value.ty(), to) {
        return Ok(value);
    }
    let mut buffer = Bytes(Vec::new());
    let value = cast::cast_in(value, to, &conversions(), &mut buffer)?;
    Ok(kept(value, arena))
}

/// The value with its bytes in the arena.
fn kept<'a>(value: Value<'_>, arena: &'a Arena) -> Value<'a> {
    let ty = value.ty();
    match value.heap_bytes() {
        Some(bytes) => read_back(arena.alloc_slice_copy(bytes).expect("memory"), ty),
        None => unborrowed(value),
    }
}

/// A value of fixed size, which borrows nothing.
fn unborrowed<'a>(value: Value<'_>) -> Value<'a> {
    value.without_bytes().unwrap_or_else(|| panic!("{value} borrows"))
}

/// A buffer that grows.
struct Bytes(Vec<u8>);

impl Buffer for Bytes {
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), cofferdam_types::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}
