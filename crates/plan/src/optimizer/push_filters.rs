//! Moves conjuncts towards the leaves, and makes of joins what is left of them where conjuncts have decided.
//!
//! Going from the root down, every node receives the conjuncts that the nodes above it have let through, and either hands
//! them on or keeps them:
//!
//! | node | hands on |
//! |---|---|
//! | filter, distinct, sort without limit | everything |
//! | extend | what reads of its own columns only plain ones and constants |
//! | grouping | what reads groups alone |
//! | window | what reads columns of the partition alone |
//! | inner join | what reads one side, to that side; what reads both becomes a condition of the join |
//! | outer join | what reads the side that is kept, to that side; of its own conditions those on the other side |
//! | semi, anti, single and mark join | what reads the left side |
//! | concatenation, set operation | everything, to every input |
//! | scan | nothing: it tests while it reads |
//! | others | nothing |
//!
//! A disjunction that reads both sides of an inner join stays there, and what it says of each side alone is handed on too.
//!
//! On the way a conjunct that no row without a match passes makes an inner join of an outer one, one that no other row passes an anti
//! join, and a mark that is asked for by a conjunct alone makes a semi or an anti join.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use super::late::is_volatile;
use super::tree::Tree;
use crate::binder::conjuncts::{one_of, operands};
use crate::expr::same::same;
use crate::expr::{BinaryOp, Expr, ExprKind, Function, UnaryOp, walk};
use crate::logical::{ColumnId, Join, LogicalId, LogicalKind, LogicalPlan, Named, for_each_column};
use crate::physical::JoinKind;

/// Of how many parts a disjunction may be at most for what it says of one side of a join to be looked for.
pub(super) const IMPLIED_PARTS_MAX: usize = 64;

/// By node: the conjuncts over its output that are tested behind it. A filter keeps none: all have moved.
pub(super) type Filters<'s, 'a> = Vec<'s, Vec<'s, &'a Expr<'a>>>;

/// Moves the conjuncts below the root of a tree; those of scans and joins are left in their nodes, the rest is noted in `filters`. Where
/// there are joins the tree is another one then.
pub(super) fn push_filters<'s, 'a>(
    plan: &mut LogicalPlan<'a>,
    tree: &Tree<'_>,
    filters: &mut Filters<'s, 'a>,
    arena: &'a Arena,
    scratch: &'s Arena,
) -> Result<(), AllocError> {
    while filters.len() < plan.nodes.len() {
        filters.push(Vec::new_in(scratch))?;
    }
    let mut pass = Pass { plan, tree, arena, scratch, filters };
    for id in tree.order.iter().rev() {
        pass.visit(*id)?;
    }
    Ok(())
}

/// Leaves nothing but what no row passes, where there is such a conjunct: the others may fail.
fn keep_never<'a>(conjuncts: &mut Vec<'_, &'a Expr<'a>>) -> Result<(), AllocError> {
    let is_never = |conjunct: &&Expr<'a>| {
        matches!(conjunct.kind, ExprKind::Literal(Value::Null | Value::Boolean(false)))
    };
    if let Some(never) = conjuncts.iter().copied().find(is_never) {
        conjuncts.clear();
        conjuncts.push(never)?;
    }
    Ok(())
}

struct Pass<'p, 's, 'a> {
    plan: &'p mut LogicalPlan<'a>,
    tree: &'p Tree<'p>,
    arena: &'a Arena,
    scratch: &'s Arena,
    filters: &'p mut Filters<'s, 'a>,
}

/// Of more conditions of one table it is not asked whether one is there twice.
const COMPARED_MAX: usize = 16;

/// Leaves out what is said twice: it would be tested twice, and be taken to keep the square of its share.
fn leave_out_repeats(conjuncts: &mut Vec<'_, &Expr<'_>>) -> Result<(), AllocError> {
    if !(2..=COMPARED_MAX).contains(&conjuncts.len()) {
        return Ok(());
    }
    let scratch = Arena::new(conjuncts.arena().budget());
    let mut at = 1;
    while at < conjuncts.len() {
        let mut is_said = false;
        for before in 0..at {
            is_said = is_said || same(conjuncts[before], conjuncts[at], &scratch)?;
        }
        match is_said && !is_volatile(conjuncts[at], &scratch)? {
            true => drop(conjuncts.remove(at)),
            false => at += 1,
        }
    }
    Ok(())
}

impl<'s, 'a> Pass<'_, 's, 'a> {
    fn visit(&mut self, id: LogicalId) -> Result<(), AllocError> {
        let mut arrived = core::mem::replace(&mut self.filters[id.index()], Vec::new_in(self.scratch));
        keep_never(&mut arrived)?;
        match self.plan.kind(id) {
            LogicalKind::Scan { source, alias, first, conjuncts } => {
                arrived.extend_from_slice(conjuncts)?;
                keep_never(&mut arrived)?;
                leave_out_repeats(&mut arrived)?;
                let conjuncts = self.arena.alloc_slice_copy(&arrived)?;
                self.plan.nodes[id.index()] = LogicalKind::Scan { source, alias, first, conjuncts };
            }
            LogicalKind::Filter { input, conjuncts } => {
                arrived.extend_from_slice(conjuncts)?;
                self.filters[input.index()] = arrived;
            }
            LogicalKind::Sort { input, limit: None, .. } | LogicalKind::Distinct { input, .. } => {
                self.filters[input.index()] = arrived;
            }
            LogicalKind::DistinctOn { input, columns } => {
                self.part(id, input, arrived, &|column| columns.contains(&column))?;
            }
            LogicalKind::Window { input, partition, .. } => {
                self.part(id, input, arrived, &|column| partition.contains(&column))?;
            }
            LogicalKind::TableFunction { input: Some(input), .. } => {
                let tree = self.tree;
                self.part(id, input, arrived, &|column| tree.is_made_below(column, input))?;
            }
            LogicalKind::Extend { input, exprs } => self.through_exprs(id, input, arrived, exprs, false)?,
            LogicalKind::Aggregate { input, groups, sets, .. } => {
                // A group that a set lacks is NULL whatever the rows have; and without groups there is a row whatever there is.
                let all = sets.iter().all(|set| set.len() == groups.len());
                if all && !groups.is_empty() {
                    self.through_exprs(id, input, arrived, groups, true)?;
                } else {
                    self.filters[id.index()] = arrived;
                }
            }
            LogicalKind::Join(join) => self.join(id, join, arrived)?,
            LogicalKind::Concat { inputs, sources, columns } => {
                for (input, source) in inputs.iter().zip(sources) {
                    self.hand_to_source(*input, &arrived, columns, source)?;
                }
            }
            LogicalKind::SetOperation { inputs, sources, columns, .. } => {
                for (input, source) in inputs.iter().zip(sources) {
                    self.hand_to_source(*input, &arrived, columns, source)?;
                }
            }
            LogicalKind::Values { .. }
            | LogicalKind::CteScan { .. }
            | LogicalKind::WorkingScan { .. }
            | LogicalKind::Limit { .. }
            | LogicalKind::Sort { .. }
            | LogicalKind::Recursive { .. }
            | LogicalKind::TableFunction { input: None, .. } => self.filters[id.index()] = arrived,
        }
        Ok(())
    }

    /// Whether an expression reads at least one column, and `holds` for all.
    fn reads_only(&self, expr: &Expr<'_>, holds: &dyn Fn(ColumnId) -> bool) -> Result<bool, AllocError> {
        let (mut any, mut all) = (false, true);
        for_each_column(expr, self.arena, |column| {
            any = true;
            all &= holds(column);
            Ok(())
        })?;
        Ok(any && all)
    }

    /// Hands on what reads such columns alone.
    fn part(
        &mut self,
        id: LogicalId,
        input: LogicalId,
        arrived: Vec<'s, &'a Expr<'a>>,
        holds: &dyn Fn(ColumnId) -> bool,
    ) -> Result<(), AllocError> {
        for conjunct in arrived {
            let target = if self.reads_only(conjunct, holds)? { input } else { id };
            self.filters[target.index()].push(conjunct)?;
        }
        Ok(())
    }

    /// Hands on conjuncts with what `exprs` compute in the place of their columns: for groups any expression, otherwise only columns
    /// and constants, so that nothing is computed twice.
    fn through_exprs(
        &mut self,
        id: LogicalId,
        input: LogicalId,
        arrived: Vec<'s, &'a Expr<'a>>,
        exprs: &'a [Named<'a>],
        only_these: bool,
    ) -> Result<(), AllocError> {
        for conjunct in arrived {
            // What is computed of no column may fail, and where there are no rows below, it is not computed above them; a literal is one.
            let (mut any, mut may_pass) = (matches!(conjunct.kind, ExprKind::Literal(_)), true);
            for_each_column(conjunct, self.arena, |column| {
                any = true;
                may_pass &= match exprs.iter().find(|named| named.id == column) {
                    Some(named) => only_these || is_plain(named.expr),
                    None => !only_these,
                };
                Ok(())
            })?;
            if !any || !may_pass {
                self.filters[id.index()].push(conjunct)?;
                continue;
            }
            let moved = walk::rewrite(conjunct, self.arena, |_, rebuilt| match rebuilt.kind {
                ExprKind::Column(column) => match exprs.iter().find(|named| named.id == column) {
                    Some(named) => Ok::<_, AllocError>(named.expr),
                    None => Ok(rebuilt),
                },
                _ => Ok(rebuilt),
            })?;
            self.filters[input.index()].push(moved)?;
        }
        Ok(())
    }

    /// Hands conjuncts on to an input whose columns go by other numbers.
    fn hand_to_source(
        &mut self,
        input: LogicalId,
        arrived: &[&'a Expr<'a>],
        columns: &[ColumnId],
        source: &[ColumnId],
    ) -> Result<(), AllocError> {
        for conjunct in arrived {
            let moved = walk::rewrite(conjunct, self.arena, |_, rebuilt| match rebuilt.kind {
                ExprKind::Column(column) => match columns.iter().position(|known| *known == column) {
                    Some(index) => {
                        let kind = ExprKind::Column(source[index]);
                        Ok::<_, AllocError>(&*self.arena.alloc(Expr { kind, ..*rebuilt })?)
                    }
                    None => Ok(rebuilt),
                },
                _ => Ok(rebuilt),
            })?;
            self.filters[input.index()].push(moved)?;
        }
        Ok(())
    }

    fn join(
        &mut self,
        id: LogicalId,
        mut join: Join<'a>,
        arrived: Vec<'s, &'a Expr<'a>>,
    ) -> Result<(), AllocError> {
        let tree = self.tree;
        let (left, right) = (join.left, join.right);
        let on_left = |column: ColumnId| tree.is_made_below(column, left);
        let on_right = |column: ColumnId| tree.is_made_below(column, right);
        let mut arrived = arrived;
        if join.kind == JoinKind::Inner
            && let Some(input) = self.other_than_one_row(left, right)
        {
            arrived.extend_from_slice(join.conjuncts)?;
            self.filters[input.index()] = arrived;
            self.plan.nodes[id.index()] = LogicalKind::Filter { input, conjuncts: &[] };
            return Ok(());
        }
        if join.kind == JoinKind::Mark {
            join = self.without_mark(id, join, &mut arrived)?;
        }
        for conjunct in &arrived {
            let (refuses_left, refuses_right) =
                (self.refuses_null(conjunct, &on_left)?, self.refuses_null(conjunct, &on_right)?);
            join.kind = match join.kind {
                JoinKind::Left if refuses_right => JoinKind::Inner,
                JoinKind::Right if refuses_left => JoinKind::Inner,
                JoinKind::Full if refuses_left && refuses_right => JoinKind::Inner,
                // Each row that passes has the side that the conjunct reads.
                JoinKind::Full if refuses_left => JoinKind::Left,
                JoinKind::Full if refuses_right => JoinKind::Right,
                kind => kind,
            };
        }
        if join.kind == JoinKind::Left && self.wants_no_match(id, &join, &mut arrived, &on_right)? {
            join.kind = JoinKind::Anti;
        }
        let mut own = Vec::new_in(self.arena);
        for conjunct in join.conjuncts {
            let (is_left, is_right) =
                (self.reads_only(conjunct, &on_left)?, self.reads_only(conjunct, &on_right)?);
            match join.kind {
                JoinKind::Inner | JoinKind::Right | JoinKind::Semi if is_left => {
                    self.filters[left.index()].push(conjunct)?;
                }
                JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti | JoinKind::Single
                    if is_right =>
                {
                    self.filters[right.index()].push(conjunct)?;
                }
                // A row that does not meet it counts for nothing, so it need not be there.
                JoinKind::Mark if is_right && never_null(conjunct) => {
                    self.filters[right.index()].push(conjunct)?;
                }
                _ => own.push(*conjunct)?,
            }
        }
        for conjunct in arrived {
            let (is_left, is_right) =
                (self.reads_only(conjunct, &on_left)?, self.reads_only(conjunct, &on_right)?);
            match join.kind {
                JoinKind::Full => self.filters[id.index()].push(conjunct)?,
                JoinKind::Right => match is_right {
                    true => self.filters[right.index()].push(conjunct)?,
                    false => self.filters[id.index()].push(conjunct)?,
                },
                _ if is_left => self.filters[left.index()].push(conjunct)?,
                JoinKind::Inner if is_right => self.filters[right.index()].push(conjunct)?,
                JoinKind::Inner => own.push(conjunct)?,
                _ => self.filters[id.index()].push(conjunct)?,
            }
        }
        join.conjuncts = own.into_slice();
        if join.kind == JoinKind::Inner {
            for conjunct in join.conjuncts {
                if let Some(implied) = self.implied(conjunct, &on_left)? {
                    self.filters[left.index()].push(implied)?;
                }
                if let Some(implied) = self.implied(conjunct, &on_right)? {
                    self.filters[right.index()].push(implied)?;
                }
            }
        }
        self.plan.nodes[id.index()] = LogicalKind::Join(join);
        Ok(())
    }

    /// What a disjunction says of such columns alone: of `a = 1 AND b = 2 OR a = 3 AND c = 4` it is `a = 1 OR a = 3`. Nothing where
    /// one of its parts says nothing of them.
    fn implied(
        &self,
        conjunct: &'a Expr<'a>,
        holds: &dyn Fn(ColumnId) -> bool,
    ) -> Result<Option<&'a Expr<'a>>, AllocError> {
        if !matches!(conjunct.kind, ExprKind::Binary { op: BinaryOp::Or, .. }) {
            return Ok(None);
        }
        let local = Arena::new(self.scratch.budget());
        let (mut parts, mut terms) = (Vec::new_in(&local), Vec::new_in(&local));
        operands(conjunct, BinaryOp::Or, &mut parts)?;
        if parts.len() > IMPLIED_PARTS_MAX {
            return Ok(None);
        }
        let mut implied = Vec::with_capacity_in(parts.len(), &local)?;
        for part in &parts {
            terms.clear();
            operands(part, BinaryOp::And, &mut terms)?;
            let mut all = None;
            for term in &terms {
                if self.reads_only(term, holds)? && !calls(term, &local)? {
                    all = Some(junction(BinaryOp::And, all, term, self.arena)?);
                }
            }
            let Some(all) = all else { return Ok(None) };
            implied.push(all)?;
        }
        any_of(&implied, conjunct, self.arena)
    }

    /// The side of an inner join that is all there is to it: the other one is one row of no columns.
    fn other_than_one_row(&self, left: LogicalId, right: LogicalId) -> Option<LogicalId> {
        let is_one_row = |id: LogicalId| matches!(self.plan.kind(id), LogicalKind::Values { rows: [[]], .. });
        match (is_one_row(left), is_one_row(right)) {
            (true, _) => Some(right),
            (_, true) => Some(left),
            _ => None,
        }
    }

    /// A mark join whose mark is a conjunct is a semi join; where `NOT` of it is one, and it cannot be unknown, an anti join.
    fn without_mark(
        &self,
        id: LogicalId,
        join: Join<'a>,
        arrived: &mut Vec<'s, &'a Expr<'a>>,
    ) -> Result<Join<'a>, AllocError> {
        let is_mark = |expr: &Expr<'_>| matches!(expr.kind, ExprKind::Column(column) if column == join.mark);
        let mut readers = 0;
        for conjunct in arrived.iter() {
            let mut reads = false;
            for_each_column(conjunct, self.arena, |column| {
                reads |= column == join.mark;
                Ok(())
            })?;
            readers += usize::from(reads);
        }
        if readers != 1 {
            return Ok(join);
        }
        // Whoever else reads the mark stands above, and finds no column then: so nobody may.
        if self.is_read_above(id, &|column| column == join.mark)? {
            return Ok(join);
        }
        let certain = join.conjuncts.iter().all(|conjunct| never_null(conjunct));
        for index in 0..arrived.len() {
            let kind = match arrived[index].kind {
                ExprKind::Column(column) if column == join.mark => JoinKind::Semi,
                ExprKind::Unary { op: UnaryOp::IsTrue, arg } if is_mark(arg) => JoinKind::Semi,
                ExprKind::Unary { op: UnaryOp::Not, arg } if is_mark(arg) && certain => JoinKind::Anti,
                ExprKind::Unary { op: UnaryOp::IsNotTrue, arg } if is_mark(arg) => JoinKind::Anti,
                _ => continue,
            };
            arrived.remove(index);
            let mut conjuncts = Vec::with_capacity_in(join.conjuncts.len(), self.arena)?;
            for conjunct in join.conjuncts {
                conjuncts.push(match conjunct.kind {
                    ExprKind::Unary { op: UnaryOp::IsTrue, arg } => arg,
                    _ => *conjunct,
                })?;
            }
            return Ok(Join { kind, conjuncts: conjuncts.into_slice(), ..join });
        }
        Ok(join)
    }

    /// Whether only the rows of an outer join that have no match are wanted, and nobody reads the other side: a column of that is asked
    /// for being NULL, which is not so in a match. The conjuncts that ask for that are taken away.
    fn wants_no_match(
        &self,
        id: LogicalId,
        join: &Join<'a>,
        arrived: &mut Vec<'s, &'a Expr<'a>>,
        on_right: &dyn Fn(ColumnId) -> bool,
    ) -> Result<bool, AllocError> {
        let missing = |conjunct: &Expr<'_>| match conjunct.kind {
            ExprKind::Unary { op: UnaryOp::IsNull, arg } => match arg.kind {
                ExprKind::Column(column) if on_right(column) => Some(column),
                _ => None,
            },
            _ => None,
        };
        let (mut is_certain, mut is_read) = (false, false);
        for asked in arrived.iter() {
            match missing(asked) {
                Some(column) => {
                    for conjunct in join.conjuncts {
                        is_certain |= self.refuses_null(conjunct, &|other| other == column)?;
                    }
                }
                None => for_each_column(asked, self.scratch, |column| {
                    is_read |= on_right(column);
                    Ok(())
                })?,
            }
        }
        if !is_certain || is_read || self.is_read_above(id, on_right)? {
            return Ok(false);
        }
        arrived.retain(|conjunct| missing(conjunct).is_none());
        Ok(true)
    }

    /// Whether a node of the tree that is not below this one, or the answer, reads such a column; filters that have moved do not count.
    fn is_read_above(&self, below: LogicalId, holds: &dyn Fn(ColumnId) -> bool) -> Result<bool, AllocError> {
        if self.plan.output.iter().any(|output| holds(output.id)) {
            return Ok(true);
        }
        let mut found = false;
        let Tree { order, .. } = self.tree;
        let end = self.tree.place(below) + 1;
        let begin = end - self.tree.below(below).len();
        for id in order[..begin].iter().chain(&order[end..]) {
            let kind = self.plan.kind(*id);
            // Conjuncts of filters are on their way down, and are those that arrived or are kept.
            if !matches!(kind, LogicalKind::Filter { .. }) {
                kind.for_each_read(self.scratch, |column| {
                    found |= holds(column);
                    Ok(())
                })?;
            }
            for conjunct in &self.filters[id.index()] {
                for_each_column(conjunct, self.scratch, |column| {
                    found |= holds(column);
                    Ok(())
                })?;
            }
        }
        for cte in &self.plan.ctes {
            found |= cte.columns.iter().any(|column| holds(*column));
        }
        Ok(found)
    }

    /// Whether a conjunct is not true for any row in which all such columns that it reads are NULL, and it reads some.
    fn refuses_null(
        &self,
        conjunct: &Expr<'_>,
        is_null: &dyn Fn(ColumnId) -> bool,
    ) -> Result<bool, AllocError> {
        let local = Arena::new(self.scratch.budget());
        let mut walk = walk::PostOrder::new_in(conjunct, &local)?;
        // Of each expression: whether it is NULL, and whether it is not true.
        let mut done: Vec<'_, (bool, bool)> = Vec::new_in(&local);
        while let Some(expr) = walk.next()? {
            let first = done.len() - expr.child_count();
            let children = &done[first..];
            let any_null = children.iter().any(|child| child.0);
            let result = match expr.kind {
                ExprKind::Column(column) => (is_null(column), is_null(column)),
                ExprKind::Literal(value) => (value.is_null(), value.is_null()),
                ExprKind::Unary { op, .. } => match op {
                    UnaryOp::Not | UnaryOp::Negate => (any_null, any_null),
                    UnaryOp::IsNotNull | UnaryOp::IsTrue | UnaryOp::IsFalse => (false, any_null),
                    _ => (false, false),
                },
                ExprKind::Binary { op, .. } => match op {
                    BinaryOp::And => (false, children.iter().any(|child| child.1)),
                    BinaryOp::Or => {
                        (children.iter().all(|child| child.0), children.iter().all(|child| child.1))
                    }
                    BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom => (false, false),
                    _ => (any_null, any_null),
                },
                ExprKind::Cast(_) | ExprKind::Like { .. } => (any_null, any_null),
                // One bound may decide without the other.
                ExprKind::Between { negated, .. } => {
                    let arg = children.first().is_some_and(|child| child.0);
                    (arg, if negated { arg } else { any_null })
                }
                ExprKind::InList { .. } => {
                    let arg = children.first().is_some_and(|child| child.0);
                    (arg, arg)
                }
                ExprKind::Call {
                    function:
                        Function::Lower
                        | Function::Upper
                        | Function::Length
                        | Function::Substring
                        | Function::Abs
                        | Function::Round
                        | Function::Floor
                        | Function::Ceil
                        | Function::Extract(_),
                    ..
                } => (any_null, any_null),
                _ => (false, false),
            };
            done.truncate(first);
            done.push(result)?;
        }
        Ok(done.pop().is_some_and(|root| root.1))
    }
}

/// The disjunction of conditions, which stands where `conjunct` does; nothing where there are none.
pub(super) fn any_of<'a>(
    parts: &[&'a Expr<'a>],
    conjunct: &'a Expr<'a>,
    arena: &'a Arena,
) -> Result<Option<&'a Expr<'a>>, AllocError> {
    if parts.len() > 1
        && let Some(list) = one_of(parts, conjunct, arena)?
    {
        return Ok(Some(list));
    }
    let mut any = None;
    for part in parts {
        any = Some(junction(BinaryOp::Or, any, part, arena)?);
    }
    Ok(any)
}

/// `left op right`, or `right` where there is nothing else yet.
pub(super) fn junction<'a>(
    op: BinaryOp,
    left: Option<&'a Expr<'a>>,
    right: &'a Expr<'a>,
    arena: &'a Arena,
) -> Result<&'a Expr<'a>, AllocError> {
    let Some(left) = left else { return Ok(right) };
    Ok(arena.alloc(Expr { kind: ExprKind::Binary { op, left, right }, ..*right })?)
}

/// Whether an expression calls functions, which may be dear, or give something else each time.
fn calls(expr: &Expr<'_>, scratch: &Arena) -> Result<bool, AllocError> {
    let mut walk = walk::PostOrder::new_in(expr, scratch)?;
    while let Some(expr) = walk.next()? {
        if matches!(expr.kind, ExprKind::Call { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A column or a constant: nothing is computed twice where it stands instead of its name.
fn is_plain(expr: &Expr<'_>) -> bool {
    matches!(expr.kind, ExprKind::Column(_) | ExprKind::Literal(_))
}

/// Whether an expression is never NULL.
fn never_null(expr: &Expr<'_>) -> bool {
    match expr.kind {
        ExprKind::Unary { op, .. } => !matches!(op, UnaryOp::Not | UnaryOp::Negate),
        ExprKind::Binary { op, .. } => {
            matches!(op, BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom)
        }
        ExprKind::Literal(value) => !value.is_null(),
        _ => false,
    }
}
