//! The examples run, and what they assert is so.

#[path = "../../examples/analytics.rs"]
mod analytics;
#[path = "../../examples/deadlines.rs"]
mod deadlines;
#[path = "../../examples/edge.rs"]
mod edge;
#[path = "../../examples/tenants.rs"]
mod tenants;

#[test]
fn analytics_runs() {
    analytics::main().unwrap();
}

#[test]
fn deadlines_runs() {
    deadlines::main().unwrap();
}

#[test]
fn edge_runs() {
    edge::main().unwrap();
}

#[test]
fn tenants_runs() {
    tenants::main().unwrap();
}

/// Every example is one of these.
#[test]
fn no_example_is_forgotten() {
    let listed = include_str!("examples.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(listed.contains(&format!("\"../../examples/{name}\"")), "{name} is not run");
    }
}
