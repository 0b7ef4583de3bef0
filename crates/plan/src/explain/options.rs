//! The options of EXPLAIN, with PostgreSQL's names and rules.

use cofferdam_arena::Arena;
use cofferdam_sql::Keyword;
use cofferdam_sql::views::forms::{Explain, UtilityOption};

use crate::Span;
use crate::error::{Error, NameProblem};

/// How a plan is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainFormat {
    /// An indented tree, for people.
    Text,
    /// One JSON value, with PostgreSQL's names.
    Json,
}

/// What of a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainOptions {
    /// The planner's guesses of rows and bytes.
    pub costs: bool,
    /// The columns that each operator gives.
    pub verbose: bool,
    /// Runs the statement and shows what each operator did.
    pub analyze: bool,
    /// What each operator held.
    pub memory: bool,
    /// How long each operator took.
    pub timing: bool,
    /// The totals at the end.
    pub summary: bool,
    /// How it is written.
    pub format: ExplainFormat,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        ExplainOptions {
            costs: true,
            verbose: false,
            analyze: false,
            memory: false,
            timing: false,
            summary: false,
            format: ExplainFormat::Text,
        }
    }
}

/// The options that a statement says. Of an option that is said twice the last one counts.
///
/// # Errors
/// 42601 for an option that is none, and for a value that is none of the option's kind; 22023 for a format that is none, and for
/// options that need `ANALYZE`; 0A000 for what is not here.
pub(crate) fn explain_options<'a, 'q: 'a>(
    statement: Explain<'q>,
    arena: &'a Arena,
) -> Result<ExplainOptions, Error<'a>> {
    let mut options = ExplainOptions {
        verbose: statement.verbose(),
        analyze: statement.analyze() || statement.analyse(),
        ..ExplainOptions::default()
    };
    let (mut timing, mut summary) = (None, None);
    let mut needs_analyze: Option<(&str, Span)> = None;
    for option in statement.options() {
        let span = option.form().span();
        match option.name() {
            "costs" => options.costs = is_on(option, arena)?,
            "verbose" => options.verbose = is_on(option, arena)?,
            "analyze" => options.analyze = is_on(option, arena)?,
            "memory" => options.memory = is_on(option, arena)?,
            "summary" => summary = Some(is_on(option, arena)?),
            "timing" => {
                timing = Some(is_on(option, arena)?);
                needs_analyze = (timing == Some(true)).then_some(("TIMING", span));
            }
            "buffers" | "settings" | "wal" => {
                if is_on(option, arena)? {
                    let what = match option.name() {
                        "buffers" => "EXPLAIN (BUFFERS)",
                        "settings" => "EXPLAIN (SETTINGS)",
                        _ => "EXPLAIN (WAL)",
                    };
                    return Err(Error::NotSupported { what, span });
                }
            }
            "format" => options.format = format(option, arena)?,
            name => {
                let (problem, qualifier, suggestion) = (NameProblem::UndefinedOption, None, None);
                return Err(Error::Name { problem, name, qualifier, suggestion, span });
            }
        }
    }
    if let Some((name, span)) = needs_analyze.filter(|_| !options.analyze) {
        let message = arena.alloc_fmt(format_args!("EXPLAIN option {name} requires ANALYZE"))?;
        return Err(Error::Source { sqlstate: "22023", message, span });
    }
    options.timing = options.analyze && timing.unwrap_or(true);
    options.summary = summary.unwrap_or(options.analyze);
    Ok(options)
}

/// Where a statement asks for being run.
pub(crate) fn place_of_analyze(statement: Explain<'_>) -> Span {
    let form = statement.form();
    let words = form.place_of(Keyword::Analyze).or_else(|| form.place_of(Keyword::Analyse));
    let option = || statement.options().find(|option| option.name() == "analyze");
    words.or_else(|| option().map(|option| option.form().span())).unwrap_or(form.span())
}

fn is_on<'a>(option: UtilityOption<'_>, arena: &'a Arena) -> Result<bool, Error<'a>> {
    match option.is_on() {
        Some(is_on) => Ok(is_on),
        None => {
            let message = arena.alloc_fmt(format_args!("{} requires a Boolean value", option.name()))?;
            Err(Error::Source { sqlstate: "42601", message, span: option.form().span() })
        }
    }
}

fn format<'a>(option: UtilityOption<'_>, arena: &'a Arena) -> Result<ExplainFormat, Error<'a>> {
    let span = option.form().span();
    let Some(value) = option.value() else {
        return Err(Error::Source { sqlstate: "42601", message: "format requires a parameter", span });
    };
    let is = |name: &str| value.text.eq_ignore_ascii_case(name);
    if is("text") {
        Ok(ExplainFormat::Text)
    } else if is("json") {
        Ok(ExplainFormat::Json)
    } else if is("xml") || is("yaml") {
        Err(Error::NotSupported { what: "this format of EXPLAIN", span })
    } else {
        let message = arena.alloc_fmt(format_args!(
            "unrecognized value for EXPLAIN option \"format\": \"{}\"",
            value.text
        ))?;
        Err(Error::Source { sqlstate: "22023", message, span })
    }
}
