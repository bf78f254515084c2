//! The stand-in as a program: for hosts in any language, for the demo, and to try a client by hand.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use standin::options::{HELP, Options};
use standin::{Api, Installation, Script, Tls};

fn main() -> ExitCode {
    let result = match Options::parse(env::args().skip(1).collect()) {
        Ok(options) if options.help => {
            print!("{HELP}");
            Ok(())
        }
        Ok(options) => serve(options),
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

fn tls(options: &Options) -> Result<Option<Tls>, String> {
    match (&options.tls_cert, &options.tls_key) {
        (Some(cert), Some(key)) => Ok(Some(Tls::new(read(cert)?, read(key)?))),
        (None, None) => Ok(None),
        _ => Err("--tls-cert and --tls-key belong together".to_owned()),
    }
}

fn script(options: &Options) -> Result<Script, String> {
    let Some(path) = &options.script else { return Ok(Script::new()) };
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin()).map_err(|error| error.to_string())?
    } else {
        String::from_utf8(read(path)?).map_err(|error| error.to_string())?
    };
    Script::from_json(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn serve(options: Options) -> Result<(), String> {
    let (script, tls) = (script(&options)?, tls(&options)?);
    let address = options.listen.as_deref().unwrap_or("127.0.0.1:0");
    let api = match (options.barman, options.barman_home) {
        (Some(program), Some(home)) => {
            let installation = Installation { program, config: options.barman_config, home };
            Api::with_barman(address, installation, script, tls.as_ref())?
        }
        (None, None) => Api::start_on(address, options.model, script, tls.as_ref())?,
        _ => return Err("--barman and --barman-home belong together".to_owned()),
    };
    println!("listening on {}", api.url());
    if let Some(path) = &options.port_file {
        write_whole(path, &format!("{}\n", api.address().port()))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    api.join();
    Ok(())
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
