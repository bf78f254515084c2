//! Which words are options: in full, by a prefix, wrong ones, and those of others.

use super::*;

#[test]
fn mistyped_options_are_named_without_their_values() {
    let typos = ["--hello=3", "--password", "secret", "-x", "--", "--=y", "stray"];
    assert_eq!(recover(&with(&typos)).ignored, ["--hello", "--password", "-x", "--"]);
}

#[test]
fn a_url_in_the_wrong_place_is_not_shown() {
    const URL: &str = "http://user:s3cret@h";
    for words in [
        &[URL, "recover"][..],
        &["-api-url", URL, "recover"],
        &["--api-url=http://h", "config-switch", "--barman-server=m", "--reset", "--switch-when=always", URL],
        &["--api-url=http://h", "operations", URL],
    ] {
        let text = wrong_text(ask(words));
        assert!(!text.contains("s3cret") && text.contains("--api-url?"), "{words:?}: {text}");
    }
    assert_eq!(recover(&with(&["--api-urlhttp://user:s3cret@h"])).ignored, ["--api-urlhttp"]);
}

#[test]
fn unknown_options_before_the_sub_command_are_ignored_in_both_forms() {
    for unknown in [&["--x=y"][..], &["--x", "y"], &["--x"]] {
        let words: Vec<&str> = unknown.iter().copied().chain(NEEDED).collect();
        assert_eq!(recover(&words).ignored, ["--x"], "{unknown:?}");
    }
    assert!(wrong_text(ask(&["--api-url=http://h", "recoverr"])).contains("recoverr"));
}

#[test]
fn prefixes_mean_what_they_meant_in_python() {
    for (prefix, name) in [
        ("--barman-s=", "--barman-server"),
        ("--s=", "--ssh-command"),
        ("--l=", "--loop-wait"),
        ("--lo=", "--loop-wait"),
        ("--b=", "ambiguous"),
        ("--ret=", "--retry-wait"),
        ("--max=", "--max-retries"),
        ("--data=", "--data-directory"),
        ("--c=", "--cert-file"),
    ] {
        let words: Vec<&str> = prefix.split(' ').collect();
        let text = wrong_text(ask(&with(&[]).into_iter().chain(words).collect::<Vec<_>>()));
        assert!(
            text.contains(&format!("argument {name}: ")) || text.contains(&format!("{name} option")),
            "{prefix}: {text}"
        );
    }
}

#[test]
fn underscores_count_as_dashes() {
    let text = wrong_text(ask(&with(&["--loop_wait=x", "--retry_wait", "3"])));
    assert!(text.contains("argument --loop-wait: "), "{text}");
    assert_eq!(
        recover(&with(&["--backup_id=20261122T101942", "--log_format=json"])).ignored,
        Vec::<String>::new()
    );
}

/// Whatever is ignored of them, `latest` would be restored.
#[test]
fn a_word_that_is_most_likely_a_slip_is_refused() {
    for (words, says) in [
        (&["--backupid=X"][..], "unknown option --backupid: did you mean --backup-id?"),
        (&["--backup-di", "X"], "unknown option --backup-di: did you mean --backup-id?"),
        (&["--BACKUP-ID=X"], "did you mean --backup-id?"),
        (&["-backup-id=X"], "did you mean --backup-id?"),
        (&["-backup-id", "X"], "did you mean --backup-id?"),
        (&["\u{2013}backup-id", "X"], "did you mean --backup-id?"),
        (&["backup_id=X"], "did you mean --backup-id?"),
        (&["--ssh-command=ssh h", "-backup-id=X"], "did you mean --backup-id?"),
        (&["--ssh-command=ssh", "-oBatchMode=yes", "h"], "argument --ssh-command: quote it"),
        (&["--sshcommand=ssh h"], "did you mean --ssh-command?"),
        (&["--target-time=2026-01-01"], "unknown option --target-time: pg-backup-api passes only"),
        (&["--target_xid", "5"], "recovery_conf"),
        (&["--tablespace", "a:/b"], "tablespaces are restored to where they were"),
        (&["--jobs=4"], "parallel_jobs"),
        (&["--get-wal"], "restore_command"),
        (&["--remote-ssh-command=ssh h"], "its name is --ssh-command here"),
        (&["--ssh-command", "ssh", "-p", "22", "host"], "argument --ssh-command: quote it"),
        (&["--ssh-command=ssh", "postgres@host"], "argument --ssh-command: quote it"),
    ] {
        let text = wrong_text(ask(&with(words)));
        assert!(text.contains(says), "{words:?}: {text}");
        assert!(text.contains("patroni_barman recover: error: "), "{text}");
    }
    let in_front = wrong_text(ask(&[&["--backup-id=X"], &NEEDED[..]].concat()));
    assert!(in_front.contains("--backup-id must come after the sub-command"), "{in_front}");
    for fine in
        [&["--ssh-command", "ssh h", "-v"][..], &["--connstring", "host=a port=5432"], &["--role", "a=b"]]
    {
        recover(&with(fine));
    }
}

#[test]
fn what_patroni_passes_is_accepted_without_a_word() {
    let patronis = ["--role=replica", "--keep_data=True", "--no_params=True", "--no_leader", "1"];
    assert_eq!(recover(&with(&patronis)).ignored, Vec::<String>::new());
}

#[test]
fn an_ssh_command_may_begin_with_a_dash() {
    recover(&with(&["--ssh-command", "--weird"]));
}
