//! Compiles the few lines of C that call PostgreSQL's raw parser.

fn main() {
    #[cfg(feature = "postgres")]
    {
        println!("cargo:rerun-if-changed=c/raw_parse.c");
        cc::Build::new().file("c/raw_parse.c").compile("raw_parse");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
