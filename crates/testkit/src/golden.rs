//! Golden scripts: commands and their expected output in one text file.
//!
//! ```text
//! # Lines that start with `#` between the blocks are comments.
//! > SELECT 1 + 1
//! > AS two;
//! ----
//! two
//! 2
//!
//! > SELECT 'a text with an empty line';
//! ----
//! ----
//! first line
//!
//! third line
//! ----
//! ----
//! ```
//!
//! - An input is one or more lines that start with `> ` (or are just `>`); the runner gets them without that, joined
//!   by line ends.
//! - `----` starts the output, which goes on to the first empty line. An output that has an empty line, or a line
//!   `----`, stands between two doubled `----`, and its own line `----` is written `\----` there. No output is an
//!   input without `----`.
//! - One runner lives for one script, so later blocks see what earlier ones did.
//! - `UPDATE_GOLDEN=1` rewrites the outputs and keeps everything else; the change is then reviewed as a diff.
//!
//! # Source
//! The form is that of CockroachDB's `datadriven` tests, with the prompt added.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The ending of script files.
pub const EXTENSION: &str = "golden";

/// Line that separates input and output.
const SEPARATOR: &str = "----";

/// Lines around a difference that are shown with it.
const CONTEXT: usize = 3;

/// Longest outputs, in lines, whose differences are aligned line by line.
const ALIGNED_LINES_MAX: usize = 2000;

/// Whether outputs are compared or rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every output must be as the script says.
    Check,
    /// The scripts are rewritten with the outputs of today.
    Update,
}

impl Mode {
    /// `UPDATE_GOLDEN=1` in the environment means [`Mode::Update`].
    pub fn from_environment() -> Mode {
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            Mode::Update
        } else {
            Mode::Check
        }
    }
}

/// One command and its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Comments and empty lines before it, as they stand in the file.
    pub lead: String,
    /// The command without its prompt.
    pub input: String,
    /// The expected output; each line ends with a line end.
    pub output: String,
    /// The line number of the input's first line, from 1.
    pub line: usize,
}

/// A parsed script; printing it gives the file back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The blocks in order.
    pub blocks: Vec<Block>,
    /// Comments and empty lines after the last one.
    pub tail: String,
}

/// What is wrong with a script, a folder, or an output.
#[derive(Debug)]
pub enum Finding {
    /// A file or folder cannot be read or written.
    Io(PathBuf, io::Error),
    /// A line that the format does not know.
    Malformed {
        /// Number of the line, from 1.
        line: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// A folder without any script, or a script without any block.
    Empty(PathBuf),
    /// A file in a folder of scripts that is none.
    Stray(PathBuf),
    /// Scripts that no test names, and names without a script.
    Unlisted {
        /// Files that no test names.
        forgotten: Vec<String>,
        /// Names that have no file.
        missing: Vec<String>,
    },
    /// Outputs that are not as expected: for each, its place and what differs.
    Mismatch(Vec<String>),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Finding::Malformed { line, expected } => write!(f, "line {line}: expected {expected}"),
            Finding::Empty(path) => write!(f, "{}: nothing to run", path.display()),
            Finding::Stray(path) => write!(f, "{}: not a .{EXTENSION} file", path.display()),
            Finding::Unlisted { forgotten, missing } => {
                write!(f, "scripts that no test names: {forgotten:?}; names without a script: {missing:?}")
            }
            Finding::Mismatch(places) => {
                places.iter().try_for_each(|place| writeln!(f, "{place}"))?;
                write!(f, "{} outputs differ; UPDATE_GOLDEN=1 rewrites them", places.len())
            }
        }
    }
}

impl std::error::Error for Finding {}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// [`Finding::Malformed`]: output without an input, or without its end.
    pub fn parse(text: &str) -> Result<Script, Finding> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line)).peekable();
        let mut script = Script { blocks: Vec::new(), tail: String::new() };
        while let Some((number, line)) = lines.next() {
            let Some(input) = prompted(line) else {
                if !line.is_empty() && !line.starts_with('#') {
                    return Err(Finding::Malformed { line: number, expected: "`> `, `#` or an empty line" });
                }
                push_line(&mut script.tail, line);
                continue;
            };
            let lead = std::mem::take(&mut script.tail);
            let mut block = Block { lead, input: input.to_owned(), output: String::new(), line: number };
            while let Some(more) = lines.peek().and_then(|(_, line)| prompted(line)) {
                block.input.push('\n');
                block.input.push_str(more);
                lines.next();
            }
            if lines.next_if(|(_, line)| *line == SEPARATOR).is_some() {
                read_output(&mut lines, &mut block)?;
            }
            script.blocks.push(block);
        }
        Ok(script)
    }
}

/// The input on a line that has some.
fn prompted(line: &str) -> Option<&str> {
    if line == ">" { Some("") } else { line.strip_prefix("> ") }
}

fn read_output<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = (usize, &'a str)>>,
    block: &mut Block,
) -> Result<(), Finding> {
    if lines.next_if(|(_, line)| *line == SEPARATOR).is_none() {
        // The empty line is left to the next block's lead.
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
            push_line(&mut block.output, line);
        }
        return Ok(());
    }
    loop {
        let unfinished =
            Finding::Malformed { line: block.line, expected: "`----` twice after this block's output" };
        let (number, line) = lines.next().ok_or(unfinished)?;
        if line == SEPARATOR {
            let unfinished =
                Finding::Malformed { line: number, expected: "a second `----`, or `\\----` in an output" };
            return lines.next_if(|(_, line)| *line == SEPARATOR).map(|_| ()).ok_or(unfinished);
        }
        push_line(&mut block.output, if is_separator(line) { &line[1..] } else { line });
    }
}

/// A separator, or one that is escaped, once or more.
fn is_separator(line: &str) -> bool {
    line.trim_start_matches('\\') == SEPARATOR
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for block in &self.blocks {
            f.write_str(&block.lead)?;
            for line in block.input.split('\n') {
                if line.is_empty() { f.write_str(">\n")? } else { writeln!(f, "> {line}")? }
            }
            let needs_fence = block.output.lines().any(|line| line.is_empty() || is_separator(line));
            if needs_fence {
                writeln!(f, "{SEPARATOR}\n{SEPARATOR}")?;
                for line in block.output.lines() {
                    writeln!(f, "{}{line}", if is_separator(line) { "\\" } else { "" })?;
                }
                writeln!(f, "{SEPARATOR}\n{SEPARATOR}")?;
            } else if !block.output.is_empty() {
                write!(f, "{SEPARATOR}\n{}", block.output)?;
            }
        }
        f.write_str(&self.tail)
    }
}

/// Runs one script: `run` gets each input in turn and returns its output.
///
/// # Errors
/// [`Finding::Io`], [`Finding::Malformed`], [`Finding::Empty`], and, when checking, [`Finding::Mismatch`].
pub fn run_file(path: &Path, mode: Mode, mut run: impl FnMut(&str) -> String) -> Result<(), Finding> {
    let text = fs::read_to_string(path).map_err(|error| Finding::Io(path.to_owned(), error))?;
    let mut script = Script::parse(&text)?;
    if script.blocks.is_empty() {
        return Err(Finding::Empty(path.to_owned()));
    }
    let mut places = Vec::new();
    for block in &mut script.blocks {
        let mut output = run(&block.input);
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
        if output != block.output {
            places.push(format!("{}:{}\n{}", path.display(), block.line, difference(&block.output, &output)));
            block.output = output;
        }
    }
    match (mode, places.is_empty()) {
        (_, true) => Ok(()),
        (Mode::Check, false) => Err(Finding::Mismatch(places)),
        (Mode::Update, false) => {
            fs::write(path, apart(script).to_string()).map_err(|error| Finding::Io(path.to_owned(), error))
        }
    }
}

/// Puts an empty line before each block that follows an output which would otherwise run into it.
fn apart(mut script: Script) -> Script {
    let mut previous_has_output = false;
    for block in &mut script.blocks {
        if previous_has_output && !block.lead.starts_with('\n') {
            block.lead.insert(0, '\n');
        }
        previous_has_output = !block.output.is_empty();
    }
    if previous_has_output && !script.tail.is_empty() && !script.tail.starts_with('\n') {
        script.tail.insert(0, '\n');
    }
    script
}

/// Runs all scripts of `folder` and of the folders in it, in order of their names; `start` makes the runner of one
/// script. In [`Mode::from_environment`].
///
/// Returns how many scripts there were.
///
/// # Errors
/// As [`run_file`] and [`scripts`]; mismatches are collected over all files.
pub fn run_folder<R: FnMut(&str) -> String>(
    folder: &Path,
    mut start: impl FnMut(&Path) -> R,
) -> Result<usize, Finding> {
    let paths = scripts(folder)?;
    let mut places = Vec::new();
    for path in &paths {
        match run_file(path, Mode::from_environment(), start(path)) {
            Err(Finding::Mismatch(more)) => places.extend(more),
            Err(Finding::Malformed { line, expected }) => {
                places.push(format!("{}:{line}: expected {expected}", path.display()));
            }
            outcome => outcome?,
        }
    }
    if places.is_empty() { Ok(paths.len()) } else { Err(Finding::Mismatch(places)) }
}

/// All scripts of `folder` and of the folders in it, in order of their names.
///
/// # Errors
/// There is none ([`Finding::Empty`]), or there is a file that is no script and would be forgotten
/// ([`Finding::Stray`]).
pub fn scripts(folder: &Path) -> Result<Vec<PathBuf>, Finding> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error| Finding::Io(folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == EXTENSION) {
                found.push(path);
            } else {
                return Err(Finding::Stray(path));
            }
        }
    }
    found.sort();
    if found.is_empty() { Err(Finding::Empty(folder.to_owned())) } else { Ok(found) }
}

/// For tests that name their scripts one by one: every script of `folder` must be named, by its path below `folder`
/// without the ending, and every name must be a script.
///
/// # Errors
/// [`Finding::Unlisted`], and as [`scripts`].
pub fn check_listed(folder: &Path, names: &[&str]) -> Result<(), Finding> {
    let existing: Vec<String> = scripts(folder)?
        .iter()
        .filter_map(|path| {
            Some(path.strip_prefix(folder).ok()?.with_extension("").to_string_lossy().into_owned())
        })
        .collect();
    let forgotten: Vec<String> =
        existing.iter().filter(|name| !names.contains(&name.as_str())).cloned().collect();
    let missing: Vec<String> = names
        .iter()
        .filter(|name| !existing.iter().any(|e| e == *name))
        .map(|name| (*name).to_owned())
        .collect();
    if forgotten.is_empty() && missing.is_empty() {
        Ok(())
    } else {
        Err(Finding::Unlisted { forgotten, missing })
    }
}

/// What differs between two outputs, line by line: `-` expected, `+` found, with some lines around.
pub fn difference(expected: &str, found: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let edits = aligned(&old, &new);
    let is_near = |index: usize| {
        let around = index.saturating_sub(CONTEXT)..(index + CONTEXT + 1).min(edits.len());
        edits[around].iter().any(|(sign, _)| *sign != ' ')
    };
    let mut text = String::new();
    let mut skipping = false;
    for (index, (sign, line)) in edits.iter().enumerate() {
        if is_near(index) {
            let _ = writeln!(text, "  {sign} {line}");
            skipping = false;
        } else if !std::mem::replace(&mut skipping, true) {
            text.push_str("    ...\n");
        }
    }
    if edits.iter().all(|(sign, _)| *sign == ' ') {
        text.push_str("  (they differ in line ends only)\n");
    }
    text
}

/// All lines of both sides in order, each marked `-`, `+` or ` `, by the longest common subsequence.
fn aligned<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    if old.len().max(new.len()) > ALIGNED_LINES_MAX {
        let removed = old.iter().map(|line| ('-', *line));
        return removed.chain(new.iter().map(|line| ('+', *line))).collect();
    }
    // common[i][j]: how many lines the rests old[i..] and new[j..] have in common, in order.
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut edits = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            edits.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            edits.push(('-', old[i]));
            i += 1;
        } else {
            edits.push(('+', new[j]));
            j += 1;
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of its own for one test, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("golden-{}-{number}", std::process::id()));
            fs::create_dir_all(&path).expect("a folder for temporary files");
            Folder(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().expect("a file in the folder")).expect("a folder");
            fs::write(&path, text).expect("a small file");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const SCRIPT: &str = "# adds\n> 1\n> 2\n----\ngot 1\ngot 2\n\n> quiet\n\n# fenced\n> gap\n----\n----\na\n\nb\n----\n----\n# end\n";

    fn runner(input: &str) -> String {
        match input {
            "quiet" => String::new(),
            "gap" => "a\n\nb".to_owned(),
            _ => input.lines().fold(String::new(), |text, line| text + "got " + line + "\n"),
        }
    }

    #[test]
    fn a_script_prints_as_it_was_read() {
        let script = Script::parse(SCRIPT).expect("well formed");
        assert_eq!(script.to_string(), SCRIPT);
        assert_eq!(script.blocks.len(), 3);
        assert_eq!((script.blocks[0].input.as_str(), script.blocks[0].line), ("1\n2", 2));
        assert_eq!(script.blocks[2].output, "a\n\nb\n");
        assert_eq!(script.tail, "# end\n");
    }

    #[test]
    fn malformed_scripts_are_refused() {
        assert!(matches!(Script::parse("\noutput\n"), Err(Finding::Malformed { line: 2, .. })));
        assert!(matches!(
            Script::parse("# x\n> a\n----\n----\nb\n"),
            Err(Finding::Malformed { line: 2, .. })
        ));
        assert!(matches!(
            Script::parse("> a\n----\n----\nb\n----\n"),
            Err(Finding::Malformed { line: 5, .. })
        ));
        let folder = Folder::new();
        let path = folder.write("none.golden", "# only a comment\n");
        assert!(matches!(run_file(&path, Mode::Check, runner), Err(Finding::Empty(_))));
    }

    #[test]
    fn outputs_are_compared() {
        let folder = Folder::new();
        let path = folder.write("a.golden", SCRIPT);
        run_file(&path, Mode::Check, runner).expect("as written");
        let finding = run_file(&path, Mode::Check, |input| runner(input).replace("got 2", "got 3"));
        let text = finding.expect_err("one line differs").to_string();
        assert!(text.contains("a.golden:2\n    got 1\n  - got 2\n  + got 3\n"), "{text}");
        assert!(text.ends_with("1 outputs differ; UPDATE_GOLDEN=1 rewrites them"), "{text}");
        let finding = run_file(&path, Mode::Check, |_| String::new()).expect_err("output is missing");
        assert!(matches!(finding, Finding::Mismatch(places) if places.len() == 2));
        assert_eq!(fs::read_to_string(&path).expect("still there"), SCRIPT, "checking writes nothing");
    }

    #[test]
    fn updating_rewrites_outputs_and_keeps_the_rest() {
        let folder = Folder::new();
        let path = folder.write("a.golden", "# one\n> 1\n> 2\n> 3\n# between\n> gap\n# end\n");
        run_file(&path, Mode::Update, runner).expect("rewritten");
        let text = fs::read_to_string(&path).expect("still there");
        let expected = "# one\n> 1\n> 2\n> 3\n----\ngot 1\ngot 2\ngot 3\n\n# between\n> gap\n----\n----\na\n\nb\n----\n----\n\n# end\n";
        assert_eq!(text, expected);
        run_file(&path, Mode::Check, runner).expect("a fixpoint");
        run_file(&path, Mode::Update, |_| String::new()).expect("rewritten");
        assert!(!fs::read_to_string(&path).expect("still there").contains(SEPARATOR));
    }

    /// Aim: a separator or a prompt in an output comes back as output. Method: update, then check.
    #[test]
    fn outputs_that_look_like_syntax_survive() {
        let folder = Folder::new();
        for output in
            ["----", "----\n----x", "> not an input", "# no comment", "a\n----\n\n\\----\nb", "----\n----"]
        {
            let path = folder.write("a.golden", "> x\n> y\n# c\n> z\n");
            run_file(&path, Mode::Update, |_| output.to_owned()).expect("rewritten");
            run_file(&path, Mode::Check, |_| output.to_owned())
                .unwrap_or_else(|finding| panic!("{output}: {finding}"));
        }
    }

    #[test]
    fn no_file_of_a_folder_is_forgotten() {
        let folder = Folder::new();
        assert!(matches!(scripts(&folder.0), Err(Finding::Empty(_))));
        folder.write("a.golden", SCRIPT);
        folder.write("deep/er/b.golden", SCRIPT);
        assert_eq!(run_folder(&folder.0, |_| runner).expect("all fit"), 2);
        check_listed(&folder.0, &["deep/er/b", "a"]).expect("both are named");
        match check_listed(&folder.0, &["a", "c"]).expect_err("one forgotten, one missing") {
            Finding::Unlisted { forgotten, missing } => {
                assert_eq!((forgotten, missing), (vec!["deep/er/b".to_owned()], vec!["c".to_owned()]));
            }
            other => panic!("{other}"),
        }
        folder.write("deep/notes.txt", "");
        assert!(matches!(scripts(&folder.0), Err(Finding::Stray(path)) if path.ends_with("deep/notes.txt")));
    }

    #[test]
    fn a_folder_reports_all_its_files() {
        let folder = Folder::new();
        folder.write("a.golden", SCRIPT);
        folder.write("b.golden", "> 1\n----\ngot 1\n");
        folder.write("c.golden", "bad\n");
        let wrong = |_: &Path| |input: &str| input.to_owned();
        let text = run_folder(&folder.0, wrong).expect_err("nothing fits").to_string();
        assert!(
            ["a.golden:2", "b.golden:1", "c.golden:1"].iter().all(|place| text.contains(place)),
            "{text}"
        );
    }

    #[test]
    fn differences_are_aligned_and_short() {
        let old: String = (0..50).map(|number| format!("{number}\n")).collect();
        let new = old.replace("25\n", "").replace("40\n", "40\nnew\n");
        let text = difference(&old, &new);
        assert!(
            text.contains("    24\n  - 25\n    26\n") && text.contains("    40\n  + new\n    41\n"),
            "{text}"
        );
        assert_eq!(text.matches("    ...\n").count(), 3, "{text}");
        assert!(difference("a\n", "a").contains("line ends only"));
    }
}
