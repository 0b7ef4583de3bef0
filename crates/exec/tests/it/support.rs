//! A builder for plans, and runs of them that give rows as text.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cofferdam_arena::{Arena, Budget};
use cofferdam_exec::{Counters, SniffOptions, SpillSpace, Tables, Workspace, sniff_file};
use cofferdam_plan::expr::{BinaryOp, Column, Expr, ExprKind, Function, UnaryOp, When};
use cofferdam_plan::physical::{
    Aggregate, AggregateFunction, FieldRules, FileFormat, FileSource, HashAggregate, HashJoin, JoinKey,
    JoinKind, KeyNulls, Limit, NestedLoopJoin, Operator, OperatorId, OperatorKind, PhysicalPlan, Scan,
    SortKey,
};
use cofferdam_plan::table::TableSource;
use cofferdam_plan::{Catalog, CatalogError, FileRequest, Span, plan_query};
use cofferdam_sql::views::Statement;
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_types::{Date, Decimal, Type, Value};
use cofferdam_vfs::Vfs;

/// A file that is removed at the end.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    /// A file of this extension and content in the system's folder for such files.
    pub(crate) fn new(extension: &str, content: impl AsRef<[u8]>) -> TempFile {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "cofferdam-exec-{}-{}.{extension}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("the folder for temporary files is writable");
        TempFile(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("the path is UTF-8")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Builds plans; memory is not limited and lives as long as the test process, which is short.
#[derive(Clone, Copy)]
pub(crate) struct Plans {
    pub(crate) arena: &'static Arena,
}

pub(crate) type E = &'static Expr<'static>;

pub(crate) const fn decimal(precision: u8, scale: u8) -> Type {
    Type::Decimal { precision, scale }
}

impl Plans {
    pub(crate) fn new() -> Plans {
        let budget = Budget::unlimited("plan").unwrap();
        Plans { arena: Box::leak(Box::new(Arena::new(&budget))) }
    }

    pub(crate) fn expr(self, kind: ExprKind<'static>, ty: Type) -> E {
        self.arena.alloc(Expr { kind, ty, span: Span::default() }).unwrap()
    }

    pub(crate) fn column(self, index: u32, ty: Type) -> E {
        self.expr(ExprKind::Column(index), ty)
    }

    pub(crate) fn literal(self, value: Value<'static>, ty: Type) -> E {
        self.expr(ExprKind::Literal(value), ty)
    }

    pub(crate) fn int(self, value: i32) -> E {
        self.literal(Value::Integer(value), Type::Integer)
    }

    pub(crate) fn bigint(self, value: i64) -> E {
        self.literal(Value::BigInt(value), Type::BigInt)
    }

    pub(crate) fn dec(self, unscaled: i128, precision: u8, scale: u8) -> E {
        self.literal(Value::Decimal(Decimal::new(unscaled, scale).unwrap()), decimal(precision, scale))
    }

    pub(crate) fn text(self, value: &str) -> E {
        let value = Box::leak(value.to_owned().into_boxed_str());
        self.literal(Value::Text(value), Type::Text)
    }

    pub(crate) fn date(self, text: &str) -> E {
        self.literal(Value::Date(Date::parse(text.as_bytes()).unwrap()), Type::Date)
    }

    pub(crate) fn null(self, ty: Type) -> E {
        self.literal(Value::Null, ty)
    }

    pub(crate) fn unary(self, op: UnaryOp, arg: E) -> E {
        let ty = if op == UnaryOp::Negate { arg.ty } else { Type::Boolean };
        self.expr(ExprKind::Unary { op, arg }, ty)
    }

    pub(crate) fn binary(self, op: BinaryOp, left: E, right: E, ty: Type) -> E {
        self.expr(ExprKind::Binary { op, left, right }, ty)
    }

    pub(crate) fn test(self, op: BinaryOp, left: E, right: E) -> E {
        self.binary(op, left, right, Type::Boolean)
    }

    pub(crate) fn cast(self, arg: E, ty: Type) -> E {
        self.expr(ExprKind::Cast(arg), ty)
    }

    pub(crate) fn call(self, function: Function, args: &[E], ty: Type) -> E {
        let args = self.arena.alloc_slice_copy(args).unwrap();
        self.expr(ExprKind::Call { function, args }, ty)
    }

    pub(crate) fn case(self, operand: Option<E>, whens: &[(E, E)], otherwise: Option<E>) -> E {
        let ty = whens[0].1.ty;
        let whens = whens.iter().map(|&(condition, result)| When { condition, result });
        let whens = self.arena.alloc_slice_from_iter(whens).unwrap();
        self.expr(ExprKind::Case { operand, whens, otherwise }, ty)
    }

    pub(crate) fn list<T: Copy>(self, items: &[T]) -> &'static [T] {
        self.arena.alloc_slice_copy(items).unwrap()
    }

    pub(crate) fn columns(self, columns: &[(&'static str, Type)]) -> &'static [Column<'static>] {
        let columns = columns.iter().map(|&(name, ty)| Column { name, ty });
        self.arena.alloc_slice_from_iter(columns).unwrap()
    }

    pub(crate) fn source(
        self,
        path: &str,
        columns: Option<&[(&'static str, Type)]>,
    ) -> &'static FileSource<'static> {
        let columns = columns.map(|columns| self.columns(columns));
        let options = SniffOptions { columns, ..SniffOptions::default() };
        sniff_file(path, options, self.arena).unwrap()
    }
}

/// A plan under construction.
pub(crate) struct Query {
    pub(crate) plans: Plans,
    pub(crate) operators: Vec<Operator<'static>>,
}

impl Query {
    pub(crate) fn new() -> Query {
        Query { plans: Plans::new(), operators: Vec::new() }
    }

    pub(crate) fn push(
        &mut self,
        kind: OperatorKind<'static>,
        columns: &'static [Column<'static>],
    ) -> OperatorId {
        self.operators.push(Operator { kind, columns, rows_estimate: 0, bytes_estimate: 0 });
        OperatorId::new(self.operators.len() as u32 - 1)
    }

    pub(crate) fn columns_of(&self, id: OperatorId) -> &'static [Column<'static>] {
        self.operators[id.index()].columns
    }

    /// A column of an operator's output as an expression.
    pub(crate) fn col(&self, id: OperatorId, index: u32) -> E {
        self.plans.column(index, self.columns_of(id)[index as usize].ty)
    }

    pub(crate) fn scan(
        &mut self,
        source: &'static FileSource<'static>,
        projection: &[u32],
        conjuncts: &[E],
        output: &[u32],
    ) -> OperatorId {
        let columns = output.iter().map(|&slot| source.columns[projection[slot as usize] as usize]);
        let columns = self.plans.arena.alloc_slice_from_iter(columns.collect::<Vec<_>>()).unwrap();
        let scan = Scan {
            source: TableSource::File(source),
            alias: "t",
            projection: self.plans.list(projection),
            conjuncts: self.plans.list(conjuncts),
            output: self.plans.list(output),
            index: None,
            ranges: &[],
            rows_max: None,
            column_ranges: &[],
            key_filters: &[],
        };
        self.push(OperatorKind::Scan(scan), columns)
    }

    /// A scan of all columns.
    pub(crate) fn scan_all(&mut self, source: &'static FileSource<'static>) -> OperatorId {
        let all: Vec<u32> = (0..source.columns.len() as u32).collect();
        self.scan(source, &all, &[], &all)
    }

    pub(crate) fn one_row(&mut self) -> OperatorId {
        let rows = self.plans.list(&[&[][..]]);
        self.push(OperatorKind::Values { rows }, &[])
    }

    pub(crate) fn values(&mut self, columns: &[(&'static str, Type)], rows: &[Vec<E>]) -> OperatorId {
        let plans = self.plans;
        let rows: Vec<&'static [E]> = rows.iter().map(|row| plans.list(row)).collect();
        self.push(OperatorKind::Values { rows: plans.list(&rows) }, plans.columns(columns))
    }

    pub(crate) fn filter(&mut self, input: OperatorId, conjuncts: &[E]) -> OperatorId {
        let conjuncts = self.plans.list(conjuncts);
        self.push(OperatorKind::Filter { input, conjuncts }, self.columns_of(input))
    }

    pub(crate) fn project(&mut self, input: OperatorId, exprs: &[E]) -> OperatorId {
        let columns = exprs.iter().map(|expr| Column { name: "c", ty: expr.ty }).collect::<Vec<_>>();
        let columns = self.plans.arena.alloc_slice_from_iter(columns).unwrap();
        let exprs = self.plans.list(exprs);
        self.push(OperatorKind::Project { input, exprs }, columns)
    }

    pub(crate) fn aggregate(
        &mut self,
        input: OperatorId,
        groups: &[E],
        aggregates: &[(AggregateFunction, Option<E>, bool, Type)],
    ) -> OperatorId {
        let keys = groups.iter().map(|group| group.ty);
        let results = aggregates.iter().map(|aggregate| aggregate.3);
        let columns = keys.chain(results).map(|ty| Column { name: "c", ty }).collect::<Vec<_>>();
        let columns = self.plans.arena.alloc_slice_from_iter(columns).unwrap();
        let aggregates = aggregates
            .iter()
            .map(|&(function, argument, distinct, ty)| Aggregate {
                function,
                args: self.plans.list(argument.as_slice()),
                distinct,
                filter: None,
                order_by: &[],
                ty,
                span: Span::default(),
            })
            .collect::<Vec<_>>();
        let aggregates = self.plans.list(&aggregates);
        let groups = self.plans.list(groups);
        let set: &'static [u32] = self.plans.list(&(0..groups.len() as u32).collect::<Vec<_>>());
        let sets = self.plans.list(&[set]);
        self.push(
            OperatorKind::HashAggregate(HashAggregate { input, groups, sets, aggregates, together: &[] }),
            columns,
        )
    }

    pub(crate) fn join(
        &mut self,
        probe: OperatorId,
        build: OperatorId,
        keys: &[(E, E)],
        residual: &[E],
        output: &[u32],
    ) -> OperatorId {
        let columns = self.joined(probe, build, output);
        let keys = keys
            .iter()
            .map(|&(probe, build)| JoinKey { probe, build, nulls: KeyNulls::Unmatched })
            .collect::<Vec<_>>();
        let join = HashJoin {
            kind: JoinKind::Inner,
            probe,
            build,
            keys: self.plans.list(&keys),
            residual: self.plans.list(residual),
            output: self.plans.list(output),
        };
        self.push(OperatorKind::HashJoin(join), columns)
    }

    pub(crate) fn nested_loop(
        &mut self,
        probe: OperatorId,
        build: OperatorId,
        conjuncts: &[E],
        output: &[u32],
    ) -> OperatorId {
        let columns = self.joined(probe, build, output);
        let join = NestedLoopJoin {
            kind: JoinKind::Inner,
            probe,
            build,
            conjuncts: self.plans.list(conjuncts),
            output: self.plans.list(output),
        };
        self.push(OperatorKind::NestedLoopJoin(join), columns)
    }

    fn joined(&self, probe: OperatorId, build: OperatorId, output: &[u32]) -> &'static [Column<'static>] {
        let all: Vec<_> = self.columns_of(probe).iter().chain(self.columns_of(build)).copied().collect();
        let columns = output.iter().map(|&position| all[position as usize]).collect::<Vec<_>>();
        self.plans.arena.alloc_slice_from_iter(columns).unwrap()
    }

    pub(crate) fn sort(
        &mut self,
        input: OperatorId,
        keys: &[(u32, bool, bool)],
        limit: Option<u64>,
    ) -> OperatorId {
        let keys = keys
            .iter()
            .map(|&(column, descending, nulls_first)| SortKey { column, descending, nulls_first })
            .collect::<Vec<_>>();
        let keys = self.plans.list(&keys);
        self.push(OperatorKind::Sort { input, keys, limit }, self.columns_of(input))
    }

    pub(crate) fn limit(&mut self, input: OperatorId, count: Option<u64>, offset: u64) -> OperatorId {
        let mut number = |number: u64| {
            let kind = ExprKind::Literal(Value::BigInt(number as i64));
            let expr = Expr { kind, ty: Type::BigInt, span: Span::default() };
            &*self.plans.arena.alloc(expr).unwrap()
        };
        let (count, offset) = (count.map(&mut number), Some(number(offset)));
        let limit = Limit { input, count, offset, ties: None };
        self.push(OperatorKind::Limit(limit), self.columns_of(input))
    }

    pub(crate) fn distinct(&mut self, input: OperatorId) -> OperatorId {
        self.push(OperatorKind::Distinct { input }, self.columns_of(input))
    }

    pub(crate) fn plan(&self) -> PhysicalPlan<'static> {
        PhysicalPlan { operators: self.plans.list(&self.operators), parameters: &[], parameter_names: &[] }
    }

    /// The rows, columns separated by bars, NULL as `NULL`.
    pub(crate) fn rows(&self) -> Vec<String> {
        self.run(u64::MAX).unwrap()
    }

    /// The SQLSTATE and message of the error that the query ends in.
    pub(crate) fn error(&self) -> (String, String) {
        self.run(u64::MAX).unwrap_err()
    }

    /// Runs under a limit in bytes. Whatever happens, the budgets are back at zero when this returns.
    pub(crate) fn run(&self, limit_bytes: u64) -> Result<Vec<String>, (String, String)> {
        let root = if limit_bytes == u64::MAX {
            Budget::unlimited("root").unwrap()
        } else {
            Budget::root("root", u64::MAX).unwrap()
        };
        let statement = root.child("statement", limit_bytes).unwrap();
        let result = run_in(&self.plan(), &statement);
        assert_eq!(statement.used(), 0, "everything is given back");
        result
    }
}

fn run_in(plan: &PhysicalPlan<'_>, statement: &Budget) -> Result<Vec<String>, (String, String)> {
    let arena = Arena::new(statement);
    let no_memory = |_| ("53200".to_owned(), "out of memory".to_owned());
    let workspace = Workspace::new(plan, statement, &arena).map_err(no_memory)?;
    let never = || false;
    let explain = |error: cofferdam_exec::Error<'_>| (error.sqlstate().to_owned(), error.to_string());
    let mut execution = workspace.execute(plan, Tables::None, &never).map_err(explain)?;
    let mut rows = Vec::new();
    while let Some(batch) = execution.next_batch().map_err(explain)? {
        assert!(batch.rows_count() > 0);
        for row in 0..batch.rows_count() {
            let values = (0..batch.columns().len()).map(|column| show(batch.value(row, column)));
            rows.push(values.collect::<Vec<_>>().join("|"));
        }
    }
    assert!(matches!(execution.next_batch(), Ok(None)), "the end stays the end");
    Ok(rows)
}

/// What a run gave, and what one operator counted.
pub(crate) struct Ran {
    pub(crate) outcome: Result<Vec<String>, String>,
    pub(crate) counters: Counters,
    /// Who was refused memory last.
    pub(crate) refusal: String,
    /// The limit that was said to be enough; 0 if none was.
    pub(crate) enough_bytes: u64,
}

/// Runs under a limit, with temporary files on a simulated disk. Whatever happens, nothing is left behind.
pub(crate) fn run_with_files(
    query: &Query,
    operator: OperatorId,
    limit: u64,
    nth: Option<u64>,
    is_cancelled: &dyn Fn() -> bool,
) -> Ran {
    let root = Budget::root("root", u64::MAX).unwrap();
    let statement = root.child("statement", limit).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(SimDisk::new(7));
    let space = SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, &root);
    if let Some(nth) = nth {
        root.inject_refusal(nth);
    }
    let (mut counters, enough) = (Counters::default(), Cell::new(0));
    let outcome = (|| {
        let (plan, arena) = (query.plan(), Arena::new(&statement));
        let no_memory = |_| "53200".to_owned();
        let workspace = Workspace::new(&plan, &statement, &arena).map_err(no_memory)?;
        let workspace = workspace.spill_to(Some(&space)).tell_enough(&enough);
        let code = |error: cofferdam_exec::Error<'_>| error.sqlstate().to_owned();
        let mut execution = workspace.execute(&plan, Tables::None, is_cancelled).map_err(code)?;
        let mut rows = Vec::new();
        let outcome = loop {
            match execution.next_batch() {
                Ok(None) => break Ok(()),
                Err(error) => break Err(code(error)),
                Ok(Some(batch)) => {
                    for row in 0..batch.rows_count() {
                        let values = (0..batch.columns().len()).map(|column| show(batch.value(row, column)));
                        rows.push(values.collect::<Vec<_>>().join("|"));
                    }
                }
            }
        };
        counters = execution.counters()[operator.index()];
        outcome.map(|()| rows)
    })();
    let refusal = root.last_refusal().or(statement.last_refusal());
    let refusal = refusal.map_or(String::new(), |refusal| format!("{refusal:?}"));
    assert_eq!(statement.used(), 0, "everything is given back");
    assert_eq!(space.counts().files_now, 0, "no file is left");
    Ran { outcome, counters, refusal, enough_bytes: enough.get() }
}

pub(crate) fn never() -> bool {
    false
}

pub(crate) fn show(value: Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Text(text) => text.to_owned(),
        value => value.to_string(),
    }
}

/// The name of a table, the path of its file, its columns.
pub(crate) type Table = (&'static str, String, &'static [(&'static str, Type)]);

/// The files that a query names by their paths, or by the names of tables given here.
pub(crate) struct Files<'t> {
    pub(crate) tables: &'t [Table],
}

impl Catalog for Files<'_> {
    fn table<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>> {
        let Some((_, path, columns)) = self.tables.iter().find(|table| table.0 == name) else {
            return Ok(None);
        };
        let columns: Vec<_> = columns.iter().map(|&(name, ty)| Column { name, ty }).collect();
        Ok(Some(TableSource::File(sniffed(path, Some(&columns), None, arena)?)))
    }

    fn table_names(&self, visit: &mut dyn FnMut(&str)) {
        self.tables.iter().for_each(|table| visit(table.0));
    }

    fn file<'a>(
        &self,
        request: FileRequest<'_>,
        arena: &'a Arena,
    ) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
        sniffed(request.path, request.columns, request.format, arena)
    }
}

pub(crate) fn sniffed<'a>(
    path: &str,
    columns: Option<&[Column<'_>]>,
    format: Option<(FileFormat, FieldRules<'_>)>,
    arena: &'a Arena,
) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
    let options = SniffOptions { columns, format, ..SniffOptions::default() };
    sniff_file(path, options, arena).map_err(|error| match error {
        cofferdam_exec::Error::OutOfMemory(error) => CatalogError::OutOfMemory(error),
        error => CatalogError::Source {
            sqlstate: error.sqlstate(),
            message: arena.alloc_fmt(format_args!("{error}")).unwrap_or("the file cannot be read"),
        },
    })
}

/// Parses, plans and runs a query under a limit; its rows, or the SQLSTATE and message of its error.
pub(crate) fn run_sql(
    text: &str,
    files: &Files<'_>,
    limit_bytes: u64,
) -> Result<Vec<String>, (String, String)> {
    let root = Budget::unlimited("root").unwrap();
    let statement = root.child("statement", limit_bytes).unwrap();
    let result = {
        let (parsed, planned) = (Arena::new(&statement), Arena::new(&statement));
        match cofferdam_sql::parse(text, &parsed) {
            Err(error) => Err((error.sqlstate().to_owned(), error.to_string())),
            Ok(tree) => {
                let Statement::Query(query) = tree.statement() else { panic!("not a query: {text}") };
                match plan_query(query, files, &planned) {
                    Err(error) => Err((error.sqlstate().to_owned(), error.to_string())),
                    Ok(plan) => run_in(&plan, &statement),
                }
            }
        }
    };
    assert_eq!(statement.used(), 0, "everything is given back");
    result
}
