//! The C header is that of the sources, knows every option, and suits every C and C++ that is around.

use std::path::Path;
use std::process::Stdio;
use std::{env, fs};

use barman_recover::{Command, Kind};

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

/// The comment before the function, and its second parameter.
fn setter(header: &str, name: &str) -> (String, String) {
    let function = format!("barman_recover_set_{}(barman_recover *handle, ", name.replace('-', "_"));
    let at = header.find(&format!("int32_t {function}")).unwrap_or_else(|| panic!("no {function}"));
    let comment = header[..at].rsplit("/**").next().unwrap().replace("\n *", "").replace(" */", "");
    let parameter = header[at..].split_once(&function).unwrap().1.split(");").next().unwrap();
    (comment, parameter.to_owned())
}

#[test]
fn every_option_has_a_setter_that_names_its_default() {
    let header = generated();
    for spec in Command::Recover.options() {
        let (comment, parameter) = setter(&header, spec.name);
        let expected = match spec.kind {
            Kind::Text => "const char *value",
            Kind::Path => "const char *path",
            Kind::Url => "const char *url",
            Kind::Seconds => "uint32_t seconds",
            Kind::Count => "uint32_t count",
            Kind::Flag => "int32_t flag",
            _ => panic!("{}: a kind without a type in C", spec.name),
        };
        assert_eq!(parameter, expected, "{}", spec.name);
        let default = match (spec.default, spec.kind) {
            _ if spec.required => "Required".to_owned(),
            ("", Kind::Flag) if spec.name == "verify" => "Default: 1.".to_owned(),
            ("", Kind::Flag) => "Default: 0.".to_owned(),
            ("", _) => "Default: ".to_owned(),
            (text, Kind::Text) => format!("Default: \"{text}\"."),
            (number, _) => format!("Default: {number}."),
        };
        assert!(comment.contains(&default), "{}: {default} is not in: {comment}", spec.name);
    }
    let setters = header.matches("\nint32_t barman_recover_set_").count();
    assert_eq!(
        setters,
        Command::Recover.options().count() + 1,
        "the other one is that of the event callback"
    );
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
        output(
            compiler
                .arg(Path::new(env!("BARMAN_RECOVER_HEADER")).parent().unwrap())
                .arg(source("tests/c/header.c"))
                .stdin(Stdio::null()),
        );
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
