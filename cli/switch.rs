//! `patroni_barman config-switch`.

use std::process::ExitCode;

use barman_recover::SwitchCode;

use crate::args::Run;
use crate::log::Log;
use crate::signals::Watched;

pub fn switch(run: &Run, role: &str, log: &Log) -> ExitCode {
    let watched = Watched::start(log, "config switch");
    let events = log.clone();
    let outcome =
        barman_recover::config_switch(&run.config, role, &watched.cancel, move |event| events.event(event));
    match outcome.code {
        SwitchCode::Cancelled => watched.die(),
        _ => watched.over(),
    }
    ExitCode::from(outcome.code.exit_status())
}
