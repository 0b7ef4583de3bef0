//! Which operator, which test and which way of writing a call: the details of nodes of expressions.

use super::details;

details! {
    /// A prefix operator.
    UnaryOp {
        Minus /** `-`. */,
        Plus /** `+`. */,
        Other /** Any other; its text is [`Unary::operator_text`](super::Unary::operator_text). */,
    }

    /// An infix operator.
    BinaryOp {
        Add /** `+`. */,
        Subtract /** `-`. */,
        Multiply /** `*`. */,
        Divide /** `/`. */,
        Modulo /** `%`. */,
        Power /** `^`. */,
        Equal /** `=`. */,
        NotEqual /** `<>` or `!=`. */,
        Less /** `<`. */,
        LessOrEqual /** `<=`. */,
        Greater /** `>`. */,
        GreaterOrEqual /** `>=`. */,
        Concat /** `||`. */,
        Other /** Any other; its text is [`Binary::operator_text`](super::Binary::operator_text). */,
    }

    /// How text is matched.
    LikeKind {
        Like /** `LIKE`. */,
        ILike /** `ILIKE`: without regard to case. */,
        SimilarTo /** `SIMILAR TO`: SQL's regular expressions. */,
    }

    /// What `IS` asks.
    IsTest {
        Null /** `IS NULL`. */,
        True /** `IS TRUE`. */,
        False /** `IS FALSE`. */,
        Unknown /** `IS UNKNOWN`. */,
        Document /** `IS DOCUMENT`. */,
        Normalized /** `IS NORMALIZED`. */,
        NormalizedNfc /** `IS NFC NORMALIZED`. */,
        NormalizedNfd /** `IS NFD NORMALIZED`. */,
        NormalizedNfkc /** `IS NFKC NORMALIZED`. */,
        NormalizedNfkd /** `IS NFKD NORMALIZED`. */,
        Json /** `IS JSON` or `IS JSON VALUE`. */,
        JsonArray /** `IS JSON ARRAY`. */,
        JsonObject /** `IS JSON OBJECT`. */,
        JsonScalar /** `IS JSON SCALAR`. */,
    }

    /// How a call is written.
    CallForm {
        Plain /** `f(a, b)`. */,
        SubstringFrom /** `SUBSTRING(a FROM b [FOR c])`: arguments in this order. */,
        SubstringFor /** `SUBSTRING(a FOR c)`: two arguments. */,
        SubstringForFrom /** `SUBSTRING(a FOR c FROM b)`: arguments in this order. */,
        SubstringSimilar /** `SUBSTRING(a SIMILAR b ESCAPE c)`: arguments in this order. */,
        Position /** `POSITION(a IN b)`. */,
        TrimBoth /** `TRIM([BOTH] [a] FROM b)`: the text comes last when there are two. */,
        TrimLeading /** `TRIM(LEADING …)`. */,
        TrimTrailing /** `TRIM(TRAILING …)`. */,
        Overlay /** `OVERLAY(a PLACING b FROM c [FOR d])`: arguments in this order. */,
        NormalizeNfc /** `NORMALIZE(a, NFC)`. */,
        NormalizeNfd /** `NORMALIZE(a, NFD)`. */,
        NormalizeNfkc /** `NORMALIZE(a, NFKC)`. */,
        NormalizeNfkd /** `NORMALIZE(a, NFKD)`. */,
    }
}

impl BinaryOp {
    /// The operator as SQL writes it; empty for [`BinaryOp::Other`].
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Concat => "||",
            Self::Other => "",
        }
    }
}

impl LikeKind {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Like => "LIKE",
            Self::ILike => "ILIKE",
            Self::SimilarTo => "SIMILAR TO",
        }
    }
}

impl IsTest {
    /// The words after `IS`.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::True => "TRUE",
            Self::False => "FALSE",
            Self::Unknown => "UNKNOWN",
            Self::Document => "DOCUMENT",
            Self::Normalized => "NORMALIZED",
            Self::NormalizedNfc => "NFC NORMALIZED",
            Self::NormalizedNfd => "NFD NORMALIZED",
            Self::NormalizedNfkc => "NFKC NORMALIZED",
            Self::NormalizedNfkd => "NFKD NORMALIZED",
            Self::Json => "JSON",
            Self::JsonArray => "JSON ARRAY",
            Self::JsonObject => "JSON OBJECT",
            Self::JsonScalar => "JSON SCALAR",
        }
    }
}
