//! The stand-in as a program: for hosts in any language, for the demo, and to try a client by hand.

mod options;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use options::{HELP, Options};
use standin::{Api, RUN_OPERATION, Script, Tls};

fn main() -> ExitCode {
    let mut words = env::args().skip(1).peekable();
    let operation = words.next_if(|word| word == RUN_OPERATION).is_some();
    let result = match Options::parse(words.collect()) {
        Ok(options) if options.help => {
            print!("{HELP}");
            Ok(())
        }
        Ok(options) if operation => options.run_operation(),
        Ok(options) => options.serve(),
        Err(error) => {
            eprintln!("standin_api: {error}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("standin_api: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
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
