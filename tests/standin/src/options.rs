//! The program's options, also for whoever plays the table of scenarios without the program.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::barman::Installation;
use crate::model::Model;
use crate::tls::TlsVersions;

/// `--help`
pub const HELP: &str = "\
A scripted pg-backup-api, for whoever tests a host against it.

Usage: standin_api [OPTIONS]

  --listen ADDRESS:PORT  where to listen (127.0.0.1:0: any free port)
  --port-file FILE       write the port there when ready
  --script FILE          faults and delays, in JSON (README.md explains it); - is standard input
  --tls-cert FILE --tls-key FILE [--client-ca FILE] [--tls-version 1.2|1.3]

Operations that are played (those of an operation hold for the server named before):
  --server NAME          a server of Barman
  --backup ID            one of its backups
  --duration-ms N        how long an operation is in progress, or how long its copy takes (0)
  --result DONE|FAILED   how it ends (DONE)
  --stuck                it never ends
  --next-operation       what follows is of the server's next operation and all later ones
  --unique-ids           two creates in one second both get an id
  --race-ms N            creates within N ms may get the same id

How it restores, through the ssh command that the create named (ssh: every host is this machine):
  --fill                 it restores, in these parts: look, first, half, base, info, wal, mark
  --files N --bytes N    with so many relation files, of so many bytes together
  --wal N --wal-ms N     with so many WAL files, N ms before each of them
  --gap PART --gap-ms N  no command runs for so long before this part
  --hold PART            no command runs behind this part until POST /_standin/release
  --stop PART            it runs no command behind this part (half, when it ends with FAILED)
  --retries N --retry-ms N
                         it copies again so often, and so late, when the copy has failed
  --twice                two processes restore at once
  --destination PATH     it restores there, whatever was asked for
  --banner WORDS         the login prints them before each command
  --restores ID          it restores this backup, whatever was asked for
  --mark own|none|ID     which backup's .barman-recover.info it leaves (own); none: no mark at all
  --old-info ID          the backup brings an earlier backup's .barman-recover.info along
  --postgres-backup      the backup was made by pg_basebackup: no ID in its backup_label

Or the real Barman, with the job and output files of the real API:
  --barman PROGRAM --barman-home DIRECTORY [--barman-config FILE]

GET  /_standin/journal       what was asked and what became of it
POST /_standin/script        another script
POST /_standin/release       let go what a script or a restore holds
POST /_standin/operation/ID  end an operation, {\"status\": \"DONE\"} or FAILED
";

/// What was given; `HELP` has their meaning.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[allow(missing_docs)] // HELP says it
pub struct Options {
    pub help: bool,
    pub listen: Option<String>,
    pub port_file: Option<PathBuf>,
    pub script: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub tls_version: TlsVersions,
    pub barman: Option<PathBuf>,
    pub barman_home: Option<PathBuf>,
    pub barman_config: Option<PathBuf>,
    #[serde(skip)]
    pub model: Model,
}

/// Those of the program itself; all others are of a server or an operation.
const OWN: [&str; 11] = [
    "help",
    "listen",
    "port-file",
    "script",
    "tls-cert",
    "tls-key",
    "client-ca",
    "tls-version",
    "barman",
    "barman-home",
    "barman-config",
];

impl Options {
    /// Reads the words of a command line.
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut words = words.into_iter().peekable();
        let (mut own, mut model) = (Map::new(), Model::new());
        // Of the plan under way; a plan that follows goes on from it.
        let mut plan = Map::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or(format!("'{word}' is no option, see --help"))?;
            let value = words.next_if(|next| !next.starts_with("--"));
            let text = || value.clone().ok_or(format!("{word} needs a value"));
            if OWN.contains(&name) {
                own.insert(name.to_owned(), value.map_or(Value::Bool(true), Value::String));
                continue;
            }
            model = match name {
                "unique-ids" => model.unique_ids(),
                "race-ms" => model.race_ms(text()?.parse().map_err(|error| format!("{word}: {error}"))?),
                "server" => {
                    plan.clear();
                    model.server(&text()?)
                }
                _ if model.servers.is_empty() => return Err(format!("{word} needs a --server before it")),
                "backup" => model.backup(&text()?),
                "next-operation" => model.next_operation(),
                _ => {
                    plan.insert(name.to_owned(), value.map_or(Value::Bool(true), number_or_text));
                    *model.plan() = from(&word, plan.clone())?;
                    model
                }
            };
        }
        Ok(Self { model, ..from("", own)? })
    }

    /// None: operations are played.
    pub fn installation(&self) -> Result<Option<Installation>, String> {
        match (&self.barman, &self.barman_home) {
            (Some(program), Some(home)) => Ok(Some(Installation {
                program: program.clone(),
                config: self.barman_config.clone(),
                home: home.clone(),
            })),
            (None, None) => Ok(None),
            _ => Err("--barman and --barman-home belong together".to_owned()),
        }
    }
}

fn number_or_text(word: String) -> Value {
    word.parse::<u64>().map_or(Value::String(word), Value::from)
}

fn from<T: serde::de::DeserializeOwned>(word: &str, options: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(options)).map_err(|error| format!("{word}: {error}"))
}
