//! The scripted pg-backup-api as a program: for hosts in C, Go and Python, for the demo, and to try a
//! client by hand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use standin::{Api, Installation, Model, OnRemoval, RUN_OPERATION, Script, Status, Tls, TlsVersions};

const HELP: &str = "\
A scripted pg-backup-api.

Usage: standin_api [OPTIONS]

  --listen ADDRESS:PORT  where to listen (127.0.0.1:0: any free port)
  --port-file FILE       write the port there when ready
  --script FILE          faults, in JSON (README.md explains it); - is standard input
  --tls-cert FILE --tls-key FILE [--client-ca FILE] [--tls-version 1.2|1.3]

Operations played in memory (those of an operation hold for the server named before):
  --server NAME          a server of Barman
  --backup ID            one of its backups
  --duration-ms N        how long an operation is in progress (0)
  --result DONE|FAILED   how it ends (DONE)
  --stuck                it never ends
  --fill                 it creates a data directory at its destination
  --files N --bytes N    of so many relation files, of so many bytes together
  --on-removal fail|ignore|refill
                         when its directory is removed underneath (fail)
  --unique-ids           two creates in one second both get an id
  --race-ms N            creates within N ms may get the same id

Or the real Barman, with the job and output files of the real API:
  --barman PROGRAM --barman-home DIRECTORY [--barman-config FILE] [--racy]

GET  /_standin/journal       what was asked and what became of it
POST /_standin/script        another script
POST /_standin/release       let go what a script or a restore holds
POST /_standin/operation/ID  end an operation, {\"status\": \"DONE\"} or FAILED
";

fn main() -> ExitCode {
    let mut words = env::args().skip(1).peekable();
    let operation = words.next_if(|word| word == RUN_OPERATION).is_some();
    let options = match Options::parse(words) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("standin_api: {error}");
            return ExitCode::from(2);
        }
    };
    let result = if operation { options.run_operation() } else { options.serve() };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("standin_api: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Options {
    listen: Option<String>,
    port_file: Option<PathBuf>,
    script: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    tls_versions: TlsVersions,
    model: Model,
    barman: Option<PathBuf>,
    barman_home: Option<PathBuf>,
    barman_config: Option<PathBuf>,
    racy: bool,
    server_name: String,
    operation_id: String,
}

impl Options {
    /// None: help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        let mut has_server = false;
        let (mut files, mut bytes) = (8, 64 << 10);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let number =
                |text: String| text.parse::<u64>().map_err(|_| format!("{word}: '{text}' is no number"));
            let of_server = [
                "--backup",
                "--duration-ms",
                "--result",
                "--stuck",
                "--fill",
                "--files",
                "--bytes",
                "--on-removal",
            ];
            if of_server.contains(&word.as_str()) && !has_server {
                return Err(format!("{word} needs a --server before it"));
            }
            let model = std::mem::take(&mut options.model);
            options.model = match word.as_str() {
                "--server" => {
                    has_server = true;
                    model.server(&value()?)
                }
                "--backup" => model.backup(&value()?),
                "--duration-ms" => model.duration_ms(number(value()?)?),
                "--result" => model.result(match value()?.as_str() {
                    "DONE" => Status::Done,
                    "FAILED" => Status::Failed,
                    other => return Err(format!("--result is DONE or FAILED, not '{other}'")),
                }),
                "--stuck" => model.stuck(),
                "--fill" => model.fill(),
                "--files" => {
                    files = number(value()?)?;
                    model.size(files, bytes)
                }
                "--bytes" => {
                    bytes = number(value()?)?;
                    model.size(files, bytes)
                }
                "--on-removal" => model.on_removal(match value()?.as_str() {
                    "fail" => OnRemoval::Fail,
                    "ignore" => OnRemoval::Ignore,
                    "refill" => OnRemoval::Refill,
                    other => return Err(format!("--on-removal is fail, ignore or refill, not '{other}'")),
                }),
                "--unique-ids" => model.unique_ids(),
                "--race-ms" => model.race_ms(number(value()?)?),
                _ => {
                    match word.as_str() {
                        "--help" | "-h" => return Ok(None),
                        "--listen" => options.listen = Some(value()?),
                        "--port-file" => options.port_file = Some(value()?.into()),
                        "--script" => options.script = Some(value()?.into()),
                        "--tls-cert" => options.tls_cert = Some(value()?.into()),
                        "--tls-key" => options.tls_key = Some(value()?.into()),
                        "--client-ca" => options.client_ca = Some(value()?.into()),
                        "--tls-version" => {
                            options.tls_versions = match value()?.as_str() {
                                "1.2" => TlsVersions::Only12,
                                "1.3" => TlsVersions::Only13,
                                other => return Err(format!("--tls-version is 1.2 or 1.3, not '{other}'")),
                            }
                        }
                        "--barman" => options.barman = Some(value()?.into()),
                        "--barman-home" => options.barman_home = Some(value()?.into()),
                        "--barman-config" => options.barman_config = Some(value()?.into()),
                        "--racy" => options.racy = true,
                        "--server-name" => options.server_name = value()?,
                        "--operation-id" => options.operation_id = value()?,
                        other => return Err(format!("unknown option '{other}', see --help")),
                    }
                    model
                }
            };
        }
        Ok(Some(options))
    }

    /// None: operations are played in memory.
    fn installation(&self) -> Result<Option<Installation>, String> {
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

    fn run_operation(&self) -> Result<(), String> {
        let installation = self.installation()?.ok_or("--barman is missing")?;
        installation.run_operation(&self.server_name, &self.operation_id).map_err(|error| error.to_string())
    }

    fn tls(&self) -> Result<Option<Tls>, String> {
        let (cert, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => (read(cert)?, read(key)?),
            (None, None) => return Ok(None),
            _ => return Err("--tls-cert and --tls-key belong together".to_owned()),
        };
        let tls = Tls::new(cert, key).versions(self.tls_versions);
        Ok(Some(match &self.client_ca {
            Some(ca) => tls.client_ca(read(ca)?),
            None => tls,
        }))
    }

    fn script(&self) -> Result<Script, String> {
        let Some(path) = &self.script else { return Ok(Script::new()) };
        let text = if path == Path::new("-") {
            io::read_to_string(io::stdin()).map_err(|error| error.to_string())?
        } else {
            String::from_utf8(read(path)?).map_err(|error| error.to_string())?
        };
        Script::from_json(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn serve(self) -> Result<(), String> {
        let (script, tls, installation) = (self.script()?, self.tls()?, self.installation()?);
        let address = self.listen.as_deref().unwrap_or("127.0.0.1:0");
        let api = match installation {
            Some(installation) => Api::with_barman(address, installation, self.racy, script, tls.as_ref())?,
            None => Api::start_on(address, self.model, script, tls.as_ref())?,
        };
        println!("listening on {}", api.url());
        if let Some(path) = &self.port_file {
            write_whole(path, &format!("{}\n", api.address().port()))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        api.join();
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Who waits for the file never sees it half-written.
fn write_whole(path: &Path, content: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, content)?;
    fs::rename(beside, path)
}
