//! The program `cofferdam`.
fn main() {}
