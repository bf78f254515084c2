//! The C header is that of the sources, one page, and suits every C and C++ that is around.

use std::path::Path;
use std::process::Stdio;
use std::{env, fs};

use crate::support::table::check_rows;
use crate::support::tools::{output, source, tool, version};

fn generated() -> String {
    fs::read_to_string(env!("BARMAN_RECOVER_HEADER")).unwrap()
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let committed = source("include/barman_recover.h");
    if env::var_os("UPDATE_HEADER").is_some_and(|set| set == "1") {
        fs::write(&committed, generated()).unwrap();
    }
    assert!(
        fs::read_to_string(committed).is_ok_and(|text| text == generated()),
        "UPDATE_HEADER=1 cargo test --test suite header makes it anew"
    );
}

#[test]
fn the_header_is_one_page_and_the_example_is_short() {
    assert!(generated().lines().count() <= 200);
    assert!(fs::read_to_string(source("examples/recover.c")).unwrap().lines().count() <= 40);
}

#[test]
fn the_header_knows_its_version() {
    let header = generated();
    let mut parts = env!("CARGO_PKG_VERSION").split(['.', '-', '+']);
    for part in ["MAJOR", "MINOR", "PATCH"] {
        let line = format!("#define BARMAN_RECOVER_VERSION_{part} {}\n", parts.next().unwrap());
        assert!(header.contains(&line), "{line}");
    }
    assert!(header.contains(&format!("#define BARMAN_RECOVER_VERSION \"{}\"\n", version())));
}

#[test]
fn the_header_compiles_as_every_c_and_cpp() {
    let languages = [
        ("cc", "c", "c89"),
        ("cc", "c", "c99"),
        ("cc", "c", "c11"),
        ("cc", "c", "c17"),
        ("c++", "c++", "c++98"),
        ("c++", "c++", "c++11"),
        ("c++", "c++", "c++17"),
    ];
    check_rows(languages, |(compiler, language, standard)| {
        let Some(mut compiler) = tool(compiler) else { return };
        compiler.args(["-x", language]).arg(format!("-std={standard}"));
        compiler.args(["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only", "-I"]);
        compiler.arg(Path::new(env!("BARMAN_RECOVER_HEADER")).parent().unwrap());
        output(compiler.args(["tests/c/header.c", "examples/recover.c"].map(source)).stdin(Stdio::null()));
    });
}

/// Rust's words mean nothing to a reader of the header.
#[test]
fn the_header_is_written_for_c() {
    let header = generated();
    check_rows(["# Safety", "Option<", "crate::", "[`", "`", "Result", "i32:", "Arc"], |word| {
        assert!(!header.contains(word), "{word}");
    });
}
