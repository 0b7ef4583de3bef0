//! Everything that programs can name has an example in its documentation, which runs.

use std::path::Path;

/// The items of a file that are public and have no example: their lines and what stands there.
fn without_examples(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut has_example = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        if line.starts_with("///") {
            has_example |= line.starts_with("/// ```");
        } else if !line.starts_with("#[") {
            let is_item = ["fn ", "const fn ", "struct ", "enum ", "trait ", "type "]
                .iter()
                .any(|kind| line.strip_prefix("pub ").is_some_and(|rest| rest.starts_with(kind)));
            if is_item || line.starts_with("macro_rules! ") && text.contains("#[macro_export]") {
                let is_missing = !std::mem::take(&mut has_example)
                    && !line.starts_with("macro_rules! to_value")
                    && !line.starts_with("macro_rules! params_of");
                if is_missing {
                    found.push(format!("{}: {line}", index + 1));
                }
            }
            has_example = false;
        }
    }
    found
}

/// Aim: no public item is without an example. Method: the sources are read as lines; the examples are run with the documentation's tests.
#[test]
fn public_items_have_examples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut missing, mut files_count) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        files_count += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        missing.extend(without_examples(&text).into_iter().map(|item| format!("{name}:{item}")));
    }
    assert!(files_count > 20, "{files_count}");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn items_without_examples_are_found() {
    let text = "/// It.\n///\n/// ```\n/// run();\n/// ```\n#[derive(Debug)]\npub struct A;\n\n/// It.\npub fn b() {}\npub(crate) fn c() {}\n";
    assert_eq!(without_examples(text), ["10: pub fn b() {}"]);
}
