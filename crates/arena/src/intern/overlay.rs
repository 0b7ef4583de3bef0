//! A statement's own names over the shared ones.

use super::writer::SYMBOLS_MAX;
use super::{Frozen, Identifier, Pin, Symbol};
use crate::arena::Arena;
use crate::collections::{Map, Vec};
use crate::error::{AllocError, Reason};
use core::fmt;

/// The shared names under an [`Overlay`].
#[derive(Clone, Copy, Debug)]
pub enum Names<'a> {
    /// An interner, as a pin sees it. Names that an overlay asks for count as sighted.
    Pinned(&'a Pin<'a>),
    /// A frozen table.
    Frozen(&'a Frozen),
}

impl Names<'_> {
    fn lookup(&self, text: &str) -> Option<Symbol> {
        match self {
            Names::Pinned(pin) => pin.lookup(text),
            Names::Frozen(frozen) => frozen.lookup(text),
        }
    }

    /// The symbol of an identifier that a statement uses. Where the interner has no memory to admit it, it has none.
    fn sight(&self, name: Identifier<'_>) -> Option<Symbol> {
        match self {
            Names::Pinned(pin) => pin.sight(name).unwrap_or(None),
            Names::Frozen(frozen) => frozen.lookup(name.as_str()),
        }
    }
}

/// Symbols for all names of one statement: the shared symbol where a name has one, else one of the statement's own
/// ([`Symbol::is_local`]), whose name is in the statement's arena. A name keeps its symbol as long as the overlay lives,
/// even if it is interned meanwhile.
///
/// ```
/// use cofferdam_arena::{Arena, Budget, Identifier, Interner, Names, Overlay};
///
/// let budget = Budget::root("process", 1 << 20).unwrap();
/// let interner = Interner::new(&budget.child("interner", 64 << 10)?, &["select"])?;
/// let arena = Arena::new(&budget);
/// let pin = interner.pin();
/// let mut names = Overlay::new(&arena, Names::Pinned(&pin));
/// let select = names.intern(Identifier::new("select"))?;
/// let total = names.intern(Identifier::new("total"))?;
/// assert!(!select.is_local() && total.is_local());
/// assert_eq!((names.resolve(select), names.resolve(total)), (Some("select"), Some("total")));
/// # Ok::<(), cofferdam_arena::AllocError>(())
/// ```
pub struct Overlay<'a> {
    shared: Names<'a>,
    symbols: Map<'a, &'a str, Symbol>,
    texts: Vec<'a, &'a str>,
}

impl<'a> Overlay<'a> {
    /// An overlay without names of its own; it takes nothing until the first.
    pub fn new(arena: &'a Arena, shared: Names<'a>) -> Overlay<'a> {
        Overlay { shared, symbols: Map::new_in(arena), texts: Vec::new_in(arena) }
    }

    /// The symbol of a name that is shared or that this overlay has.
    pub fn lookup(&self, text: &str) -> Option<Symbol> {
        // First the statement's own, so that a name that is interned meanwhile keeps its symbol here.
        if let Some(symbol) = self.own(text) {
            return Some(symbol);
        }
        self.shared.lookup(text)
    }

    fn own(&self, text: &str) -> Option<Symbol> {
        if self.symbols.is_empty() { None } else { self.symbols.get(text).copied() }
    }

    /// The symbol of a name; where it has none, one of the statement's own.
    ///
    /// # Errors
    /// The arena's budget refuses, or there are 2^31 names; the overlay is as before.
    pub fn intern(&mut self, name: Identifier<'_>) -> Result<Symbol, AllocError> {
        if let Some(symbol) = self.own(name.as_str()) {
            return Ok(symbol);
        }
        if let Some(symbol) = self.shared.sight(name) {
            return Ok(symbol);
        }
        self.symbols.reserve(1)?;
        self.texts.reserve(1)?;
        let text: &'a str = self.symbols.arena().alloc_str(name.as_str())?;
        let symbol = u32::try_from(self.texts.len()).ok().and_then(|index| LOCAL_FIRST.checked_add(index));
        let too_large = || self.symbols.arena().budget().refuse(text.len() as u64, Reason::TooLarge);
        let symbol = Symbol(symbol.ok_or_else(too_large)?);
        self.texts.push(text)?;
        self.symbols.insert(text, symbol)?;
        Ok(symbol)
    }

    /// The name of a symbol that is shared or that this overlay gave.
    pub fn resolve(&self, symbol: Symbol) -> Option<&str> {
        if symbol.is_local() {
            let index = usize::try_from(symbol.0 - LOCAL_FIRST).ok()?;
            return self.texts.get(index).copied();
        }
        match self.shared {
            Names::Pinned(pin) => pin.resolve(symbol),
            Names::Frozen(frozen) => frozen.resolve(symbol),
        }
    }

    /// How many names are the statement's own.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// True where no name is the statement's own.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

/// The first symbol of an overlay's own names.
const LOCAL_FIRST: u32 = SYMBOLS_MAX + 1;

impl fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("own", &self.texts.len()).finish()
    }
}
