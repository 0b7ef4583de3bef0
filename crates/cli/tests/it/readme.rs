//! What README.md shows is what comes of it.
#![cfg(unix)]

use std::process::Command;

use crate::support::Folder;

const HEADING: &str = "## Queries over files";

/// The commands of the first block behind a heading, and what they write.
fn block(page: &str) -> (String, String) {
    let behind = page.split_once(HEADING).expect("the heading is there").1;
    let block = behind.split_once("```console\n").expect("a block").1.split_once("```").expect("its end").0;
    let (mut commands, mut output, mut is_open) = (String::new(), String::new(), false);
    for line in block.lines() {
        let command = if is_open { Some(line) } else { line.strip_prefix("$ ") };
        let Some(command) = command else {
            output += line;
            output.push('\n');
            continue;
        };
        commands += command;
        commands.push('\n');
        // It goes on behind a backslash and in a text that is not closed.
        is_open = command.ends_with('\\') || commands.matches('"').count() % 2 == 1;
    }
    (commands, output)
}

/// The text without the sizes that notes have, which are not the same on each system.
fn masked(text: &str) -> String {
    let lines = text.lines().map(|line| match line.contains("= note: ") {
        true => line.split(':').take(2).collect::<String>() + "\n",
        false => format!("{line}\n"),
    });
    lines.collect()
}

/// Aim: the example of running out of memory is true. Method: a shell runs the commands of the page in an empty folder, and what they write
/// is compared, but for sizes in notes.
#[test]
fn the_example_of_running_out_of_memory_runs() {
    let page = include_str!("../../../../README.md");
    let (commands, expected) = block(page);
    assert!(
        commands.matches("cofferdam").count() == 2 && expected.contains("error[53200]"),
        "{commands}{expected}"
    );
    let folder = Folder::new();
    let script = format!("cofferdam() {{ \"$PROGRAM\" \"$@\"; }}\nexec 2>&1\n{commands}");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("PROGRAM", env!("CARGO_BIN_EXE_cofferdam"))
        .current_dir(folder.path())
        .output()
        .expect("a shell");
    let found = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(masked(&found), masked(&expected));
}
