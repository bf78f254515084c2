//! `patroni_barman check`: a line for everything that was looked at.

use std::io::{self, Write};
use std::process::ExitCode;

use barman_recover::Verdict;

use crate::args::Run;
use crate::log::Log;
use crate::signals::Watched;

pub fn check(run: &Run, log: &Log) -> ExitCode {
    let watched = Watched::start(log, "recovery");
    let events = log.clone();
    let findings =
        barman_recover::check(&run.config, &watched.cancel, move |event| events.event(event), |_| ());
    if watched.cancel.is_cancelled() {
        watched.die();
        return ExitCode::FAILURE;
    }
    watched.over();
    let mut out = io::stdout().lock();
    for finding in &findings {
        // Nobody may read it.
        let _ = writeln!(out, "{:<8} {}: {}", finding.verdict.name(), finding.what, finding.detail);
        if !finding.hint.is_empty() {
            let _ = writeln!(out, "         HINT: {}", finding.hint);
        }
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Failed);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
