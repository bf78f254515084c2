//! The program `patroni_barman` as a child process, for the tests of the network: one recovery with options
//! and environment of its own, and what came of it.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::{fs, io, thread};

use crate::api::{Api, Model, Script, Tls};
use crate::scratch::Scratch;

/// Exit status of a run that has started nothing, as the API is not OK.
pub const API_NOT_OK: i32 = 254;
/// Exit status of wrong usage, and of an HTTP error.
pub const WRONG: i32 = 2;

/// A model with server `pg` whose recoveries end at once.
pub fn pg() -> Model {
    Model::new().server("pg").backup("20261122T101942").duration_ms(0).unique_ids().fill()
}

pub fn tls_api(tls: &Tls) -> Api {
    Api::start_tls(pg(), Script::new(), tls)
}

/// A run to come. Its environment is empty, its waits are short, its tries two.
pub struct Run {
    command: Command,
    scratch: Scratch,
}

/// What came of it.
pub struct Ended {
    pub status: Option<i32>,
    /// Standard output and standard error.
    pub text: String,
    /// Whatever stayed in the directory of the state file.
    pub left: String,
}

impl Run {
    pub fn new(url: &str) -> Self {
        let scratch = Scratch::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_patroni_barman"));
        command.env_clear().args(["recover", "--barman-server=pg", "--ssh-command=ssh node"]);
        command.arg(format!("--api-url={url}")).arg(format!("--data-directory={}", scratch.path("data")));
        // The deadline only guards against a hang.
        command.args([
            "--retry-wait=0",
            "--max-retries=2",
            "--max-outage=5",
            "--loop-wait=1",
            "--deadline=60",
        ]);
        Self { command, scratch }
    }

    pub fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn end(mut self) -> Ended {
        let Output { status, stdout, stderr } = self.command.output().unwrap();
        let text = String::from_utf8([stdout, stderr].concat()).unwrap();
        let entries = fs::read_dir(self.scratch.path(".")).unwrap().flatten();
        let files = entries.filter(|entry| entry.path().is_file());
        let left = files.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect();
        Ended { status: status.code(), text, left }
    }
}

impl Ended {
    /// The backup was restored.
    #[track_caller]
    pub fn done(&self) {
        assert_eq!(self.status, Some(0), "{}", self.text);
    }

    /// It ended with this status and one error, which says why (one of these texts), and a hint.
    #[track_caller]
    pub fn fails(&self, status: i32, why: &str) {
        assert_eq!(self.status, Some(status), "{}", self.text);
        let errors: Vec<&str> = self.text.lines().filter(|line| line.contains(" ERROR: ")).collect();
        let [error, hint] = errors[..] else { panic!("not an error and a hint: {}", self.text) };
        assert!(error.contains(why), "no '{why}' in: {error}");
        assert!(hint.contains(" ERROR: HINT: "), "{hint}");
    }

    /// It ended with wrong usage, and says why.
    #[track_caller]
    pub fn is_refused(&self, why: &[&str]) {
        assert_eq!(self.status, Some(WRONG), "{}", self.text);
        for why in why {
            assert!(self.text.contains(why), "no '{why}' in: {}", self.text);
        }
    }

    pub fn warnings(&self) -> usize {
        self.text.lines().filter(|line| line.contains(" WARNING: ")).count()
    }
}

/// Passes bytes on between a client and an address, both ways, until both have ended.
pub fn relay(client: &TcpStream, address: SocketAddr) {
    let server = TcpStream::connect(address).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &server, &mut &*client);
        let _ = client.shutdown(Shutdown::Both);
    });
}
