//! The findings of a check, and how they are reported.

use serde::Serialize;

use crate::outcome::{Problem, or_empty};
use crate::text::printable;

/// The verdict on one thing that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A restore may run into trouble.
    Warning,
    /// A restore can't succeed.
    Failed,
    /// It was not looked at; the detail says why.
    Skipped,
}

impl Verdict {
    /// As `check` prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Warning => "WARNING",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "SKIPPED",
        }
    }
}

/// The result of checking one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// What was checked.
    pub what: &'static str,
    /// What was found, in one line.
    pub detail: String,
    /// What to do about it, if there is something to do.
    #[serde(serialize_with = "or_empty")]
    pub hint: Option<String>,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Findings {
    /// In the order in which they were made.
    pub findings: Vec<Finding>,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, what: &'static str, detail: impl AsRef<str>) -> Finding {
        Finding { verdict, what, detail: printable(detail.as_ref()), hint: None }
    }

    pub(super) fn ok(what: &'static str, detail: impl AsRef<str>) -> Finding {
        Finding::new(Verdict::Ok, what, detail)
    }

    pub(super) fn warning(what: &'static str, detail: impl AsRef<str>, hint: impl AsRef<str>) -> Finding {
        Finding { hint: Some(printable(hint.as_ref())), ..Finding::new(Verdict::Warning, what, detail) }
    }

    pub(super) fn failed(what: &'static str, detail: impl AsRef<str>, hint: impl AsRef<str>) -> Finding {
        Finding { verdict: Verdict::Failed, ..Finding::warning(what, detail, hint) }
    }

    /// A problem, which may have no hint.
    pub(super) fn problem(what: &'static str, problem: Problem) -> Finding {
        Finding { hint: problem.hint, ..Finding::new(Verdict::Failed, what, problem.message) }
    }

    pub(super) fn skipped(what: &'static str, why: impl AsRef<str>) -> Finding {
        Finding::new(Verdict::Skipped, what, why)
    }
}

/// The findings so far.
pub(super) struct Recorder<'a> {
    findings: Vec<Finding>,
    on_finding: &'a mut dyn FnMut(&Finding),
    /// What a warning counts as.
    warning: Verdict,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(on_finding: &'a mut dyn FnMut(&Finding), warning: Verdict) -> Recorder<'a> {
        Recorder { findings: Vec::new(), on_finding, warning }
    }

    pub(super) fn add(&mut self, mut finding: Finding) {
        if finding.verdict == Verdict::Warning {
            finding.verdict = self.warning;
        }
        (self.on_finding)(&finding);
        self.findings.push(finding);
    }

    /// Records what is not checked, and why.
    pub(super) fn skip(&mut self, all: &[&'static str], why: &str) {
        for what in all {
            self.add(Finding::skipped(what, why));
        }
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}
