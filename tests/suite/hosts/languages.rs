//! The library in hosts of each language: the examples, as their readers run them, and their wrappers among
//! threads, contexts and exceptions.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::support::tools::{
    c_program, example, include, installed, library, output, said, soname, source, standin_program, tool,
    version,
};
use tempfile::TempDir;

use crate::support::{Within as _, tempdir};
use standin::{Api, Model, Script, Stage};

/// Go with the library as pkg-config finds it.
fn go() -> Option<Command> {
    tool("pkg-config")?;
    let mut go = tool("go")?;
    let cache = library().with_file_name("for-go-cache");
    go.env("PKG_CONFIG_PATH", package())
        .env("GOCACHE", cache)
        .env("CGO_ENABLED", "1")
        .env("STANDIN", standin_program());
    go.envs([("GOFLAGS", ""), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOWORK", "off")]);
    Some(go)
}

/// The library with its `.pc` file, always in one place, and with a cache for it: what pkg-config says is no part of
/// the key of Go's cache.
fn package() -> &'static str {
    static DIRECTORY: OnceLock<String> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = library().with_file_name("for-go");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        for name in ["libbarman_recover.so", &soname()] {
            symlink(library(), directory.join(name)).unwrap();
        }
        symlink(include(), directory.join("include")).unwrap();
        let place = directory.into_os_string().into_string().unwrap();
        let package = format!(
            "Name: barman_recover\nDescription: the build\nVersion: {}\nCflags: -I{place}/include\n\
             Libs: -L{place} -Wl,-rpath,{place} -lbarman_recover\n",
            version(),
        );
        fs::write(format!("{place}/barman_recover.pc"), package).unwrap();
        place
    })
}

/// The example as the program of a module outside this repository.
fn go_example(scratch: &TempDir) -> Option<Command> {
    const PACKAGE: &str = "barman-recover.invalid/barmanrecover";
    let module = format!(
        "module host\n\ngo 1.19\n\nrequire {PACKAGE} v0.0.0\n\nreplace {PACKAGE} => {}\n",
        source("bindings/go").display()
    );
    let mut go = go()?;
    fs::write(scratch.within("go.mod"), module).unwrap();
    fs::copy(source("examples/recover.go"), scratch.within("recover.go")).unwrap();
    output(go.current_dir(scratch.within("")).args(["build", "-o", "recover-go", "."]));
    Some(Command::new(scratch.within("recover-go")))
}

fn python(scratch: &TempDir) -> Option<Command> {
    let mut python = tool("python3")?;
    python
        .env("LD_LIBRARY_PATH", installed(&library(), scratch))
        .env("PYTHONPATH", source("bindings/python"));
    python.env("PYTHONDONTWRITEBYTECODE", "1").env("STANDIN", standin_program());
    Some(python)
}

fn python_example(scratch: &TempDir) -> Option<Command> {
    let mut python = python(scratch)?;
    // A shell's background job has SIGINT ignored, which Python would leave so.
    let start = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); \
                 sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')";
    python.arg("-c").arg(start).arg(source("examples/recover.py"));
    Some(python)
}

/// Restores with an example; it reports the progress.
fn restores(program: Option<Command>, scratch: &TempDir) {
    let Some(mut program) = program else { return };
    let api = Api::start(Model::new().server("main").backup("20261122T101942").fill().hold(), Script::new());
    let data = scratch.within("data");
    program.args([&api.url(), "main", "ssh node", &data]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let host = program.spawn().unwrap();
    api.wait("an answer about the operation", |api| api.count(Stage::Poll) > 1);
    api.release();
    let done = host.wait_with_output().unwrap();
    assert!(done.status.success() && api.applied() == 1, "{}", said(&done));
    for words in ["is still in progress", "IN_PROGRESS", "DONE"] {
        assert!(said(&done).contains(words), "no {words} in {}", said(&done));
    }
    assert!(fs::exists(format!("{data}/global/pg_control")).unwrap());
}

/// Ctrl-C while the operation runs, which would never end.
fn ctrl_c_ends(program: Option<Command>, scratch: &TempDir) -> Option<Output> {
    let mut program = program?;
    let api = Api::start(Model::new().server("main").backup("20261122T101942").stuck(), Script::new());
    program.args([&api.url(), "main", "ssh node", &scratch.within("data")]);
    let host = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    api.wait("a poll", |api| api.count(Stage::Poll) > 1);
    output(Command::new("sh").args(["-c", &format!("kill -INT {}", host.id())]));
    let ended = host.wait_with_output().unwrap();
    assert!(!ended.status.success(), "{}", said(&ended));
    assert!(said(&ended).contains("can't write on this node"), "{}", said(&ended));
    Some(ended)
}

#[test]
fn rust() {
    let scratch = tempdir();
    restores(Some(Command::new(example("recover"))), &scratch);
}

#[test]
fn c() {
    let scratch = tempdir();
    let program = || c_program("examples/recover.c", &scratch).map(Command::new);
    restores(program(), &scratch);
    if let Some(ended) = ctrl_c_ends(program(), &tempdir()) {
        assert!(said(&ended).contains("CANCELLED"), "{}", said(&ended));
    }
}

#[test]
fn go_with_a_context() {
    let scratch = tempdir();
    restores(go_example(&scratch), &scratch);
    ctrl_c_ends(go_example(&scratch), &tempdir());
}

#[test]
fn go_package() {
    let Some(mut vet) = go() else { return };
    output(vet.current_dir(source("bindings/go")).args(["vet", "./..."]));
    let unformatted = Command::new("gofmt").arg("-l").args(["bindings/go", "examples"].map(source)).output();
    assert_eq!(said(&unformatted.unwrap()), "exit status: 0 ");
    go_tests(&[]);
}

/// Go's standard library is compiled for it.
#[test]
#[ignore = "deep"]
fn go_package_without_data_races() {
    go_tests(&["-race"]);
}

fn go_tests(flags: &[&str]) {
    let Some(mut test) = go() else { return };
    test.current_dir(source("bindings/go")).env("GODEBUG", "cgocheck=2");
    output(test.args(["test", "-count=1"]).args(flags).arg("./..."));
}

#[test]
fn python_with_ctrl_c() {
    let scratch = tempdir();
    restores(python_example(&scratch), &scratch);
    if let Some(ended) = ctrl_c_ends(python_example(&scratch), &tempdir()) {
        assert!(said(&ended).contains("KeyboardInterrupt"), "{}", said(&ended));
    }
}

#[test]
fn python_among_threads_and_asyncio() {
    let scratch = tempdir();
    let Some(mut python) = python(&scratch) else { return };
    let ended = python.arg(source("bindings/python/tests/test_package.py")).output().unwrap();
    assert!(ended.status.success(), "{}", said(&ended));
}

#[test]
fn the_examples_are_short() {
    for name in ["c", "go", "py", "rs"] {
        let lines = fs::read_to_string(source(&format!("examples/recover.{name}"))).unwrap().lines().count();
        assert!(lines < 80, "recover.{name} has {lines} lines");
    }
}
