//! What Patroni and people type.

mod names;

use barman_recover::Level;

use super::*;

const NEEDED: [&str; 8] = [
    "--api-url=http://h",
    "recover",
    "--barman-server=main",
    "--ssh-command=ssh h",
    "--datadir=/d",
    "--scope=x",
    "--connstring=password=secret",
    "--no_leader=1",
];

fn ask(words: &[&str]) -> Result<Run, Said> {
    ask_with(words, &[])
}

fn ask_with(words: &[&str], env: &[(&str, &str)]) -> Result<Run, Said> {
    let words = std::iter::once("patroni_barman").chain(words.iter().copied()).map(OsString::from);
    parse(words.collect(), &|name| {
        env.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
    })
}

fn wrong_text(asked: Result<Run, Said>) -> String {
    match asked {
        Err((text, WRONG_USAGE)) => text,
        Err((text, _)) => panic!("{text}"),
        Ok(_) => panic!("accepted"),
    }
}

/// The values that were understood, as far as the options can be seen: through their effect on a wrong value.
fn recover(words: &[&str]) -> Run {
    ask(words).unwrap_or_else(|(text, _)| panic!("{text}"))
}

fn with(more: &[&'static str]) -> Vec<&'static str> {
    NEEDED.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn the_commands_are_well_formed() {
    command().debug_assert();
}

#[test]
fn global_options_are_accepted_on_both_sides_and_the_last_value_wins() {
    for (words, fine) in [
        (with(&["--retry-wait", "3"]), true),
        (with(&["--loop-wait=x", "--loop-wait=4"]), true),
        (with(&["--loop-wait=4", "--loop-wait=x"]), false),
        (["--retry-wait=x"].into_iter().chain(with(&["--retry-wait=3"])).collect(), true),
        (["--retry-wait=3"].into_iter().chain(with(&["--retry-wait=x"])).collect(), false),
    ] {
        assert_eq!(ask(&words).is_ok(), fine, "{words:?}");
    }
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (word, says) in [
        ("--loop-wait=abc", "argument --loop-wait: takes whole seconds"),
        ("--loop-wait=-1", "argument --loop-wait: takes whole seconds"),
        ("--max-retries=1.5", "argument --max-retries: takes a whole number"),
        ("--barman-server=", "argument --barman-server: must not be empty"),
        ("--api-url=h:80", "argument --api-url: must begin with 'http://' or 'https://'"),
        ("--no-lease=maybe", "argument --no-lease: takes true or false"),
        ("--log-file=", "argument --log-file: must not be empty"),
        ("--log-format=xml", "argument --log-format: takes one of text, json"),
        ("--log-level=trace", "argument --log-level: takes one of debug, info, warning, error"),
        ("--log-stderr=maybe", "argument --log-stderr: takes true or false"),
        ("--datadir=", "argument --data-directory: must not be empty"),
    ] {
        let text = wrong_text(ask(&with(&[word])));
        assert!(text.contains(says), "{word}: {text}");
    }
    for words in [["--loop-wait", "-1"], ["--loop-wait", "abc"]] {
        assert!(wrong_text(ask(&with(&words))).contains("argument --loop-wait: "));
    }
    // It would switch the lease off, whatever the word says.
    let text = wrong_text(ask(&with(&["--no-lease", "False"])));
    assert!(text.contains("argument --no-lease: write --no-lease=False"), "{text}");
    assert!(wrong_text(ask(&with(&["--backup-id"]))).contains("--backup-id"));
    assert!(wrong_text(ask(&with(&["--backup-id", "--no-lease"]))).contains("--backup-id"));
}

#[test]
fn bytes_that_are_not_utf8_are_refused_by_name() {
    use std::os::unix::ffi::OsStringExt;
    let bad = OsString::from_vec(b"--barman-server=\xff".to_vec());
    let words = std::iter::once("patroni_barman").chain(NEEDED).map(OsString::from).chain([bad]);
    assert!(wrong_text(parse(words.collect(), &|_| None)).contains("argument --barman-server: is not UTF-8"));
}

#[test]
fn booleans_are_accepted_as_patroni_and_people_write_them() {
    for (word, is_on) in [
        ("--no-lease", true),
        ("--no-lease=true", true),
        ("--no-lease=True", true),
        ("--no-lease=False", false),
    ] {
        assert_eq!(recover(&with(&[word])).config.is_on(Opt::NoLease), is_on, "{word}");
    }
}

#[test]
fn missing_options_are_named_together() {
    let text = wrong_text(ask(&["--api-url=http://h", "recover"]));
    let says = "the following arguments are required: --barman-server, --ssh-command, --data-directory";
    assert!(text.contains(says), "{text}");
    assert!(wrong_text(ask(&[])).contains("the following arguments are required: --api-url"));
}

#[test]
fn no_sub_command_prints_the_help() {
    assert!(matches!(ask(&["--api-url=http://h"]), Err((text, 255)) if text.contains("recover")));
    assert!(matches!(ask(&["--help"]), Err((text, 0)) if text.contains("--api-url")));
    assert!(matches!(ask(&["recover", "--help"]), Err((text, 0)) if text.contains("--loop-wait")));
    assert!(matches!(ask(&["--version"]), Err((text, 0)) if text.contains(barman_recover::VERSION)));
}

#[test]
fn the_environment_of_a_list_changes_no_typed_limit_and_no_other_command() {
    let env = [("BARMAN_RECOVER_ALL", "true"), ("BARMAN_RECOVER_FORMAT", "yaml")];
    let list = ["--api-url=http://h", "operations", "--barman-server=m", "--format=text"];
    let limit = |more: &[&str]| {
        let run = ask_with(&[&list, more].concat(), &env).unwrap_or_else(|(text, _)| panic!("{text}"));
        run.config.number(Opt::Limit)
    };
    assert_eq!((limit(&[]), limit(&["--limit=5"])), (Some(0), Some(5)));
    assert_eq!(limit(&["--limit=5", "--all"]), Some(0));
    assert!(ask_with(&with(&[]), &env).is_ok());
}

#[test]
fn the_environment_stands_behind_the_command_line() {
    let env = [
        ("BARMAN_RECOVER_API_URL", "http://h"),
        ("BARMAN_RECOVER_BARMAN_SERVER", "main"),
        ("BARMAN_RECOVER_SSH_COMMAND", "ssh"),
        ("BARMAN_RECOVER_DATA_DIRECTORY", "/d"),
        ("BARMAN_RECOVER_LOOP_WAIT", "x"),
        ("BARMAN_RECOVER_LOG_FILE", "/log"),
    ];
    assert!(wrong_text(ask_with(&["recover"], &env)).contains("argument BARMAN_RECOVER_LOOP_WAIT: "));
    match ask_with(&["recover", "--loop-wait=1"], &env) {
        Ok(run) => assert_eq!(run.logging.file.as_deref(), Some("/log".as_ref())),
        _ => panic!("not accepted"),
    }
}

#[test]
fn help_shows_every_option_with_default_and_environment() {
    let Err((text, 0)) = ask(&["recover", "--help"]) else { panic!() };
    for spec in Asked::Recover.options() {
        assert!(text.contains(&format!("--{}", spec.name)), "{}", spec.name);
        assert!(text.contains(&format!("[env: {}]", variable(spec.name))), "{}", spec.name);
        assert!(
            spec.default.is_empty() || text.contains(&format!("[default: {}]", spec.default)),
            "{}",
            spec.name
        );
    }
}

#[test]
fn levels_come_from_the_option_the_environment_and_the_short_options() {
    for (words, env, level) in [
        (&[][..], &[][..], Level::Info),
        (&["--log-level=warning"], &[], Level::Warning),
        (&["--log-level=ERROR"], &[("BARMAN_RECOVER_LOG_LEVEL", "debug")], Level::Error),
        (&[], &[("BARMAN_RECOVER_LOG_LEVEL", "debug")], Level::Debug),
        (&["-v"], &[], Level::Debug),
        (&["-vv"], &[], Level::Debug),
        (&["-q"], &[], Level::Warning),
        (&["-qq"], &[], Level::Error),
        (&["-q", "-q", "-q"], &[], Level::Error),
        (&["-qv"], &[], Level::Info),
        (&["-v", "--log-level=warning"], &[], Level::Info),
    ] {
        for front in [true, false] {
            let all: Vec<&str> = if front {
                words.iter().copied().chain(NEEDED).collect()
            } else {
                NEEDED.into_iter().chain(words.iter().copied()).collect()
            };
            let Ok(run) = ask_with(&all, env) else { panic!("{all:?}") };
            assert_eq!((run.logging.level, run.ignored.len()), (level, 0), "{all:?}");
        }
    }
}

#[test]
fn the_log_is_text_on_standard_error_unless_asked_otherwise() {
    let quiet = Logging { file: None, stderr: false, json: false, level: Level::Info, progress: None };
    assert_eq!(recover(&with(&[])).logging, quiet);
    let loud =
        Logging { file: Some("/log".into()), stderr: true, json: true, level: Level::Info, progress: None };
    assert_eq!(recover(&with(&["--log-file=/log", "--log-stderr", "--log-format", "json"])).logging, loud);
    let env = [
        ("BARMAN_RECOVER_LOG_FILE", "/log"),
        ("BARMAN_RECOVER_LOG_STDERR", "True"),
        ("BARMAN_RECOVER_LOG_FORMAT", "json"),
    ];
    let Ok(run) = ask_with(&NEEDED, &env) else { panic!("not accepted") };
    assert_eq!(run.logging, loud);
}

const SWITCH: [&str; 4] =
    ["--api-url=http://h", "config-switch", "--barman-server=main", "--switch-when=always"];
const CALLBACK: [&str; 3] = ["on_role_change", "replica", "demo"];

fn switch(words: &[&str], env: &[(&str, &str)]) -> Result<Run, Said> {
    ask_with(&[&SWITCH[..], words, &CALLBACK].concat(), env)
}

#[test]
fn a_callback_has_its_three_words_at_the_end() {
    for words in [&["--reset"][..], &["--reset", "--typo", "value"], &["--barman-model", "m"], &["--re"]] {
        let Ok(run) = switch(words, &[]) else { panic!("{words:?}") };
        assert_eq!((run.command, run.config.text(Opt::Role)), (Asked::ConfigSwitch, Some("replica")));
    }
    for callback in
        [&["on_start", "replica", "demo"][..], &["on_role_change", "master", "demo"], &["on_role_change"]]
    {
        let words = [&SWITCH[..], &["--reset"], callback].concat();
        assert!(matches!(ask(&words), Err((_, WRONG_USAGE))), "{callback:?}");
    }
}

#[test]
fn a_model_and_a_reset_exclude_each_other_unless_one_is_of_the_environment() {
    let model = ("BARMAN_RECOVER_BARMAN_MODEL", "m");
    let reset = ("BARMAN_RECOVER_RESET", "true");
    for (words, env, says) in [
        (&[][..], &[][..], "one of the arguments --barman-model --reset is required"),
        (&["--reset=False"], &[], "one of the arguments --barman-model --reset is required"),
        (&["--reset", "--barman-model=m"], &[], "not allowed with argument --barman-model"),
        (&[], &[model, reset], "not allowed with argument --barman-model"),
    ] {
        let text = wrong_text(switch(words, env));
        assert!(text.contains(says), "{words:?} {env:?}: {text}");
    }
    for (words, env) in [
        (&["--reset"][..], &[model][..]),
        (&["--barman-model=m"], &[reset]),
        (&["--barman-model=m", "--reset=false"], &[]),
        (&[], &[model]),
        (&[], &[reset]),
    ] {
        assert!(switch(words, env).is_ok(), "{words:?} {env:?}");
    }
}

#[test]
fn the_patroni_configuration_of_a_recovery_can_be_pasted_behind_check() {
    let words: Vec<&str> =
        NEEDED.iter().map(|word| if *word == "recover" { "check" } else { word }).collect();
    let Ok(run) = ask(&words) else { panic!("not accepted") };
    assert_eq!((run.command, run.ignored), (Asked::Check, Vec::new()));
}

#[test]
fn operations_are_asked_for_in_two_ways() {
    let ask = |words: &[&str]| match ask(&[&["--api-url=http://h", "operations"][..], words].concat()) {
        Ok(run) => (run.command, run.config.number(Opt::Limit), run.json),
        other => panic!("{}", wrong_text(other)),
    };
    for (words, limit, json) in [
        (&["--barman-server=m"][..], 20, false),
        (&["list", "--barman-server=m"], 20, false),
        (&["list", "--barman-server=m", "--limit", "3"], 3, false),
        (&["--all", "--barman-server=m"], 0, false),
        (&["--barman_server=m", "list", "--typo", "x", "--format=json"], 20, true),
    ] {
        assert_eq!(ask(words), (Asked::Operations, Some(limit), json), "{words:?}");
    }
    for limit in ["-1", "x", ""] {
        let limit = format!("--limit={limit}");
        let text =
            wrong_text(super::tests::ask(&["--api-url=http://h", "operations", "--barman-server=m", &limit]));
        assert!(text.contains("argument --limit: takes a whole number"), "{text}");
    }
}

#[test]
fn usage_errors_have_one_form() {
    for words in [
        &["recoverr"][..],
        &["recover", "--backup-id"],
        &["recover", "--loop-wait=x", "--api-url=http://h"],
        &["recover", "--log-level=x", "--api-url=http://h"],
        &["operations", "--api-url=http://h"],
        &["operations", "lsit"],
        &["config-switch", "--api-url=http://h", "on_start", "replica", "demo"],
        &["help", "nope"],
        &["verify"],
        &[],
    ] {
        let text = wrong_text(ask(words));
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            matches!(lines[..], [usage, error, "For more information, try '--help'."]
                if usage.starts_with("Usage: patroni_barman") && error.starts_with("patroni_barman") && error.contains(": error: ")),
            "{words:?}: {text}"
        );
    }
}

#[test]
fn help_is_a_sub_command_too() {
    for (words, says) in [
        (&["help"][..], "Commands:"),
        (&["help", "recover"], "--ssh-command"),
        (&["help", "operations", "list"], "--limit"),
        (&["operations", "help", "list"], "--limit"),
        (&["verify", "-h"], "--data-directory"),
    ] {
        assert!(matches!(ask(words), Err((text, 0)) if text.contains(says)), "{words:?}");
    }
}

#[test]
fn the_help_of_a_restore_is_grouped_and_has_examples() {
    let Err((text, 0)) = ask(&["recover", "--help"]) else { panic!() };
    let mut rest = &text[..];
    for heading in ["Main options:", "Timing:", "TLS:", "Advanced:", "Log:", "Examples:", "Exit status: "] {
        let (_, behind) = rest.split_once(heading).unwrap_or_else(|| panic!("{heading} in {text}"));
        rest = behind;
    }
    assert_eq!(text.matches("\n  patroni_barman recover ").count(), 2);
}

#[test]
fn only_the_data_directory_is_needed_where_the_api_is_not() {
    for (command, what) in [("verify", Asked::Verify), ("settle", Asked::Settle)] {
        let Ok(run) = ask(&[command, "--datadir=/d"]) else { panic!("{command}") };
        assert_eq!((run.command, run.ignored), (what, vec![]));
    }
}
