//! The golden scripts: statements with their plans or errors.

use std::path::Path;

use cofferdam_testkit::golden;

use crate::plans::show;

/// Every statement of every script has the plan or the error that the script says.
#[test]
fn golden_scripts_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let ran =
        golden::run_folder(&folder, |_| |sql: &str| show(sql)).unwrap_or_else(|finding| panic!("{finding}"));
    assert!(ran >= 3, "{ran} scripts");
}
