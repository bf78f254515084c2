//! valgrind and `AddressSanitizer` find nothing in the C hosts: no leak, no error.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use crate::support::tools::{library, output, program, said, source, tool};
use tempfile::TempDir;

use crate::support::{Within as _, tempdir};
use standin::{Api, Model, Script, Tls};

/// A C host under a tool that watches its memory.
struct Watched {
    scratch: TempDir,
    library: PathBuf,
    /// For the compiler.
    flags: &'static [&'static str],
    /// Before the program.
    runner: Vec<String>,
}

impl Watched {
    fn run(&self, path: &str, words: &[&str]) {
        let Some(mut cc) = tool("cc") else { return };
        cc.arg("-std=c11").args(self.flags);
        let program = program(cc, path, &self.library, &self.scratch);
        let mut host = Command::new("env");
        host.args(&self.runner).arg(program);
        let ended = host.args(words).env("HOST_CA", source("tests/tls/ca.pem")).output().unwrap();
        assert!(ended.status.success(), "{host:?}: {}", said(&ended));
    }

    /// A directory that no other run has had.
    fn directory(&self, name: &str) -> String {
        let path = self.scratch.within(name);
        fs::create_dir(&path).unwrap();
        path
    }

    fn plugin(&self, name: &str, api: &Api, directory: &str, count: &str) {
        let library = self.library.to_str().unwrap();
        self.run("tests/c/plugin.c", &[name, &api.url(), directory, count, library]);
    }

    fn misuse(&self, rounds: &str) {
        // It fills nothing: some of the data directories that it is asked for are not in ours.
        let api = Api::start(Model::new().server("main").backup("20261122T101942"), Script::new());
        let directory = self.directory(&format!("misuse{rounds}"));
        self.plugin("misuse", &api, &directory, rounds);
    }

    fn quick(&self) {
        let model = Model::new().server("main").backup("20261122T101942").fill().unique_ids();
        let api = Api::start(model, Script::new());
        let url = api.url().replace("127.0.0.1", "localhost");
        for promise in ["null", "version", "refused", "reused", "unread"] {
            self.run("tests/c/promises.c", &[promise, &url, &self.scratch.within(promise)]);
        }
        self.run("tests/c/guest.c", &["restores", &url, &self.directory("restores"), "2"]);
        self.misuse("10");
    }

    fn deep(&self) {
        let model = || Model::new().server("main").backup("20261122T101942").unique_ids();
        let (key, certificate) =
            (include_bytes!("../../tls/server.key"), include_bytes!("../../tls/server.pem"));
        let tls = Api::start_tls(model().fill(), Script::new(), &Tls::new(certificate, key));
        let https = tls.url().replace("127.0.0.1", "localhost");
        self.run("tests/c/guest.c", &["restores", &https, &self.directory("https"), "3"]);

        let plain = Api::start(model().fill().duration_ms(2500), Script::new());
        let url = plain.url();
        for promise in ["events", "switched", "cancelled-before"] {
            self.run(
                "tests/c/promises.c",
                &[promise, &url, &self.scratch.within(&format!("deep-{promise}"))],
            );
        }
        self.run("tests/c/guest.c", &["interrupted", &url, &self.directory("interrupted"), "1"]);
        self.plugin("cycles", &plain, &self.directory("plugins"), "4");
        self.misuse("200");

        let stuck = Api::start(model().stuck(), Script::new());
        for promise in ["cancelled-at=IN_PROGRESS", "busy", "freed"] {
            self.run("tests/c/promises.c", &[promise, &stuck.url(), &self.scratch.within(promise)]);
        }
        self.run("tests/c/guest.c", &["cancels", &stuck.url(), &self.directory("cancels"), "30"]);
    }
}

fn valgrind() -> Option<Watched> {
    tool("valgrind")?;
    // As many callers as the suppressions name.
    let mut runner = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--num-callers=40"]
        .map(String::from)
        .to_vec();
    runner.push("--errors-for-leak-kinds=definite,indirect,possible".into());
    runner.push(format!("--suppressions={}", source("tests/c/valgrind.supp").display()));
    Some(Watched { scratch: tempdir(), library: library(), flags: &[], runner })
}

/// The compiler's own sanitizer, which a stable one has under `RUSTC_BOOTSTRAP`; its runtime is the C compiler's.
fn address_sanitizer() -> Option<Watched> {
    tool("cc")?;
    let about = output(Command::new("rustc").arg("-vV"));
    let target = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let executable = env::current_exe().unwrap();
    let directory = executable.ancestors().nth(3).unwrap().join("asan");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--lib", "--target", target, "--target-dir"]).arg(&directory);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address -Clink-arg=-lasan");
    output(cargo.current_dir(source("")));
    let library = directory.join(target).join("debug/libbarman_recover.so");
    let instrumented = fs::read(&library).unwrap().windows(13).any(|bytes| bytes == b"__asan_report");
    assert!(instrumented, "RUSTFLAGS did not reach the library");
    let runner =
        vec!["ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1".to_owned()];
    Some(Watched { scratch: tempdir(), library, flags: &["-fsanitize=address"], runner })
}

#[test]
fn valgrind_finds_nothing() {
    if let Some(watched) = valgrind() {
        watched.quick();
    }
}

#[test]
#[ignore = "deep"]
fn valgrind_finds_nothing_in_more() {
    if let Some(watched) = valgrind() {
        watched.deep();
    }
}

#[test]
#[ignore = "deep"]
fn the_address_sanitizer_finds_nothing() {
    if let Some(watched) = address_sanitizer() {
        watched.quick();
        watched.deep();
    }
}
