//! Compiles `grammar/` to tables: the keywords, and the forms that the parser runs (see `grammar/README.md`).
#![allow(clippy::disallowed_types, reason = "a build script has no budget")]

#[path = "build/compile.rs"]
mod compile;
#[path = "build/emit.rs"]
mod emit;
#[path = "build/syntax.rs"]
mod syntax;
#[path = "build/tokens.rs"]
mod tokens;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    println!("cargo::rerun-if-changed=grammar");
    println!("cargo::rerun-if-changed=build");
    if let Err(problem) = run() {
        eprintln!("{problem}");
        process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let folder = Path::new("grammar");
    let keywords = tokens::keywords(&read(&folder.join("keywords.list"))?)?;
    let mut grammar = syntax::Grammar::default();
    for path in files(folder)? {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("grammar");
        grammar.add(name, &read(&path)?)?;
    }
    let tokens = tokens::Tokens::new(&keywords);
    let program = compile::compile(&grammar, &tokens)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    write(&out.join("keywords.rs"), &emit::keywords(&keywords))?;
    write(&out.join("forms.rs"), &emit::forms(&program))?;
    write(&out.join("form_views.rs"), &emit::views(&grammar)?)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "syntax"))
        .collect();
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
