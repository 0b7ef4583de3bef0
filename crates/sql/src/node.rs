//! The uniform tree: every construct of SQL is one [`Node`] of one cache line.
//!
//! ```text
//!  0        4         8        12       16        24           32           40            56     60        64
//!  +--------+---------+--------+--------+---------+------------+------------+-------------+------+---------+
//!  | kind   | span    | span   | child  | parent  | first      | next       | text        | name | annota- |
//!  | flags  | start   | length | count  |         | child      | sibling    | (16 bytes)  | cuts | tion    |
//!  +--------+---------+--------+--------+---------+------------+------------+-------------+------+---------+
//! ```
//!
//! Nodes live in the statement's arena and point at each other with shared references, so a tree is released with its
//! arena in one step and nothing in it can dangle. The links are cells: the parser hangs children under a node that is
//! already there, and a rewrite may change the tree later. A node knows its parent, so walking, printing and comparing
//! need no stack, however deep the tree is.
//!
//! Names are inline. `text` is a slice that holds up to two names, cut by two offsets: in `l . "Key"` it is the slice
//! `l . "Key` of the statement's own text, the qualifier is its first byte and the name begins at the sixth. Only names
//! that had to be folded or unescaped lie in the arena instead.
//!
//! Which children a node has, and in which order, is written at its [`NodeKind`]; the typed views in [`crate::views`]
//! read that shape, and nothing outside this crate needs to know it.

use std::cell::Cell;
use std::fmt;

use crate::parser::Form;
use crate::words;

/// A range of bytes in the text of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The span from `start` up to but not including `end`, both offsets in bytes.
    pub const fn new(start: u32, end: u32) -> Span {
        Span { start, len: end.saturating_sub(start) }
    }

    /// The offset just after the last byte.
    pub const fn end(self) -> u32 {
        self.start.saturating_add(self.len)
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        let start = self.start.min(other.start);
        Span::new(start, self.end().max(other.end()))
    }

    /// The piece of `text` under this span; empty when the span is not one of `text`.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end() as usize).unwrap_or("")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end())
    }
}

/// What a node is. The comment says what its children are, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum NodeKind {
    /// `SELECT`: \[With\] \[DistinctOn\] items… \[Into\] \[From\] \[Where\] \[GroupBy\] \[Having\] \[Windows\]
    /// \[OrderBy\] \[Limit\] \[Offset\] lockings…. `TABLE t` is one with a star and a table.
    Select,
    /// `VALUES`: \[With\] rows… \[OrderBy\] \[Limit\] \[Offset\] lockings….
    Values,
    /// `UNION`, `INTERSECT`, `EXCEPT`: \[With\] left right \[OrderBy\] \[Limit\] \[Offset\] lockings….
    SetOperation,
    /// `WITH`: ctes….
    With,
    /// One named query of `WITH`: column names… query \[form [`Form::Search`]\] \[form [`Form::Cycle`]\].
    Cte,
    /// `DISTINCT ON`: expressions….
    DistinctOn,
    /// A select item with `AS` name: expression.
    Aliased,
    /// `*` among select items, or `t.*`: \[outer qualifiers…\].
    Star,
    /// `FROM`: tables….
    From,
    /// `WHERE`: condition.
    Where,
    /// `INTO table` of a select, with the table's name: \[outer qualifiers…\].
    Into,
    /// `GROUP BY`: expressions and grouping sets….
    GroupBy,
    /// `()`, `ROLLUP (…)`, `CUBE (…)`, `GROUPING SETS (…)`: expressions and grouping sets….
    GroupingSet,
    /// `HAVING`: condition.
    Having,
    /// `WINDOW`: forms ([`Form::Window`])….
    Windows,
    /// `ORDER BY`: sort keys….
    OrderBy,
    /// One key of `ORDER BY`: expression \[operator after `USING`\].
    SortKey,
    /// `LIMIT` or `FETCH FIRST`: \[count\]; none means `LIMIT ALL`.
    Limit,
    /// `OFFSET`: count.
    Offset,
    /// `FOR UPDATE` and the like: tables….
    Locking,
    /// A table by name: \[outer qualifiers…\] \[Alias\] \[form [`Form::Sample`]\].
    Table,
    /// A file by path, `FROM 'file.csv'`: \[Alias\].
    File,
    /// A query in `FROM`: query \[Alias\].
    Derived,
    /// A function in `FROM`: call, or form [`Form::XmlTable`] or [`Form::JsonTable`], \[Alias\].
    TableFunction,
    /// `ROWS FROM (…)`: functions… \[Alias\].
    RowsFrom,
    /// A join: left right \[Using or On\] \[Alias\].
    Join,
    /// `USING (…) AS name`: column names….
    Using,
    /// `ON condition`: condition.
    On,
    /// `AS name (columns)` after a table: column definitions….
    Alias,
    /// A column of an alias or a name in a list: \[type\] \[Collate\].
    ColumnDef,
    /// A single name, as the outer part of a long name: nothing.
    Name,
    /// A column by name: \[outer qualifiers…\].
    Column,
    /// `NULL`: nothing.
    Null,
    /// `TRUE` or `FALSE`: nothing.
    Boolean,
    /// An integer literal that has no point and no exponent: nothing.
    Integer,
    /// A literal with a point or an exponent: nothing.
    Number,
    /// A character string: nothing.
    String,
    /// `B'…'` or `X'…'`: nothing.
    BitString,
    /// A type before its string, `DATE '…'`: type.
    TypedLiteral,
    /// `$1` or `$name`: nothing.
    Parameter,
    /// A prefix operator: \[Operator\] operand.
    Unary,
    /// An infix operator: left \[Operator\] right.
    Binary,
    /// `AND` of two or more: operands….
    And,
    /// `OR` of two or more: operands….
    Or,
    /// `NOT`: operand.
    Not,
    /// `BETWEEN`: operand low high.
    Between,
    /// `IN (list)`: operand elements….
    InList,
    /// `IN (query)`: operand query.
    InQuery,
    /// `LIKE`, `ILIKE`, `SIMILAR TO`: operand pattern \[escape\].
    Like,
    /// `IS NULL`, `IS TRUE` and the like: operand.
    Is,
    /// `IS DISTINCT FROM`: left right.
    DistinctFrom,
    /// `CASE`: \[operand\] whens… \[Else\].
    Case,
    /// `WHEN … THEN …`: condition result.
    When,
    /// `ELSE`: result.
    Else,
    /// `CAST(… AS …)` or `…::…`: operand type.
    Cast,
    /// A call: \[outer qualifiers…\] arguments… \[OrderBy\] \[JsonOptions\] \[WithinGroup\] \[Filter\] \[Over\].
    /// The last four are forms.
    Call,
    /// `EXTRACT(field FROM source)`: source.
    Extract,
    /// `COLLATE`: \[outer qualifiers…\] \[operand\]; of a column's definition it has none.
    Collate,
    /// `AT TIME ZONE`: operand zone.
    AtTimeZone,
    /// `EXISTS (query)`: query.
    Exists,
    /// A query in parentheses as a value: query.
    Subquery,
    /// `(a, b)` or `ROW(…)`: elements….
    Row,
    /// A type: \[outer qualifiers…\] modifiers… array bounds….
    Type,
    /// What a rule of the grammar declares, its [`Form`]: parts in the order of the rule, words between them.
    Form,
    /// Elements of a form with commas between them: elements….
    List,
    /// Keywords and signs between the parts of a form: nothing.
    Words,
    /// A column that is given a value: \[steps…\].
    Target,
    /// The name of a table, a function or another object, in a form: \[outer qualifiers…\].
    ObjectName,
    /// `[3]` after a type, or `[]` beside such a one: nothing.
    ArrayBound,
    /// A value and what is selected of it, `(a).b[1]`: operand steps….
    Indirection,
    /// The step `.name`: nothing.
    Field,
    /// The step `.*`: nothing.
    AllFields,
    /// The step `[index]`: index.
    Subscript,
    /// The step `[low:high]`: \[low\] \[high\].
    Slice,
    /// `ARRAY[…]`, and `[…]` in one: elements….
    Array,
    /// `ARRAY(query)`: query.
    ArrayQuery,
    /// `a = ANY (array)`: operand \[Operator\] array.
    QuantifiedArray,
    /// `a = ANY (query)`: operand \[Operator\] query.
    QuantifiedQuery,
    /// `name => value`, an argument of a call: value.
    NamedArgument,
    /// `DEFAULT` as a value: nothing.
    Default,
    /// `row OVERLAPS row`: left right.
    Overlaps,
    /// `TREAT(… AS …)`: operand type.
    Treat,
}

impl NodeKind {
    /// Whether the detail of such a node in a form is its label; other kinds have details of their own.
    pub(crate) fn has_slot(self) -> bool {
        use NodeKind::{Form, Integer, List, Name, Number, ObjectName, String};
        matches!(self, Form | List | Name | ObjectName | String | Integer | Number)
    }
}

/// One node of the tree: 64 bytes, one cache line.
#[repr(C, align(64))]
pub struct Node<'a> {
    kind: Cell<NodeKind>,
    detail: Cell<u8>,
    flags: Cell<u16>,
    start: Cell<u32>,
    len: Cell<u32>,
    children_count: Cell<u32>,
    parent: Cell<Option<&'a Node<'a>>>,
    first: Cell<Option<&'a Node<'a>>>,
    next: Cell<Option<&'a Node<'a>>>,
    text: Cell<&'a str>,
    qualifier_bytes: Cell<u16>,
    name_offset: Cell<u16>,
    annotation: Cell<u32>,
}

/// A node of the tree in the statement's arena.
pub(crate) type NodeRef<'a> = &'a Node<'a>;

const _: () = assert!(size_of::<Node<'_>>() == 64, "a node is one cache line");
const _: () = assert!(align_of::<Node<'_>>() == 64, "a node is aligned to its cache line");

/// Flags of nodes; which of them a kind uses is read by its view.
pub(crate) mod flag {
    /// `NOT` before `IN`, `LIKE`, `BETWEEN`, …
    pub(crate) const NOT: u16 = 1;
    /// `DISTINCT` of a select or an aggregate.
    pub(crate) const DISTINCT: u16 = 1 << 1;
    /// `WITH UNIQUE KEYS` of `IS JSON`.
    pub(crate) const UNIQUE_KEYS: u16 = 1 << 1;
    /// `ALL` of a set operation, or where `ANY` may stand.
    pub(crate) const ALL: u16 = 1 << 2;
    /// `BETWEEN SYMMETRIC`.
    pub(crate) const SYMMETRIC: u16 = 1 << 3;
    /// `f(*)`.
    pub(crate) const STAR: u16 = 1 << 4;
    /// `LIKE` and its kin, not an operator, before `ANY`.
    pub(crate) const LIKE: u16 = 1 << 3;
    /// `CASE operand`.
    pub(crate) const OPERAND: u16 = 1 << 5;
    /// A name that is a word of the grammar, such as the type `integer` or the function `coalesce`.
    pub(crate) const KEYWORD: u16 = 1 << 6;
    /// A literal of a form that is no expression, so that no parameter can stand for it.
    pub(crate) const PLAIN: u16 = 1 << 6;
    /// A call that is written without parentheses, such as `current_date`.
    pub(crate) const BARE: u16 = 1 << 7;
    /// The value of a boolean literal.
    pub(crate) const TRUE: u16 = 1 << 8;
    /// `DESC`.
    pub(crate) const DESCENDING: u16 = 1 << 9;
    /// `ASC`, where it was written.
    pub(crate) const ASCENDING: u16 = 1 << 10;
    /// `NULLS FIRST`.
    pub(crate) const NULLS_FIRST: u16 = 1 << 11;
    /// `NULLS LAST`.
    pub(crate) const NULLS_LAST: u16 = 1 << 12;
    /// `NATURAL JOIN`, `WITH RECURSIVE`.
    pub(crate) const NATURAL: u16 = 1 << 13;
    /// `WITH RECURSIVE`.
    pub(crate) const RECURSIVE: u16 = 1 << 13;
    /// `ORDER BY` among the arguments of a call.
    pub(crate) const ORDERED: u16 = 1 << 9;
    /// `WITHIN GROUP` after a call.
    pub(crate) const WITHIN: u16 = 1 << 11;
    /// `FILTER` after a call.
    pub(crate) const FILTERED: u16 = 1 << 12;
    /// `OVER` after a call.
    pub(crate) const WINDOWED: u16 = 1 << 3;
    /// Properties of a JSON value among the arguments of a call.
    pub(crate) const OPTIONS: u16 = 1 << 10;
    /// `VARIADIC` before the last argument of a call.
    pub(crate) const VARIADIC: u16 = 1 << 13;
    /// `ROW` written out before `(…)`.
    pub(crate) const EXPLICIT: u16 = 1 << 14;
    /// A part of a form that stands in parentheses; no node that can be one uses this bit for anything else.
    pub(crate) const PARENS: u16 = 1 << 15;
    /// `SETOF` before a type.
    pub(crate) const SETOF: u16 = 1;
    /// A type that is that of a column, `t.c%TYPE`.
    pub(crate) const COLUMN_TYPE: u16 = 1 << 1;
    /// An object that is an operator.
    pub(crate) const OPERATOR: u16 = 1;
    /// An object that is a table or another relation.
    pub(crate) const RELATION: u16 = 1 << 1;
    /// `FOR READ ONLY` after a query without other locks.
    pub(crate) const READ_ONLY: u16 = 1 << 3;
    /// A query whose `WITH TIES` is in parentheses that its `SKIP LOCKED` is not in, because both together are an error.
    pub(crate) const LOCKED_OUTSIDE: u16 = 1 << 14;
    /// The first lock outside of those parentheses.
    pub(crate) const FIRST_OUTSIDE: u16 = 1 << 13;
    /// A query that has a lock.
    pub(crate) const LOCKED: u16 = 1 << 11;
    /// A query that has `WITH TIES`.
    pub(crate) const TIED: u16 = 1 << 12;
    /// `ONLY` before a table.
    pub(crate) const ONLY: u16 = 1 << 13;
    /// `WITH TIES` of a `FETCH FIRST`.
    pub(crate) const TIES: u16 = 1 << 15;
    /// `NOWAIT` of a lock.
    pub(crate) const NOWAIT: u16 = 1 << 14;
    /// `SKIP LOCKED` of a lock.
    pub(crate) const SKIP_LOCKED: u16 = 1 << 15;
    /// `LATERAL` before a query or a function.
    pub(crate) const LATERAL: u16 = 1 << 14;
    /// `WITH ORDINALITY` after a function.
    pub(crate) const ORDINALITY: u16 = 1 << 13;
}

impl<'a> Node<'a> {
    /// A node without relatives.
    pub(crate) fn new(kind: NodeKind, span: Span) -> Node<'a> {
        Node {
            kind: Cell::new(kind),
            detail: Cell::new(0),
            flags: Cell::new(0),
            start: Cell::new(span.start),
            len: Cell::new(span.len),
            children_count: Cell::new(0),
            parent: Cell::new(None),
            first: Cell::new(None),
            next: Cell::new(None),
            text: Cell::new(""),
            qualifier_bytes: Cell::new(0),
            name_offset: Cell::new(0),
            annotation: Cell::new(0),
        }
    }

    /// What the node is.
    pub fn kind(&self) -> NodeKind {
        self.kind.get()
    }

    /// Where it stands in the text of the statement.
    pub fn span(&self) -> Span {
        Span { start: self.start.get(), len: self.len.get() }
    }

    /// The node that it is a child of; `None` for the root.
    pub fn parent(&self) -> Option<&'a Node<'a>> {
        self.parent.get()
    }

    /// Its first child.
    pub fn first_child(&self) -> Option<&'a Node<'a>> {
        self.first.get()
    }

    /// The next child of the same parent.
    pub fn next_sibling(&self) -> Option<&'a Node<'a>> {
        self.next.get()
    }

    /// The number of its children.
    pub fn children_count(&self) -> u32 {
        self.children_count.get()
    }

    /// Its children in order.
    pub fn children(&self) -> Children<'a> {
        Children { next: self.first.get(), left: self.children_count.get() }
    }

    /// What a consumer has noted here, 0 at first: an index into tables of its own.
    pub fn annotation(&self) -> u32 {
        self.annotation.get()
    }

    /// Notes a number for later passes. The parser never reads it.
    pub fn annotate(&self, annotation: u32) {
        self.annotation.set(annotation);
    }

    /// Its name or its literal text; for a qualified name the last part.
    pub fn name(&self) -> &'a str {
        self.text.get().get(usize::from(self.name_offset.get())..).unwrap_or("")
    }

    /// The part before the last dot of its name: `t` in `t.a`.
    pub fn qualifier(&self) -> Option<&'a str> {
        match self.qualifier_bytes.get() {
            0 => None,
            _ if self.kind() == NodeKind::Form => None,
            bytes => self.text.get().get(..usize::from(bytes)),
        }
    }

    /// Which rule of the grammar it is, for a [`NodeKind::Form`].
    pub fn form(&self) -> Option<Form> {
        // A form has words where other nodes have names, so the place of the qualifier's length is free.
        if self.kind() == NodeKind::Form { Form::from_code(self.qualifier_bytes.get()) } else { None }
    }

    pub(crate) fn set_form(&self, form: Form) {
        self.qualifier_bytes.set(form.code());
    }

    /// The words of a form, as they stand in the statement.
    pub(crate) fn set_words(&self, words: &'a str) {
        self.text.set(words);
    }

    /// The label that the grammar gives this part of a form.
    pub(crate) fn slot(&self) -> u8 {
        if self.kind().has_slot() { self.detail() } else { 0 }
    }

    /// The last child of a node that has not been hung under another yet.
    pub(crate) fn last_child(&self) -> Option<&'a Node<'a>> {
        self.next.get()
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn set(&self, flags: u16) {
        self.flags.set(self.flags.get() | flags);
    }

    pub(crate) fn clear(&self, flags: u16) {
        self.flags.set(self.flags.get() & !flags);
    }

    pub(crate) fn flags(&self) -> u16 {
        self.flags.get()
    }

    pub(crate) fn detail(&self) -> u8 {
        self.detail.get()
    }

    /// Turns a name that was read before it was known what it names.
    pub(crate) fn set_kind(&self, kind: NodeKind) {
        self.kind.set(kind);
    }

    pub(crate) fn set_detail(&self, detail: u8) {
        self.detail.set(detail);
    }

    pub(crate) fn set_text(&self, text: &'a str) {
        self.text.set(text);
        self.qualifier_bytes.set(0);
        self.name_offset.set(0);
    }

    /// Two names in one slice: the qualifier is its first `qualifier_bytes`, the name begins at `name_offset`.
    pub(crate) fn set_qualified(&self, text: &'a str, qualifier_bytes: u16, name_offset: u16) {
        self.text.set(text);
        self.qualifier_bytes.set(qualifier_bytes);
        self.name_offset.set(name_offset);
    }

    pub(crate) fn set_end(&self, end: u32) {
        self.len.set(end.saturating_sub(self.start.get()));
    }

    pub(crate) fn set_span(&self, span: Span) {
        self.start.set(span.start);
        self.len.set(span.len);
    }

    /// Hangs `child` on as the last child and widens the span over it.
    ///
    /// While a node has no parent itself, its `next` link is its loose end: the last of its children, so that another
    /// is hung on in constant time. Hanging the node under a parent of its own ends that.
    pub(crate) fn push(&'a self, child: &'a Node<'a>) {
        debug_assert!(self.parent.get().is_none(), "a node grows before it is hung under another");
        child.adopt(self);
        match self.next.replace(Some(child)) {
            Some(last) => last.next.set(Some(child)),
            None => self.first.set(Some(child)),
        }
        self.widen(child);
    }

    /// Hangs `child` on before the first child that `is_after` says must follow it; costs a step for each child.
    pub(crate) fn insert(&'a self, child: &'a Node<'a>, is_after: impl Fn(NodeKind) -> bool) {
        debug_assert!(self.parent.get().is_none(), "a node grows before it is hung under another");
        child.adopt(self);
        let mut before = None;
        let mut after = self.first.get();
        while let Some(node) = after
            && !is_after(node.kind())
        {
            before = after;
            after = node.next.get();
        }
        child.next.set(after);
        match before {
            Some(before) => before.next.set(Some(child)),
            None => self.first.set(Some(child)),
        }
        if after.is_none() {
            self.next.set(Some(child));
        }
        self.widen(child);
    }

    /// Hangs on the only child, so that [`take_only_child`](Node::take_only_child) gives it as it was: its loose end is
    /// kept in place of this node's own, up to [`end_enclosing`](Node::end_enclosing).
    pub(crate) fn enclose(&'a self, child: &'a Node<'a>) {
        let loose_end = child.next.get();
        self.push(child);
        self.next.set(loose_end);
    }

    /// Lets a node that encloses a child have more children.
    pub(crate) fn end_enclosing(&'a self) {
        debug_assert!(self.children_count.get() == 1, "only one child is enclosed");
        self.next.set(self.first.get());
    }

    /// Takes an enclosed child off again; more may be hung under it then.
    pub(crate) fn take_only_child(&'a self) -> Option<&'a Node<'a>> {
        let child = self.first.take()?;
        self.children_count.set(0);
        child.parent.set(None);
        child.next.set(self.next.take());
        Some(child)
    }

    /// Makes the node a root: ends its growth.
    pub(crate) fn finish_root(&self) {
        self.next.set(None);
    }

    /// Puts `new` where this node is among the children of `parent`.
    pub(crate) fn swap(&'a self, new: &'a Node<'a>, parent: &'a Node<'a>) {
        new.parent.set(Some(parent));
        new.next.set(self.next.replace(None));
        self.parent.set(None);
        let before =
            parent.children().find(|child| child.next.get().is_some_and(|next| std::ptr::eq(next, self)));
        match before {
            Some(before) => before.next.set(Some(new)),
            None => parent.first.set(Some(new)),
        }
    }

    /// Hangs `new`, which is a root, on behind this one among the children of `parent`.
    pub(crate) fn insert_behind(&'a self, new: &'a Node<'a>, parent: &'a Node<'a>) {
        new.parent.set(Some(parent));
        new.next.set(self.next.replace(Some(new)));
        parent.children_count.set(parent.children_count.get().wrapping_add(1));
    }

    pub(crate) fn set_parent(&self, parent: Option<&'a Node<'a>>) {
        self.parent.set(parent);
    }

    /// The same node without relatives.
    pub(crate) fn duplicate(&self) -> Node<'a> {
        let copy = Node::new(self.kind(), self.span());
        copy.detail.set(self.detail.get());
        copy.flags.set(self.flags.get());
        copy.text.set(self.text.get());
        copy.qualifier_bytes.set(self.qualifier_bytes.get());
        copy.name_offset.set(self.name_offset.get());
        copy.annotation.set(self.annotation.get());
        copy
    }

    fn adopt(&'a self, parent: &'a Node<'a>) {
        debug_assert!(self.parent.get().is_none(), "a node has one parent");
        self.next.set(None);
        self.parent.set(Some(parent));
    }

    fn widen(&self, child: &Node<'a>) {
        // The text is shorter than 4 GiB and a child takes at least one byte of it, so the count cannot wrap.
        self.children_count.set(self.children_count.get().wrapping_add(1));
        self.set_span(self.span().to(child.span()));
    }

    pub(crate) fn child(&self, index: u32) -> Option<&'a Node<'a>> {
        self.children().nth(index as usize)
    }

    pub(crate) fn child_of_kind(&self, kind: NodeKind) -> Option<&'a Node<'a>> {
        self.children().find(|child| child.kind() == kind)
    }
}

impl fmt::Debug for Node<'_> {
    /// Shows the node alone; its children may be a million levels deep.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.kind(), self.span())
    }
}

/// The children of a node, from [`Node::children`].
#[derive(Clone, Debug, Default)]
pub struct Children<'a> {
    next: Option<&'a Node<'a>>,
    left: u32,
}

impl<'a> Children<'a> {
    /// The same without the last `count` of them.
    pub(crate) fn without_last(self, count: u32) -> Children<'a> {
        let left = self.left.saturating_sub(count);
        Children { next: self.next.filter(|_| left > 0), left }
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = &'a Node<'a>;

    fn next(&mut self) -> Option<&'a Node<'a>> {
        let node = self.next?;
        self.left = self.left.saturating_sub(1);
        self.next = if self.left == 0 { None } else { node.next.get() };
        Some(node)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Children<'_> {}

/// One step of a walk through a tree.
#[derive(Clone, Copy, Debug)]
pub enum Visit<'a> {
    /// Before the children of a node.
    Enter(&'a Node<'a>),
    /// After the children of a node.
    Leave(&'a Node<'a>),
}

/// A walk through a tree in the order of its text: every node is entered and left once. Needs no memory, whatever the
/// depth, because it goes back up along the parents.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    root: &'a Node<'a>,
    upcoming: Option<Visit<'a>>,
}

impl<'a> Walk<'a> {
    /// A walk through `root` and everything under it.
    pub fn new(root: &'a Node<'a>) -> Walk<'a> {
        Walk { root, upcoming: Some(Visit::Enter(root)) }
    }

    /// After `Enter(node)`: goes on with `Leave(node)`, without its children.
    pub fn skip_children(&mut self, node: &'a Node<'a>) {
        self.upcoming = Some(Visit::Leave(node));
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Visit<'a>;

    fn next(&mut self) -> Option<Visit<'a>> {
        let visit = self.upcoming?;
        self.upcoming = match visit {
            Visit::Enter(node) => match node.first_child() {
                Some(child) => Some(Visit::Enter(child)),
                None => Some(Visit::Leave(node)),
            },
            Visit::Leave(node) if std::ptr::eq(node, self.root) => None,
            Visit::Leave(node) => match node.next_sibling() {
                Some(sibling) => Some(Visit::Enter(sibling)),
                None => node.parent().map(Visit::Leave),
            },
        };
        Some(visit)
    }
}

/// Whether two trees say the same: kinds, names, literals, operators and structure; spans and annotations do not count.
pub fn same_tree(left: &Node<'_>, right: &Node<'_>) -> bool {
    fn same_node(a: &Node<'_>, b: &Node<'_>) -> bool {
        a.kind == b.kind
            && a.detail == b.detail
            && a.flags == b.flags
            && a.children_count == b.children_count
            && a.qualifier() == b.qualifier()
            && match a.kind() {
                NodeKind::Form | NodeKind::Words => a.form() == b.form() && words::same(a.name(), b.name()),
                _ => a.name() == b.name(),
            }
    }
    let mut steps = Steps { a: left, b: right, depth: 0 };
    loop {
        if !same_node(steps.a, steps.b) {
            return false;
        }
        match steps.advance() {
            Some(true) => {}
            Some(false) => return false,
            None => return true,
        }
    }
}

/// Two walks in lockstep.
struct Steps<'x, 'a, 'b> {
    a: &'x Node<'a>,
    b: &'x Node<'b>,
    depth: u64,
}

impl<'a: 'x, 'b: 'x, 'x> Steps<'x, 'a, 'b> {
    /// Moves both to the next node in text order: `None` at the end, `Some(false)` when the shapes differ.
    fn advance(&mut self) -> Option<bool> {
        match (self.a.first_child(), self.b.first_child()) {
            (Some(a), Some(b)) => {
                (self.a, self.b) = (a, b);
                self.depth += 1;
                return Some(true);
            }
            (None, None) => {}
            _ => return Some(false),
        }
        loop {
            if self.depth == 0 {
                return None;
            }
            match (self.a.next_sibling(), self.b.next_sibling()) {
                (Some(a), Some(b)) => {
                    (self.a, self.b) = (a, b);
                    return Some(true);
                }
                (None, None) => {}
                _ => return Some(false),
            }
            match (self.a.parent(), self.b.parent()) {
                (Some(a), Some(b)) => (self.a, self.b) = (a, b),
                _ => return Some(false),
            }
            self.depth -= 1;
        }
    }
}
