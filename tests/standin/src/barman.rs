//! The backend with the real Barman behind it. Operations are kept in files as those of pg-backup-api, `jobs/ID.json`
//! and `output/ID.json` below the server's directory, and run as processes of their own: a stand-in
//! that starts again knows them all, and one whose process was killed stays `IN_PROGRESS`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::backend::{Backend, Job, Kind, Status};
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

/// Runs an operation, and keeps what it says on one line of the output file.
const RUN: &str = r#"
file=$1
shift
success=true
said=$("$@" 2>&1) || success=false
said=$(printf %s "$said" | tr '\n' ' ' | tr -d '[:cntrl:]' | sed 's/[\\"]/\\&/g')
mkdir -p "${file%/*}"
printf '{"success": %s, "output": "%s"}\n' "$success" "$said" >"$file"
"#;

impl Installation {
    fn words<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a OsStr> {
        let mut words = vec![self.program.as_os_str()];
        if let Some(config) = &self.config {
            words.extend(["-c".as_ref(), config.as_os_str()]);
        }
        words.extend(arguments.iter().map(|word| OsStr::new(*word)));
        words
    }

    /// Standard output of a command that succeeded.
    fn ask(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let words = self.words(arguments);
        let mut command = Command::new(&self.program);
        let output =
            command.args(words.get(1..)?).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then_some(output.stdout)
    }

    fn file(&self, server: &str, folder: &str, id: &str) -> PathBuf {
        self.home.join(server).join(folder).join(format!("{id}.json"))
    }

    fn read(&self, server: &str, folder: &str, id: &str) -> io::Result<Map<String, Value>> {
        let text = fs::read(self.file(server, folder, id))?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    }

    /// Writes the job file, and starts a process that outlives this one.
    fn start(&self, job: &Job, id: &str) -> io::Result<()> {
        let mut content = job.content.clone();
        content.insert("operation_type".to_owned(), job.kind.word().into());
        content.insert("start_time".to_owned(), event_time(SystemTime::now()).into());
        let path = self.file(&job.server, "jobs", id);
        fs::create_dir_all(path.parent().unwrap_or(&self.home))?;
        serde_json::to_writer(fs::File::create_new(path)?, &content)?;
        let model = if job.content.contains_key("reset") { "--reset" } else { job.text("model_name") };
        let words = match job.kind {
            Kind::ConfigSwitch => vec!["config-switch", &job.server, model],
            Kind::Recovery => vec![
                "recover",
                "--remote-ssh-command",
                job.text("remote_ssh_command"),
                &job.server,
                job.text("backup_id"),
                job.text("destination_directory"),
            ],
        };
        let mut command = Command::new("sh");
        command.args(["-c", RUN, "sh"]).arg(self.file(&job.server, "output", id)).args(self.words(&words));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn()?;
        thread::spawn(move || child.wait());
        Ok(())
    }
}

pub struct Barman {
    installation: Installation,
    /// Asking Barman takes a third of a second, and a server that exists goes on existing.
    known: Mutex<HashSet<String>>,
    /// Between the look for a job file and its writing.
    creating: Mutex<()>,
}

impl Barman {
    pub fn new(installation: Installation) -> Self {
        Self { installation, known: Mutex::default(), creating: Mutex::default() }
    }
}

impl Backend for Barman {
    fn has_server(&self, server: &str) -> bool {
        let mut known = self.known.lock().unwrap();
        if !known.contains(server) {
            let names = self.installation.ask(&["list-servers", "--minimal"]).unwrap_or_default();
            known.extend(String::from_utf8_lossy(&names).lines().map(|line| line.trim().to_owned()));
        }
        known.contains(server)
    }

    fn has_backup(&self, server: &str, backup: &str) -> bool {
        self.installation.ask(&["show-backup", server, backup]).is_some()
    }

    fn free_id(&self, server: &str) -> Option<String> {
        let id = operation_id(SystemTime::now());
        (!self.installation.file(server, "jobs", &id).exists()).then_some(id)
    }

    fn create(&self, job: &Job) -> Option<String> {
        let _one_at_a_time = self.creating.lock().unwrap();
        let id = self.free_id(&job.server)?;
        self.installation.start(job, &id).ok()?;
        Some(id)
    }

    fn list(&self, server: &str) -> Vec<(String, String)> {
        let jobs = fs::read_dir(self.installation.home.join(server).join("jobs"));
        let names = jobs.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let listed = names.filter_map(|name| {
            let id = name.strip_suffix(".json")?;
            let job = self.installation.read(server, "jobs", id).ok()?;
            Some((id.to_owned(), job.get("operation_type")?.as_str()?.to_owned()))
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
