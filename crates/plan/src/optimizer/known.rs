//! What is known of the values of a plan's columns, and how many rows its conditions keep by that.
//!
//! Statistics are asked for once, for the columns of stored tables that conditions, joins and groups read, and only where
//! there is something to decide: a plan of one table without groups is what it is, but for the use of an index, and where one leads to
//! few rows, these are counted instead. Columns that are other names of such a column share
//! what is known of it.

use core::ops::Bound;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Value;

use super::access::{self, FewRows};
use super::{estimate, selectivity};
use crate::catalog::{Catalog, CatalogError};
use crate::expr::walk::PostOrder;
use crate::expr::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::logical::{ColumnId, LogicalKind, LogicalPlan, for_each_column};
use crate::table::{ColumnStatistics, TableSource};

/// What is known of one column.
#[derive(Clone, Copy, Debug)]
struct Column<'a> {
    statistics: &'a ColumnStatistics<'a>,
    /// The rows of its table.
    rows: f64,
    /// Its table, by the first of the columns.
    table: ColumnId,
    /// How many values its scan lets through, by conditions that name them.
    named: f64,
}

/// What is known of a plan's columns, by their numbers.
#[derive(Debug)]
pub(super) struct Known<'s, 'a> {
    columns: &'s [Option<Column<'a>>],
    /// Indexes that lead to few rows, which were counted.
    few: &'s [FewRows],
}

/// Bounds of a column that several conjuncts give.
struct Limits<'a> {
    column: ColumnId,
    lower: Bound<Value<'a>>,
    upper: Bound<Value<'a>>,
}

impl<'s, 'a> Known<'s, 'a> {
    /// Asks the catalog.
    pub(super) fn new(
        plan: &LogicalPlan<'a>,
        catalog: &dyn Catalog,
        arena: &'a Arena,
        scratch: &'s Arena,
    ) -> Result<Known<'s, 'a>, AllocError> {
        let columns = scratch.alloc_slice_fill(plan.columns.len(), None)?;
        if !sizes_decide(plan) {
            let mut few: Vec<'s, FewRows> = Vec::new_in(scratch);
            let mut is_open = false;
            for kind in &plan.nodes {
                let LogicalKind::Scan { source: TableSource::Stored(table), first, conjuncts, .. } = *kind
                else {
                    continue;
                };
                if access::is_choice(table, first, conjuncts) {
                    let found = access::few_rows(table, first, conjuncts, catalog, scratch)?;
                    is_open |= found.is_none();
                    few.extend(found)?;
                }
            }
            if !is_open {
                return Ok(Known { columns, few: few.into_slice() });
            }
        }
        let wanted = wanted(plan, scratch)?;
        for kind in &plan.nodes {
            let LogicalKind::Scan { source: TableSource::Stored(table), first, conjuncts, .. } = kind else {
                continue;
            };
            let mut positions: Vec<'s, u32> = Vec::new_in(scratch);
            positions.extend(
                (0..table.columns.len() as u32).filter(|position| wanted[(first + position) as usize]),
            )?;
            if positions.is_empty() {
                continue;
            }
            let found = match catalog.statistics(table, &positions, arena) {
                Ok(Some(found)) => found,
                Ok(None) | Err(CatalogError::Source { .. }) => continue,
                Err(CatalogError::OutOfMemory(error)) => return Err(error),
            };
            for (position, statistics) in found.columns {
                columns[(first + position) as usize] =
                    Some(Column { statistics, rows: found.rows, table: *first, named: f64::INFINITY });
            }
            for conjunct in *conjuncts {
                if let Some((column, count)) = named_values(conjunct)
                    && let Some(column) = &mut columns[column as usize]
                {
                    column.named = column.named.min(count);
                }
            }
        }
        // Names of names of columns are few: each turn finds those of one more level.
        for _ in 0..3 {
            for kind in &plan.nodes {
                match *kind {
                    LogicalKind::Extend { exprs, .. } => {
                        for named in exprs {
                            if let ExprKind::Column(source) = named.expr.kind {
                                columns[named.id as usize] = columns[source as usize];
                            }
                        }
                    }
                    LogicalKind::CteScan { cte, columns: names } => {
                        for (name, source) in names.iter().zip(plan.ctes[cte as usize].columns) {
                            columns[*name as usize] = columns[*source as usize];
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(Known { columns, few: &[] })
    }

    /// The index that leads to few rows of the table whose first column this is, if some were counted.
    pub(super) fn few_rows(&self, first: ColumnId) -> Option<FewRows> {
        self.few.iter().copied().find(|few| few.first == first)
    }

    /// How many distinct values a column has in so many rows, if that is known.
    pub(super) fn distinct(&self, column: ColumnId, rows: f64) -> Option<f64> {
        let known = self.columns[column as usize]?;
        (known.statistics.distinct > 0.0).then(|| {
            let share = if known.rows > 0.0 { rows / known.rows } else { 1.0 };
            selectivity::distinct_left(known.statistics.distinct, known.rows, share).min(known.named)
        })
    }

    /// The share of all pairs of rows for which two columns are equal, if that is known, where so large shares of the rows of their tables
    /// are kept.
    ///
    /// Who asks for some rows of a table whose keys go far beyond those that the other has asks for rows that the other has: for one of the
    /// years for which there are sales, of a calendar of two centuries.
    pub(super) fn equal_pairs(
        &self,
        (left, left_kept): (&Expr<'_>, f64),
        (right, right_kept): (&Expr<'_>, f64),
    ) -> Option<f64> {
        let of = |expr: &Expr<'_>| match expr.kind {
            ExprKind::Column(column) => self.columns[column as usize],
            ExprKind::Cast(Expr { kind: ExprKind::Column(column), .. }) => self.columns[*column as usize],
            _ => None,
        };
        let (left, right) = (of(left)?, of(right)?);
        let share = selectivity::join_equal((left.statistics, left.rows), (right.statistics, right.rows));
        let more = |own: Column<'_>, other: Column<'_>, kept: f64| {
            let within = selectivity::within(own.statistics, own.rows, other.statistics);
            within.max(kept).clamp(f64::MIN_POSITIVE, 1.0).recip()
        };
        Some((share * more(left, right, left_kept) * more(right, left, right_kept)).min(1.0))
    }

    /// How many groups so many rows make by some expressions.
    pub(super) fn groups<'e>(
        &self,
        groups: impl ExactSizeIterator<Item = &'e Expr<'e>> + Clone,
        rows: f64,
    ) -> f64 {
        let count = groups.len();
        let (mut product, mut unknown) = (1.0, 0);
        let known = groups.map(|group| match group.kind {
            ExprKind::Column(column) => Some((self.columns[column as usize]?, self.distinct(column, rows)?)),
            _ => None,
        });
        for (at, group) in known.clone().enumerate() {
            let Some((Column { table, rows: table_rows, .. }, _)) = group else {
                unknown += 1;
                continue;
            };
            // Columns of a table have no more values together than it has rows.
            let of_table =
                |(column, distinct): (Column<'_>, f64)| (column.table == table).then_some(distinct);
            if known.clone().take(at).flatten().all(|before| of_table(before).is_none()) {
                let together: f64 =
                    known.clone().flatten().filter_map(of_table).map(|own| own.max(1.0)).product();
                product *= together.min(table_rows).max(1.0);
            }
        }
        match unknown {
            _ if count == 0 => 1.0,
            0 => product.min(rows).max(1.0),
            _ => estimate::group_rows(rows, count).max(product.min(rows)),
        }
    }

    /// The share of rows for which all conjuncts are true.
    pub(super) fn share(&self, conjuncts: &[&Expr<'_>], scratch: &Arena) -> Result<f64, AllocError> {
        let mut shares: Vec<'_, f64> = Vec::new_in(scratch);
        let mut limits: Vec<'_, Limits<'_>> = Vec::new_in(scratch);
        for conjunct in conjuncts {
            match self.limit_of(conjunct) {
                Some((column, lower, upper)) => {
                    match limits.iter_mut().find(|known| known.column == column) {
                        Some(known) => {
                            known.lower = if lower == Bound::Unbounded { known.lower } else { lower };
                            known.upper = if upper == Bound::Unbounded { known.upper } else { upper };
                        }
                        None => limits.push(Limits { column, lower, upper })?,
                    }
                }
                None => shares.push(self.conjunct(conjunct, scratch)?)?,
            }
        }
        for Limits { column, lower, upper } in &limits {
            if let Some(known) = self.columns[*column as usize] {
                shares.push(selectivity::range(
                    known.statistics,
                    known.rows,
                    lower.as_ref(),
                    upper.as_ref(),
                ))?;
            }
        }
        Ok(if shares.is_empty() { 1.0 } else { selectivity::conjunction(&shares) })
    }

    /// The bounds that a conjunct gives to a column of which something is known.
    fn limit_of<'v>(&self, conjunct: &Expr<'v>) -> Option<(ColumnId, Bound<Value<'v>>, Bound<Value<'v>>)> {
        let column = |expr: &Expr<'_>| match expr.kind {
            ExprKind::Column(column) if self.columns[column as usize].is_some() => Some(column),
            _ => None,
        };
        let value = |expr: &Expr<'v>| match expr.kind {
            ExprKind::Literal(value) => Some(value),
            _ => None,
        };
        let open = Bound::Unbounded;
        match conjunct.kind {
            ExprKind::Binary { op, left, right } => {
                let (column, value, op) = match (column(left), value(right), column(right), value(left)) {
                    (Some(column), Some(value), _, _) => (column, value, op),
                    (_, _, Some(column), Some(value)) => (column, value, turned(op)?),
                    _ => return None,
                };
                match op {
                    BinaryOp::Less => Some((column, open, Bound::Excluded(value))),
                    BinaryOp::LessEqual => Some((column, open, Bound::Included(value))),
                    BinaryOp::Greater => Some((column, Bound::Excluded(value), open)),
                    BinaryOp::GreaterEqual => Some((column, Bound::Included(value), open)),
                    _ => None,
                }
            }
            ExprKind::Between { arg, low, high, negated: false } => {
                Some((column(arg)?, Bound::Included(value(low)?), Bound::Included(value(high)?)))
            }
            _ => None,
        }
    }

    fn conjunct(&self, root: &Expr<'_>, scratch: &Arena) -> Result<f64, AllocError> {
        let local = Arena::new(scratch.budget());
        let mut walk = PostOrder::new_in(root, &local)?;
        let mut done: Vec<'_, f64> = Vec::new_in(&local);
        while let Some(expr) = walk.next()? {
            let first = done.len() - expr.child_count();
            let share = match self.node(expr, &done[first..]) {
                Some(share) => share,
                None => estimate::node_selectivity(expr, &done[first..]),
            };
            done.truncate(first);
            done.push(share)?;
        }
        Ok(done.pop().unwrap_or(1.0))
    }

    /// The share of a node by what is known of the column in it.
    fn node(&self, expr: &Expr<'_>, children: &[f64]) -> Option<f64> {
        let column = |expr: &Expr<'_>| match expr.kind {
            ExprKind::Column(column) => self.columns[column as usize],
            _ => None,
        };
        fn value<'e, 'v>(expr: &'e Expr<'v>) -> Option<&'e Value<'v>> {
            match &expr.kind {
                ExprKind::Literal(value) => Some(value),
                _ => None,
            }
        }
        match expr.kind {
            ExprKind::Binary { op: BinaryOp::Or, .. } => match children {
                [left, right] => Some(selectivity::disjunction(*left, *right)),
                _ => None,
            },
            ExprKind::Binary { op, left, right } => {
                let (known, other, op) = match (column(left), column(right)) {
                    (Some(_), Some(_)) => return None,
                    (Some(known), None) => (known, right, op),
                    (None, Some(known)) => (known, left, turned(op)?),
                    (None, None) => return None,
                };
                let (statistics, rows, value) = (known.statistics, known.rows, value(other));
                match op {
                    BinaryOp::Equal => Some(selectivity::equal(statistics, rows, value)),
                    BinaryOp::NotEqual => Some(selectivity::not_equal(statistics, rows, value)),
                    BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
                        Some(match self.limit_of(expr) {
                            Some((_, lower, upper)) => {
                                selectivity::range(statistics, rows, lower.as_ref(), upper.as_ref())
                            }
                            None => selectivity::range_unknown(statistics, false),
                        })
                    }
                    _ => None,
                }
            }
            ExprKind::Between { arg, negated, .. } => {
                let known = column(arg)?;
                let share = match self.limit_of(expr) {
                    Some((_, lower, upper)) => {
                        selectivity::range(known.statistics, known.rows, lower.as_ref(), upper.as_ref())
                    }
                    None => selectivity::range_unknown(known.statistics, true),
                };
                Some(if negated { 1.0 - share } else { share })
            }
            ExprKind::InList { arg, list, negated } => {
                let known = column(arg)?;
                let values = list.iter().map(|item| value(item));
                let share = selectivity::in_list(known.statistics, known.rows, values);
                Some(if negated { 1.0 - share } else { share })
            }
            ExprKind::Unary { op: UnaryOp::IsNull, arg } => {
                Some(selectivity::is_null(column(arg)?.statistics))
            }
            ExprKind::Unary { op: UnaryOp::IsNotNull, arg } => {
                Some(selectivity::is_not_null(column(arg)?.statistics))
            }
            ExprKind::Like { text, pattern, escape, negated } => {
                let known = column(text)?;
                let Some(Value::Text(pattern)) = value(pattern) else { return None };
                Some(match negated {
                    true => selectivity::not_like(known.statistics, known.rows, pattern, escape),
                    false => selectivity::like(known.statistics, known.rows, pattern, escape),
                })
            }
            _ => None,
        }
    }
}

/// The column of which a condition names all values that pass, and how many these are.
fn named_values(conjunct: &Expr<'_>) -> Option<(ColumnId, f64)> {
    let column = |expr: &Expr<'_>| match expr.kind {
        ExprKind::Column(column) => Some(column),
        _ => None,
    };
    match conjunct.kind {
        ExprKind::Binary { op: BinaryOp::Equal, left, right } => match (column(left), column(right)) {
            (Some(column), None) if right.is_literal() => Some((column, 1.0)),
            (None, Some(column)) if left.is_literal() => Some((column, 1.0)),
            _ => None,
        },
        ExprKind::InList { arg, list, negated: false } => Some((column(arg)?, list.len() as f64)),
        _ => None,
    }
}

/// Whether sizes decide anything in a plan beside the use of indexes: the order of joins, the side that is held, how much groups take.
fn sizes_decide(plan: &LogicalPlan<'_>) -> bool {
    plan.nodes.iter().any(|kind| {
        matches!(
            kind,
            LogicalKind::Join(_)
                | LogicalKind::Aggregate { groups: [_, ..], .. }
                | LogicalKind::Distinct { .. }
        )
    })
}

/// By column: whether anything is estimated with it.
fn wanted<'s>(plan: &LogicalPlan<'_>, scratch: &'s Arena) -> Result<&'s [bool], AllocError> {
    let wanted = scratch.alloc_slice_fill(plan.columns.len(), false)?;
    for kind in &plan.nodes {
        match kind {
            LogicalKind::Scan { .. }
            | LogicalKind::Join(_)
            | LogicalKind::Filter { .. }
            | LogicalKind::Aggregate { .. } => {
                let groups: &[_] = match kind {
                    LogicalKind::Aggregate { groups, .. } => groups,
                    _ => &[],
                };
                for group in groups {
                    for_each_column(group.expr, scratch, |column| {
                        wanted[column as usize] = true;
                        Ok(())
                    })?;
                }
                if groups.is_empty() {
                    kind.for_each_expr(|expr| {
                        for_each_column(expr, scratch, |column| {
                            wanted[column as usize] = true;
                            Ok(())
                        })
                    })?;
                }
            }
            LogicalKind::Distinct { columns, .. } => {
                columns.iter().for_each(|column| wanted[*column as usize] = true);
            }
            _ => {}
        }
    }
    // What another name is wanted of is wanted too.
    for _ in 0..3 {
        for kind in &plan.nodes {
            match *kind {
                LogicalKind::Extend { exprs, .. } => {
                    for named in exprs {
                        if let ExprKind::Column(source) = named.expr.kind {
                            wanted[source as usize] |= wanted[named.id as usize];
                        }
                    }
                }
                LogicalKind::CteScan { cte, columns } => {
                    for (name, source) in columns.iter().zip(plan.ctes[cte as usize].columns) {
                        wanted[*source as usize] |= wanted[*name as usize];
                    }
                }
                _ => {}
            }
        }
    }
    Ok(wanted)
}

/// The comparison with its sides exchanged.
fn turned(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Equal | BinaryOp::NotEqual => op,
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        _ => return None,
    })
}
