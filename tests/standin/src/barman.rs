//! The backend with the real Barman behind it. Operations are kept in the files of pg-backup-api, `jobs/ID.json`
//! and `output/ID.json` below the server's directory, and run as processes of their own: a stand-in
//! that starts again knows them all, and one whose process was killed stays `IN_PROGRESS`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::backend::{Backend, Job, Status};
use crate::clock::{event_time, operation_id};

/// How Barman is called, and where it keeps its servers.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The command `barman`.
    pub program: PathBuf,
    /// Its configuration file; Barman's own default when missing.
    pub config: Option<PathBuf>,
    /// `barman_home`.
    pub home: PathBuf,
}

/// The word by which the stand-in calls itself to run one operation.
pub const RUN_OPERATION: &str = "run-operation";

impl Installation {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(config) = &self.config {
            command.arg("-c").arg(config);
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Standard output of a command that succeeded.
    fn ask(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let output = self.command(arguments).stderr(Stdio::null()).output().ok()?;
        output.status.success().then_some(output.stdout)
    }

    fn file(&self, server: &str, folder: &str, id: &str) -> PathBuf {
        self.home.join(server).join(folder).join(format!("{id}.json"))
    }

    fn read(&self, server: &str, folder: &str, id: &str) -> io::Result<Map<String, Value>> {
        let text = fs::read(self.file(server, folder, id))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// In place, as the real one writes: who reads meanwhile finds half a file.
    fn write(&self, server: &str, folder: &str, id: &str, content: &Map<String, Value>) -> io::Result<()> {
        let path = self.file(server, folder, id);
        fs::create_dir_all(path.parent().unwrap_or(&self.home))?;
        serde_json::to_writer(fs::File::create_new(path)?, content).map_err(io::Error::from)
    }

    fn write_output(&self, server: &str, id: &str, success: bool, output: &str) -> io::Result<()> {
        let mut content = self.read(server, "jobs", id)?;
        content.insert("success".to_owned(), success.into());
        content.insert("end_time".to_owned(), event_time(SystemTime::now()).into());
        content.insert("output".to_owned(), output.into());
        self.write(server, "output", id, &content)
    }

    /// Runs an operation that a job file speaks of, to its end.
    pub fn run_operation(&self, server: &str, id: &str) -> io::Result<()> {
        let job = self.read(server, "jobs", id)?;
        let text = |key: &str| job.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut command = match text("operation_type") {
            "config_switch" => {
                let model = if job.contains_key("reset") { "--reset" } else { text("model_name") };
                self.command(&["config-switch", server, model])
            }
            _ => self.command(&[
                "recover",
                "--remote-ssh-command",
                text("remote_ssh_command"),
                server,
                text("backup_id"),
                text("destination_directory"),
            ]),
        };
        let (mut reader, writer) = io::pipe()?;
        let child = command.stdout(writer.try_clone()?).stderr(writer).spawn();
        // It holds the writing end, and so the end of the output would never come.
        drop(command);
        let (success, output) = match child {
            Err(error) => (false, error.to_string()),
            Ok(mut child) => {
                let mut output = Vec::new();
                reader.read_to_end(&mut output)?;
                (child.wait()?.success(), String::from_utf8_lossy(&output).into_owned())
            }
        };
        self.write_output(server, id, success, &output)
    }

    /// Starts `run_operation` in a process that outlives this one.
    fn start(&self, server: &str, id: &str) -> io::Result<()> {
        let mut arguments: Vec<OsString> = vec![RUN_OPERATION.into()];
        arguments.extend(["--barman".into(), self.program.clone().into()]);
        arguments.extend(["--barman-home".into(), self.home.clone().into()]);
        if let Some(config) = &self.config {
            arguments.extend(["--barman-config".into(), config.into()]);
        }
        arguments.extend(["--server-name", server, "--operation-id", id].map(OsString::from));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn()?;
        thread::spawn(move || child.wait());
        Ok(())
    }
}

pub struct Barman {
    installation: Installation,
    /// Asking Barman takes a third of a second, and a server that exists goes on existing.
    known: Mutex<HashSet<String>>,
    /// Between the look for a job file and its writing; None reproduces the real API's race.
    creating: Option<Mutex<()>>,
}

impl Barman {
    pub fn new(installation: Installation, racy: bool) -> Self {
        let creating = (!racy).then(Mutex::default);
        Self { installation, known: Mutex::default(), creating }
    }

    fn servers(&self) -> Vec<String> {
        let names = self.installation.ask(&["list-servers", "--minimal"]).unwrap_or_default();
        String::from_utf8_lossy(&names).lines().map(|line| line.trim().to_owned()).collect()
    }

    fn ids(&self, server: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.installation.home.join(server).join("jobs")) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect()
    }
}

impl Backend for Barman {
    fn has_server(&self, server: &str) -> bool {
        let mut known = self.known.lock().unwrap();
        if !known.contains(server) {
            known.extend(self.servers());
        }
        known.contains(server)
    }

    fn has_backup(&self, server: &str, backup: &str) -> bool {
        self.installation.ask(&["show-backup", server, backup]).is_some()
    }

    fn create(&self, job: &Job, apply: bool) -> Option<String> {
        let _one_at_a_time = self.creating.as_ref().map(|lock| lock.lock().unwrap());
        let now = SystemTime::now();
        let id = operation_id(now);
        let path = self.installation.file(&job.server, "jobs", &id);
        if path.exists() {
            return None;
        }
        if !apply {
            return Some(id);
        }
        let mut content = job.content.clone();
        content.insert("operation_type".to_owned(), job.kind.word().into());
        content.insert("start_time".to_owned(), event_time(now).into());
        if self.creating.is_none() {
            // Time for another worker to pass the check; the file is then written by both.
            thread::sleep(std::time::Duration::from_millis(50));
            let _ = fs::remove_file(&path);
        }
        self.installation.write(&job.server, "jobs", &id, &content).ok()?;
        self.installation.start(&job.server, &id).ok()?;
        Some(id)
    }

    fn list(&self, server: &str) -> Vec<(String, String)> {
        let listed = self.ids(server).into_iter().filter_map(|id| {
            let job = self.installation.read(server, "jobs", &id).ok()?;
            Some((id, job.get("operation_type")?.as_str()?.to_owned()))
        });
        listed.collect()
    }

    fn status(&self, server: &str, id: &str) -> Option<Status> {
        match self.installation.read(server, "output", id) {
            Ok(output) if output.get("success") == Some(&Value::Bool(true)) => Some(Status::Done),
            Ok(_) => Some(Status::Failed),
            // Half-written: the real API answers 404 for the moment.
            Err(error) if error.kind() != io::ErrorKind::NotFound => None,
            Err(_) => self.installation.read(server, "jobs", id).ok().map(|_| Status::InProgress),
        }
    }

    fn diagnose(&self) -> Option<Value> {
        serde_json::from_slice(&self.installation.ask(&["diagnose"])?).ok()
    }
}
