//! The program's options, also for whoever plays the table of scenarios without the program.

use std::path::PathBuf;

use crate::backend::Status;
use crate::barman::Installation;
use crate::fill::{Mark, OnRemoval, Part};
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

Operations played in memory (those of an operation hold for the server named before):
  --server NAME          a server of Barman
  --backup ID            one of its backups
  --duration-ms N        how long an operation is in progress (0)
  --result DONE|FAILED   how it ends (DONE)
  --stuck                it never ends
  --next-operation       what follows is of the server's next operation and all later ones
  --unique-ids           two creates in one second both get an id
  --race-ms N            creates within N ms may get the same id

What it does to its destination:
  --fill                 it writes a data directory in Barman's order: first, half, base, info, wal, mark
  --files N --bytes N    with so many relation files, of so many bytes together
  --wal N --wal-ms N     with so many WAL files, each of which takes N ms more
  --hold PART            it waits behind this part until POST /_standin/release
  --stop PART            it writes nothing behind this part (half, when it ends with FAILED)
  --restores ID          it restores this backup, whatever was asked for
  --mark own|none|ID     which backup's .barman-recover.info it leaves (own); none: no mark at all
  --old-info ID          the backup brings an earlier backup's .barman-recover.info along
  --postgres-backup      the backup was made by pg_basebackup: no ID in its backup_label
  --on-removal fail|ignore|refill
                         when its directory is removed underneath (fail)
  --receivers            two processes look like rsync's receivers in it; SIGTERM to one: FAILED
  --retries N --retry-ms N
                         it copies again after that, so often and so late
  --writes-on-ms N       something else writes into the directory for N ms after the end

Or the real Barman, with the job and output files of the real API:
  --barman PROGRAM --barman-home DIRECTORY [--barman-config FILE] [--racy]

GET  /_standin/journal       what was asked and what became of it
POST /_standin/script        another script
POST /_standin/release       let go what a script or a restore holds
POST /_standin/operation/ID  end an operation, {\"status\": \"DONE\"} or FAILED
";

/// What was given; `HELP` has their meaning.
#[derive(Default)]
#[allow(missing_docs)] // HELP says it
pub struct Options {
    pub help: bool,
    pub listen: Option<String>,
    pub port_file: Option<PathBuf>,
    pub script: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    pub tls_versions: TlsVersions,
    pub model: Model,
    barman: Option<PathBuf>,
    barman_home: Option<PathBuf>,
    barman_config: Option<PathBuf>,
    pub racy: bool,
    pub server_name: String,
    pub operation_id: String,
    has_server: bool,
}

/// The words of the command line, read from the front.
struct Words {
    rest: std::vec::IntoIter<String>,
    word: String,
}

impl Words {
    fn value(&mut self) -> Result<String, String> {
        self.rest.next().ok_or(format!("{} needs a value", self.word))
    }

    fn number(&mut self) -> Result<u64, String> {
        let text = self.value()?;
        text.parse().map_err(|_| format!("{}: '{text}' is not a number", self.word))
    }

    fn small_number(&mut self) -> Result<u32, String> {
        self.number().map(|number| number.try_into().unwrap_or(u32::MAX))
    }

    /// One of these words.
    fn choice<T: Clone>(&mut self, choices: &[(&str, T)]) -> Result<T, String> {
        let text = self.value()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| choice.clone());
        let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.ok_or(format!("{} is one of {names}, not '{text}'", self.word))
    }

    fn part(&mut self) -> Result<Part, String> {
        self.choice(&[
            ("first", Part::First),
            ("half", Part::Half),
            ("base", Part::Base),
            ("info", Part::Info),
            ("wal", Part::Wal),
            ("mark", Part::Mark),
        ])
    }
}

impl Options {
    /// Reads the words of a command line.
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = Words { rest: words.into_iter(), word: String::new() };
        while let Some(word) = words.rest.next() {
            words.word.clone_from(&word);
            if !(options.own(&mut words)?
                || options.of_model(&mut words)?
                || options.of_operation(&mut words)?)
            {
                return Err(format!("unknown option '{word}', see --help"));
            }
        }
        Ok(options)
    }

    /// Those of the program; false: it is none of them.
    fn own(&mut self, words: &mut Words) -> Result<bool, String> {
        match words.word.as_str() {
            "--help" | "-h" => self.help = true,
            "--listen" => self.listen = Some(words.value()?),
            "--port-file" => self.port_file = Some(words.value()?.into()),
            "--script" => self.script = Some(words.value()?.into()),
            "--tls-cert" => self.tls_cert = Some(words.value()?.into()),
            "--tls-key" => self.tls_key = Some(words.value()?.into()),
            "--client-ca" => self.client_ca = Some(words.value()?.into()),
            "--tls-version" => {
                self.tls_versions =
                    words.choice(&[("1.2", TlsVersions::Only12), ("1.3", TlsVersions::Only13)])?;
            }
            "--barman" => self.barman = Some(words.value()?.into()),
            "--barman-home" => self.barman_home = Some(words.value()?.into()),
            "--barman-config" => self.barman_config = Some(words.value()?.into()),
            "--racy" => self.racy = true,
            "--server-name" => self.server_name = words.value()?,
            "--operation-id" => self.operation_id = words.value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn of_model(&mut self, words: &mut Words) -> Result<bool, String> {
        let model = self.model.clone();
        self.model = match words.word.as_str() {
            "--server" => {
                self.has_server = true;
                model.server(&words.value()?)
            }
            "--unique-ids" => model.unique_ids(),
            "--race-ms" => model.race_ms(words.number()?),
            _ => return Ok(false),
        };
        Ok(true)
    }

    /// Those of a server and its operations.
    fn of_operation(&mut self, words: &mut Words) -> Result<bool, String> {
        // So that an unknown option is unknown, and not only in need of a server.
        let model = if self.has_server { self.model.clone() } else { Model::new().server("") };
        self.model = match words.word.as_str() {
            "--backup" => model.backup(&words.value()?),
            "--duration-ms" => model.duration_ms(words.number()?),
            "--result" => model.result(words.choice(&[("DONE", Status::Done), ("FAILED", Status::Failed)])?),
            "--stuck" => model.stuck(),
            "--next-operation" => model.next_operation(),
            "--fill" => model.fill(),
            "--files" => model.files(words.number()?),
            "--bytes" => model.bytes(words.number()?),
            "--wal" => model.wal(words.small_number()?),
            "--wal-ms" => model.wal_ms(words.number()?),
            "--hold" => model.hold_behind(words.part()?),
            "--stop" => model.stop_behind(words.part()?),
            "--restores" => model.restores(&words.value()?),
            "--mark" => model.mark(match words.value()?.as_str() {
                "own" => Mark::Own,
                "none" => Mark::Missing,
                id => Mark::Of(id.to_owned()),
            }),
            "--old-info" => model.old_info(&words.value()?),
            "--postgres-backup" => model.postgres_backup(),
            "--on-removal" => model.on_removal(words.choice(&[
                ("fail", OnRemoval::Fail),
                ("ignore", OnRemoval::Ignore),
                ("refill", OnRemoval::Refill),
            ])?),
            "--receivers" => model.receivers(),
            "--retries" => model.retries(words.small_number()?),
            "--retry-ms" => model.retry_ms(words.number()?),
            "--writes-on-ms" => model.writes_on_ms(words.number()?),
            _ => return Ok(false),
        };
        if self.has_server { Ok(true) } else { Err(format!("{} needs a --server before it", words.word)) }
    }

    /// None: operations are played in memory.
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
