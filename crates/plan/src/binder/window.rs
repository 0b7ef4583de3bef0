//! Window functions: a call with OVER becomes a column, which a node above the grouping makes.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::Keyword;
use cofferdam_sql::views::forms::{Window as NamedView, WindowBound, WindowFrame, WindowSpecification};
use cofferdam_sql::views::{Call, CallForm};
use cofferdam_types::{Type, Value};

use super::aggregate::aggregate_named;
use super::expression::{Allows, Place};
use super::{Binder, functions};
use crate::Span;
use crate::error::{CallProblem, Error};
use crate::expr::same::same;
use crate::expr::{BinaryOp, Expr, Function, UnaryOp};
use crate::logical::{ColumnId, Key, LogicalId, LogicalKind, Named, NamedWindow};
use crate::physical::{Frame, FrameBound, FrameExclusion, FrameMode, WindowFunction, WindowKind};

/// A window function of a select.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowCall<'a> {
    pub(super) id: ColumnId,
    pub(super) kind: WindowKind<'a>,
    pub(super) partition: &'a [&'a Expr<'a>],
    pub(super) order: &'a [WindowKey<'a>],
    pub(super) frame: CallFrame<'a>,
    pub(super) ty: Type,
    pub(super) span: Span,
}

/// One key of a window's order.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowKey<'a> {
    pub(super) expr: &'a Expr<'a>,
    pub(super) descending: bool,
    pub(super) nulls_first: bool,
}

/// A frame whose bounds are expressions: counts of rows or groups, or for RANGE the value that the key is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallFrame<'a> {
    pub(super) frame: Frame,
    pub(super) start: Option<&'a Expr<'a>>,
    pub(super) end: Option<&'a Expr<'a>>,
}

/// A window as it is written: what it adds to the one that it is based on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Specification<'a> {
    partition: &'a [&'a Expr<'a>],
    order: &'a [WindowKey<'a>],
    frame: CallFrame<'a>,
    has_frame: bool,
}

/// Whether a call without OVER names a function that needs it.
pub(super) fn is_window_function(call: Call<'_>) -> bool {
    const NAMES: [&str; 11] = [
        "row_number",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
        "ntile",
        "lag",
        "lead",
        "first_value",
        "last_value",
        "nth_value",
    ];
    let schema = call.schema().is_none_or(|schema| schema == "pg_catalog");
    schema && call.form() == CallForm::Plain && NAMES.contains(&call.name())
}

impl<'a> Binder<'_, 'a, '_> {
    /// A call with OVER.
    pub(super) fn window_call<'q: 'a>(
        &mut self,
        call: Call<'q>,
        args: &'a [&'a Expr<'a>],
        place: &Place,
        in_aggregate: bool,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let (span, name) = (call.span(), call.name());
        let wrong = |problem, name| Err(Error::Call { problem, name, span });
        if !place.allows.windows {
            return match in_aggregate {
                true => wrong(CallProblem::WindowInAggregate, ""),
                false => wrong(CallProblem::MisplacedWindow, place.clause),
            };
        }
        if call.is_distinct() {
            return wrong(CallProblem::DistinctWindow, name);
        }
        let refused = match (call.within_group(), call.order_by().next(), call.filter()) {
            (Some(_), ..) => Some("OVER of an ordered-set aggregate"),
            (_, Some(_), _) => Some("ORDER BY in an aggregate with OVER"),
            (.., Some(_)) if !aggregate_named(call) => Some("FILTER of a function that is no aggregate"),
            _ => None,
        };
        if let Some(what) = refused {
            return Err(Error::NotSupported { what, span });
        }
        // What it reads is computed after grouping and before windows.
        let inner = Place {
            clause: "window definitions",
            allows: Allows { windows: false, sets: false, ..place.allows },
            ..place.clone()
        };
        let Some(over) = call.over() else { return wrong(CallProblem::NeedsOver, name) };
        let specification = match (over.window(), over.specification()) {
            (Some(window), _) => self.named_window(window, span)?,
            (None, Some(specification)) => self.window_specification(specification, &inner)?,
            (None, None) => return wrong(CallProblem::NoWindowFunction, name),
        };
        let (kind, ty) = match aggregate_named(call) {
            true => {
                let aggregate = self.aggregate_of(call, args, &inner)?;
                (WindowKind::Aggregate(aggregate), aggregate.ty)
            }
            false if is_window_function(call) => functions::window(self.build(), name, args, span)?,
            false => return wrong(CallProblem::NoWindowFunction, name),
        };
        let Specification { partition, order, frame, .. } = specification;
        let id = self.plan.column("", ty)?;
        self.block_mut().windows.push(WindowCall { id, kind, partition, order, frame, ty, span })?;
        Ok(self.build().column(id, ty, span)?)
    }

    /// The window of a name in WINDOW.
    fn named_window(&self, name: &'a str, span: Span) -> Result<Specification<'a>, Error<'a>> {
        let found = self.block().named_windows.iter().find(|(known, _)| *known == name);
        match found {
            Some((_, specification)) => Ok(*specification),
            None => Err(Error::Call { problem: CallProblem::UndefinedWindow, name, span }),
        }
    }

    /// Takes in WINDOW.
    pub(super) fn add_named_window<'q: 'a>(
        &mut self,
        window: NamedView<'q>,
        place: &Place,
    ) -> Result<(), Error<'a>> {
        let span = window.form().span();
        let (Some(name), Some(specification)) = (window.name(), window.specification()) else {
            return Ok(());
        };
        if self.block().named_windows.iter().any(|(known, _)| *known == name) {
            return Err(Error::Call { problem: CallProblem::DuplicateWindow, name, span });
        }
        let specification = self.window_specification(specification, place)?;
        Ok(self.block_mut().named_windows.push((name, specification))?)
    }

    /// A window, which may be based on one of WINDOW.
    fn window_specification<'q: 'a>(
        &mut self,
        view: WindowSpecification<'q>,
        place: &Place,
    ) -> Result<Specification<'a>, Error<'a>> {
        let span = view.form().span();
        let nothing = CallFrame { frame: Frame::DEFAULT, start: None, end: None };
        let mut whole = match view.base() {
            None => Specification { partition: &[], order: &[], frame: nothing, has_frame: false },
            Some(name) => self.named_window(name, span)?,
        };
        let name = view.base().unwrap_or_default();
        let overrides = Err(Error::Call { problem: CallProblem::WindowOverride, name, span });
        if whole.has_frame {
            return overrides;
        }
        let mut partition: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        for expr in view.partition() {
            let bound = self.bind_expr(place, expr)?;
            partition.push(self.build().settle(bound)?)?;
        }
        let mut order: Vec<'a, WindowKey<'a>> = Vec::new_in(self.arena);
        for key in view.order() {
            if key.operator().is_some() {
                return Err(Error::NotSupported { what: "USING in ORDER BY", span: key.span() });
            }
            let bound = self.bind_expr(place, key.expr())?;
            let expr = self.build().settle(bound)?;
            let (descending, nulls_first) = (key.is_descending(), key.nulls_first());
            order.push(WindowKey { expr, descending, nulls_first })?;
        }
        if view.base().is_some() && (!partition.is_empty() || !(order.is_empty() || whole.order.is_empty())) {
            return overrides;
        }
        if !partition.is_empty() {
            whole.partition = partition.into_slice();
        }
        if !order.is_empty() {
            whole.order = order.into_slice();
        }
        if let Some(frame) = view.frame() {
            whole.frame = self.window_frame(frame, whole.order, place)?;
            whole.has_frame = true;
        }
        Ok(whole)
    }

    fn window_frame<'q: 'a>(
        &mut self,
        view: WindowFrame<'q>,
        order: &'a [WindowKey<'a>],
        place: &Place,
    ) -> Result<CallFrame<'a>, Error<'a>> {
        let (form, span) = (view.form(), view.form().span());
        let wrong = |problem| Err(Error::Call { problem, name: "", span });
        let mode = if form.says(Keyword::Rows) {
            FrameMode::Rows
        } else if form.says(Keyword::Groups) {
            FrameMode::Groups
        } else {
            FrameMode::Range
        };
        let exclusion = match () {
            () if !form.says(Keyword::Exclude) || form.says(Keyword::No) => FrameExclusion::NoOthers,
            () if form.says(Keyword::Group) => FrameExclusion::Group,
            () if form.says(Keyword::Ties) => FrameExclusion::Ties,
            () => FrameExclusion::CurrentRow,
        };
        if mode == FrameMode::Groups && order.is_empty() {
            return wrong(CallProblem::GroupsOrder);
        }
        let (start, start_rank, start_expr) = match view.start() {
            Some(bound) => self.window_bound(bound, mode, order, place)?,
            None => (FrameBound::Unbounded, 0, None),
        };
        let (end, end_rank, end_expr) = match view.end() {
            Some(bound) => self.window_bound(bound, mode, order, place)?,
            None => (FrameBound::CurrentRow, 2, None),
        };
        // Unbounded in the wrong direction, or an end before the start.
        if start_rank == 4 || end_rank == 0 || start_rank > end_rank {
            return wrong(CallProblem::Frame);
        }
        let frame = Frame { mode, start, end, exclusion };
        Ok(CallFrame { frame, start: start_expr, end: end_expr })
    }

    /// A bound, its rank from the first row to the last, and its expression.
    fn window_bound<'q: 'a>(
        &mut self,
        view: WindowBound<'q>,
        mode: FrameMode,
        order: &'a [WindowKey<'a>],
        place: &Place,
    ) -> Result<(FrameBound, u8, Option<&'a Expr<'a>>), Error<'a>> {
        let (form, span) = (view.form(), view.form().span());
        let is_preceding = form.says(Keyword::Preceding);
        let Some(offset) = view.offset() else {
            return Ok(match (form.says(Keyword::Unbounded), is_preceding) {
                (true, true) => (FrameBound::Unbounded, 0, None),
                (true, false) => (FrameBound::Unbounded, 4, None),
                (false, _) => (FrameBound::CurrentRow, 2, None),
            });
        };
        let build = self.build();
        let no_columns = Place { clause: "frame offsets", visible: 0..0, allows: Allows::default() };
        let offset = self.bind_expr(&no_columns, offset)?;
        let expr = match mode {
            FrameMode::Rows | FrameMode::Groups => build.coerce(offset, Type::BigInt, "frame offsets")?,
            FrameMode::Range => {
                let [key] = order else {
                    return Err(Error::Call { problem: CallProblem::RangeOrder, name: "", span });
                };
                // The bound lies before the key in the order, so below it where that ascends.
                let op = match is_preceding != key.descending {
                    true => BinaryOp::Subtract,
                    false => BinaryOp::Add,
                };
                let checked = functions::range_offset(build, offset, key.expr.ty, span)?;
                self.moved_key(key.expr, op, checked, span)?
            }
        };
        let _ = place;
        match is_preceding {
            true => Ok((FrameBound::Preceding(0), 1, Some(expr))),
            false => Ok((FrameBound::Following(0), 3, Some(expr))),
        }
    }

    /// A key of a RANGE frame, moved by an offset. A whole number that would leave its type stops at the end of it: no row is beyond.
    fn moved_key(
        &self,
        key: &'a Expr<'a>,
        op: BinaryOp,
        offset: &'a Expr<'a>,
        span: Span,
    ) -> Result<&'a Expr<'a>, Error<'a>> {
        let build = self.build();
        let (wide, least, most) = match key.ty {
            Type::SmallInt => (Type::BigInt, i64::from(i16::MIN), i64::from(i16::MAX)),
            Type::Integer => (Type::BigInt, i64::from(i32::MIN), i64::from(i32::MAX)),
            Type::BigInt => (Type::Numeric, i64::MIN, i64::MAX),
            _ => {
                let bound = build.arithmetic(op, key, offset, span)?;
                return build.cast(bound, key.ty, span);
            }
        };
        let moved =
            build.arithmetic(op, build.cast(key, wide, span)?, build.cast(offset, wide, span)?, span)?;
        let end =
            |value| build.cast(build.literal(Value::BigInt(value), Type::BigInt, span)?, moved.ty, span);
        let moved = build.call(Function::Greatest, &[moved, end(least)?], moved.ty, span)?;
        let moved = build.call(Function::Least, &[moved, end(most)?], moved.ty, span)?;
        let moved = build.cast(moved, key.ty, span)?;
        // GREATEST would take an end for what is NULL.
        let known = build.is(UnaryOp::IsNotNull, key, None, span)?;
        let nothing = build.literal(Value::Null, key.ty, span)?;
        build.case(&[known, moved, nothing], false, span)
    }

    /// Window functions, those of the same window in one node. What they read that is no column becomes one below.
    pub(super) fn push_windows(&mut self, input: LogicalId) -> Result<LogicalId, Error<'a>> {
        let mut node = input;
        let mut done = 0;
        while done < self.block().windows.len() {
            let first = self.block().windows[done];
            let mut named: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
            let mut partition: Vec<'a, ColumnId> = Vec::new_in(self.arena);
            for expr in first.partition {
                partition.push(self.column_of(expr, &mut named)?)?;
            }
            let mut order: Vec<'a, Key> = Vec::new_in(self.arena);
            for key in first.order {
                let column = self.column_of(key.expr, &mut named)?;
                order.push(Key { column, descending: key.descending, nulls_first: key.nulls_first })?;
            }
            let mut functions: Vec<'a, NamedWindow<'a>> = Vec::new_in(self.arena);
            // Those of the same window move to the front of what is left.
            let start = done;
            for index in start..self.block().windows.len() {
                let window = self.block().windows[index];
                if index > start && !same_window(&first, &window, self.arena)? {
                    continue;
                }
                let mut frame = window.frame.frame;
                for (bound, expr) in
                    [(&mut frame.start, window.frame.start), (&mut frame.end, window.frame.end)]
                {
                    let Some(expr) = expr else { continue };
                    let column = self.column_of(expr, &mut named)?;
                    *bound = match *bound {
                        FrameBound::Preceding(_) => FrameBound::Preceding(column),
                        _ => FrameBound::Following(column),
                    };
                }
                let function = WindowFunction { kind: window.kind, frame, ty: window.ty, span: window.span };
                functions.push(NamedWindow { id: window.id, function })?;
                self.block_mut().windows.swap(done, index);
                done += 1;
            }
            if !named.is_empty() {
                node = self.plan.push(LogicalKind::Extend { input: node, exprs: named.into_slice() })?;
            }
            node = self.plan.push(LogicalKind::Window {
                input: node,
                partition: partition.into_slice(),
                order: order.into_slice(),
                functions: functions.into_slice(),
            })?;
        }
        Ok(node)
    }
}

/// Whether two functions have the same partition and order.
fn same_window<'a>(a: &WindowCall<'a>, b: &WindowCall<'a>, arena: &Arena) -> Result<bool, Error<'a>> {
    if a.partition.len() != b.partition.len() || a.order.len() != b.order.len() {
        return Ok(false);
    }
    for (a, b) in a.partition.iter().zip(b.partition) {
        if !same(a, b, arena)? {
            return Ok(false);
        }
    }
    for (a, b) in a.order.iter().zip(b.order) {
        if (a.descending, a.nulls_first) != (b.descending, b.nulls_first) || !same(a.expr, b.expr, arena)? {
            return Ok(false);
        }
    }
    Ok(true)
}
