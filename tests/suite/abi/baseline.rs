//! The ABI as `docs/abi.md` promises it: what a shared library exports and how it is linked, and that no header
//! takes back what an earlier one of the same SONAME declared.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::support::tools::{library, output, said, soname, source, tool};
use tempfile::TempDir;

use crate::support::table::check_rows;
use crate::support::{Within as _, tempdir};

#[test]
fn the_library_of_this_build_keeps_the_abi() {
    exports_exactly_the_header(&library());
    is_linked_as_a_c_library_should_be(&library());
}

/// Of the release build too.
pub fn exports_exactly_the_header(library: &Path) {
    let Some(mut nm) = tool("nm") else { return };
    let listed = output(nm.args(["-D", "--defined-only"]).arg(library));
    let exported: BTreeSet<&str> = listed.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let header = header();
    let prototypes = prototypes(&header);
    let declared: BTreeSet<&str> = prototypes.iter().map(|prototype| name(prototype)).collect();
    assert_eq!(declared.len(), 15, "{declared:?}");
    assert_eq!(exported, declared);
}

/// Of the release build too.
pub fn is_linked_as_a_c_library_should_be(library: &Path) {
    let Some(mut readelf) = tool("readelf") else { return };
    let listed = output(readelf.args(["-W", "-d", "-l"]).arg(library));
    let line = |what: &str| {
        let found = listed.lines().find(|line| line.contains(what));
        found.unwrap_or_else(|| panic!("no {what} in {listed}")).to_owned()
    };
    assert!(line("(SONAME)").contains(&format!("[{}]", soname())), "{}", line("(SONAME)"));
    assert!(line("(FLAGS_1)").contains("NODELETE"), "{}", line("(FLAGS_1)"));
    // Full RELRO is the segment and the binding of all symbols at the start.
    line("GNU_RELRO");
    assert!(line("(FLAGS_1)").contains("NOW"), "{}", line("(FLAGS_1)"));
    assert!(!line("GNU_STACK").contains("RWE"), "{}", line("GNU_STACK"));
}

fn header() -> String {
    fs::read_to_string(env!("BARMAN_RECOVER_HEADER")).unwrap()
}

/// The functions of a header, one line each, without the semicolon.
fn prototypes(header: &str) -> Vec<String> {
    let code = without_comments(header);
    let functions = code.split_once("extern \"C\" {\n#endif").expect("functions stand in extern \"C\"").1;
    let functions = functions.split_once("#ifdef").unwrap().0;
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    functions.split(';').map(one_line).filter(|text| !text.is_empty()).collect()
}

fn name(prototype: &str) -> &str {
    prototype.split_once('(').unwrap().0.rsplit([' ', '*']).next().unwrap()
}

fn without_comments(header: &str) -> String {
    let mut parts = header.split("/*");
    let mut code = parts.next().unwrap().to_owned();
    for part in parts {
        code += part.split_once("*/").unwrap().1;
    }
    let lines = code.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// The declarations of a header, as the baseline has them.
fn declarations(header: &str) -> String {
    let code = without_comments(header);
    code.lines()
        .filter(|line| !line.contains("BARMAN_RECOVER_VERSION"))
        .map(|line| line.to_owned() + "\n")
        .collect()
}

/// A library with the functions and enums of a header, and debug information about their types.
fn stub(header: &str, scratch: &TempDir, name: &str) -> Option<PathBuf> {
    let mut cc = tool("cc")?;
    let functions = prototypes(header).into_iter().map(|each| each + " { __builtin_trap(); }\n");
    let enums = header.lines().filter_map(|line| line.strip_prefix("} barman_recover_")?.strip_suffix(';'));
    let numbers = enums.map(|name| format!("barman_recover_{name} numbers_of_{name};\n"));
    let code = [header.to_owned()].into_iter().chain(functions).chain(numbers).collect::<String>();
    let (file, library) = (scratch.within(&format!("{name}.c")), scratch.within(&format!("{name}.so")));
    fs::write(&file, code).unwrap();
    output(cc.args(["-g", "-O0", "-shared", "-fPIC", "-o", &library, &file]));
    Some(library.into())
}

/// What `abidiff` finds changed or removed; `None` without the tools.
fn broken_promises(earlier: &str, later: &str) -> Option<String> {
    let scratch = tempdir();
    let mut abidiff = tool("abidiff")?;
    let libraries = [stub(earlier, &scratch, "earlier")?, stub(later, &scratch, "later")?];
    let diff = abidiff.arg("--no-added-syms").args(libraries).output().unwrap();
    // 4: changes, 12: incompatible ones. The rest are its own failures.
    assert!(matches!(diff.status.code(), Some(0 | 4 | 12)), "{}", said(&diff));
    Some(if diff.status.success() { String::new() } else { said(&diff) })
}

/// `UPDATE_ABI=1` takes additions into the baseline, never a change.
#[test]
fn nothing_is_taken_back_within_a_soname() {
    let path = source(&format!("tests/abi/{}.h", soname()));
    let update = env::var_os("UPDATE_ABI").is_some_and(|set| set == "1");
    if update && !path.exists() {
        fs::write(&path, declarations(&header())).unwrap();
    }
    let baseline = fs::read_to_string(&path).expect("a baseline for this SONAME: see docs/abi.md");
    let Some(broken) = broken_promises(&baseline, &header()) else { return };
    assert!(broken.is_empty(), "{broken}\ndocs/abi.md says what to do about it");
    if update {
        fs::write(&path, declarations(&header())).unwrap();
    }
}

#[test]
fn additions_are_no_change() {
    let additions = [
        (
            "void barman_recover_free(",
            "void barman_recover_more(uint64_t amount);\nvoid barman_recover_free(",
        ),
        ("  BARMAN_RECOVER_PANIC = -7\n", "  BARMAN_RECOVER_PANIC = -7,\n  BARMAN_RECOVER_MORE = -8\n"),
        (
            "typedef struct barman_recover ",
            "typedef enum { MORE } barman_recover_more;\ntypedef struct barman_recover ",
        ),
    ];
    check_rows(additions, |(from, to)| {
        let Some(broken) = broken_promises(&header(), &altered(from, to)) else { return };
        assert!(broken.is_empty(), "{to}: {broken}");
    });
}

#[test]
fn changes_and_removals_are_found() {
    let changes = [
        ("void barman_recover_free(barman_recover *handle);", ""),
        ("_next_event(barman_recover *handle, uint32_t", "_next_event(barman_recover *handle, uint64_t"),
        ("_code_name(int32_t", "_code_name(int64_t"),
        (
            "barman_recover_run(barman_recover *handle)",
            "barman_recover_run(barman_recover *handle, int32_t more)",
        ),
        ("uint32_t barman_recover_version_number", "uint64_t barman_recover_version_number"),
        ("BARMAN_RECOVER_PANIC = -7", "BARMAN_RECOVER_PANIC = -8"),
        ("  BARMAN_RECOVER_PANIC = -7\n", ""),
        ("BARMAN_RECOVER_PANIC = -7", "BARMAN_RECOVER_BUG = -7"),
    ];
    check_rows(changes, |(from, to)| {
        let Some(broken) = broken_promises(&header(), &altered(from, to)) else { return };
        assert!(!broken.is_empty(), "{from} -> {to} was not found");
    });
}

fn altered(from: &str, to: &str) -> String {
    let header = header();
    assert_eq!(header.matches(from).count(), 1, "{from}");
    header.replacen(from, to, 1)
}
