//! From the first look to the create: nothing of ours runs until the create was sent.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::settle::Settle;
use super::watch::Watch;
use super::{Claim, Machine, Phase, Seen, Step};
use crate::api::{Created, NewRecovery, Request, TransportError};
use crate::event::Level;
use crate::outcome::{Code, OperationState};
use crate::recovery::api_status::{self, ApiStatus, judge};
use crate::recovery::backoff::{ID_RESOLUTION, Told, create_wait};
use crate::text::seconds;
use crate::world::fs::directory::{Content, Look};
use crate::world::journal::{Line, Record, Run};

/// Until a list that the API failed to make is asked for once more.
const LIST_AGAIN: Duration = Duration::from_millis(500);
/// Each collision is another node's success; so many nodes are not served by one Barman.
const MOST_COLLISIONS: u32 = 100;
/// So often in a row exactly one recovery may be new: with other nodes about there are soon several, or none.
const MOST_SINGLE: u32 = 4;
/// Nodes spread over a window that doubles with every collision up to this.
const WIDEST_SPREAD: u32 = 32;

impl Machine {
    pub(super) fn first_look(&mut self, seen: Seen) -> Step {
        let Seen::Looked(look) = seen else { return self.look(Phase::FirstLook) };
        let settings = &self.settings;
        let what = match &settings.operation_id {
            Some(id) => format!("Following recovery operation {id}"),
            None => format!("Restoring backup {}", settings.backup_id),
        };
        let line = format!(
            "{what} of Barman server {} to {} through {} (barman-recover {})",
            settings.barman_server,
            settings.data_directory,
            settings.api_url,
            crate::VERSION
        );
        self.log(Level::Info, line);
        if let Some(busy) = self.postgres_runs(&look) {
            return busy;
        }
        if self.settings.state_file.is_some() { self.claim() } else { self.after_claim(None) }
    }

    /// As pgBackRest, refuses a data directory in which a PostgreSQL runs.
    pub(super) fn postgres_runs(&mut self, look: &Look) -> Option<Step> {
        let pid = look.postmaster?;
        let directory = self.settings.data_directory.clone();
        Some(self.finish(
            Code::Busy,
            format!("a PostgreSQL runs in {directory}: its postmaster.pid names process {pid}, which lives"),
            format!(
                "stop it first; if process {pid} is none of PostgreSQL's, remove {directory}/postmaster.pid"
            ),
        ))
    }

    // The state file

    fn claim(&mut self) -> Step {
        self.phase = Phase::Claiming;
        Step::Claim
    }

    pub(super) fn claiming(&mut self, seen: Seen) -> Step {
        match seen {
            Seen::Claimed(Claim::Mine { record, garbage }) => {
                self.claimed = true;
                self.operation_id = None;
                self.set_state(OperationState::NotCreated);
                if let Some(why) = garbage {
                    let path = self.state_file_name();
                    self.log(
                        Level::Warning,
                        format!("the state file {path} is unreadable ({why}): as if it were not there"),
                    );
                }
                self.after_claim(record)
            }
            Seen::Claimed(Claim::Held(record)) => self.wait_for_other_run(record),
            Seen::Claimed(Claim::Unavailable(why)) => {
                let path = self.state_file_name();
                self.log(
                    Level::Warning,
                    format!("the state file {path} can't be used ({why}): going on without it, a run after a kill won't know of this one"),
                );
                self.after_claim(None)
            }
            _ => self.claim(),
        }
    }

    fn wait_for_other_run(&mut self, record: Option<Record>) -> Step {
        // What the other run has started is what may be running, for whoever ends this one meanwhile.
        if let Some(record) = &record {
            self.operation_id.clone_from(&record.operation_id);
            let known = record.operation_id.is_some();
            self.set_state(if known { OperationState::InProgress } else { OperationState::MaybeCreated });
        }
        if self.told_progress.is_due(self.now, self.settings.loop_wait) {
            let (pid, operation) = match record {
                Some(record) => (
                    format!(" (pid {})", record.run.pid),
                    record.operation_id.map_or(String::new(), |id| format!(", operation {id}")),
                ),
                None => (String::new(), String::new()),
            };
            let path = self.state_file_name();
            self.log(
                Level::Warning,
                format!("another run{pid} restores into this data directory{operation}: waiting for its end (it has locked {path})"),
            );
        }
        self.wait(Duration::from_millis(500), Phase::Claiming)
    }

    fn after_claim(&mut self, record: Option<Record>) -> Step {
        self.told_progress = Told::default();
        if let Some(busy) = record.as_ref().and_then(|record| self.another_recovery(record)) {
            return busy;
        }
        match (self.settings.operation_id.clone(), record) {
            (Some(id), Some(record)) => {
                (self.identity, self.removed) = (record.identity, record.removed);
                self.inherited = true;
                self.follow(vec![Line::Operation(id)])
            }
            (Some(id), None) => self.follow(vec![self.run_line(), Line::Operation(id)]),
            (None, Some(record)) => self.left_over(record),
            (None, None) => self.ask_status(1),
        }
    }

    /// The state file speaks of something else: it may be running, and isn't ours to judge.
    fn another_recovery(&mut self, record: &Record) -> Option<Step> {
        let settings = &self.settings;
        let api_url = settings.api_url.to_string();
        let other_operation = settings.operation_id.as_ref().and(record.operation_id.as_ref());
        let (what, theirs, ours) = if record.run.api_url != api_url {
            ("API", record.run.api_url.as_str(), api_url.as_str())
        } else if record.run.barman_server != settings.barman_server {
            ("Barman server", record.run.barman_server.as_str(), settings.barman_server.as_str())
        } else if Path::new(&record.run.data_directory) != Path::new(&settings.data_directory) {
            ("data directory", record.run.data_directory.as_str(), settings.data_directory.as_str())
        } else if let Some(theirs) = other_operation.filter(|id| Some(*id) != settings.operation_id.as_ref())
        {
            ("operation", theirs.as_str(), settings.operation_id.as_deref().unwrap_or_default())
        } else {
            return None;
        };
        let path = self.state_file_name();
        let id = record.operation_id.as_deref().unwrap_or("of unknown ID");
        let message = format!("the state file {path} speaks of another {what}: {theirs}, not {ours}");
        let hint = format!(
            "make sure that operation {id} of server {} at {} has ended, then remove {path}",
            record.run.barman_server, record.run.api_url
        );
        self.claimed = false; // not ours to remove
        Some(self.finish(Code::Busy, message, hint))
    }

    fn state_file_name(&self) -> String {
        self.settings.state_file.as_ref().map_or(String::new(), |path| path.display().to_string())
    }

    // The API's status and list

    pub(super) fn ask_status(&mut self, attempt: u32) -> Step {
        self.send(Request::Status, Phase::ApiStatus { attempt })
    }

    pub(super) fn api_status(&mut self, attempt: u32, seen: Seen) -> Step {
        if let Seen::Waited = seen {
            return self.ask_status(attempt);
        }
        match judge(seen, attempt, &self.settings, &mut self.random) {
            ApiStatus::Up => self.send(Request::List, Phase::Baseline { again: false }),
            ApiStatus::Down(message, hint) => self.finish(Code::ApiNotOk, message, hint),
            ApiStatus::Again(wait, line) => {
                self.log(Level::Warning, line);
                self.wait(wait, Phase::ApiStatus { attempt: attempt + 1 })
            }
        }
    }

    pub(super) fn baseline(&mut self, again: bool, seen: &Seen) -> Step {
        match (Self::recoveries(seen), seen) {
            (_, Seen::Waited) => return self.send(Request::List, Phase::Baseline { again }),
            // The API's workers get in each other's way when many nodes ask at once.
            (Err(_), Seen::Reply(reply)) if reply.status >= 500 && !again => {
                return self.wait(LIST_AGAIN, Phase::Baseline { again: true });
            }
            (Ok(list), _) => self.known = Some(list.into_iter().collect()),
            (Err(why), _) => {
                self.known = None;
                self.log(
                    Level::Warning,
                    format!("the operations can't be listed ({why}): going on without their list"),
                );
            }
        }
        self.look(Phase::LookBefore)
    }

    pub(super) fn look_before(&mut self, seen: Seen) -> Step {
        let Seen::Looked(look) = seen else { return self.look(Phase::LookBefore) };
        if let Some(busy) = self.postgres_runs(&look) {
            return busy;
        }
        if look.content == Content::Something && self.before.is_none() {
            let directory = &self.settings.data_directory;
            let why = match look.identity {
                Some(_) => "is not empty: Barman 3.15 and later will refuse it",
                None => "is no directory: Barman will refuse it",
            };
            let line = format!("the data directory {directory} {why}");
            self.log(Level::Warning, line);
        }
        self.before = Some(look);
        self.save_run()
    }

    /// The state file's first line: from here on a kill leaves a trace.
    fn save_run(&mut self) -> Step {
        (self.identity, self.removed) = (None, false);
        let run = self.run_line();
        self.save(vec![run], Phase::SaveRun)
    }

    fn run_line(&self) -> Line {
        let settings = &self.settings;
        Line::Run(Run {
            pid: std::process::id(),
            api_url: settings.api_url.to_string(),
            barman_server: settings.barman_server.clone(),
            backup_id: settings.backup_id.clone(),
            data_directory: settings.data_directory.clone(),
            known: self.known.clone(),
        })
    }

    // The create

    pub(super) fn create(&mut self) -> Step {
        // Until the contrary is known: the host may look, or the run break off, while the reply is awaited.
        self.set_state(OperationState::MaybeCreated);
        let settings = &self.settings;
        let new = NewRecovery {
            backup_id: settings.backup_id.clone(),
            ssh_command: settings.ssh_command.clone(),
            data_directory: settings.data_directory.clone(),
        };
        self.send(Request::Create(new), Phase::Creating)
    }

    pub(super) fn creating(&mut self, seen: Seen) -> Step {
        let retry_after = Self::retry_after(&seen);
        match seen {
            Seen::Reply(reply) => match reply.created() {
                Created::Named(id) if self.known.as_ref().is_some_and(|known| known.contains(&id)) => {
                    self.send(Request::List, Phase::OldName { id })
                }
                Created::Named(id) => self.created(id),
                Created::Refused(why) => self.refused(&why, String::new()),
                Created::NotStarted(why) => {
                    self.set_state(OperationState::NotCreated);
                    self.send(Request::List, Phase::Collision { why, retry_after })
                }
                Created::InDoubt(why) => self.lost(why),
            },
            Seen::Unanswered(TransportError { sent: true, text, .. }) => self.lost(text),
            Seen::Unanswered(TransportError { permanent: true, text, hint, .. }) => self.refused(&text, hint),
            Seen::Unanswered(none) => {
                self.set_state(OperationState::NotCreated);
                self.create_failed(&none.text, retry_after)
            }
            _ => self.lost("no answer".into()),
        }
    }

    /// The API named an operation that was there before the create. When the list has one that it did not
    /// name, that may be ours.
    pub(super) fn old_name(&mut self, id: String, seen: &Seen) -> Step {
        let known = self.known.as_ref();
        let new = |id: &String| !known.is_some_and(|known| known.contains(id));
        match Self::recoveries(seen) {
            Ok(list) if !list.iter().any(new) => self.created(id),
            _ => self.lost(format!("it names operation {id}, which was there before")),
        }
    }

    fn created(&mut self, id: String) -> Step {
        self.operation_id = Some(id.clone());
        self.set_state(OperationState::InProgress);
        self.began = self.now;
        (self.answered, self.unknown, self.told_progress) = (false, 0, Told::default());
        self.watch = Watch::new(self.now);
        self.log(Level::Info, format!("Created the recovery operation with ID {id}"));
        self.save(vec![Line::Operation(id)], Phase::SaveOperation)
    }

    fn refused(&mut self, why: &str, hint: String) -> Step {
        self.set_state(OperationState::NotCreated);
        let hint = if hint.is_empty() { refusal_hint(why) } else { hint };
        let message = format!(
            "An issue was faced while trying to create a recovery operation: server {} at {}: {why}",
            self.settings.barman_server, self.settings.api_url
        );
        self.finish(Code::HttpError, message, hint)
    }

    /// The API's own 500. When another node's recovery is new in the list, its create took this second's ID:
    /// that is its success and no failure of ours, and counts as no attempt. But an API that can't start Barman
    /// lists an operation for each create that it fails.
    pub(super) fn collision(&mut self, why: &str, retry_after: Option<Duration>, seen: &Seen) -> Step {
        let (Some(known), Ok(list)) = (&mut self.known, Self::recoveries(seen)) else {
            return self.create_failed(why, retry_after);
        };
        let before = known.len();
        known.extend(list);
        let new = known.len() - before;
        self.singles = if new == 1 { self.singles + 1 } else { 0 };
        let another = new > 0 && self.singles <= MOST_SINGLE;
        if !another || self.collisions >= MOST_COLLISIONS {
            return self.create_failed(why, retry_after);
        }
        self.collisions += 1;
        let spread = ID_RESOLUTION * 2_u32.saturating_pow(self.collisions).min(WIDEST_SPREAD);
        let least = self.settings.retry_wait.max(ID_RESOLUTION);
        let wait = least + self.random.below(spread);
        let line = format!(
            "another node's recovery was created in the same second ({why}): asking again in {}",
            seconds(wait)
        );
        self.log(Level::Info, line);
        self.wait(wait, Phase::CreateAgain)
    }

    /// A create that started nothing.
    fn create_failed(&mut self, why: &str, retry_after: Option<Duration>) -> Step {
        if let Some(end) = self.out_of_attempts(why) {
            return end;
        }
        let (first, cap) = (self.settings.retry_wait, self.settings.loop_wait);
        let wait = create_wait(first, cap, retry_after, &mut self.random);
        self.wait(wait, Phase::CreateAgain)
    }

    /// Counts an attempt to create, and ends the run after the last.
    fn out_of_attempts(&mut self, why: &str) -> Option<Step> {
        self.attempts += 1;
        let (attempt, most) = (self.attempts, self.settings.max_retries.max(1));
        if attempt >= most {
            return Some(self.refused(&format!("{why} ({attempt} tries)"), String::new()));
        }
        let line = format!("Attempt {attempt} of {most} to create the recovery operation failed: {why}");
        self.log(Level::Warning, line);
        None
    }

    /// The create may have been processed, and its reply doesn't tell.
    pub(super) fn lost(&mut self, why: String) -> Step {
        self.set_state(OperationState::MaybeCreated);
        self.began = self.now;
        self.log(
            Level::Warning,
            format!(
                "the reply to the create is lost ({why}): a recovery operation may be running, looking for it"
            ),
        );
        self.settle(Settle::lost(why))
    }

    /// Everything that the creates so far may have started has ended or never was: once more.
    pub(super) fn create_anew(&mut self, why: &str, seen: HashSet<String>) -> Step {
        self.operation_id = None;
        self.set_state(OperationState::NotCreated);
        if let Some(end) = self.out_of_attempts(why) {
            return end;
        }
        match &mut self.known {
            Some(known) => known.extend(seen),
            None => self.known = Some(seen),
        }
        self.save_run()
    }
}

/// What to do about a create that was refused.
pub(crate) fn refusal_hint(why: &str) -> String {
    let hint = if why.contains("HTTP 404") && why.contains("Backup '") {
        "--backup-id must be a backup that 'barman list-backups' names on the Barman host, or latest"
    } else if why.contains("HTTP 404") {
        "--barman-server must be a server that 'barman list-servers' names on the Barman host; --api-url must lead to pg-backup-api"
    } else if why.contains("HTTP 401") || why.contains("HTTP 403") {
        "something before pg-backup-api wants authentication: a client certificate (--cert-file), or user:password@ in --api-url"
    } else if why.contains("HTTP 3") {
        "a create is never sent to another address: set --api-url to it"
    } else if !why.contains("HTTP ") {
        api_status::HINT
    } else {
        "see the log of pg-backup-api on the Barman host"
    };
    hint.into()
}
