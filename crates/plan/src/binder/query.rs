//! Binds queries in FROM, in WITH and in set operations, from the innermost outwards.
//!
//! One walk goes over the query's tree, into tables of FROM, into WITH and into both sides of set operations, and nowhere
//! else. A query is bound when the walk leaves it: those inside it have been bound by then, and their numbers stand in
//! their nodes. Names of WITH become visible when their query is left, and are forgotten with the query around it:
//!
//! ```text
//! WITH c AS (A) SELECT … FROM (B), c          enter, A, c is visible, B, the select, c is forgotten
//! WITH RECURSIVE r AS (A UNION ALL B) …       enter, A, r means the rows added last, B, the union, r is visible
//! ```

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_sql::views::{
    Cte as CteView, Derived, JoinKind, Materialized, Query, QueryBody, SetOperation, SetOperator, TableExpr,
    With,
};
use cofferdam_sql::{Node, NodeKind, Visit, Walk};
use cofferdam_types::Type;

use super::Binder;
use super::scope::{ColumnName, name_error};
use crate::Span;
use crate::error::{ClauseProblem, CountProblem, Error, NameProblem};
use crate::expr::{Column, Expr};
use crate::logical::{ColumnId, Cte, Key, LogicalId, LogicalKind, Named, Output};
use crate::physical::SetOperationKind;

/// A query that is bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound<'a> {
    pub(super) node: LogicalId,
    pub(super) columns: &'a [BoundColumn<'a>],
}

/// A column of a query that is bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoundColumn<'a> {
    pub(super) id: ColumnId,
    pub(super) name: &'a str,
    /// A NULL or quoted literal that still waits for a type: no node makes the column.
    pub(super) open: Option<&'a Expr<'a>>,
    /// Where it stands in the statement.
    pub(super) span: Span,
}

impl<'a> Bound<'a> {
    /// Its columns as an answer has them.
    pub(super) fn outputs(&self, arena: &'a Arena) -> Result<&'a [Output<'a>], Error<'a>> {
        let outputs = self.columns.iter().map(|column| Output { id: column.id, name: column.name });
        Ok(arena.alloc_slice_from_iter(outputs)?)
    }
}

/// A name of WITH.
#[derive(Clone, Copy, Debug)]
pub(super) struct VisibleCte<'a> {
    name: &'a str,
    columns: &'a [BoundColumn<'a>],
    source: CteSource,
}

#[derive(Clone, Copy, Debug)]
enum CteSource {
    /// A position in the plan's list.
    Cte(u32),
    /// The rows that a recursion has added last.
    Working(u32),
}

/// A recursive query of WITH.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recursion<'a> {
    /// The node of its query, to be compared with others.
    query: *const (),
    name: &'a str,
    /// What its columns are called, where it says.
    names: &'a [&'a str],
    span: Span,
    /// The left side and the number of its working table, when the right one is being bound.
    working: Option<(Bound<'a>, u32)>,
    /// Whether a scan has read it.
    is_read: bool,
}

impl<'a> Binder<'_, 'a, '_> {
    /// Binds a query and all queries that it is made of. Columns of unknown type are still open.
    pub(super) fn bind_query<'q: 'a>(&mut self, query: Query<'q>) -> Result<Bound<'a>, Error<'a>> {
        self.bind_within(query.node())?;
        Ok(self.bound_query(query))
    }

    /// Binds the queries of a WITH before a change of a table: from here on their names mean them.
    pub(super) fn bind_with<'q: 'a>(&mut self, with: Option<With<'q>>) -> Result<(), Error<'a>> {
        with.map_or(Ok(()), |with| self.bind_within(with.node()))
    }

    /// Binds the queries that a part of FROM, or a query, is made of.
    pub(super) fn bind_within<'q: 'a>(&mut self, node: &'q Node<'q>) -> Result<(), Error<'a>> {
        let mut frames: Vec<'_, usize> = Vec::new_in(self.scratch);
        let mut walk = Walk::new(node);
        while let Some(visit) = walk.next() {
            match visit {
                Visit::Enter(node) => match node.kind() {
                    NodeKind::Select | NodeKind::Values | NodeKind::SetOperation => {
                        self.begin_round(node)?;
                        frames.push(self.ctes.len())?;
                    }
                    NodeKind::With => self.check_with(node)?,
                    NodeKind::Cte => self.enter_cte(node)?,
                    NodeKind::From | NodeKind::Join => {}
                    NodeKind::Derived if Derived::of(node).is_some_and(|derived| !derived.is_lateral()) => {}
                    _ => walk.skip_children(node),
                },
                Visit::Leave(node) => {
                    if let Some(query) = Query::of(node) {
                        let bound = self.bind_left(query)?;
                        self.ctes.truncate(frames.pop().unwrap_or_default());
                        node.annotate(self.bound.len() as u32);
                        self.bound.push(bound)?;
                    } else if let Some(cte) = CteView::of(node) {
                        self.leave_cte(cte)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What a query has been bound to by the walk that is under way.
    pub(super) fn bound_query(&self, query: Query<'_>) -> Bound<'a> {
        self.bound[query.node().annotation() as usize]
    }

    /// Binds a query whose parts are bound.
    fn bind_left<'q: 'a>(&mut self, query: Query<'q>) -> Result<Bound<'a>, Error<'a>> {
        if let Some(locking) = query.lockings().next() {
            return Err(Error::NotSupported { what: "FOR UPDATE and the like", span: locking.span() });
        }
        match query.body() {
            QueryBody::Select(select) => self.bind_select(select),
            QueryBody::Values(values) => self.bind_values(values),
            QueryBody::SetOperation(operation) => self.bind_set_operation(operation),
        }
    }

    /// Whether a column is one of a table as it stands there.
    pub(super) fn is_of_table(&self, column: ColumnId) -> bool {
        self.plan.nodes.iter().any(|kind| match kind {
            LogicalKind::Scan { source, first, .. } => {
                (*first..*first + source.columns().len() as u32).contains(&column)
            }
            _ => false,
        })
    }

    /// Gives a type to the columns that still wait for one.
    pub(super) fn settle(&mut self, bound: Bound<'a>) -> Result<Bound<'a>, Error<'a>> {
        if bound.columns.iter().all(|column| column.open.is_none()) {
            return Ok(bound);
        }
        self.cast_columns(bound, |_, ty| ty)
    }

    /// The same query with columns of the types that `wanted` says; what is unknown and stays so becomes text.
    pub(super) fn cast_columns(
        &mut self,
        bound: Bound<'a>,
        wanted: impl Fn(usize, Type) -> Type,
    ) -> Result<Bound<'a>, Error<'a>> {
        let build = self.build();
        let columns = self.arena.alloc_slice_copy(bound.columns)?;
        let mut exprs: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        for (index, column) in columns.iter_mut().enumerate() {
            let ty = self.plan.ty(column.id);
            let target = match wanted(index, ty) {
                Type::Unknown => Type::Text,
                target => target,
            };
            if ty == target {
                continue;
            }
            let read = match column.open.take() {
                Some(literal) => literal,
                None => self.plan.read(column.id, column.span, self.arena)?,
            };
            let expr = build.cast(read, target, column.span)?;
            column.id = self.plan.column(column.name, target)?;
            exprs.push(Named { id: column.id, expr })?;
        }
        let columns = &*columns;
        if exprs.is_empty() {
            return Ok(Bound { node: bound.node, columns });
        }
        let node = self.plan.push(LogicalKind::Extend { input: bound.node, exprs: exprs.into_slice() })?;
        Ok(Bound { node, columns })
    }

    /// Under other names, as `t(a, b)` gives them; those behind keep theirs.
    pub(super) fn rename(
        &self,
        columns: &'a [BoundColumn<'a>],
        name: &'a str,
        names: impl ExactSizeIterator<Item = &'a str>,
        span: Span,
    ) -> Result<&'a [BoundColumn<'a>], Error<'a>> {
        if names.len() == 0 {
            return Ok(columns);
        }
        if names.len() > columns.len() {
            let (expected, found) = (columns.len() as u64, names.len() as u64);
            return Err(Error::Count { problem: CountProblem::ColumnAliases, name, expected, found, span });
        }
        let renamed = self.arena.alloc_slice_copy(columns)?;
        for (column, name) in renamed.iter_mut().zip(names) {
            column.name = name;
        }
        Ok(renamed)
    }

    fn check_with<'q: 'a>(&self, node: &'q Node<'q>) -> Result<(), Error<'a>> {
        let Some(with) = With::of(node) else { return Ok(()) };
        for (index, cte) in with.ctes().enumerate() {
            if with.ctes().take(index).any(|known| known.name() == cte.name()) {
                let wanted = ColumnName { table: None, name: cte.name(), span: cte.span() };
                return Err(name_error(NameProblem::DuplicateAlias, wanted));
            }
            let refused = [
                ("SEARCH", cte.search().map(|search| search.form().span())),
                ("CYCLE", cte.cycle().map(|cycle| cycle.form().span())),
                ("a statement in WITH that changes tables", cte.query().is_none().then(|| cte.span())),
            ];
            for (what, span) in refused {
                if let Some(span) = span {
                    return Err(Error::NotSupported { what, span });
                }
            }
        }
        Ok(())
    }

    fn enter_cte<'q: 'a>(&mut self, node: &'q Node<'q>) -> Result<(), Error<'a>> {
        let is_recursive = node.parent().and_then(With::of).is_some_and(With::is_recursive);
        let Some(cte) = CteView::of(node).filter(|_| is_recursive) else { return Ok(()) };
        let Some(query) = cte.query() else { return Ok(()) };
        let names = list_of_names(cte, self.arena)?;
        let (query, name, span) = (place_of(query.node()), cte.name(), cte.span());
        Ok(self.recursions.push(Recursion { query, name, names, span, working: None, is_read: false })?)
    }

    /// Where `node` is the right side of a union that may be recursive: its name means the rows that were added last.
    fn begin_round<'q: 'a>(&mut self, node: &'q Node<'q>) -> Result<(), Error<'a>> {
        let Some(recursion) = self.recursions.last().copied() else { return Ok(()) };
        let Some(union) = node.parent().and_then(SetOperation::of) else { return Ok(()) };
        if place_of(union.query().node()) != recursion.query
            || union.operator() != SetOperator::Union
            || place_of(union.right().node()) != place_of(node)
        {
            return Ok(());
        }
        let left = self.bound_query(union.left());
        // Each round may give more digits than the rows that it began with.
        let left = self.cast_columns(left, |_, ty| match ty {
            Type::Decimal { .. } => Type::Numeric,
            ty => ty,
        })?;
        let Recursion { name, names, span, .. } = recursion;
        let columns = self.rename(left.columns, name, names.iter().copied(), span)?;
        let working = self.plan.workings;
        self.plan.workings += 1;
        if let Some(recursion) = self.recursions.last_mut() {
            recursion.working = Some((left, working));
        }
        Ok(self.ctes.push(VisibleCte { name, columns, source: CteSource::Working(working) })?)
    }

    fn leave_cte<'q: 'a>(&mut self, cte: CteView<'q>) -> Result<(), Error<'a>> {
        let Some(query) = cte.query() else { return Ok(()) };
        if self.recursions.last().is_some_and(|recursion| recursion.query == place_of(query.node())) {
            self.recursions.pop();
        }
        let bound = self.bound_query(query);
        let bound = self.settle(bound)?;
        let names = list_of_names(cte, self.arena)?;
        let columns = self.rename(bound.columns, cte.name(), names.iter().copied(), cte.span())?;
        let ids: &'a [ColumnId] = self.arena.alloc_slice_from_iter(columns.iter().map(|column| column.id))?;
        let is_fenced = cte.materialized() == Materialized::Yes;
        let number = self.plan.ctes.len() as u32;
        self.plan.ctes.push(Cte { node: bound.node, columns: ids, scans: 0, is_fenced })?;
        Ok(self.ctes.push(VisibleCte { name: cte.name(), columns, source: CteSource::Cte(number) })?)
    }

    /// A scan of what a name of WITH means here.
    ///
    /// # Errors
    /// 42P19 where a round of a recursion reads the rows added last a second time, which would give more of them each time.
    pub(super) fn scan_cte<'q: 'a>(
        &mut self,
        name: &str,
        node: &'q Node<'q>,
        span: Span,
    ) -> Result<Option<Bound<'a>>, Error<'a>> {
        let Some(found) = self.ctes.iter().rev().find(|cte| cte.name == name).copied() else {
            return Ok(None);
        };
        let columns = self.arena.alloc_slice_copy(found.columns)?;
        for column in columns.iter_mut() {
            column.id = self.plan.column(column.name, self.plan.ty(column.id))?;
        }
        let columns = &*columns;
        let ids = &*self.arena.alloc_slice_from_iter(columns.iter().map(|column| column.id))?;
        let kind = match found.source {
            CteSource::Cte(cte) => {
                self.plan.ctes[cte as usize].scans += 1;
                LogicalKind::CteScan { cte, columns: ids }
            }
            CteSource::Working(working) => {
                let is_its = |recursion: &&mut Recursion<'_>| {
                    recursion.working.is_some_and(|(_, number)| number == working)
                };
                if let Some(recursion) = self.recursions.iter_mut().find(is_its) {
                    let is_read = std::mem::replace(&mut recursion.is_read, true);
                    let problem = misplaced(node, recursion.query).or(is_read.then_some("more than once"));
                    if let Some(problem) = problem {
                        return Err(self.recursive_reference(name, problem, span)?);
                    }
                }
                if let Some(block) = self.blocks.last_mut() {
                    block.reads_round = true;
                }
                LogicalKind::WorkingScan { working, columns: ids }
            }
        };
        Ok(Some(Bound { node: self.plan.push(kind)?, columns }))
    }

    /// Refuses a recursive query that reads itself elsewhere than on the right side of its union.
    ///
    /// # Errors
    /// 42P19.
    pub(super) fn refuse_itself<'q: 'a>(
        &self,
        name: &str,
        node: &'q Node<'q>,
        span: Span,
    ) -> Result<(), Error<'a>> {
        let is_it = |recursion: &&Recursion<'_>| recursion.name == name;
        let Some(recursion) = self.recursions.iter().rev().find(is_it) else { return Ok(()) };
        let whole = std::iter::successors(node.parent(), |node| node.parent())
            .find(|node| place_of(node) == recursion.query);
        let union = whole.and_then(SetOperation::of);
        if union.is_some_and(|union| union.operator() == SetOperator::Union) {
            return Err(self.recursive_reference(name, "within its non-recursive term", span)?);
        }
        let message = self.arena.alloc_fmt(format_args!(
            "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
        ))?;
        Err(Error::Source { sqlstate: "42P19", message, span: recursion.span })
    }

    fn recursive_reference(&self, name: &str, place: &str, span: Span) -> Result<Error<'a>, AllocError> {
        let message = self
            .arena
            .alloc_fmt(format_args!("recursive reference to query \"{name}\" must not appear {place}"))?;
        Ok(Error::Source { sqlstate: "42P19", message, span })
    }

    fn bind_set_operation<'q: 'a>(&mut self, operation: SetOperation<'q>) -> Result<Bound<'a>, Error<'a>> {
        let span = operation.span();
        let (construct, distinct) = (word(operation.operator()), !operation.is_all());
        let sides = [self.bound_query(operation.left()), self.bound_query(operation.right())];
        let recursion = match self.recursions.last() {
            Some(recursion) if recursion.query == place_of(operation.query().node()) => *recursion,
            _ => {
                let bound = self.unite(sides, construct, operation, span)?;
                return self.order_output(bound, operation.query());
            }
        };
        if recursion.working.is_some() {
            // The name that meant the rows added last means nothing behind the right side.
            self.ctes.pop();
        }
        let (Some((left, working)), true) = (recursion.working, recursion.is_read) else {
            let bound = self.unite(sides, construct, operation, span)?;
            return self.order_output(bound, operation.query());
        };
        let query = operation.query();
        if query.order_by().next().is_some() || query.limit().is_some() || query.offset().is_some() {
            return Err(Error::NotSupported { what: "ORDER BY or LIMIT in a recursive query", span });
        }
        self.check_widths(left, sides[1], construct)?;
        let step = sides[1];
        let pairs = left.columns.iter().zip(step.columns);
        for (base, step) in pairs.filter(|(_, step)| step.open.is_none()) {
            let (wanted, found) = (self.plan.ty(base.id), self.plan.ty(step.id));
            if !is_same_column(wanted, found) {
                let construct = "the non-recursive and the recursive term";
                return Err(Error::TypesDiffer { construct, left: wanted, right: found, span: step.span });
            }
        }
        let types =
            self.arena.alloc_slice_from_iter(left.columns.iter().map(|column| self.plan.ty(column.id)))?;
        let step = self.cast_columns(step, |index, _| types[index])?;
        let columns = self.copies_of(left.columns)?;
        let kind = LogicalKind::Recursive {
            inputs: [left.node, step.node],
            sources: [self.ids(left.columns)?, self.ids(step.columns)?],
            working,
            distinct,
            columns: self.ids(columns)?,
        };
        Ok(Bound { node: self.plan.push(kind)?, columns })
    }

    /// The rows of a set operation.
    fn unite(
        &mut self,
        [left, right]: [Bound<'a>; 2],
        construct: &'static str,
        operation: SetOperation<'_>,
        span: Span,
    ) -> Result<Bound<'a>, Error<'a>> {
        self.check_widths(left, right, construct)?;
        let build = self.build();
        let mut types: Vec<'a, Type> = Vec::with_capacity_in(left.columns.len(), self.arena)?;
        for (a, b) in left.columns.iter().zip(right.columns) {
            let sides = [self.read_bound(a)?, self.read_bound(b)?];
            types.push(build.common_type(sides.into_iter(), construct)?)?;
        }
        let left = self.cast_columns(left, |index, _| types[index])?;
        let right = self.cast_columns(right, |index, _| types[index])?;
        let columns = self.copies_of(left.columns)?;
        let ids = self.ids(columns)?;
        let sources = [self.ids(left.columns)?, self.ids(right.columns)?];
        let node = match operation.operator() {
            SetOperator::Union => {
                let node = self.concat([left.node, right.node], sources, ids)?;
                match operation.is_all() {
                    true => node,
                    false => self.plan.push(LogicalKind::Distinct { input: node, columns: ids })?,
                }
            }
            operator => {
                let kind = match operator {
                    SetOperator::Intersect => SetOperationKind::Intersect,
                    _ => SetOperationKind::Except,
                };
                let (all, inputs) = (operation.is_all(), [left.node, right.node]);
                self.plan.push(LogicalKind::SetOperation { kind, all, inputs, sources, columns: ids })?
            }
        };
        let _ = span;
        Ok(Bound { node, columns })
    }

    /// The rows of both; a left side that is a concatenation takes the right one in.
    fn concat(
        &mut self,
        [left, right]: [LogicalId; 2],
        [from_left, from_right]: [&'a [ColumnId]; 2],
        columns: &'a [ColumnId],
    ) -> Result<LogicalId, Error<'a>> {
        let (mut inputs, mut sources) = (Vec::new_in(self.arena), Vec::new_in(self.arena));
        inputs.extend([left, right])?;
        sources.extend([from_left, from_right])?;
        let kind =
            LogicalKind::Concat { inputs: inputs.into_slice(), sources: sources.into_slice(), columns };
        Ok(self.plan.push(kind)?)
    }

    fn check_widths(
        &self,
        left: Bound<'a>,
        right: Bound<'a>,
        construct: &'static str,
    ) -> Result<(), Error<'a>> {
        let (expected, found) = (left.columns.len(), right.columns.len());
        if expected == found {
            return Ok(());
        }
        let span = right.columns.first().map_or(Span::default(), |column| column.span);
        let (expected, found) = (expected as u64, found as u64);
        Err(Error::Count { problem: CountProblem::SetOperation, name: construct, expected, found, span })
    }

    /// An expression that is the column.
    pub(super) fn read_bound(&self, column: &BoundColumn<'a>) -> Result<&'a Expr<'a>, Error<'a>> {
        match column.open {
            Some(literal) => Ok(literal),
            None => Ok(self.plan.read(column.id, column.span, self.arena)?),
        }
    }

    /// New columns like these.
    fn copies_of(&mut self, columns: &[BoundColumn<'a>]) -> Result<&'a [BoundColumn<'a>], Error<'a>> {
        let copies = self.arena.alloc_slice_copy(columns)?;
        for column in copies.iter_mut() {
            column.id = self.plan.column(column.name, self.plan.ty(column.id))?;
        }
        Ok(copies)
    }

    pub(super) fn ids(&self, columns: &[BoundColumn<'a>]) -> Result<&'a [ColumnId], Error<'a>> {
        Ok(self.arena.alloc_slice_from_iter(columns.iter().map(|column| column.id))?)
    }

    /// ORDER BY and LIMIT of a query whose columns are all there is to refer to.
    fn order_output<'q: 'a>(&mut self, bound: Bound<'a>, query: Query<'q>) -> Result<Bound<'a>, Error<'a>> {
        let bound = self.settle(bound)?;
        let mut keys: Vec<'a, Key> = Vec::new_in(self.arena);
        for key in query.order_by() {
            let index = self.output_of_key(bound.columns, key.expr())?;
            let column = bound.columns[index].id;
            if keys.iter().all(|known| known.column != column) {
                let (descending, nulls_first) = (key.is_descending(), key.nulls_first());
                keys.push(Key { column, descending, nulls_first })?;
            }
        }
        let node = self.push_order_and_limit(bound.node, keys.into_slice(), query)?;
        Ok(Bound { node, ..bound })
    }

    /// The column that a key of a set operation's ORDER BY names.
    fn output_of_key<'q: 'a>(
        &self,
        columns: &[BoundColumn<'a>],
        expr: cofferdam_sql::views::Expr<'q>,
    ) -> Result<usize, Error<'a>> {
        let (clause, span) = ("ORDER BY", expr.span());
        if let cofferdam_sql::views::Expr::Column(column) = expr
            && column.table().is_none()
        {
            let mut found = columns.iter().enumerate().filter(|(_, known)| known.name == column.name());
            return match (found.next(), found.next()) {
                (Some((index, _)), None) => Ok(index),
                (Some(_), Some(_)) => {
                    Err(Error::Clause { problem: ClauseProblem::Ambiguous, clause, given: 0, span })
                }
                (None, _) => {
                    let wanted = ColumnName { table: None, name: column.name(), span };
                    Err(name_error(NameProblem::UndefinedColumn, wanted))
                }
            };
        }
        match super::select::position_of(expr, columns.len(), clause)? {
            Some(index) => Ok(index),
            None => {
                let what = "an expression in ORDER BY of UNION, INTERSECT or EXCEPT";
                Err(Error::NotSupported { what, span })
            }
        }
    }
}

/// Where a round of the recursive `query` reads its rows at `node`, if it may not there: each row added must give rows of its own.
fn misplaced<'q>(node: &'q Node<'q>, query: *const ()) -> Option<&'static str> {
    let (mut found, mut below) = (None, node);
    while let Some(node) = below.parent().filter(|_| place_of(below) != query) {
        if let Some(TableExpr::Join(join)) = TableExpr::of(node) {
            let is_right = join.right().is_some_and(|right| place_of(right.node()) == place_of(below));
            let may_be_missing = match join.kind() {
                JoinKind::Inner | JoinKind::Cross => false,
                JoinKind::Left => is_right,
                JoinKind::Right => !is_right,
                JoinKind::Full => true,
            };
            found = if may_be_missing { Some("within an outer join") } else { found };
        }
        if let Some(operation) = SetOperation::of(node) {
            let is_right = place_of(operation.right().node()) == place_of(below);
            found = match operation.operator() {
                SetOperator::Intersect if operation.is_all() => Some("within INTERSECT"),
                SetOperator::Except if operation.is_all() || is_right => Some("within EXCEPT"),
                _ => found,
            };
        }
        let is_nested = matches!(
            node.kind(),
            NodeKind::Exists
                | NodeKind::Subquery
                | NodeKind::InQuery
                | NodeKind::ArrayQuery
                | NodeKind::QuantifiedQuery
        );
        found = if is_nested { Some("within a subquery") } else { found };
        below = node;
    }
    found
}

/// Whether a value of a recursive term's column becomes one of the non-recursive term's as it is.
fn is_same_column(wanted: Type, found: Type) -> bool {
    wanted == found || (wanted.name() == found.name())
}

/// Where a node is, to tell nodes apart.
fn place_of(node: &Node<'_>) -> *const () {
    (&raw const *node).cast()
}

/// The names of `name(a, b) AS …`.
fn list_of_names<'a, 'q: 'a>(cte: CteView<'q>, arena: &'a Arena) -> Result<&'a [&'a str], Error<'a>> {
    let mut names: Vec<'a, &'a str> = Vec::new_in(arena);
    for column in cte.columns() {
        names.push(column.name())?;
    }
    Ok(names.into_slice())
}

fn word(operator: SetOperator) -> &'static str {
    match operator {
        SetOperator::Union => "UNION",
        SetOperator::Intersect => "INTERSECT",
        SetOperator::Except => "EXCEPT",
    }
}

/// Columns that a node makes anew.
pub(super) fn columns_from<'a>(
    columns: &[Column<'a>],
    first: ColumnId,
    span: Span,
    arena: &'a Arena,
) -> Result<&'a [BoundColumn<'a>], Error<'a>> {
    let bound = columns.iter().zip(first..);
    let bound = bound.map(|(column, id)| BoundColumn { id, name: column.name, open: None, span });
    Ok(arena.alloc_slice_from_iter(bound)?)
}
