//! Runs any command of the built program to its end, what it prints and its log apart, with nothing of this
//! process's environment but what a test gives it.

use std::process::{Command, Stdio};

use crate::support::node::{PROGRAM, bare};
use crate::support::without_root;
use standin::Api;

pub struct Ran {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub log: String,
}

impl Ran {
    pub fn has(&self, line: &str) -> bool {
        self.out.contains(line) || self.log.contains(line)
    }
}

/// The program with the words; the deadline is only the guard against a hang.
pub fn program(words: &[&str]) -> Command {
    let mut command = bare(PROGRAM);
    command.env_clear().args(["--deadline=60"]).args(words);
    command
}

pub fn run(words: &[&str]) -> Ran {
    // Said here, as output() leaves what bare() has set: nowhere.
    let output = program(words).stdout(Stdio::piped()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), log: without_root(&text(output.stderr)) }
}

/// With what makes a test fast, in front of the sub-command and its options.
pub fn ask(api: &Api, words: &[&str]) -> Ran {
    let url = format!("--api-url={}", api.url());
    let front = [url.as_str(), "--retry-wait=0", "--max-retries=3", "--create-timeout=4"];
    run(&front.iter().chain(words).copied().collect::<Vec<_>>())
}
