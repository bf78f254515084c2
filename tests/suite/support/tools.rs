//! The C compiler and its company, for the tests that need them. Without them such a test passes and says so,
//! unless `BARMAN_RECOVER_TESTS_COMPLETE=1` is set.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::Within as _;

/// The program, if it is there. `CC` and `CXX` name others.
pub fn tool(name: &str) -> Option<Command> {
    let program = match name {
        "cc" => env::var("CC"),
        "c++" => env::var("CXX"),
        _ => Err(env::VarError::NotPresent),
    };
    let program = program.unwrap_or_else(|_| name.to_owned());
    let version = if name == "go" { "version" } else { "--version" };
    let there = Command::new(&program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Some(Command::new(program));
    }
    left_out(&format!("{program} is missing"));
    None
}

/// Says why a test passes without having tested.
pub fn left_out(why: &str) {
    assert!(env::var_os("BARMAN_RECOVER_TESTS_COMPLETE").is_none_or(|set| set != "1"), "{why}");
    println!("left out: {why}");
}

/// A file of this package.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The shared library of this build. Cargo puts it beside the test; the one a folder up is that of the last
/// `cargo build`.
pub fn library() -> PathBuf {
    built("libbarman_recover.so")
}

/// An example of this build.
pub fn example(name: &str) -> PathBuf {
    built(&format!("../examples/{name}"))
}

/// The stand-in of pg-backup-api, as a program; built here, as Cargo builds no program of another package for tests.
pub fn standin_program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let tests = env::current_exe().unwrap();
        let folder = tests.ancestors().nth(2).unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            name => name,
        };
        let mut cargo = Command::new(env!("CARGO"));
        // For that package alone the features of dependencies would be others: they would be built anew.
        cargo.args(["build", "--quiet", "--workspace", "--bin", "standin_api"]);
        cargo.args(["--profile", profile, "--target-dir"]);
        // That is for the tests alone, see tests/run: it would build every crate anew.
        cargo.env_remove("RUSTC_BOOTSTRAP");
        output(cargo.arg(folder.parent().unwrap()).current_dir(source("")));
        folder.join("standin_api")
    };
    PROGRAM.get_or_init(build).clone()
}

fn built(name: &str) -> PathBuf {
    let built = env::current_exe().unwrap().with_file_name(name);
    assert!(built.exists(), "{} is missing", built.display());
    built
}

pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// The name that programs record, by the rule of Cargo's compatible versions.
pub fn soname() -> String {
    let version = version();
    let parts: Vec<&str> = version.split(['.', '-', '+']).collect();
    let kept = match parts[..] {
        ["0", "0", patch, ..] => format!("0.0.{patch}"),
        ["0", minor, ..] => format!("0.{minor}"),
        _ => parts[0].to_owned(),
    };
    format!("libbarman_recover.so.{kept}")
}

/// Output of a tool that has to succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{} {}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A directory with the shared library as it is installed, for `-L` and for the run.
pub fn installed(library: &Path, scratch: &TempDir) -> String {
    for name in ["libbarman_recover.so", &soname()] {
        if !fs::exists(scratch.within(name)).unwrap() {
            symlink(library, scratch.within(name)).unwrap();
        }
    }
    scratch.within("")
}

pub fn include() -> PathBuf {
    Path::new(env!("BARMAN_RECOVER_HEADER")).parent().unwrap().to_owned()
}

/// Compiles a C program and links it as a user does: `-lbarman_recover`, found at run time by its SONAME.
pub fn c_program(path: &str, scratch: &TempDir) -> Option<PathBuf> {
    let mut cc = tool("cc")?;
    cc.arg("-std=c11");
    Some(program(cc, path, &library(), scratch))
}

/// With a compiler that has its options, and any build of the library.
pub fn program(mut compiler: Command, path: &str, library: &Path, scratch: &TempDir) -> PathBuf {
    let program = PathBuf::from(scratch.within(&path.replace(['/', '.'], "-")));
    let directory = installed(library, scratch);
    compiler.args(["-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"]).arg(include());
    compiler.arg(source(path)).arg("-o").arg(&program);
    // A host that loads the library at run time is not linked with it.
    compiler.arg(format!("-L{directory}")).args(["-Wl,--as-needed", "-lbarman_recover", "-ldl"]);
    compiler.arg(format!("-Wl,-rpath,{directory}"));
    output(&mut compiler);
    program
}
