//! Views of expressions.

use super::forms::{self, FormRef};
use super::operator::{BinaryOp, CallForm, IsTest, LikeKind, UnaryOp};
use super::{Query, SortKey, views};
use crate::node::{Children, flag};
use crate::{Form, Node, NodeKind, Span};

/// An expression.
#[derive(Clone, Copy, Debug)]
pub enum Expr<'a> {
    /// A column by name.
    Column(ColumnRef<'a>),
    /// A literal.
    Literal(Literal<'a>),
    /// `$1`.
    Parameter(Parameter<'a>),
    /// A prefix operator.
    Unary(Unary<'a>),
    /// An infix operator.
    Binary(Binary<'a>),
    /// `a AND b AND …`.
    And(Junction<'a>),
    /// `a OR b OR …`.
    Or(Junction<'a>),
    /// `NOT a`.
    Not(Not<'a>),
    /// `a BETWEEN low AND high`.
    Between(Between<'a>),
    /// `a IN (b, c)`.
    InList(InList<'a>),
    /// `a IN (SELECT …)`.
    InQuery(InQuery<'a>),
    /// `a LIKE b`.
    Like(Like<'a>),
    /// `a IS NULL` and the like.
    Is(Is<'a>),
    /// `a IS DISTINCT FROM b`.
    DistinctFrom(DistinctFrom<'a>),
    /// `CASE … END`.
    Case(Case<'a>),
    /// `CAST(a AS type)` and `a::type`.
    Cast(Cast<'a>),
    /// A function or an aggregate.
    Call(Call<'a>),
    /// `EXTRACT(year FROM a)`.
    Extract(Extract<'a>),
    /// `a COLLATE c`.
    Collate(Collate<'a>),
    /// `a AT TIME ZONE z`.
    AtTimeZone(AtTimeZone<'a>),
    /// `EXISTS (SELECT …)`.
    Exists(Exists<'a>),
    /// `(SELECT …)`.
    Subquery(Subquery<'a>),
    /// `(a, b)`.
    Row(Row<'a>),
    /// `t.*` as one value.
    TableRow(TableRow<'a>),
    /// `(a).b[1]`.
    Indirection(Indirection<'a>),
    /// `ARRAY[a, b]`.
    Array(Array<'a>),
    /// `ARRAY(SELECT …)`.
    ArrayQuery(ArrayQuery<'a>),
    /// `a = ANY (b)`.
    Quantified(Quantified<'a>),
    /// `name => a`, only as an argument of a call.
    NamedArgument(NamedArgument<'a>),
    /// `DEFAULT`.
    Default(Default<'a>),
    /// `(a, b) OVERLAPS (c, d)`.
    Overlaps(Overlaps<'a>),
    /// `TREAT(a AS type)`.
    Treat(Treat<'a>),
    /// A function that the grammar declares: those for JSON and XML.
    Form(FormRef<'a>),
    /// No expression: only in a tree that the parser did not make.
    Invalid(&'a Node<'a>),
}

impl<'a> Expr<'a> {
    /// The view of `node`.
    pub fn of(node: &'a Node<'a>) -> Expr<'a> {
        match node.kind() {
            NodeKind::Column => Self::Column(ColumnRef(node)),
            NodeKind::Null
            | NodeKind::Boolean
            | NodeKind::Integer
            | NodeKind::Number
            | NodeKind::String
            | NodeKind::BitString
            | NodeKind::TypedLiteral => Self::Literal(Literal::of(node)),
            NodeKind::Parameter => Self::Parameter(Parameter(node)),
            NodeKind::Unary => Self::Unary(Unary(node)),
            NodeKind::Binary => Self::Binary(Binary(node)),
            NodeKind::And => Self::And(Junction(node)),
            NodeKind::Or => Self::Or(Junction(node)),
            NodeKind::Not => Self::Not(Not(node)),
            NodeKind::Between => Self::Between(Between(node)),
            NodeKind::InList => Self::InList(InList(node)),
            NodeKind::InQuery => Self::InQuery(InQuery(node)),
            NodeKind::Like => Self::Like(Like(node)),
            NodeKind::Is => Self::Is(Is(node)),
            NodeKind::DistinctFrom => Self::DistinctFrom(DistinctFrom(node)),
            NodeKind::Case => Self::Case(Case(node)),
            NodeKind::Cast => Self::Cast(Cast(node)),
            NodeKind::Call => Self::Call(Call(node)),
            NodeKind::Extract => Self::Extract(Extract(node)),
            NodeKind::Collate => Self::Collate(Collate(node)),
            NodeKind::AtTimeZone => Self::AtTimeZone(AtTimeZone(node)),
            NodeKind::Exists => Self::Exists(Exists(node)),
            NodeKind::Subquery => Self::Subquery(Subquery(node)),
            NodeKind::Row => Self::Row(Row(node)),
            NodeKind::Star => Self::TableRow(TableRow(node)),
            NodeKind::Indirection => Self::Indirection(Indirection(node)),
            NodeKind::Array => Self::Array(Array(node)),
            NodeKind::ArrayQuery => Self::ArrayQuery(ArrayQuery(node)),
            NodeKind::QuantifiedArray | NodeKind::QuantifiedQuery => Self::Quantified(Quantified(node)),
            NodeKind::NamedArgument => Self::NamedArgument(NamedArgument(node)),
            NodeKind::Default => Self::Default(Default(node)),
            NodeKind::Overlaps => Self::Overlaps(Overlaps(node)),
            NodeKind::Treat => Self::Treat(Treat(node)),
            _ => match FormRef::of(node) {
                Some(form) if is_value(form.form()) => Self::Form(form),
                _ => Self::Invalid(node),
            },
        }
    }

    /// The node under this view.
    pub fn node(self) -> &'a Node<'a> {
        match self {
            Self::Column(ColumnRef(node))
            | Self::Parameter(Parameter(node))
            | Self::Unary(Unary(node))
            | Self::Binary(Binary(node))
            | Self::And(Junction(node))
            | Self::Or(Junction(node))
            | Self::Not(Not(node))
            | Self::Between(Between(node))
            | Self::InList(InList(node))
            | Self::InQuery(InQuery(node))
            | Self::Like(Like(node))
            | Self::Is(Is(node))
            | Self::DistinctFrom(DistinctFrom(node))
            | Self::Case(Case(node))
            | Self::Cast(Cast(node))
            | Self::Call(Call(node))
            | Self::Extract(Extract(node))
            | Self::Collate(Collate(node))
            | Self::AtTimeZone(AtTimeZone(node))
            | Self::Exists(Exists(node))
            | Self::Subquery(Subquery(node))
            | Self::Row(Row(node))
            | Self::TableRow(TableRow(node))
            | Self::Indirection(Indirection(node))
            | Self::Array(Array(node))
            | Self::ArrayQuery(ArrayQuery(node))
            | Self::Quantified(Quantified(node))
            | Self::NamedArgument(NamedArgument(node))
            | Self::Default(Default(node))
            | Self::Overlaps(Overlaps(node))
            | Self::Treat(Treat(node))
            | Self::Invalid(node) => node,
            Self::Literal(literal) => literal.node(),
            Self::Form(form) => form.node(),
        }
    }

    /// Where it stands in the text of the statement.
    pub fn span(self) -> Span {
        self.node().span()
    }
}

/// Whether a form stands where an expression can.
fn is_value(form: Form) -> bool {
    matches!(
        form,
        Form::JsonArray
            | Form::JsonArrayAgg
            | Form::JsonArrayQuery
            | Form::JsonExists
            | Form::JsonMember
            | Form::JsonObjectAgg
            | Form::JsonParse
            | Form::JsonQuery
            | Form::JsonScalar
            | Form::JsonSerialize
            | Form::JsonValueOf
            | Form::XmlConcat
            | Form::XmlElement
            | Form::XmlExists
            | Form::XmlForest
            | Form::XmlParse
            | Form::XmlPi
            | Form::XmlRoot
            | Form::XmlSerialize
    )
}

/// Expressions in a list, in order.
#[derive(Clone, Debug)]
pub struct Exprs<'a>(Children<'a>);

impl<'a> Exprs<'a> {
    pub(crate) fn new(children: Children<'a>) -> Exprs<'a> {
        Exprs(children)
    }
}

impl<'a> Iterator for Exprs<'a> {
    type Item = Expr<'a>;

    fn next(&mut self) -> Option<Expr<'a>> {
        self.0.next().map(Expr::of)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Exprs<'_> {}

/// A literal. Numbers are given as they are written: digits, with `_` between them or a radix in front where the
/// statement has them.
#[derive(Clone, Copy, Debug)]
pub enum Literal<'a> {
    /// `NULL`.
    Null(&'a Node<'a>),
    /// `TRUE` or `FALSE`.
    Boolean(Boolean<'a>),
    /// Digits alone, or with a radix: `42`, `0xff`, `1_000`.
    Integer(&'a Node<'a>),
    /// With a point or an exponent: `1.5`, `1e6`.
    Number(&'a Node<'a>),
    /// A character string, without quotes and escapes.
    String(&'a Node<'a>),
    /// `B'…'` or `X'…'`.
    BitString(BitString<'a>),
    /// `DATE '…'`, `INTERVAL '3' MONTH`.
    Typed(TypedLiteral<'a>),
}

impl<'a> Literal<'a> {
    fn of(node: &'a Node<'a>) -> Literal<'a> {
        match node.kind() {
            NodeKind::Boolean => Self::Boolean(Boolean(node)),
            NodeKind::Integer => Self::Integer(node),
            NodeKind::Number => Self::Number(node),
            NodeKind::String => Self::String(node),
            NodeKind::BitString => Self::BitString(BitString(node)),
            NodeKind::TypedLiteral => Self::Typed(TypedLiteral(node)),
            _ => Self::Null(node),
        }
    }

    /// The node under this view.
    pub fn node(self) -> &'a Node<'a> {
        match self {
            Self::Null(node)
            | Self::Boolean(Boolean(node))
            | Self::Integer(node)
            | Self::Number(node)
            | Self::String(node)
            | Self::BitString(BitString(node))
            | Self::Typed(TypedLiteral(node)) => node,
        }
    }

    /// The text of a number or a string; empty for `NULL` and booleans.
    pub fn text(self) -> &'a str {
        self.node().name()
    }
}

views! {
    /// A column by name: `a`, `t.a`, `s.t.a`.
    ColumnRef = Column;
    /// `TRUE` or `FALSE`.
    Boolean = Boolean;
    /// `B'…'` or `X'…'`.
    BitString = BitString;
    /// A type before its string: `DATE '…'`.
    TypedLiteral = TypedLiteral;
    /// `$1`.
    Parameter = Parameter;
    /// A prefix operator and its operand.
    Unary = Unary;
    /// An infix operator and its operands.
    Binary = Binary;
    /// `AND` or `OR` of two or more.
    Junction = And | Or;
    /// `NOT`.
    Not = Not;
    /// `BETWEEN`.
    Between = Between;
    /// `IN` a list.
    InList = InList;
    /// `IN` a query.
    InQuery = InQuery;
    /// `LIKE`, `ILIKE` or `SIMILAR TO`.
    Like = Like;
    /// A test that starts with `IS`.
    Is = Is;
    /// `IS DISTINCT FROM`.
    DistinctFrom = DistinctFrom;
    /// `CASE`.
    Case = Case;
    /// One `WHEN … THEN …`.
    When = When;
    /// `CAST` or `::`.
    Cast = Cast;
    /// A call of a function or an aggregate.
    Call = Call;
    /// `EXTRACT`.
    Extract = Extract;
    /// `COLLATE`.
    Collate = Collate;
    /// `AT TIME ZONE` or `AT LOCAL`.
    AtTimeZone = AtTimeZone;
    /// `EXISTS`.
    Exists = Exists;
    /// A query as a value.
    Subquery = Subquery;
    /// Several values as one.
    Row = Row;
    /// All columns of a table as one value: `t.*` where an expression stands.
    TableRow = Star;
    /// A value and what is selected of it.
    Indirection = Indirection;
    /// An array by its elements.
    Array = Array;
    /// An array of what a query finds.
    ArrayQuery = ArrayQuery;
    /// A comparison with some or all of many values.
    Quantified = QuantifiedArray | QuantifiedQuery;
    /// An argument with the name of its parameter.
    NamedArgument = NamedArgument;
    /// `DEFAULT`.
    Default = Default;
    /// Whether two spans of time overlap.
    Overlaps = Overlaps;
    /// `TREAT`.
    Treat = Treat;
    /// `OPERATOR(schema.+)`: an operator by its whole name.
    OperatorName = ObjectName;
    /// The name of a type, with modifiers.
    TypeName = Type;
}

impl<'a> ColumnRef<'a> {
    /// The column's own name.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The table before it: `t` in `t.a`.
    pub fn table(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// The names before the table, outermost first: `s` in `s.t.a`.
    pub fn outer(self) -> impl Iterator<Item = &'a str> + Clone {
        outer(self.0)
    }
}

impl Boolean<'_> {
    /// The value.
    pub fn value(self) -> bool {
        self.0.has(flag::TRUE)
    }
}

impl<'a> BitString<'a> {
    /// The digits between the quotes; the parser does not check them.
    pub fn digits(self) -> &'a str {
        self.0.name()
    }

    /// Whether the digits are hexadecimal (`X'…'`).
    pub fn is_hex(self) -> bool {
        self.0.detail() == 1
    }
}

impl<'a> TypedLiteral<'a> {
    /// The string.
    pub fn text(self) -> &'a str {
        self.0.name()
    }

    /// The type.
    pub fn type_name(self) -> TypeName<'a> {
        TypeName(self.0.first_child().unwrap_or(self.0))
    }
}

impl<'a> Parameter<'a> {
    /// Its number, from 1; `None` when it has a name, or a number that is too big to be one.
    pub fn number(self) -> Option<u32> {
        self.0.name().parse().ok()
    }

    /// What stands behind the `$`: digits, or its name.
    pub fn name(self) -> &'a str {
        self.0.name()
    }
}

impl<'a> Unary<'a> {
    /// The operator.
    pub fn op(self) -> UnaryOp {
        UnaryOp::from_code(self.0.detail())
    }

    /// The operator's sign.
    pub fn operator_text(self) -> &'a str {
        match self.op() {
            UnaryOp::Minus => "-",
            UnaryOp::Plus => "+",
            UnaryOp::Other => operator_text(self.0),
        }
    }

    /// The operator's whole name, when it is written as `OPERATOR(schema.+)`.
    pub fn operator_name(self) -> Option<OperatorName<'a>> {
        self.0.first_child().and_then(OperatorName::of)
    }

    /// The operand.
    pub fn operand(self) -> Expr<'a> {
        last_expr(self.0)
    }
}

impl<'a> Binary<'a> {
    /// The operator.
    pub fn op(self) -> BinaryOp {
        BinaryOp::from_code(self.0.detail())
    }

    /// The operator's sign, [`BinaryOp::symbol`] where it has one.
    pub fn operator_text(self) -> &'a str {
        match self.op() {
            BinaryOp::Other => operator_text(self.0),
            op => op.symbol(),
        }
    }

    /// The operator's whole name, when it is written as `OPERATOR(schema.+)`.
    pub fn operator_name(self) -> Option<OperatorName<'a>> {
        self.0.child(1).and_then(OperatorName::of)
    }

    /// The left operand.
    pub fn left(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The right operand.
    pub fn right(self) -> Expr<'a> {
        last_expr(self.0)
    }
}

impl<'a> OperatorName<'a> {
    /// The operator's sign.
    pub fn sign(self) -> &'a str {
        self.0.name()
    }

    /// The schema before it.
    pub fn schema(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// The names before the schema, outermost first.
    pub fn outer(self) -> impl Iterator<Item = &'a str> + Clone {
        outer(self.0)
    }
}

impl<'a> Junction<'a> {
    /// The operands, two or more, in order.
    pub fn operands(self) -> Exprs<'a> {
        Exprs::new(self.0.children())
    }
}

impl<'a> Not<'a> {
    /// The operand.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }
}

impl<'a> Between<'a> {
    /// What is compared.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The lower end.
    pub fn low(self) -> Expr<'a> {
        expr(self.0, 1)
    }

    /// The upper end.
    pub fn high(self) -> Expr<'a> {
        expr(self.0, 2)
    }

    /// `NOT BETWEEN`.
    pub fn is_negated(self) -> bool {
        self.0.has(flag::NOT)
    }

    /// `BETWEEN SYMMETRIC`: the ends may come in either order.
    pub fn is_symmetric(self) -> bool {
        self.0.has(flag::SYMMETRIC)
    }
}

impl<'a> InList<'a> {
    /// What is looked for.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The elements of the list, one or more.
    pub fn list(self) -> Exprs<'a> {
        Exprs::new(rest(self.0))
    }

    /// `NOT IN`.
    pub fn is_negated(self) -> bool {
        self.0.has(flag::NOT)
    }
}

impl<'a> InQuery<'a> {
    /// What is looked for.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The query.
    pub fn query(self) -> Query<'a> {
        Query(self.0.child(1).unwrap_or(self.0))
    }

    /// `NOT IN`.
    pub fn is_negated(self) -> bool {
        self.0.has(flag::NOT)
    }
}

impl<'a> Like<'a> {
    /// How it is matched.
    pub fn kind(self) -> LikeKind {
        LikeKind::from_code(self.0.detail())
    }

    /// The text.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The pattern.
    pub fn pattern(self) -> Expr<'a> {
        expr(self.0, 1)
    }

    /// The escape after `ESCAPE`.
    pub fn escape(self) -> Option<Expr<'a>> {
        self.0.child(2).map(Expr::of)
    }

    /// `NOT LIKE`.
    pub fn is_negated(self) -> bool {
        self.0.has(flag::NOT)
    }
}

impl<'a> Is<'a> {
    /// What is asked.
    pub fn test(self) -> IsTest {
        IsTest::from_code(self.0.detail())
    }

    /// The operand.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// `IS NOT`.
    pub fn is_negated(self) -> bool {
        self.0.has(flag::NOT)
    }

    /// `IS JSON … WITH UNIQUE KEYS`.
    pub fn has_unique_keys(self) -> bool {
        self.0.has(flag::UNIQUE_KEYS)
    }
}

impl<'a> DistinctFrom<'a> {
    /// The left operand.
    pub fn left(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The right operand.
    pub fn right(self) -> Expr<'a> {
        expr(self.0, 1)
    }

    /// `IS NOT DISTINCT FROM`.
    pub fn is_negated(self) -> bool {
        self.0.has(flag::NOT)
    }
}

impl<'a> Case<'a> {
    /// The operand in `CASE operand WHEN value …`.
    pub fn operand(self) -> Option<Expr<'a>> {
        self.0.has(flag::OPERAND).then(|| expr(self.0, 0))
    }

    /// The branches, one or more.
    pub fn whens(self) -> impl Iterator<Item = When<'a>> + Clone {
        self.0.children().filter_map(When::of)
    }

    /// The result after `ELSE`.
    pub fn otherwise(self) -> Option<Expr<'a>> {
        self.0.children().last().filter(|node| node.kind() == NodeKind::Else).map(|node| expr(node, 0))
    }
}

impl<'a> When<'a> {
    /// The condition, or the value that the operand is compared with.
    pub fn condition(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The result.
    pub fn result(self) -> Expr<'a> {
        expr(self.0, 1)
    }
}

impl<'a> Cast<'a> {
    /// What is cast.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The type it is cast to.
    pub fn type_name(self) -> TypeName<'a> {
        TypeName(self.0.child(1).unwrap_or(self.0))
    }
}

impl<'a> Call<'a> {
    /// The function's own name, in lower case unless quoted.
    pub fn name(self) -> &'a str {
        self.0.name()
    }

    /// The schema before it.
    pub fn schema(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// Whether `FROM` stands behind the first argument of `TRIM`: then that says what is cut off, and the text comes behind it.
    pub fn has_text_behind(self) -> bool {
        self.0.has(flag::OPERAND)
    }

    /// The arguments, in order; none for `f(*)`. One with a name is [`Expr::NamedArgument`]; the members of a
    /// `JSON_OBJECT` are forms, [`forms::JsonMember`].
    pub fn args(self) -> Exprs<'a> {
        let named = self.0.children().take_while(|node| node.kind() == NodeKind::Name).count();
        let mut children = self.0.children();
        for _ in 0..named {
            children.next();
        }
        let flags = flag::ORDERED | flag::OPTIONS | flag::WITHIN | flag::FILTERED | flag::WINDOWED;
        let clauses = (self.0.flags() & flags).count_ones();
        Exprs::new(children.without_last(clauses))
    }

    /// The sort keys of `ORDER BY` in the parentheses.
    pub fn order_by(self) -> impl Iterator<Item = SortKey<'a>> + Clone {
        let clause = self.0.has(flag::ORDERED).then(|| self.0.child_of_kind(NodeKind::OrderBy)).flatten();
        clause.map(Node::children).unwrap_or_default().filter_map(SortKey::of)
    }

    /// `WITHIN GROUP (ORDER BY …)` after it.
    pub fn within_group(self) -> Option<forms::WithinGroup<'a>> {
        self.0.children().find_map(forms::WithinGroup::of)
    }

    /// `FILTER (WHERE …)` after it.
    pub fn filter(self) -> Option<forms::Filter<'a>> {
        self.0.children().find_map(forms::Filter::of)
    }

    /// `OVER …` after it.
    pub fn over(self) -> Option<forms::Over<'a>> {
        self.0.children().find_map(forms::Over::of)
    }

    /// What `JSON_OBJECT` does with nulls and keys that repeat.
    pub fn json_options(self) -> Option<forms::JsonOptions<'a>> {
        self.0.children().find_map(forms::JsonOptions::of)
    }

    /// Whether the last argument is an array of the values for a variadic parameter: `f(a, VARIADIC b)`.
    pub fn is_variadic(self) -> bool {
        self.0.has(flag::VARIADIC)
    }

    /// `f(DISTINCT …)`.
    pub fn is_distinct(self) -> bool {
        self.0.has(flag::DISTINCT)
    }

    /// `f(*)`.
    pub fn is_star(self) -> bool {
        self.0.has(flag::STAR)
    }

    /// Whether the grammar itself knows the name: `coalesce`, `nullif`, `greatest`, `least`, `current_date`, `trim`, ….
    pub fn is_keyword(self) -> bool {
        self.0.has(flag::KEYWORD)
    }

    /// How the call is written.
    pub fn form(self) -> CallForm {
        CallForm::from_code(self.0.detail())
    }
}

impl<'a> Extract<'a> {
    /// The field, such as `year`, in lower case unless quoted.
    pub fn field(self) -> &'a str {
        self.0.name()
    }

    /// What it is taken from.
    pub fn source(self) -> Expr<'a> {
        expr(self.0, 0)
    }
}

impl<'a> Collate<'a> {
    /// The collation's own name.
    pub fn collation(self) -> &'a str {
        self.0.name()
    }

    /// The schema before it.
    pub fn schema(self) -> Option<&'a str> {
        self.0.qualifier()
    }

    /// What is collated.
    pub fn operand(self) -> Expr<'a> {
        Expr::of(self.0.children().last().unwrap_or(self.0))
    }
}

impl<'a> AtTimeZone<'a> {
    /// The time.
    pub fn operand(self) -> Expr<'a> {
        expr(self.0, 0)
    }

    /// The zone; `None` for `AT LOCAL`.
    pub fn zone(self) -> Option<Expr<'a>> {
        self.0.child(1).map(Expr::of)
    }
}

impl<'a> Exists<'a> {
    /// The query.
    pub fn query(self) -> Query<'a> {
        Query(self.0.first_child().unwrap_or(self.0))
    }
}

impl<'a> Subquery<'a> {
    /// The query.
    pub fn query(self) -> Query<'a> {
        Query(self.0.first_child().unwrap_or(self.0))
    }
}

impl<'a> Row<'a> {
    /// The elements.
    pub fn elements(self) -> Exprs<'a> {
        Exprs::new(self.0.children())
    }

    /// Whether the word `ROW` is written out.
    pub fn is_explicit(self) -> bool {
        self.0.has(flag::EXPLICIT)
    }
}

pub(super) fn expr<'a>(node: &'a Node<'a>, index: u32) -> Expr<'a> {
    Expr::of(node.child(index).unwrap_or(node))
}

pub(super) fn last_expr<'a>(node: &'a Node<'a>) -> Expr<'a> {
    Expr::of(node.children().last().unwrap_or(node))
}

/// The sign of an operator that is kept by its text, or by its whole name.
pub(super) fn operator_text<'a>(node: &'a Node<'a>) -> &'a str {
    node.child_of_kind(NodeKind::ObjectName).map_or(node.name(), Node::name)
}

/// The names of the qualifiers further out than the one in the node.
pub(super) fn outer<'a>(node: &'a Node<'a>) -> impl Iterator<Item = &'a str> + Clone {
    node.children().take_while(|child| child.kind() == NodeKind::Name).map(Node::name)
}

/// The children after the first.
pub(super) fn rest<'a>(node: &'a Node<'a>) -> Children<'a> {
    let mut children = node.children();
    children.next();
    children
}
