//! The classes of tokens that the grammar tells apart, and sets of them.

use std::collections::HashMap;

/// A keyword of the list.
pub(crate) struct Keyword {
    pub(crate) word: String,
    pub(crate) category: Category,
    pub(crate) is_bare_label: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Category {
    Unreserved,
    ColumnName,
    TypeOrFunction,
    Reserved,
}

impl Keyword {
    /// Its name as a variant: `current_date` is `CurrentDate`.
    pub(crate) fn variant(&self) -> String {
        let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
        self.word.split('_').map(capital).collect()
    }
}

/// Reads `keywords.list`.
pub(crate) fn keywords(text: &str) -> Result<Vec<Keyword>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| keyword(line).ok_or_else(|| format!("keywords.list: {line}"))).collect()
}

fn keyword(line: &str) -> Option<Keyword> {
    let mut fields = line.split(' ');
    let word = fields.next()?.to_owned();
    let category = match fields.next()? {
        "unreserved" => Category::Unreserved,
        "column-name" => Category::ColumnName,
        "type-or-function" => Category::TypeOrFunction,
        "reserved" => Category::Reserved,
        _ => return None,
    };
    let is_bare_label = match fields.next()? {
        "bare" => true,
        "as" => false,
        _ => return None,
    };
    Some(Keyword { word, category, is_bare_label })
}

/// The classes after the keywords, in the order of `TokenClass` in `src/parser/forms.rs`, with the sign that the grammar
/// writes, if it does.
pub(crate) const CLASSES: &[(&str, &str)] = &[
    ("End", ""),
    ("Name", ""),
    ("Integer", ""),
    ("Number", ""),
    ("Parameter", ""),
    ("String", ""),
    ("BitString", ""),
    ("HexString", ""),
    ("LeftParen", "("),
    ("RightParen", ")"),
    ("LeftBracket", "["),
    ("RightBracket", "]"),
    ("Comma", ","),
    ("Semicolon", ";"),
    ("Dot", "."),
    ("DotDot", ".."),
    ("Colon", ":"),
    ("ColonColon", "::"),
    ("ColonEqual", ":="),
    ("Arrow", "=>"),
    ("Plus", "+"),
    ("Minus", "-"),
    ("Star", "*"),
    ("Slash", "/"),
    ("Percent", "%"),
    ("Caret", "^"),
    ("Less", "<"),
    ("Greater", ">"),
    ("Equal", "="),
    ("LessOrEqual", "<="),
    ("GreaterOrEqual", ">="),
    ("NotEqual", "<>"),
    ("Operator", ""),
    ("Stray", ""),
    // `WITH` before `TIME` and `ORDINALITY`.
    ("WITH_LA", ""),
];

pub(crate) const WORDS_PER_SET: usize = 9;

/// A set of token classes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Set(pub [u64; WORDS_PER_SET]);

impl Set {
    pub(crate) fn one(class: usize) -> Set {
        let mut set = Set::default();
        set.0[class / 64] |= 1 << (class % 64);
        set
    }

    pub(crate) fn has(self, class: usize) -> bool {
        self.0[class / 64] & (1 << (class % 64)) != 0
    }

    pub(crate) fn or(self, other: Set) -> Set {
        Set(std::array::from_fn(|index| self.0[index] | other.0[index]))
    }

    pub(crate) fn and(self, other: Set) -> Set {
        Set(std::array::from_fn(|index| self.0[index] & other.0[index]))
    }

    pub(crate) fn without(self, other: Set) -> Set {
        Set(std::array::from_fn(|index| self.0[index] & !other.0[index]))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn classes(self) -> impl Iterator<Item = usize> {
        (0..WORDS_PER_SET * 64).filter(move |class| self.has(*class))
    }
}

/// A nonterminal that the parser has by hand.
pub(crate) struct Hook {
    pub(crate) name: &'static str,
    /// The variant of `Hook` in the parser.
    pub(crate) variant: &'static str,
    /// What an error calls it.
    pub(crate) what: &'static str,
    pub(crate) view: View,
}

/// What a labelled nonterminal gives a reader.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Expr,
    Query,
    Type,
    Table,
    /// One name or literal: its text.
    Text,
    /// A name with dots.
    Object,
    /// An expression with its order.
    SortKey,
    /// A column that is given a value.
    Target,
    /// What a select or `RETURNING` gives.
    Item,
    Statement,
    /// A value of a setting or an option.
    Value,
}

macro_rules! hooks {
    ($($name:literal $variant:literal $what:literal $view:ident,)*) => {
        &[$(Hook { name: $name, variant: $variant, what: $what, view: View::$view },)*]
    };
}

pub(crate) const HOOKS: &[Hook] = hooks! {
    "expr" "Expr" "an expression" Expr,
    "const" "Constant" "a constant" Expr,
    "sort_key" "SortKey" "an expression" SortKey,
    "b_expr" "SimpleExpr" "an expression" Expr,
    "c_expr" "Primary" "a value" Expr,
    "json_key" "JsonKey" "a key" Expr,
    "json_encoding" "JsonEncoding" "UTF8, UTF16 or UTF32" Text,
    "func_expr" "FunctionCall" "a function call" Expr,
    "query" "Query" "a query" Query,
    "table" "Table" "a table" Table,
    "type" "Type" "a type" Type,
    "simple_type" "SimpleType" "a type" Type,
    "func_type" "FunctionType" "a type" Type,
    "col_id" "ColumnName" "a name" Text,
    "type_function_name" "TypeOrFunctionName" "a name" Text,
    "nonreserved_word" "NonReservedWord" "a word" Text,
    "col_label" "Label" "a word" Text,
    "any_name" "AnyName" "a name" Object,
    "qualified_name" "QualifiedName" "a table" Object,
    "option_name" "OptionName" "a word" Object,
    "reserved_word" "ReservedWord" "a word" Text,
    "func_name" "FunctionName" "a name" Object,
    "routine_name" "RoutineName" "a name" Object,
    "role_name" "RoleName" "a role" Text,
    "role_id" "NewRoleName" "the name of a role" Text,
    "role_flag" "RoleFlag" "an option of a role" Text,
    "any_statement" "AnyStatement" "a statement" Statement,
    "target" "Target" "a column" Target,
    "item" "Item" "an expression" Item,
    "statement" "Statement" "a statement" Statement,
    "rule_action" "RuleAction" "a statement" Statement,
    "func_application" "Application" "a function call" Expr,
    "setting_name" "SettingName" "a setting" Object,
    "setting_value" "SettingValue" "a value" Value,
    "setting_word" "SettingWord" "a word" Value,
    "word_or_string" "WordOrString" "a word" Text,
    "identifier" "Identifier" "a name" Text,
    "any_operator" "QualifiedOperator" "an operator" Object,
    "operator" "AnyOperator" "an operator" Text,
    "string" "String" "a string" Text,
    "integer" "Integer" "a number" Text,
    "number" "Number" "a number" Text,
    "signed_integer" "SignedInteger" "a number" Text,
    "signed_number" "SignedNumber" "a number" Text,
    "parameter" "Parameter" "a parameter" Text,
};

/// Names of token classes, and the sets that the nonterminals written by hand begin with.
pub(crate) struct Tokens {
    by_word: HashMap<String, usize>,
    words: Vec<String>,
    hooks: HashMap<&'static str, Set>,
}

impl Tokens {
    pub(crate) fn new(keywords: &[Keyword]) -> Tokens {
        let mut by_word: HashMap<String, usize> = keywords
            .iter()
            .enumerate()
            .map(|(index, keyword)| (keyword.word.to_uppercase(), index))
            .collect();
        let mut words: Vec<String> = keywords.iter().map(|keyword| keyword.word.to_uppercase()).collect();
        for (index, (name, sign)) in CLASSES.iter().enumerate() {
            let class = keywords.len() + index;
            by_word.insert((*name).to_owned(), class);
            if !sign.is_empty() {
                by_word.insert(format!("'{sign}'"), class);
            }
            let name = name.trim_end_matches("_LA");
            words.push(if sign.is_empty() { name.to_owned() } else { format!("`{sign}`") });
        }
        by_word.insert("'!='".to_owned(), by_word["NotEqual"]);
        let mut tokens = Tokens { by_word, words, hooks: HashMap::new() };
        tokens.hooks = HOOKS.iter().map(|hook| (hook.name, tokens.begins(hook.name, keywords))).collect();
        tokens
    }

    pub(crate) fn classes_count(&self) -> usize {
        self.words.len()
    }

    pub(crate) fn class(&self, word: &str) -> Option<usize> {
        // A word that is no keyword, `'MEMORY'` in the notation, is a name to the lexer.
        let is_name =
            word.starts_with('\'') && word[1..].starts_with(|letter: char| letter.is_ascii_alphabetic());
        self.by_word.get(if is_name { "Name" } else { word }).copied()
    }

    /// What an error calls the token.
    pub(crate) fn word(&self, class: usize) -> &str {
        &self.words[class]
    }

    pub(crate) fn hook(&self, name: &str) -> Option<Set> {
        self.hooks.get(name).copied()
    }

    fn set(&self, words: &str) -> Set {
        words.split(' ').fold(Set::default(), |set, word| set.or(Set::one(self.by_word[word])))
    }

    /// What a nonterminal can begin with. For those of expressions it is a superset.
    fn begins(&self, hook: &str, keywords: &[Keyword]) -> Set {
        use Category::{ColumnName, Reserved, TypeOrFunction, Unreserved};
        let of = |categories: &[Category]| {
            let fits =
                keywords.iter().enumerate().filter(|(_, keyword)| categories.contains(&keyword.category));
            fits.fold(self.set("Name"), |set, (index, _)| set.or(Set::one(index)))
        };
        let operators = "Operator '+' '-' '*' '/' '%' '^' '<' '>' '=' '<=' '>=' '<>'";
        let constants = "Integer Number Parameter String BitString HexString";
        let values = "ARRAY CASE CAST CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP \
                      CURRENT_USER FALSE LOCALTIME LOCALTIMESTAMP NULL SESSION_USER SYSTEM_USER TRUE USER '('";
        let types = "BIGINT BIT BOOLEAN CHAR CHARACTER DEC DECIMAL FLOAT INT INTEGER INTERVAL JSON NATIONAL NCHAR \
                     NUMERIC REAL SETOF SMALLINT TIME TIMESTAMP VARCHAR";
        let calls = "CAST CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER \
                     LOCALTIME LOCALTIMESTAMP SESSION_USER SYSTEM_USER USER";
        let names = of(&[Unreserved, ColumnName, TypeOrFunction]);
        match hook {
            "expr" | "b_expr" | "sort_key" | "json_key" => names
                .or(self.set(values))
                .or(self.set(constants))
                .or(self.set("'+' '-' Operator DEFAULT NOT UNIQUE")),
            "c_expr" => names.or(self.set(values)).or(self.set(constants)),
            "const" => of(&[Unreserved, ColumnName, TypeOrFunction])
                .or(self.set(constants))
                .or(self.set("TRUE FALSE NULL")),
            "func_expr" => names.or(self.set(calls)),
            "query" => self.set("SELECT VALUES TABLE WITH '('"),
            "table" => names.or(self.set(calls)).or(self.set("String '(' LATERAL ONLY")),
            "any_statement" => self.set(
                "ABORT ALTER ANALYZE ANALYSE CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE \
                 DELETE DISCARD DO DROP EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY \
                 PREPARE REASSIGN REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SELECT SET SHOW START \
                 TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES WITH '('",
            ),
            "type" | "simple_type" | "func_type" => of(&[Unreserved, TypeOrFunction]).or(self.set(types)),
            "item" => self.begins("expr", keywords).or(self.set("'*'")),
            "statement" => self.begins("query", keywords).or(self.set("INSERT UPDATE DELETE MERGE")),
            "rule_action" => self.begins("query", keywords).or(self.set("INSERT UPDATE DELETE")),
            "func_application" => names,
            "setting_value" => names.or(self.set("String Integer Number '+' '-' TRUE FALSE ON")),
            "setting_word" => names.or(self.set("String TRUE FALSE ON")),
            "word_or_string" => names.or(self.set("String")),
            "identifier" | "role_flag" => self.set("Name"),
            "reserved_word" => keywords
                .iter()
                .enumerate()
                .filter(|(_, keyword)| keyword.category == Reserved)
                .fold(Set::default(), |set, (index, _)| set.or(Set::one(index))),
            "col_id" | "json_encoding" | "any_name" | "qualified_name" | "setting_name" | "target" => {
                of(&[Unreserved, ColumnName])
            }
            "type_function_name" => of(&[Unreserved, TypeOrFunction]),
            "nonreserved_word" | "func_name" | "routine_name" | "role_name" | "role_id" => names,
            "col_label" | "option_name" => of(&[Unreserved, ColumnName, TypeOrFunction, Reserved]),
            "any_operator" => of(&[Unreserved, ColumnName]).or(self.set(operators)),
            "operator" => self.set(operators),
            "string" => self.set("String"),
            "integer" => self.set("Integer"),
            "number" => self.set("Number"),
            "signed_integer" => self.set("Integer '+' '-'"),
            "signed_number" => self.set("Integer Number '+' '-'"),
            _ => self.set("Parameter"),
        }
    }
}
