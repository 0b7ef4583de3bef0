//! Functions that belong nowhere else: about arguments, about the session, identifiers.

use cofferdam_types::{Uuid, Value};

use crate::args::{Answer, WRITTEN, give, give_count, give_text, value};
use crate::context::Context;
use crate::signature::params::ANY;
use crate::signature::{Function, function, results};

pub(crate) const FUNCTIONS: &[Function] = &[
    function("current_catalog", &[], results::TEXT, database, "the name of the database").stable(),
    function("current_database", &[], results::TEXT, database, "the name of the database").stable(),
    function("current_role", &[], results::TEXT, user, "the name of the user").stable(),
    function("current_schema", &[], results::TEXT, schema, "the schema in which tables are made").stable(),
    function("current_user", &[], results::TEXT, user, "the name of the user").stable(),
    function("gen_random_uuid", &[], results::UUID, random_uuid, "a random identifier (version 4)")
        .volatile(),
    function("num_nonnulls", &[ANY], results::INT4, count_values, "how many arguments are not NULL")
        .variadic()
        .lenient(),
    function("num_nulls", &[ANY], results::INT4, count_nulls, "how many arguments are NULL")
        .variadic()
        .lenient(),
    function(
        "pg_typeof",
        &[ANY],
        results::TEXT,
        type_name,
        "the name of the argument's type, `unknown` for NULL",
    )
    .lenient()
    .stable(),
    function("session_user", &[], results::TEXT, user, "the name of the user").stable(),
    function("user", &[], results::TEXT, user, "the name of the user").stable(),
    function("version", &[], results::TEXT, version, "the program and its version").stable(),
];

fn write(text: &str, cx: &mut Context<'_>) -> Answer<'static> {
    cx.sink.append(text.as_bytes())?;
    WRITTEN
}

fn database<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write(cx.session.database, cx)
}

fn schema<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write(cx.session.schema, cx)
}

fn user<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write(cx.session.user, cx)
}

fn version<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    write(cx.session.version, cx)
}

fn random_uuid<'v>(_: &[Value<'v>], cx: &mut Context<'_>) -> Answer<'v> {
    let number = u128::from(cx.random.next_u64()) << 64 | u128::from(cx.random.next_u64());
    // Version 4, and the variant that has versions.
    let number = number & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    give(Value::Uuid(Uuid::from_u128(number)))
}

fn count_nulls<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(args.iter().filter(|arg| arg.is_null()).count())
}

fn count_values<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_count(args.iter().filter(|arg| !arg.is_null()).count())
}

fn type_name<'v>(args: &[Value<'v>], _: &mut Context<'_>) -> Answer<'v> {
    give_text(value(args, 0).ty().name())
}
