//! What expressions see of the statement around them: its clock, its session, its random numbers.

use core::hash::{BuildHasher as _, Hasher as _};
use std::hash::RandomState;
use std::time::{SystemTime, UNIX_EPOCH};

use cofferdam_functions::{Random, Session};
use cofferdam_types::{Timestamp, Value};

/// One statement's world. Its clock stands still; time zones are UTC.
#[derive(Clone, Copy)]
pub(crate) struct Statement<'a> {
    /// When it began, in microseconds since 1970.
    pub(crate) began_us: i64,
    /// When its transaction began.
    pub(crate) transaction_us: i64,
    pub(crate) random: Random,
    /// The values of parameters, by number from 1; each of the type that the plan says.
    pub(crate) parameters: &'a [Value<'a>],
    pub(crate) is_cancelled: &'a dyn Fn() -> bool,
}

impl core::fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Statement").field("began_us", &self.began_us).finish_non_exhaustive()
    }
}

impl<'a> Statement<'a> {
    /// A statement that begins now, in a transaction that began then, or with it.
    pub(crate) fn begin(
        parameters: &'a [Value<'a>],
        is_cancelled: &'a dyn Fn() -> bool,
        transaction_us: Option<i64>,
    ) -> Statement<'a> {
        let seed = RandomState::new().build_hasher().finish();
        let began_us = now_us();
        let transaction_us = transaction_us.unwrap_or(began_us);
        Statement { began_us, transaction_us, random: Random::new(seed), parameters, is_cancelled }
    }

    /// A statement at the start of 1970 that is never cancelled: for what depends on neither.
    pub(crate) fn at_epoch() -> Statement<'a> {
        let random = Random::new(0);
        Statement { began_us: 0, transaction_us: 0, random, parameters: &[], is_cancelled: &|| false }
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If there is no such one: the binder numbers them, and as many values are given.
    pub(crate) fn parameter(&self, number: u32) -> Value<'a> {
        self.parameters[number as usize - 1]
    }

    /// What conversions of values depend on.
    pub(crate) fn conversions(&self) -> cofferdam_types::Session<'static> {
        let now = Timestamp::UNIX_EPOCH.add_micros(self.transaction_us).unwrap_or(Timestamp::UNIX_EPOCH);
        cofferdam_types::Session { now, ..cofferdam_types::Session::UTC }
    }

    /// Who is connected to what.
    pub(crate) fn session(&self) -> Session<'static> {
        Session {
            database: "cofferdam",
            schema: "public",
            user: "cofferdam",
            version: concat!("Cofferdam ", env!("CARGO_PKG_VERSION")),
            conversions: self.conversions(),
        }
    }
}

/// What time it is, in microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
