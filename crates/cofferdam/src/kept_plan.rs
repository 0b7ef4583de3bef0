//! A plan that stands in memory of its own, and outlives the statement that it was made for.
//!
//! It borrows the arenas of its text, tree and expressions and moves with them ([`Rooted`]); it borrows nothing of a connection, so
//! that any connection and any thread may run it, and drop it.

use std::fmt;

use cofferdam_arena::{AllocError, Arena, Borrowing, Budget, Rooted};
use cofferdam_plan::physical::{Change, OperatorKind, PhysicalPlan};
use cofferdam_plan::table::TableSource;
use cofferdam_plan::{plan_delete, plan_insert, plan_query, plan_update};
use cofferdam_sql::views;
use cofferdam_sql::views::forms::{Delete, Insert, Update};

use crate::catalog::StatementCatalog;
use crate::connection::Connection;
use crate::definitions::Made;
use crate::plan_cache::hash;

/// So many rows may change before a plan is made anew,
const ROWS_CHANGED_MIN: u64 = 1_000;
/// and such a share of those that it reads.
const ROWS_CHANGED_SHARE: u64 = 5;

/// A plan with what it stands in.
pub(crate) struct KeptPlan {
    rooted: Rooted<Home, Plans>,
    /// Of its text.
    pub(crate) hash: u64,
    made: Made,
    /// How many rows of its tables may change before it is none any more.
    rows_tolerated: u64,
    /// When it was used last, by the clock of who keeps it.
    pub(crate) used_at: u64,
}

/// Where a plan stands.
#[derive(Debug)]
struct Home {
    /// Its text and tree.
    parse: Arena,
    /// Its expressions and operators.
    plan: Arena,
}

/// A statement that is planned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned<'a> {
    pub(crate) text: &'a str,
    pub(crate) plan: PhysicalPlan<'a>,
}

/// Plans that borrow from their homes.
#[derive(Debug)]
struct Plans;

impl Borrowing for Plans {
    type Of<'a> = Planned<'a>;

    fn shorten<'s, 'a: 's>(planned: &'s Planned<'a>) -> &'s Planned<'s> {
        planned
    }
}

/// Why there is no plan to keep.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// It is none of a kind that is kept, or reads files.
    OtherKind,
    /// There is no room, or something is wrong with the statement; the call that plans it as always says what.
    Failed,
}

impl From<AllocError> for NotKept {
    fn from(_: AllocError) -> NotKept {
        NotKept::Failed
    }
}

impl KeptPlan {
    /// Plans a statement in memory of `budget`.
    ///
    /// # Errors
    /// [`NotKept`].
    pub(crate) fn new(
        sql: &str,
        takes_parameters: bool,
        connection: &Connection,
        made: Made,
        budget: &Budget,
    ) -> Result<KeptPlan, NotKept> {
        let home = Home { parse: Arena::new(budget), plan: Arena::new(budget) };
        let mut rooted = Rooted::<Home, Plans>::new(budget, home)?;
        let catalog = StatementCatalog::new(connection.tables(), connection.state(), takes_parameters);
        rooted.make(|home| plan_in(home, sql, connection, &catalog))?;
        let rows_read = rooted.get().map_or(0, |planned: &Planned<'_>| rows_read(&planned.plan));
        Ok(KeptPlan {
            rooted,
            hash: hash(sql, takes_parameters),
            made,
            rows_tolerated: ROWS_CHANGED_MIN.max(rows_read / ROWS_CHANGED_SHARE),
            used_at: 0,
        })
    }

    /// The statement.
    pub(crate) fn planned(&self) -> Planned<'_> {
        *self.rooted.get().expect("a plan is kept when it has been made")
    }

    pub(crate) fn text(&self) -> &str {
        self.planned().text
    }

    /// What it was made for.
    pub(crate) fn made(&self) -> Made {
        self.made
    }

    /// Whether it is the plan of this text.
    pub(crate) fn is_of(&self, hash: u64, sql: &str) -> bool {
        self.hash == hash && self.text() == sql
    }

    /// Whether it is as good as one that is made now.
    pub(crate) fn is_good(&self, now: Made) -> bool {
        let rows_changed = now.rows_changed.wrapping_sub(self.made.rows_changed);
        self.made.version == now.version && rows_changed <= self.rows_tolerated
    }
}

fn plan_in<'a>(
    home: &'a mut Home,
    sql: &str,
    connection: &Connection,
    catalog: &StatementCatalog<'_>,
) -> Result<Planned<'a>, NotKept> {
    let (parse, arena) = (&home.parse, &home.plan);
    let text: &'a str = parse.alloc_str(sql)?;
    let tree = cofferdam_sql::parse_cancellable(text, parse, connection.watch().flag());
    let planned = match tree.map_err(|_| NotKept::Failed)?.statement() {
        views::Statement::Query(query) => plan_query(query, catalog, arena),
        views::Statement::Form(form) => {
            let node = form.node();
            if let Some(insert) = Insert::of(node) {
                plan_insert(insert, catalog, arena)
            } else if let Some(update) = Update::of(node) {
                plan_update(update, catalog, arena)
            } else if let Some(delete) = Delete::of(node) {
                plan_delete(delete, catalog, arena)
            } else {
                return Err(NotKept::OtherKind);
            }
        }
    };
    let plan = planned.map_err(|_| NotKept::Failed)?;
    if reads_files(&plan) {
        return Err(NotKept::OtherKind);
    }
    Ok(Planned { text, plan })
}

fn reads_files(plan: &PhysicalPlan<'_>) -> bool {
    plan.operators.iter().any(|operator| {
        matches!(&operator.kind, OperatorKind::Scan(scan) if matches!(scan.source, TableSource::File(_)))
    })
}

/// How many rows the tables have that a plan reads, as far as is known.
fn rows_read(plan: &PhysicalPlan<'_>) -> u64 {
    let rows = plan.operators.iter().map(|operator| match &operator.kind {
        OperatorKind::Scan(scan) => match scan.source {
            TableSource::Stored(table) => table.rows_estimate,
            TableSource::Engine(_) | TableSource::File(_) => 0,
        },
        _ => 0,
    });
    rows.fold(0, u64::saturating_add)
}

impl Planned<'_> {
    /// The statement's first word in command tags, and what it is called in messages.
    pub(crate) fn tag(&self) -> &'static str {
        match self.plan.change() {
            None => "SELECT",
            Some(Change::Insert(_)) => "INSERT",
            Some(Change::Update(_)) => "UPDATE",
            Some(Change::Delete(_)) => "DELETE",
        }
    }
}

impl fmt::Debug for KeptPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptPlan")
            .field("text", &self.text())
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}
