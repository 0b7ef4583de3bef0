//! Schemas, rows, queries and changes from a seed.
//!
//! What is made has one answer whatever the plan, as a multiset: windows that see single rows order by all columns in reach,
//! a LIMIT stands behind an ORDER BY of all columns, divisors are never zero. Extreme values are rare, so that few statements
//! end in an overflow.

use std::collections::HashSet;

use fastrand::Rng;

use crate::functions::{AGGREGATES, FORMS, FUNCTIONS, Function, Gives, PEER_WINDOWS, Takes, WINDOWS};
use crate::sql::{Body, Expr, From, Query, Select};
use crate::types::{TYPES, Ty, info};

/// What may be used: what the database under test and its peer have.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Types of columns.
    pub types: Vec<Ty>,
    /// Operators and functions.
    pub functions: Vec<Function>,
    /// Aggregates.
    pub aggregates: Vec<Function>,
    /// Functions of windows.
    pub windows: Vec<Function>,
    /// Those that give rows with equal keys the same.
    pub peer_windows: Vec<Function>,
    /// The names of forms.
    pub forms: HashSet<&'static str>,
    /// What was left out, and why.
    pub refused: Vec<(String, String)>,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The columns; the first is `id`, an integer.
    pub columns: Vec<(String, Ty)>,
    /// Whether `id` is a key.
    pub has_key: bool,
    /// Literals, row by row.
    pub rows: Vec<Vec<String>>,
}

/// A column in reach: what it is called in an expression, and its type.
type Scope = Vec<(String, Ty)>;

/// Makes statements.
#[derive(Debug)]
pub struct Generator<'v> {
    rng: Rng,
    vocabulary: &'v Vocabulary,
    tables: Vec<Table>,
    /// Common table expressions in reach.
    ctes: Vec<(String, Vec<(String, Ty)>)>,
    aliases_count: usize,
    /// How many queries stand around the one that is made.
    depth: usize,
}

impl Vocabulary {
    /// Everything that `accepts` says yes to, which is asked one statement for each line of the tables; `sqlite` keeps what
    /// SQLite has with the same meaning.
    pub fn probed(sqlite: bool, accepts: &mut dyn FnMut(&str) -> Result<(), String>) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        let mut refused = Vec::new();
        for info in TYPES.iter().filter(|info| info.is_in_sqlite || !sqlite) {
            let table = format!("probe_{:?}", info.ty).to_lowercase();
            let sql = [
                format!("CREATE TABLE {table} (id integer PRIMARY KEY, c {})", info.name),
                format!("INSERT INTO {table} VALUES (1, {})", info.values[1]),
                format!("SELECT c = {} FROM {table}", info.values[0]),
            ];
            match sql.iter().try_for_each(|sql| accepts(sql)) {
                Ok(()) => vocabulary.types.push(info.ty),
                Err(error) => refused.push((format!("type {}", info.name), error)),
            }
        }
        let types = vocabulary.types.clone();
        let mut keep = |functions: &[Function], suffix: &str| -> Vec<Function> {
            let mut kept = Vec::new();
            for function in functions.iter().filter(|function| function.is_in_sqlite || !sqlite) {
                let type_of = |takes: &Takes| match takes {
                    Takes::Type(ty) => *ty,
                    Takes::Any => Ty::Int,
                };
                let used = function.takes.iter().map(type_of).chain(match function.gives {
                    Gives::Type(ty) => Some(ty),
                    Gives::Same => None,
                });
                if !used.clone().all(|ty| types.contains(&ty)) {
                    continue;
                }
                let args = function.takes.iter().map(|takes| {
                    let ty = type_of(takes);
                    Expr::leaf(ty, info(ty).values[1])
                });
                let sql = format!("SELECT {}{suffix}", Expr::new(Ty::Int, function.template, args.collect()));
                match accepts(&sql) {
                    Ok(()) => kept.push(*function),
                    Err(error) => refused.push((format!("{}{suffix}", function.template), error)),
                }
            }
            kept
        };
        vocabulary.functions = keep(FUNCTIONS, "");
        vocabulary.aggregates = keep(AGGREGATES, "");
        vocabulary.windows = keep(WINDOWS, " OVER (ORDER BY 1)");
        vocabulary.peer_windows = keep(PEER_WINDOWS, " OVER (ORDER BY 1)");
        if let Err(error) = accepts("CREATE TABLE probe (id integer PRIMARY KEY, a integer, b text)") {
            refused.push(("CREATE TABLE".to_owned(), error));
        }
        for form in FORMS {
            match accepts(form.probe) {
                Ok(()) => drop(vocabulary.forms.insert(form.name)),
                // The probe of a change may meet the key of the table.
                Err(error) if error.starts_with("23") => drop(vocabulary.forms.insert(form.name)),
                Err(error) => refused.push((form.name.to_owned(), error)),
            }
        }
        if sqlite {
            for name in [
                "lateral",
                "any",
                "intersect all",
                "except all",
                "grouping sets",
                "rollup",
                "cube",
                "values",
                "grouping",
                "range frame",
                "row in subquery",
                "array subquery",
                "distinct on",
                "materialized",
                "with ties",
                "ordered arm",
                "unnest",
                "series",
                "recursive",
                "on conflict",
                "on conflict update",
                "update from",
                "delete using",
                "any right join",
            ] {
                vocabulary.forms.remove(name);
            }
        }
        vocabulary.refused = refused;
        vocabulary
    }
}

impl Table {
    /// The statements that make it with its rows.
    pub fn statements(&self) -> Vec<String> {
        let columns: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (name, ty))| {
                let key = if index == 0 && self.has_key { " PRIMARY KEY" } else { "" };
                format!("{name} {}{key}", info(*ty).name)
            })
            .collect();
        let mut all = vec![format!("CREATE TABLE {} ({})", self.name, columns.join(", "))];
        let rows: Vec<String> = self.rows.iter().map(|row| format!("({})", row.join(", "))).collect();
        if !rows.is_empty() {
            all.push(format!("INSERT INTO {} VALUES {}", self.name, rows.join(", ")));
        }
        all
    }
}

impl<'v> Generator<'v> {
    /// A generator that makes the same from the same seed and vocabulary.
    pub fn new(seed: u64, vocabulary: &'v Vocabulary) -> Generator<'v> {
        let rng = Rng::with_seed(seed);
        Generator { rng, vocabulary, tables: Vec::new(), ctes: Vec::new(), aliases_count: 0, depth: 0 }
    }

    /// New tables, which statements are about from now on.
    pub fn tables(&mut self) -> Vec<Table> {
        let count = self.rng.usize(1..=3);
        self.tables = (0..count).map(|index| self.table(index)).collect();
        self.tables.clone()
    }

    fn table(&mut self, index: usize) -> Table {
        let mut columns = vec![("id".to_owned(), Ty::Int)];
        for column in 0..self.rng.usize(2..=5) {
            columns.push((format!("a{column}"), self.any_type()));
        }
        let has_key = !self.has("no key") || self.chance(70);
        let rows_count = *self.pick(&[0, 1, 3, 8, 8, 20, 20, 60]);
        let nulls = *self.pick(&[0, 10, 30, 60]);
        let mut rows = Vec::new();
        for row in 0..rows_count {
            let id = if has_key || self.chance(80) { row } else { self.rng.usize(0..5) };
            let mut values = vec![id.to_string()];
            for &(_, ty) in &columns[1..] {
                let is_null = self.chance(nulls);
                values.push(if is_null { "NULL".to_owned() } else { self.value(ty) });
            }
            rows.push(values);
        }
        Table { name: format!("t{index}"), columns, has_key, rows }
    }

    /// A query.
    pub fn query(&mut self) -> Query {
        self.aliases_count = 0;
        self.depth = 0;
        let count = self.rng.usize(1..=4);
        let types: Vec<Ty> = (0..count).map(|_| self.any_type()).collect();
        let mut query = self.query_of(&types, &Vec::new());
        let count = types.len();
        if self.has("order") && self.chance(40) {
            query.order = self.ordinals(count);
            if self.has("limit") && self.chance(50) {
                let (limit, offset) = (self.rng.u32(0..12), self.rng.u32(0..4));
                query.limit = Some(match self.rng.u32(0..4) {
                    0 => format!("LIMIT {limit}"),
                    3 if self.has("with ties") => format!("FETCH FIRST {limit} ROWS WITH TIES"),
                    _ => format!("LIMIT {limit} OFFSET {offset}"),
                });
            }
        }
        if let Body::Select(select) = &mut query.body
            && select.keys.is_empty()
            && !select.is_distinct
            && !query.order.is_empty()
            && self.has("distinct on")
            && self.chance(15)
        {
            // The first of the rows that are equal there, which the order decides.
            select.distinct_on = query.order[0].split(' ').next().and_then(|ordinal| ordinal.parse().ok());
        }
        query
    }

    /// A query of one `SELECT` without groups, for what is made of it: columns, tables, and a predicate over them.
    pub fn filtered(&mut self) -> (Select, Expr) {
        self.aliases_count = 0;
        self.depth = 0;
        let mut scope = Scope::new();
        let from = self.from(&mut scope, &Vec::new());
        let items = (0..self.rng.usize(1..=3)).map(|_| {
            let ty = self.any_type();
            self.expr(ty, 1, &scope)
        });
        let items = items.collect();
        let predicate = self.expr(Ty::Bool, 3, &scope);
        let select = Select {
            is_distinct: false,
            distinct_on: None,
            items,
            from: Some(from),
            filter: None,
            keys: Vec::new(),
            grouping: "{}",
            having: None,
        };
        (select, predicate)
    }

    /// A statement that changes a table, and the table; `None` where there is no form for that.
    pub fn change(&mut self) -> Option<(String, String)> {
        let forms: Vec<&str> = [
            "insert select",
            "update",
            "delete",
            "update from",
            "delete using",
            "on conflict",
            "on conflict update",
        ]
        .into_iter()
        .filter(|form| self.has(form))
        .collect();
        if forms.is_empty() {
            return None;
        }
        self.aliases_count = 0;
        self.depth = 1;
        let form = *self.pick(&forms);
        let index = self.rng.usize(0..self.tables.len());
        let table = self.tables[index].clone();
        let scope: Scope =
            table.columns.iter().map(|(name, ty)| (format!("{}.{name}", table.name), *ty)).collect();
        let name = &table.name;
        let mut sql = match form {
            "insert select" => {
                let types: Vec<Ty> = table.columns.iter().map(|(_, ty)| *ty).collect();
                let mut query = self.query_of(&types[1..], &Vec::new());
                let Body::Select(select) = &mut query.body else { return None };
                // A column that is never there, in place of the key.
                let base = 1000 + self.rng.usize(0..1_000_000);
                select.items.insert(0, Expr::leaf(Ty::Int, base.to_string()));
                // So few that tables stay small, and one where the column is a key.
                if self.has("order") && self.has("limit") {
                    query.order = self.ordinals(types.len());
                    query.limit = Some(format!("LIMIT {}", if table.has_key { 1 } else { 10 }));
                }
                format!("INSERT INTO {name} {query}")
            }
            // Each row of the one table has one of the other, which is a query with a key.
            "update from" | "delete using" => {
                let types = [Ty::Int, self.any_type()];
                let mut query = self.query_of(&types, &Vec::new());
                let Body::Select(_) = &query.body else { return None };
                query.order.clear();
                let source = format!("(SELECT c0, min(c1) AS c1 FROM ({query}) AS q GROUP BY c0) AS s");
                let is_min =
                    |known: &Function| known.template == "min({})" && known.gives == Gives::Type(types[1]);
                if !self.vocabulary.aggregates.iter().any(is_min) {
                    return None;
                }
                let mut both = scope.clone();
                both.push(("s.c1".to_owned(), types[1]));
                match form {
                    "update from" => {
                        let (column, ty) = table.columns[self.rng.usize(1..table.columns.len())].clone();
                        let value = self.expr(ty, 2, &both);
                        format!("UPDATE {name} SET {column} = {value} FROM {source} WHERE {name}.id = s.c0")
                    }
                    _ => {
                        let filter = self.expr(Ty::Bool, 1, &both);
                        format!(
                            "DELETE FROM {name} USING {source} WHERE {name}.id = s.c0 AND {name}.id % 4 = 0 AND {filter}"
                        )
                    }
                }
            }
            "on conflict" | "on conflict update" => {
                if !table.has_key {
                    return None;
                }
                let values: Vec<String> = table.columns[1..].iter().map(|(_, ty)| self.value(*ty)).collect();
                let id = self.rng.usize(0..30);
                let insert = format!("INSERT INTO {name} VALUES ({id}, {})", values.join(", "));
                match form {
                    "on conflict" => format!("{insert} ON CONFLICT DO NOTHING"),
                    _ => {
                        let (column, ty) = table.columns[self.rng.usize(1..table.columns.len())].clone();
                        let mut both = scope.clone();
                        both.extend(table.columns.iter().map(|(name, ty)| (format!("excluded.{name}"), *ty)));
                        let value = self.expr(ty, 1, &both);
                        format!("{insert} ON CONFLICT (id) DO UPDATE SET {column} = {value}")
                    }
                }
            }
            "update" => {
                let (column, ty) = table.columns[self.rng.usize(1..table.columns.len())].clone();
                let value = self.expr(ty, 2, &scope);
                let filter = self.expr(Ty::Bool, 2, &scope);
                format!("UPDATE {name} SET {column} = {value} WHERE {filter}")
            }
            _ => {
                let filter = self.expr(Ty::Bool, 2, &scope);
                format!("DELETE FROM {name} WHERE {filter} AND id % 3 = 0")
            }
        };
        if self.has("returning") && self.chance(30) {
            sql += &format!(" RETURNING {name}.id, {name}.a0", name = table.name);
        }
        Some((sql, table.name))
    }

    /// A query with columns of these types; `outer` is what it may refer to from around it.
    fn query_of(&mut self, types: &[Ty], outer: &Scope) -> Query {
        self.depth += 1;
        let mut ctes = Vec::new();
        let known = self.ctes.len();
        if self.depth == 1 && self.has("with") && self.chance(20) {
            for _ in 0..self.rng.usize(1..=2) {
                let types: Vec<Ty> = (0..self.rng.usize(1..=3)).map(|_| self.any_type()).collect();
                let query = self.query_of(&types, &Vec::new());
                let kind = match self.has("materialized") {
                    true => *self.pick(&["w", "w", "k", "i"]),
                    false => "w",
                };
                let name = format!("{kind}{}", self.ctes.len());
                let columns =
                    types.iter().enumerate().map(|(index, ty)| (format!("c{index}"), *ty)).collect();
                self.ctes.push((name.clone(), columns));
                ctes.push((name, query));
            }
            if self.has("recursive") && self.chance(35) {
                ctes.push(self.recursive());
            }
        }
        let sets: Vec<&'static str> =
            ["UNION ALL", "UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]
                .into_iter()
                .filter(|form| self.vocabulary.forms.contains(form.to_lowercase().as_str()))
                .collect();
        let body = if !sets.is_empty() && self.depth < 4 && self.chance(12) {
            let op = *self.pick(&sets);
            let (mut left, mut right) = (self.query_of(types, outer), self.query_of(types, outer));
            for arm in [&mut left, &mut right] {
                if self.has("ordered arm") && self.chance(15) {
                    arm.order = self.ordinals(types.len());
                    arm.limit = Some(format!("LIMIT {}", self.rng.u32(0..6)));
                }
            }
            Body::Set(Box::new(left), op, Box::new(right))
        } else {
            Body::Select(Box::new(self.select(types, outer)))
        };
        self.ctes.truncate(known);
        self.depth -= 1;
        Query { ctes, body, order: Vec::new(), limit: None }
    }

    /// A query that reads what it has given before: each row of a table, with the number of the step.
    fn recursive(&mut self) -> (String, Query) {
        let name = format!("r{}", self.ctes.len());
        let table = self.pick(&self.tables.clone()).name.clone();
        let union = *self.pick(&["UNION ALL", "UNION"]);
        let step = *self.pick(&[
            "SELECT c0, c1 + 1 FROM {} WHERE c1 < 3",
            "SELECT c0 / 2, c1 + 1 FROM {} WHERE c0 > 0 AND c1 < 4",
            "SELECT y.id, x.c1 + 1 FROM {} AS x JOIN {t} AS y ON y.id = x.c0 + 1 WHERE x.c1 < 5",
        ]);
        let step = step.replace("{}", &name).replace("{t}", &table);
        let text = format!("SELECT id, 0 FROM {table} WHERE id % 3 = 0 {union} {step}");
        let columns = vec![("c0".to_owned(), Ty::Int), ("c1".to_owned(), Ty::Int)];
        self.ctes.push((name.clone(), columns));
        (name, Query { ctes: Vec::new(), body: Body::Text(text), order: Vec::new(), limit: None })
    }

    fn select(&mut self, types: &[Ty], outer: &Scope) -> Select {
        let mut scope = Scope::new();
        let has_from = self.chance(92);
        let from = has_from.then(|| self.from(&mut scope, outer));
        let local = scope.clone();
        scope.extend(outer.iter().cloned());
        let filter = (has_from && self.chance(55)).then(|| self.expr(Ty::Bool, 2, &scope));
        let mut select = Select {
            is_distinct: self.has("distinct") && self.chance(12),
            distinct_on: None,
            items: Vec::new(),
            from,
            filter,
            keys: Vec::new(),
            grouping: "{}",
            having: None,
        };
        if has_from && self.has("group") && self.chance(28) {
            self.grouped(types, &local, &mut select);
            return select;
        }
        let windows = !self.vocabulary.windows.is_empty() && self.has("window");
        for &ty in types {
            let is_window = windows && has_from && !local.is_empty() && self.chance(15);
            let item = is_window.then(|| self.window(ty, &local)).flatten();
            let depth = self.rng.usize(0..=3);
            let item = item.unwrap_or_else(|| self.expr(ty, depth, &scope));
            select.items.push(item);
        }
        select
    }

    /// Columns that are keys of groups or aggregates.
    fn grouped(&mut self, types: &[Ty], local: &Scope, select: &mut Select) {
        let keys_count = self.rng.usize(0..=2.min(local.len()));
        for _ in 0..keys_count {
            let (name, ty) = self.pick(local).clone();
            let key = match self.chance(75) {
                true => Expr::leaf(ty, name),
                false => self.computed_key(ty, local),
            };
            // A constant or a number in place of a key means something else.
            if key.template.contains('.') || !key.args.is_empty() {
                select.keys.push(key);
            }
        }
        let groupings: Vec<&'static str> =
            [("rollup", "ROLLUP ({})"), ("cube", "CUBE ({})"), ("grouping sets", "GROUPING SETS (({}), ())")]
                .into_iter()
                .filter(|(form, _)| self.has(form))
                .map(|(_, text)| text)
                .collect();
        if !select.keys.is_empty() && !groupings.is_empty() && self.chance(30) {
            select.grouping = *self.pick(&groupings);
        }
        if !select.keys.is_empty() && self.has("grouping") && self.chance(15) {
            select.grouping = *self.pick(&[
                "GROUPING SETS (({0}), ({1}), ())",
                "GROUPING SETS (({}), ({0}), ({0}), ({1}))",
                "GROUPING SETS (ROLLUP ({}), CUBE ({1}))",
                "ROLLUP ({0}), {1}",
                "CUBE ({0}), ROLLUP ({1})",
                "DISTINCT ROLLUP ({}), ROLLUP ({0})",
            ]);
        }
        let is_sets = select.grouping != "{}";
        for &ty in types {
            let keys: Vec<Expr> = select.keys.iter().filter(|key| key.ty == ty).cloned().collect();
            let item = match !keys.is_empty() && self.chance(60) {
                true => self.pick(&keys).clone(),
                false if is_sets && ty == Ty::Int && self.has("grouping") && self.chance(40) => {
                    let key = self.pick(&select.keys).clone();
                    Expr::new(Ty::Int, "grouping({})", vec![key])
                }
                false if ty == Ty::Num && self.has("grouped window") && self.chance(40) => {
                    self.grouped_window(&select.keys)
                }
                false => self.aggregate(ty, local),
            };
            select.items.push(item);
        }
        if self.has("having") && self.chance(30) {
            let left = self.aggregate(Ty::Big, local);
            let right = match self.depth < 3 && self.chance(15) {
                true => self.subquery(Ty::Big, &Vec::new()),
                false => None,
            };
            let right = right.unwrap_or_else(|| Expr::leaf(Ty::Big, self.rng.u32(0..5).to_string()));
            let op = *self.pick(&["({} > {})", "({} <= {})", "({} <> {})"]);
            select.having = Some(Expr::new(Ty::Bool, op, vec![left, right]));
        }
    }

    /// A key that is computed from one column at least and has no query within.
    fn computed_key(&mut self, ty: Ty, local: &Scope) -> Expr {
        let depth = self.depth;
        self.depth = usize::MAX;
        let key = self.call(ty, 1, local);
        self.depth = depth;
        let has_column =
            key.as_ref().is_some_and(|key| local.iter().any(|(name, _)| key.to_string().contains(name)));
        match key {
            Some(key) if has_column => key,
            _ => Expr::leaf(ty, self.pick(local).0.clone()).with_type_of(local),
        }
    }

    /// An aggregate of a type, by a cast of the count where there is none.
    fn aggregate(&mut self, ty: Ty, local: &Scope) -> Expr {
        let fitting: Vec<Function> = self
            .vocabulary
            .aggregates
            .iter()
            .filter(|function| function.gives == Gives::Type(ty))
            .copied()
            .collect();
        if fitting.is_empty() || local.is_empty() {
            // Of the same value in each group.
            return Expr::leaf(ty, self.value(ty));
        }
        let function = *self.pick(&fitting);
        self.fill(function, ty, 1, local)
    }

    /// A window over groups, whose rows are told apart by nothing but the keys.
    fn grouped_window(&mut self, keys: &[Expr]) -> Expr {
        let call = *self.pick(&["sum(count(*))", "sum(sum(1))", "avg(count(*))"]);
        let mut text = call.to_owned();
        let mut args = Vec::new();
        if let Some(key) = keys.first() {
            let over =
                *self.pick(&[" OVER (ORDER BY {})", " OVER (PARTITION BY {})", " OVER (ORDER BY {} DESC)"]);
            text += over;
            args.push(key.clone());
        } else {
            text += " OVER ()";
        }
        Expr::new(Ty::Num, text, args)
    }

    /// A function of a window of rows with nearby keys, or of all, which gives rows with equal keys the same.
    fn peer_window(&mut self, ty: Ty, local: &Scope) -> Option<Expr> {
        let gives = |function: &&Function| function.gives == Gives::Type(ty);
        let fitting: Vec<Function> = self.vocabulary.peer_windows.iter().filter(gives).copied().collect();
        if fitting.is_empty() {
            return None;
        }
        let function = *self.pick(&fitting);
        let call = self.fill(function, ty, 1, local);
        let partition = match self.chance(40) {
            true => format!("PARTITION BY {} ", self.pick(local).0),
            false => String::new(),
        };
        let (key, key_ty) = self.pick(local).clone();
        let offsets: &[&str] = match key_ty {
            Ty::Int | Ty::Big | Ty::Small => &["0", "1", "5"],
            Ty::Num | Ty::Double => &["0.5", "2"],
            Ty::Date | Ty::Stamp => &["INTERVAL '1 day'", "INTERVAL '2 months'"],
            _ => &[],
        };
        let how = *self.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
        let frame = match (offsets.is_empty(), self.rng.u32(0..4)) {
            (_, 0) => String::new(),
            (_, 1) => " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING".to_owned(),
            (true, _) => " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING".to_owned(),
            (false, _) => {
                let (a, b) = (*self.pick(offsets), *self.pick(offsets));
                let exclude = *self.pick(&["", "", " EXCLUDE GROUP"]);
                format!(" RANGE BETWEEN {a} PRECEDING AND {b} FOLLOWING{exclude}")
            }
        };
        let template = format!("{} OVER ({partition}ORDER BY {key}{how}{frame})", call.template);
        Some(Expr { template, ..call })
    }

    /// A function of a window, if there is one of the type.
    fn window(&mut self, ty: Ty, local: &Scope) -> Option<Expr> {
        if self.has("range frame") && self.chance(35) {
            return self.peer_window(ty, local);
        }
        let gives = |function: &&Function| function.gives == Gives::Type(ty) || function.gives == Gives::Same;
        let fitting: Vec<Function> = self.vocabulary.windows.iter().filter(gives).copied().collect();
        if fitting.is_empty() {
            return None;
        }
        let function = *self.pick(&fitting);
        let call = self.fill(function, ty, 0, local);
        let mut over = Vec::new();
        if self.chance(50) {
            over.push(format!("PARTITION BY {}", self.pick(local).0));
        }
        // All columns in reach: rows that are still equal are the same.
        let mut names: Vec<String> = local.iter().map(|(name, _)| name.clone()).collect();
        self.rng.shuffle(&mut names);
        let keys: Vec<String> = names
            .into_iter()
            .map(|name| {
                format!(
                    "{name}{}",
                    self.pick(&["", " DESC NULLS LAST", " ASC NULLS FIRST", " DESC NULLS FIRST"])
                )
            })
            .map(|key| if key.contains("NULLS") { key } else { format!("{key} NULLS LAST") })
            .collect();
        over.push(format!("ORDER BY {}", keys.join(", ")));
        if self.has("frame") && self.chance(40) {
            let start = *self.pick(&["UNBOUNDED PRECEDING", "2 PRECEDING", "CURRENT ROW", "1 FOLLOWING"]);
            let end = *self.pick(&["CURRENT ROW", "1 FOLLOWING", "UNBOUNDED FOLLOWING"]);
            let is_empty = start == "1 FOLLOWING" && end == "CURRENT ROW";
            let unit =
                if self.has("groups frame") { *self.pick(&["ROWS", "ROWS", "GROUPS"]) } else { "ROWS" };
            let end = if is_empty { "1 FOLLOWING" } else { end };
            over.push(format!("{unit} BETWEEN {start} AND {end}"));
            if self.has("groups frame") && self.chance(30) {
                over.push(format!("EXCLUDE {}", self.pick(&["CURRENT ROW", "GROUP", "TIES", "NO OTHERS"])));
            }
        }
        let template = format!("{} OVER ({})", call.template, over.join(" "));
        Some(Expr { template, ..call })
    }

    /// One to three tables; what is in reach of them is added to the scope.
    fn from(&mut self, scope: &mut Scope, outer: &Scope) -> From {
        let mut from = self.table_or_query(scope, outer);
        let count = *self.pick(&[0, 0, 0, 1, 1, 2]);
        for _ in 0..count {
            let joins: Vec<&'static str> = [
                ("inner join", "JOIN"),
                ("left join", "LEFT JOIN"),
                ("right join", "RIGHT JOIN"),
                ("full join", "FULL JOIN"),
                ("cross join", "CROSS JOIN"),
            ]
            .into_iter()
            .filter(|(form, _)| self.has(form))
            .map(|(_, text)| text)
            .collect();
            if joins.is_empty() {
                break;
            }
            let kind = *self.pick(&joins);
            let mut right_scope = Scope::new();
            let is_lateral = self.has("lateral")
                && matches!(kind, "JOIN" | "LEFT JOIN")
                && self.depth < 3
                && self.chance(12);
            let right = match is_lateral {
                true => {
                    let mut around = scope.clone();
                    around.extend(outer.iter().cloned());
                    self.derived(&mut right_scope, &around, true)
                }
                false if count == 1 && self.chance(12) => {
                    let left = self.table_or_query(&mut right_scope, outer);
                    let mut inner_scope = Scope::new();
                    let right = self.table_or_query(&mut inner_scope, outer);
                    let kind = *self.pick(&joins);
                    let on = (kind != "CROSS JOIN").then(|| self.condition(kind, &right_scope, &inner_scope));
                    right_scope.extend(inner_scope);
                    From::Join(Box::new(left), kind, Box::new(right), on)
                }
                false if matches!(kind, "JOIN" | "LEFT JOIN") && self.chance(8) => {
                    self.function_of(&mut right_scope, scope)
                }
                false => self.table_or_query(&mut right_scope, outer),
            };
            let is_plain = |from: &From| matches!(from, From::Table(name, _) if name.starts_with('t'));
            let may_be_using = is_plain(&from) && is_plain(&right) && self.has("using");
            let on = match kind != "CROSS JOIN" && may_be_using && self.chance(15) {
                true => Some(Expr::leaf(Ty::Bool, "USING (id)")),
                false => (kind != "CROSS JOIN").then(|| self.condition(kind, scope, &right_scope)),
            };
            scope.extend(right_scope);
            from = From::Join(Box::new(from), kind, Box::new(right), on);
        }
        from
    }

    /// What a join is on: equal columns of a type that both sides have, and perhaps more.
    fn condition(&mut self, kind: &str, left: &Scope, right: &Scope) -> Expr {
        let mut pairs = Vec::new();
        for (a, ty) in left {
            pairs.extend(
                right.iter().filter(|(_, other)| other == ty).map(|(b, _)| (a.clone(), b.clone(), *ty)),
            );
        }
        let any = match kind {
            "LEFT JOIN" => "any left join",
            "RIGHT JOIN" => "any right join",
            _ => "any join",
        };
        let may_be_any = kind != "FULL JOIN" && self.has(any);
        if pairs.is_empty() || (may_be_any && self.chance(20)) {
            if !may_be_any {
                return Expr::leaf(Ty::Bool, if kind == "FULL JOIN" { "TRUE" } else { "1 = 1" });
            }
            let mut both = left.clone();
            both.extend(right.iter().cloned());
            return self.expr(Ty::Bool, 2, &both);
        }
        let (a, b, ty) = self.pick(&pairs).clone();
        let equal = Expr::new(Ty::Bool, "({} = {})", vec![Expr::leaf(ty, a), Expr::leaf(ty, b)]);
        if may_be_any && self.chance(25) {
            let mut both = left.clone();
            both.extend(right.iter().cloned());
            let more = self.expr(Ty::Bool, 1, &both);
            return Expr::new(Ty::Bool, "({} AND {})", vec![equal, more]);
        }
        equal
    }

    /// Rows of a function, which may refer to what stands before it.
    fn function_of(&mut self, scope: &mut Scope, left: &Scope) -> From {
        let alias = self.alias();
        let (text, ty) = match self.rng.u32(0..3) {
            0 if self.has("unnest") => {
                let array = self.expr(Ty::Ints, 1, left);
                (format!("unnest({array})"), Ty::Int)
            }
            1 if self.has("unnest") => {
                let array = self.expr(Ty::Texts, 1, left);
                (format!("unnest({array})"), Ty::Text)
            }
            _ if self.has("series") => {
                let last = self.expr(Ty::Int, 1, left);
                (format!("generate_series(1, {last} % 5)"), Ty::Int)
            }
            _ => return self.table_or_query(scope, &Vec::new()),
        };
        scope.push((format!("{alias}.c0"), ty));
        From::Table(text, format!("{alias}(c0)"))
    }

    fn table_or_query(&mut self, scope: &mut Scope, outer: &Scope) -> From {
        if self.has("derived table") && self.depth < 3 && self.chance(15) {
            // It sees nothing from beside it.
            let _ = outer;
            return self.derived(scope, &Vec::new(), false);
        }
        let (name, columns) = match !self.ctes.is_empty() && self.chance(50) {
            true => self.pick(&self.ctes.clone()).clone(),
            false => {
                let table = self.pick(&self.tables.clone()).clone();
                (table.name, table.columns)
            }
        };
        let alias = self.alias();
        scope.extend(columns.iter().map(|(name, ty)| (format!("{alias}.{name}"), *ty)));
        From::Table(name, alias)
    }

    fn derived(&mut self, scope: &mut Scope, outer: &Scope, is_lateral: bool) -> From {
        let types: Vec<Ty> = (0..self.rng.usize(1..=3)).map(|_| self.any_type()).collect();
        let alias = self.alias();
        let columns = types.iter().enumerate().map(|(index, ty)| (format!("{alias}.c{index}"), *ty));
        let query = if !is_lateral && self.has("values") && self.chance(20) {
            let row = |generator: &mut Self| {
                let values: Vec<String> = types.iter().map(|ty| generator.value(*ty)).collect();
                format!("({})", values.join(", "))
            };
            let rows: Vec<String> = (0..self.rng.usize(1..=4)).map(|_| row(self)).collect();
            scope.extend(columns);
            let names: Vec<String> = (0..types.len()).map(|index| format!("c{index}")).collect();
            let query = Query {
                ctes: Vec::new(),
                body: Body::Text(format!("VALUES {}", rows.join(", "))),
                order: Vec::new(),
                limit: None,
            };
            return From::Derived(Box::new(query), format!("{alias}({})", names.join(", ")), false);
        } else {
            self.query_of(&types, outer)
        };
        scope.extend(columns);
        From::Derived(Box::new(query), alias, is_lateral)
    }

    /// An expression of a type over the columns in reach.
    fn expr(&mut self, ty: Ty, depth: usize, scope: &Scope) -> Expr {
        if depth > 0 && self.chance(85) {
            if self.depth < 3
                && self.chance(8)
                && let Some(expr) = self.subquery(ty, scope)
            {
                return expr;
            }
            if let Some(expr) = self.call(ty, depth, scope) {
                return expr;
            }
        }
        let columns: Vec<&(String, Ty)> = scope.iter().filter(|(_, other)| *other == ty).collect();
        if !columns.is_empty() && self.rng.u32(0..100) < 75 {
            return Expr::leaf(ty, columns[self.rng.usize(0..columns.len())].0.clone());
        }
        let is_null = self.chance(6);
        Expr::leaf(ty, if is_null { format!("CAST(NULL AS {})", info(ty).name) } else { self.value(ty) })
    }

    /// A function that gives the type.
    fn call(&mut self, ty: Ty, depth: usize, scope: &Scope) -> Option<Expr> {
        let gives = |function: &&Function| function.gives == Gives::Type(ty) || function.gives == Gives::Same;
        let fitting: Vec<Function> = self.vocabulary.functions.iter().filter(gives).copied().collect();
        if fitting.is_empty() {
            return None;
        }
        let function = *self.pick(&fitting);
        Some(self.fill(function, ty, depth, scope))
    }

    /// A function with arguments; `ty` is what it gives.
    fn fill(&mut self, function: Function, ty: Ty, depth: usize, scope: &Scope) -> Expr {
        let any = match function.gives {
            Gives::Same => ty,
            Gives::Type(_) => self.any_type(),
        };
        let mut args = Vec::new();
        for takes in function.takes {
            let ty = match takes {
                Takes::Type(ty) => *ty,
                Takes::Any => any,
            };
            let arg = self.expr(ty, depth.saturating_sub(1), scope);
            // A quoted literal has no type of its own, which what takes any type asks for.
            let is_open = *takes == Takes::Any && arg.args.is_empty() && arg.template.starts_with('\'');
            args.push(match is_open {
                true => Expr::new(ty, format!("CAST({{}} AS {})", info(ty).name), vec![arg]),
                false => arg,
            });
        }
        Expr::new(ty, function.template, args)
    }

    /// An expression with a query within.
    fn subquery(&mut self, ty: Ty, scope: &Scope) -> Option<Expr> {
        let forms: Vec<&str> = match ty {
            Ty::Bool => ["exists", "in subquery", "any", "scalar subquery", "row in subquery"].to_vec(),
            Ty::Ints => ["scalar subquery", "array subquery"].to_vec(),
            _ => ["scalar subquery"].to_vec(),
        };
        let forms: Vec<&str> = forms.into_iter().filter(|form| self.has(form)).collect();
        if forms.is_empty() {
            return None;
        }
        let outer =
            if self.has("correlated subquery") && self.chance(60) { scope.clone() } else { Vec::new() };
        let form = *self.pick(&forms);
        if form == "row in subquery" {
            let types = [self.any_type(), self.any_type()];
            let query = self.query_of(&types, &outer);
            let args = types.iter().map(|ty| self.expr(*ty, 1, scope)).collect();
            let template = *self.pick(&["(({}, {}) IN ({q}))", "(({}, {}) NOT IN ({q}))"]);
            return Some(Expr { ty, template: template.to_owned(), args, query: Some(Box::new(query)) });
        }
        if form == "array subquery" {
            let mut query = self.query_of(&[Ty::Int], &outer);
            query.order = self.ordinals(1);
            return Some(Expr {
                ty,
                template: "ARRAY({q})".to_owned(),
                args: Vec::new(),
                query: Some(Box::new(query)),
            });
        }
        let compared = if form == "scalar subquery" || form == "exists" { ty } else { self.any_type() };
        let mut query = self.query_of(&[compared], &outer);
        let (template, args) = match form {
            "exists" => (*self.pick(&["EXISTS ({q})", "(NOT EXISTS ({q}))"]), Vec::new()),
            "scalar subquery" => {
                // One row at most, and always the same: an aggregate without groups, or the first of all.
                if !query.order.is_empty() || !self.has("limit") {
                    return None;
                }
                query.order = self.ordinals(1);
                query.limit = Some("LIMIT 1".to_owned());
                (" ({q})", Vec::new())
            }
            _ => {
                let left = self.expr(compared, 1, scope);
                let all = [
                    "({} IN ({q}))",
                    "({} NOT IN ({q}))",
                    "({} = ANY ({q}))",
                    "({} > ALL ({q}))",
                    "({} < ANY ({q}))",
                ];
                let template =
                    if form == "any" { all[self.rng.usize(2..5)] } else { all[self.rng.usize(0..2)] };
                (template, vec![left])
            }
        };
        Some(Expr { ty, template: template.to_owned(), args, query: Some(Box::new(query)) })
    }

    /// An order of all columns.
    fn ordinals(&mut self, count: usize) -> Vec<String> {
        let mut ordinals: Vec<usize> = (1..=count).collect();
        self.rng.shuffle(&mut ordinals);
        let order = |ordinal| {
            let how = self.pick(&[" NULLS LAST", " NULLS FIRST", " DESC NULLS LAST", " DESC NULLS FIRST"]);
            format!("{ordinal}{how}")
        };
        ordinals.into_iter().map(order).collect()
    }

    fn alias(&mut self) -> String {
        self.aliases_count += 1;
        format!("x{}", self.aliases_count)
    }

    fn any_type(&mut self) -> Ty {
        let types = &self.vocabulary.types;
        types[self.rng.usize(0..types.len())]
    }

    fn value(&mut self, ty: Ty) -> String {
        let info = info(ty);
        let values = if !info.extremes.is_empty() && self.chance(2) { info.extremes } else { info.values };
        (*self.pick(values)).to_owned()
    }

    fn has(&self, form: &str) -> bool {
        self.vocabulary.forms.contains(form)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.rng.usize(0..from.len())]
    }
}

impl Expr {
    /// The same with the type that the column of its name has.
    fn with_type_of(mut self, scope: &Scope) -> Expr {
        if let Some((_, ty)) = scope.iter().find(|(name, _)| *name == self.template) {
            self.ty = *ty;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same() {
        let vocabulary = Vocabulary::probed(false, &mut |_| Ok(()));
        let make = |seed| {
            let mut generator = Generator::new(seed, &vocabulary);
            let mut text: Vec<String> = generator.tables().iter().flat_map(Table::statements).collect();
            for _ in 0..20 {
                text.push(generator.query().to_string());
                text.extend(generator.change().map(|(sql, _)| sql));
                let (select, predicate) = generator.filtered();
                text.push(format!("{select} {predicate}"));
            }
            text
        };
        for seed in 0..50 {
            assert_eq!(make(seed), make(seed));
        }
        assert_ne!(make(1), make(2));
    }

    #[test]
    fn what_is_refused_is_left_out() {
        let mut accepts = |sql: &str| match sql.contains("OVER") || sql.contains("smallint") {
            true => Err("0A000: no".to_owned()),
            false => Ok(()),
        };
        let vocabulary = Vocabulary::probed(false, &mut accepts);
        assert!(vocabulary.windows.is_empty() && !vocabulary.forms.contains("window"));
        assert!(!vocabulary.types.contains(&Ty::Small));
        assert!(
            vocabulary.functions.iter().all(|function| !function.takes.contains(&Takes::Type(Ty::Small)))
        );
        for seed in 0..50 {
            let mut generator = Generator::new(seed, &vocabulary);
            generator.tables();
            let sql = generator.query().to_string();
            assert!(!sql.contains("OVER") && !sql.contains("smallint"), "{sql}");
        }
    }
}
