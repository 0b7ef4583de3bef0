//! Where a `;` is inside of a statement: the bodies of functions and the actions of rules.
//!
//! ```text
//!   CREATE [OR REPLACE] FUNCTION | PROCEDURE … BEGIN ATOMIC a; b; END;
//!   CREATE [OR REPLACE] RULE … DO [ALSO | INSTEAD] (a; b);
//! ```
//!
//! The `END` of a body stands right behind `ATOMIC` or a `;`, where that of a `CASE` cannot; statements in a body may
//! have bodies of their own, which are counted. A statement that begins with other words is not looked at further.

/// The longest word that means something here, in bytes.
pub(super) const WORD_BYTES_MAX: usize = b"procedure".len();

/// What is open of bodies and actions.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    /// How many bodies.
    bodies_count: usize,
    /// How many parentheses, of those that count.
    parentheses_count: usize,
    head: Head,
    is_ignored: bool,
}

/// What the innermost statement began with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Head {
    /// Nothing yet.
    #[default]
    Start,
    /// `CREATE`, or `CREATE OR REPLACE`.
    Create,
    CreateOr,
    /// `CREATE FUNCTION` or `PROCEDURE`.
    Routine,
    /// The same, and `BEGIN` was read last.
    RoutineBegin,
    /// `CREATE RULE`.
    Rule,
    /// The same, and `DO`, `ALSO` or `INSTEAD` was read last.
    RuleDo,
    /// The actions of a rule.
    Actions,
    /// Whatever has no `;` inside.
    Other,
}

impl Body {
    /// One that knows no bodies.
    pub(super) fn ignored() -> Body {
        Body { head: Head::Other, is_ignored: true, ..Body::default() }
    }

    /// That of the next statement.
    pub(super) fn next(&self) -> Body {
        if self.is_ignored { Body::ignored() } else { Body::default() }
    }

    /// Whether words can change anything.
    #[inline]
    pub(super) fn wants_words(&self) -> bool {
        self.head != Head::Other
    }

    /// A word outside of quotes, or the front of a longer one.
    pub(super) fn word(&mut self, word: &[u8]) {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        self.head = match self.head {
            Head::Start if is("create") => Head::Create,
            Head::Start if is("end") && self.bodies_count > 0 => {
                self.bodies_count -= 1;
                Head::Other
            }
            Head::Create if is("or") => Head::CreateOr,
            Head::CreateOr if is("replace") => Head::Create,
            Head::Create if is("function") || is("procedure") => Head::Routine,
            Head::Create if is("rule") => Head::Rule,
            Head::Routine | Head::RoutineBegin if self.parentheses_count > 0 => Head::Routine,
            Head::Routine | Head::RoutineBegin if is("begin") => Head::RoutineBegin,
            Head::RoutineBegin if is("atomic") => {
                self.bodies_count += 1;
                Head::Start
            }
            Head::Routine | Head::RoutineBegin => Head::Routine,
            Head::Rule if is("do") => Head::RuleDo,
            Head::RuleDo if is("also") || is("instead") => Head::RuleDo,
            Head::Rule | Head::RuleDo => Head::Rule,
            Head::Actions => Head::Actions,
            Head::Start | Head::Create | Head::CreateOr | Head::Other => Head::Other,
        };
    }

    /// The first byte of anything else but a blank, a comment or a `;`.
    pub(super) fn sign(&mut self, byte: u8) {
        self.head = match (self.head, byte) {
            (Head::Other, _) => return,
            (Head::Routine | Head::RoutineBegin, _) => {
                self.count(byte);
                Head::Routine
            }
            (Head::RuleDo, b'(') => {
                self.parentheses_count = 1;
                Head::Actions
            }
            (Head::Rule | Head::RuleDo, _) => Head::Rule,
            (Head::Actions, _) => {
                self.count(byte);
                if self.parentheses_count > 0 { Head::Actions } else { Head::Other }
            }
            (Head::Start | Head::Create | Head::CreateOr, _) => Head::Other,
        };
    }

    fn count(&mut self, byte: u8) {
        match byte {
            b'(' => self.parentheses_count += 1,
            b')' => self.parentheses_count = self.parentheses_count.saturating_sub(1),
            _ => {}
        }
    }

    /// A `;`: whether it ends the statement.
    pub(super) fn semicolon(&mut self) -> bool {
        if self.head == Head::Actions {
            return false;
        }
        self.parentheses_count = 0;
        if !self.is_ignored {
            self.head = Head::Start;
        }
        self.bodies_count == 0
    }
}
