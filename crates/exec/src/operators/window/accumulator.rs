//! The state of an aggregate over a frame: two groups of a table of one aggregate.
//!
//! | group | has |
//! |---|---|
//! | [`Part::Back`] | the rows that were taken one after the other |
//! | [`Part::Work`] | a state that is put together: for the next of the front, or for a result |
//!
//! Of an aggregate whose states have a fixed size and may take rows in any order, copies of states are kept in a stack: the
//! *front*.

use core::ops::Range;

use cofferdam_arena::{AllocError, Arena, Budget, Growing};
use cofferdam_plan::Span;
use cofferdam_plan::physical::{Aggregate, AggregateFunction};
use cofferdam_types::Type;

use super::put_null;
use crate::batch::{Kind, Store, VectorId};
use crate::error::Error;
use crate::operators::aggregate::pages::Place;
use crate::operators::aggregate::table::GroupTable;
use crate::operators::state::cells::{Places, Taken};
use crate::operators::state::{State, StateError, Stopped};

/// One of the two groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Back,
    Work,
}

/// See the module.
pub(super) struct Accumulator {
    state: State,
    table: GroupTable,
    /// The groups, by part.
    places: [Place; 2],
    scratch: Growing<u8>,
    front: Growing<u8>,
    is_exact: bool,
    span: Span,
}

impl Accumulator {
    /// The states of no rows.
    ///
    /// # Errors
    /// The budget refuses a page.
    pub(super) fn new(
        plan: &Aggregate<'_>,
        args: &[(usize, Type)],
        arena: &Arena,
        budget: &Budget,
    ) -> Result<Accumulator, AllocError> {
        let types = arena.alloc_slice_from_iter(args.iter().map(|(_, ty)| *ty))?;
        let state = State::new(plan.function, types, plan.ty, 0);
        let mut table = GroupTable::new(budget, state.bytes());
        let places = add_parts(&mut table)?;
        Ok(Accumulator {
            state,
            table,
            places,
            scratch: Growing::new(budget),
            front: Growing::new(budget),
            is_exact: is_exact(plan.function, types),
            span: plan.span,
        })
    }

    /// Whether it may be kept as two stacks.
    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }

    fn place(&self, part: Part) -> Place {
        self.places[part as usize]
    }

    /// Forgets all rows of a part; what has no fixed size is forgotten of both.
    ///
    /// # Errors
    /// The budget refuses a page.
    pub(super) fn reset(&mut self, part: Part) -> Result<(), AllocError> {
        if self.table.blobs().charged_bytes() > 0 {
            self.table.release();
            self.places = add_parts(&mut self.table)?;
            return Ok(());
        }
        let (place, bytes) = (self.place(part), self.state.bytes());
        self.table.state_mut(place, 0)[..bytes].fill(0);
        Ok(())
    }

    /// Lets a part take rows of vectors, of these those that pass a filter.
    ///
    /// # Errors
    /// With the row that was not taken; those before it were.
    pub(super) fn take(
        &mut self,
        part: Part,
        range: Range<usize>,
        passing: Option<&[u16]>,
        args: &[VectorId],
        store: &Store<'_>,
    ) -> Result<(), Stopped> {
        let places = Places::One(self.place(part));
        let taken = match passing {
            None => Taken::Range(range.start, range.end),
            Some(rows) => Taken::List(rows),
        };
        self.state.update(&mut self.table, places, taken, args, store, &mut self.scratch)
    }

    /// Keeps a copy of the work on top of the front.
    ///
    /// # Errors
    /// The budget refuses.
    pub(super) fn push_front(&mut self) -> Result<(), AllocError> {
        let bytes = self.state.bytes();
        self.front.extend_from_slice(&self.table.state(self.place(Part::Work), 0)[..bytes])
    }

    /// Forgets the state on top of the front; false without any.
    pub(super) fn pop_front(&mut self) -> bool {
        let below = self.front.len().checked_sub(self.state.bytes());
        self.front.truncate(below.unwrap_or(0));
        below.is_some()
    }

    pub(super) fn clear_front(&mut self) {
        self.front.clear();
    }

    /// Puts the front's top and the back together into the work.
    ///
    /// # Errors
    /// Sums overflow.
    pub(super) fn join(&mut self) -> Result<(), StateError> {
        self.reset(Part::Work)?;
        let work = self.place(Part::Work);
        if let Some(top) = self.front.len().checked_sub(self.state.bytes()) {
            self.state.merge(&mut self.table, work, &self.front[top..])?;
        }
        // The back is copied onto the front's top for a moment: a table does not read and write at once.
        let top = self.front.len();
        let bytes = self.state.bytes();
        self.front.extend_from_slice(&self.table.state(self.place(Part::Back), 0)[..bytes])?;
        let outcome = self.state.merge(&mut self.table, work, &self.front[top..]);
        self.front.truncate(top);
        outcome
    }

    /// Puts the result of a part into row `at` of a column.
    ///
    /// # Errors
    /// The result is no value of its type; there is no room for it.
    pub(super) fn finish(
        &self,
        part: Part,
        at: usize,
        result: VectorId,
        store: &mut Store<'_>,
    ) -> Result<(), StateError> {
        let mut vector = store.take(result);
        let mut heap =
            if vector.kind() == Kind::Text { store.take_heap(vector.heap) } else { store.no_heap() };
        vector.valid[at] = true;
        let states = self.table.row(self.place(part)).states;
        let outcome = self.state.finish(states, self.table.blobs(), at, &mut vector, &mut heap);
        if vector.kind() == Kind::Text {
            store.put_heap_back(vector.heap, heap);
        }
        store.put_back(result, vector);
        if outcome.is_err() {
            put_null(store, result, at);
        }
        outcome
    }

    /// The error of a statement.
    #[cold]
    pub(super) fn failed<'e>(&self, error: StateError) -> Error<'e> {
        match error {
            StateError::OutOfMemory(error) => Error::OutOfMemory(error),
            StateError::Value(error) => Error::Value { error, span: self.span },
            StateError::Argument(problem) => Error::Argument { problem, span: self.span },
        }
    }
}

fn add_parts(table: &mut GroupTable) -> Result<[Place; 2], AllocError> {
    let mut add = |part: Part| -> Result<Place, AllocError> {
        Ok(table.find_or_add(part as u64, &[part as u8], &[])?.0)
    };
    Ok([add(Part::Back)?, add(Part::Work)?])
}

/// Whether states have a fixed size, and are the same whatever the order of rows.
fn is_exact(function: AggregateFunction, args: &[Type]) -> bool {
    let kind = args.first().map(|ty| Kind::of(*ty));
    match function {
        AggregateFunction::CountRows
        | AggregateFunction::Count
        | AggregateFunction::BoolAnd
        | AggregateFunction::BoolOr
        | AggregateFunction::BitAnd
        | AggregateFunction::BitOr
        | AggregateFunction::BitXor => true,
        AggregateFunction::Sum | AggregateFunction::Avg => kind != Some(Kind::F64),
        // Zeros of both signs are equal, and the first of them is kept.
        AggregateFunction::Min | AggregateFunction::Max => {
            matches!(kind, Some(Kind::I32 | Kind::I64 | Kind::I128)) && args != [Type::Interval]
        }
        _ => false,
    }
}
