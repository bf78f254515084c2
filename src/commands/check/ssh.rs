//! The ssh command, which runs on the Barman host. From here only its form can be checked, and where it seems to
//! lead.

use std::net::IpAddr;
use std::time::Duration;

use super::finding::{Finding, Report};
use super::ssh_command::SshCommand;
use crate::config::url::Url;
use crate::text::first_few;
use crate::world::local;

/// Limit for looking up the host name.
const LOOKUP: Duration = Duration::from_secs(5);

pub(super) const COMMAND: &str = "ssh command";
pub(super) const USER: &str = "ssh user";
pub(super) const HOST: &str = "ssh host";

pub(super) fn look(command: &str, api: &Url, report: &mut Report) {
    let Some(ssh) = SshCommand::parse(command) else {
        return report.add(Finding::failed(
            COMMAND,
            "a quote in --ssh-command is not closed",
            "a shell on the Barman host splits it into words",
        ));
    };
    report.add(form(&ssh));
    let Some(name) = ssh.host.as_deref().filter(|_| ssh.is_ssh()) else {
        return report.skip(&[USER, HOST], "the ssh command is not a plain 'ssh [USER@]HOST'");
    };
    report.add(user(&ssh, &local::user()));
    report.add(host(name, &api.host));
}

fn form(ssh: &SshCommand) -> Finding {
    let tried = "--probe tests whether it works";
    if ssh.program.is_empty() {
        return Finding::failed(COMMAND, "--ssh-command is blank", "for example 'ssh postgres@this-node'");
    }
    if !ssh.is_ssh() {
        return Finding::ok(COMMAND, format!("{} runs on the Barman host; {tried}", ssh.program));
    }
    if ssh.host.is_none() {
        return Finding::failed(
            COMMAND,
            "--ssh-command names no host",
            "quote the whole command: --ssh-command 'ssh -p 22 postgres@this-node'",
        );
    }
    if ssh.has_more {
        return Finding::warning(
            COMMAND,
            "--ssh-command has words after the host",
            "Barman puts its own command there: remove what follows the host",
        );
    }
    Finding::ok(COMMAND, format!("it names a host; {tried}"))
}

/// Receivers of another user can't be seen or ended, and their files would not be ours.
fn user(ssh: &SshCommand, ours: &str) -> Finding {
    match ssh.user.as_deref() {
        Some(theirs) if theirs == ours => {
            Finding::ok(USER, format!("it logs in as {ours}, which is this user"))
        }
        Some(theirs) => Finding::warning(
            USER,
            format!("it logs in as {theirs}, but this user is {ours}"),
            format!(
                "the restored files must belong to PostgreSQL's user: log in as {ours}, or run this as {theirs}"
            ),
        ),
        None => Finding::warning(
            USER,
            format!("it names no user: ssh logs in with the name of Barman's user, but this user is {ours}"),
            format!("name the user, {ours}@HOST, unless ssh's configuration on the Barman host does"),
        ),
    }
}

fn host(name: &str, api_host: &str) -> Finding {
    let hint = "a restore would go to that host, unless ssh's configuration on the Barman host says otherwise; --probe shows it";
    let addresses = match local::addresses(name, LOOKUP) {
        Ok(addresses) => addresses,
        Err(why) => return Finding::warning(HOST, format!("{name} is not known here: {why}"), hint),
    };
    let to_itself = addresses.iter().all(IpAddr::is_loopback);
    if to_itself && !is_loopback(api_host) {
        return Finding::warning(HOST, format!("{name} is a loopback address: the Barman host itself"), hint);
    }
    if let Some(address) = addresses.iter().find(|address| local::is_own(**address)) {
        return Finding::ok(HOST, format!("{name} is this node ({address})"));
    }
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let all = first_few(all.iter().map(String::as_str));
    Finding::warning(HOST, format!("{name} is not an address of this node ({all})"), hint)
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_matches(['[', ']']).parse();
    name == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn found(command: &str) -> Vec<(Verdict, &'static str)> {
        let mut ignore = |_: &Finding| ();
        let mut report = Report::new(&mut ignore, false);
        look(command, &Url::parse("http://127.0.0.1:7480").unwrap(), &mut report);
        report.into_findings().into_iter().map(|finding| (finding.verdict, finding.what)).collect()
    }

    #[test]
    fn each_fault_of_an_ssh_command_is_found() {
        use Verdict::{Failed, Ok, Skipped, Warning};
        let own = local::user();
        for (command, verdicts) in [
            (format!("ssh -p 22 {own}@127.0.0.1"), [Ok, Ok, Ok]),
            ("ssh nobody-else@127.0.0.1".into(), [Ok, Warning, Ok]),
            ("ssh 127.0.0.1".into(), [Ok, Warning, Ok]),
            (format!("ssh {own}@192.0.2.1"), [Ok, Ok, Warning]),
            (format!("ssh {own}@127.0.0.1 true"), [Warning, Ok, Ok]),
            ("ssh".into(), [Failed, Skipped, Skipped]),
            ("ssh -p 22".into(), [Failed, Skipped, Skipped]),
            (" ".into(), [Failed, Skipped, Skipped]),
            ("/opt/our-ssh node1".into(), [Ok, Skipped, Skipped]),
        ] {
            let expected: Vec<_> = verdicts.into_iter().zip([COMMAND, USER, HOST]).collect();
            assert_eq!(found(&command), expected, "{command}");
        }
        assert_eq!(found("ssh 'node"), [(Failed, COMMAND)]);
    }
}
