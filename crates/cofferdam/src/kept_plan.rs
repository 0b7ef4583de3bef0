//! A plan that stands in memory of its own, and outlives the statement that it was made for.
//!
//! It borrows the arenas of its text, tree and expressions and moves with them ([`Rooted`]); it borrows nothing of a connection, so
//! that any connection and any thread may run it, and drop it.

use std::fmt;

use cofferdam_arena::{Arena, Borrowing, Budget, Rooted};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{Change, OperatorKind, PhysicalPlan};
use cofferdam_plan::table::TableSource;
use cofferdam_plan::{plan_delete, plan_insert, plan_query, plan_update};
use cofferdam_sql::views;
use cofferdam_sql::views::forms::{Delete, Insert, Update};
use cofferdam_types::Type;

use crate::catalog::StatementCatalog;
use crate::connection::Connection;
use crate::definitions::Made;
use crate::error::Error;
use crate::plan_cache::hash;
use crate::statement::guarded;

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

/// What a plan is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'t> {
    pub(crate) text: &'t str,
    pub(crate) takes_parameters: bool,
    /// Declared types of the first parameters.
    pub(crate) parameter_types: &'t [Type],
}

impl KeptPlan {
    /// Plans a statement in memory of `budget`.
    ///
    /// # Errors
    /// Whatever is wrong with the statement, with its place in the text; 0A000 for one that is neither a query nor a change of rows; that
    /// `budget` refuses.
    pub(crate) fn new(
        source: Source<'_>,
        connection: &Connection,
        made: Made,
        budget: &Budget,
    ) -> Result<KeptPlan, Error> {
        let refused = |_| Error::refused(budget);
        let home = Home { parse: Arena::new(budget), plan: Arena::new(budget) };
        let mut rooted = Rooted::<Home, Plans>::new(budget, home).map_err(refused)?;
        rooted.make(|home| guarded(|| plan_in(home, source, connection)))?;
        let rows_read = rooted.get().map_or(0, |planned: &Planned<'_>| rows_read(&planned.plan));
        Ok(KeptPlan {
            rooted,
            hash: hash(source.text, source.takes_parameters),
            made,
            rows_tolerated: ROWS_CHANGED_MIN.max(rows_read / ROWS_CHANGED_SHARE),
            used_at: 0,
        })
    }

    /// The statement planned again, with parameters of the same types.
    ///
    /// # Errors
    /// As [`KeptPlan::new`]; 0A000 where its columns would be others.
    pub(crate) fn again(
        &self,
        connection: &Connection,
        made: Made,
        budget: &Budget,
    ) -> Result<KeptPlan, Error> {
        let Planned { text, plan } = self.planned();
        let source = Source { text, takes_parameters: true, parameter_types: plan.parameters };
        let made = KeptPlan::new(source, connection, made, budget)?;
        let (before, after) = (plan.columns(), made.planned().plan.columns());
        let is_same =
            |(before, after): (&Column<'_>, &Column<'_>)| (before.name, before.ty) == (after.name, after.ty);
        if plan.change().is_none() && (before.len() != after.len() || !before.iter().zip(after).all(is_same))
        {
            return Err(Error::input("0A000", None, "cached plan must not change result type"));
        }
        Ok(made)
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
    source: Source<'_>,
    connection: &Connection,
) -> Result<Planned<'a>, Error> {
    let (parse, arena) = (&home.parse, &home.plan);
    let refused = || Error::refused(parse.budget());
    let failed = |error: cofferdam_plan::Error<'_>| Error::from_plan(error, refused);
    let text: &'a str = parse.alloc_str(source.text).map_err(|_| refused())?;
    let tree = cofferdam_sql::parse_cancellable(text, parse, connection.watch().flag());
    let tree = tree.map_err(|error| Error::from_sql(error, refused))?;
    let catalog = StatementCatalog::new(connection.tables(), connection.state(), source.takes_parameters)
        .declaring(source.parameter_types);
    let form = match tree.statement() {
        views::Statement::Query(query) => {
            let plan = plan_query(query, &catalog, arena).map_err(failed)?;
            return Ok(Planned { text, plan });
        }
        views::Statement::Form(form) => form,
    };
    let node = form.node();
    let planned = if let Some(insert) = Insert::of(node) {
        plan_insert(insert, &catalog, arena)
    } else if let Some(update) = Update::of(node) {
        plan_update(update, &catalog, arena)
    } else if let Some(delete) = Delete::of(node) {
        plan_delete(delete, &catalog, arena)
    } else {
        let message = format_args!("{} is not supported yet", form.form().name());
        return Err(Error::input("0A000", Some(form.span()), message));
    };
    Ok(Planned { text, plan: planned.map_err(failed)? })
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
    /// Whether it reads files, which change unseen.
    pub(crate) fn reads_files(&self) -> bool {
        let is_file = |kind: &OperatorKind<'_>| matches!(kind, OperatorKind::Scan(scan) if matches!(scan.source, TableSource::File(_)));
        self.plan.operators.iter().any(|operator| is_file(&operator.kind))
    }

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
