//! Restores the latest backup of a Barman server, with progress; Enter ends it.
//!
//! `recover http://barman:7480 main 'ssh postgres@node1' /var/lib/postgresql/17/main`

use std::env;
use std::io;
use std::process::ExitCode;
use std::thread;

use barman_recover::{Cancel, Code, Config, ConfigError, Event, Opt, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [api_url, barman_server, ssh_command, data_directory] = arguments.as_slice() else {
        eprintln!("usage: recover API_URL BARMAN_SERVER SSH_COMMAND DATA_DIRECTORY");
        return ExitCode::from(2);
    };
    let config = match configure(api_url, barman_server, ssh_command, data_directory) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(Code::InvalidArgument.exit_status());
        }
    };

    // Clones of a `Cancel` share one state: any of them ends the run, from any thread.
    let cancel = Cancel::new();
    let enter = cancel.clone();
    thread::spawn(move || {
        if io::stdin().read_line(&mut String::new()).is_ok_and(|length| length > 0) {
            enter.cancel();
        }
    });

    let outcome = run(&config, &cancel, |event| match event {
        Event::Log { level, message } => eprintln!("{level}: {message}"),
        Event::State { state, operation_id } => {
            eprintln!("operation: {} {}", state.name(), operation_id.unwrap_or_default());
        }
        Event::Progress(progress) => eprintln!("{progress}"),
        _ => {} // what later versions add
    });

    println!("{} after {:.1} s", outcome.code.name(), outcome.elapsed.as_secs_f64());
    ExitCode::from(outcome.code.exit_status())
}

fn configure(api: &str, server: &str, ssh: &str, directory: &str) -> Result<Config, ConfigError> {
    let mut config = Config::new();
    config
        .set(Opt::ApiUrl, api)?
        .set(Opt::BarmanServer, server)?
        .set(Opt::SshCommand, ssh)?
        .set(Opt::DataDirectory, directory)?
        .set(Opt::LoopWait, "5")?;
    Ok(config)
}
