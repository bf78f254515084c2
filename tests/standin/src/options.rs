//! The program's options, also for whoever plays the table of scenarios without the program.

use std::mem;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::Model;

/// `--help`
pub const HELP: &str = "\
A scripted pg-backup-api, for whoever tests a host against it.

Usage: standin_api [OPTIONS]

  --listen ADDRESS:PORT  where to listen (127.0.0.1:0: any free port)
  --port-file FILE       write the port there when ready
  --script FILE          faults and delays, in JSON (README.md explains it); - is standard input
  --tls-cert FILE --tls-key FILE

Operations that are played (those of an operation hold for the server named before):
  --server NAME          a server of Barman
  --backup ID            one of its backups
  --duration-ms N        how long an operation is in progress, or how long its copy takes (0)
  --result DONE|FAILED   how it ends (DONE)
  --stuck                it never ends
  --fill                 it restores, through the ssh command that the create named (ssh: every host is this machine)
  --stop PART            it runs no command behind this part: look, first, half, base, info, wal, mark
  --unique-ids           two creates in one second both get an id

Or the real Barman, with the job and output files of the real API:
  --barman PROGRAM --barman-home DIRECTORY [--barman-config FILE]

GET  /_standin/journal       what was asked and what became of it
POST /_standin/script        another script
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
    pub barman: Option<PathBuf>,
    pub barman_home: Option<PathBuf>,
    pub barman_config: Option<PathBuf>,
    pub model: Model,
}

impl Options {
    /// Reads the words of a command line.
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let (mut options, mut words) = (Self::default(), words.into_iter());
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let model = mem::take(&mut options.model);
            options.model = match word.as_str() {
                "--server" => model.server(&value()?),
                "--backup" => model.backup(&value()?),
                "--duration-ms" => model.duration_ms(read(&word, &value()?)?),
                "--result" => model.result(named(&word, value()?)?),
                "--stuck" => model.stuck(),
                "--fill" => model.fill(),
                "--stop" => model.stop_behind(named(&word, value()?)?),
                "--unique-ids" => model.unique_ids(),
                _ => {
                    options.own(&word, value)?;
                    model
                }
            };
        }
        Ok(options)
    }

    /// An option of the program itself.
    fn own(&mut self, word: &str, mut value: impl FnMut() -> Result<String, String>) -> Result<(), String> {
        let path = match word {
            "--help" => {
                self.help = true;
                return Ok(());
            }
            "--listen" => {
                self.listen = Some(value()?);
                return Ok(());
            }
            "--port-file" => &mut self.port_file,
            "--script" => &mut self.script,
            "--tls-cert" => &mut self.tls_cert,
            "--tls-key" => &mut self.tls_key,
            "--barman" => &mut self.barman,
            "--barman-home" => &mut self.barman_home,
            "--barman-config" => &mut self.barman_config,
            _ => return Err(format!("'{word}' is no option, see --help")),
        };
        *path = Some(value()?.into());
        Ok(())
    }
}

fn read<T: FromStr<Err: ToString>>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error: T::Err| format!("{word}: {}", error.to_string()))
}

/// A value that is one of a few words.
fn named<T: DeserializeOwned>(word: &str, value: String) -> Result<T, String> {
    serde_json::from_value(Value::String(value)).map_err(|error| format!("{word}: {error}"))
}
