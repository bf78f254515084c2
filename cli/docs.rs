//! The manual page, generated from the same commands as `--help`. A test compares the committed copy in `docs/`;
//! `UPDATE_DOCS=1 cargo test --bin patroni_barman docs` generates it again.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs, io};

use barman_recover::{Code, OPTIONS};
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args;

fn held_equal(path: &str, generated: &str) {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_DOCS").is_some_and(|set| set == "1") {
        fs::write(&committed, generated).unwrap();
    }
    assert!(
        fs::read_to_string(&committed).is_ok_and(|text| text == generated),
        "{path}: UPDATE_DOCS=1 cargo test --bin patroni_barman docs makes it anew"
    );
}

/// The commands, plus what the generator leaves out.
fn documented() -> Command {
    fn with_aliases(command: Command) -> Command {
        command
            .mut_args(|arg| {
                let aliases = arg.get_visible_aliases().unwrap_or_default();
                let Some(alias) = aliases.first().map(|alias| format!(" [alias: --{alias}]")) else {
                    return arg;
                };
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                arg.help(help + &alias)
            })
            .mut_subcommands(with_aliases)
    }
    // Without the machine's name.
    with_aliases(args::command()).version(env!("CARGO_PKG_VERSION"))
}

#[test]
fn the_manual_page_is_that_of_the_commands() {
    held_equal("docs/man/patroni_barman.1", &manual());
}

fn manual() -> String {
    let root = documented().override_usage("patroni_barman [OPTION]... COMMAND [OPTION]...");
    let man = Man::new(root.clone()).date("\"\"").manual("PostgreSQL backup and recovery");
    let mut page = rendered(|page| man.render_title(page));
    page += ".nr HY 0\n.ad l\n"; // no hyphenation, so that names can be searched for and copied
    page += &section(&rendered(|page| man.render_name_section(page)));
    page += &section(&rendered(|page| man.render_synopsis_section(page)));
    page += include_str!("docs/description.roff");
    for command in root.get_subcommands() {
        page += &options_of(args::NAME, command, &root);
    }
    page += include_str!("docs/common.roff");
    page += &options(&root, None);
    page += &environment(&root);
    page += include_str!("docs/sections.roff");
    page
}

/// A sub-command with the options that are not common, followed by its own sub-commands.
fn options_of(of: &str, command: &Command, root: &Command) -> String {
    let title = format!("{of} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = Roff::new();
    text.control("SH", [title.as_str()]).text([roman(about + ".")]);
    let own = section(&text.render()) + &options(&command.clone().disable_help_flag(true), Some(root));
    command.get_subcommands().fold(own, |page, below| page + &options_of(&title, below, root))
}

/// The options of a command, except those described elsewhere, under their headings.
fn options(command: &Command, elsewhere: Option<&Command>) -> String {
    let is_elsewhere = |arg: &Arg| {
        elsewhere.is_some_and(|other| other.get_arguments().any(|common| common.get_id() == arg.get_id()))
    };
    let wanted = || command.get_arguments().filter(|arg| !is_elsewhere(arg));
    let mut headings: Vec<Option<&str>> = Vec::new();
    for heading in wanted().map(Arg::get_help_heading) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    headings.sort_by_key(Option::is_none);
    let under = |heading: Option<&str>| {
        let shown = |arg: &Arg| !is_elsewhere(arg) && arg.get_help_heading() == heading;
        let command = command.clone().mut_args(|arg| if shown(&arg) { arg } else { arg.hide(true) });
        let of_help =
            command.clone().disable_help_flag(heading.is_some()).disable_version_flag(heading.is_some());
        let part = content(&rendered(|page| Man::new(of_help.clone()).render_options_section(page)));
        heading.map_or(String::new(), |heading| format!(".SS \"{heading}\"\n")) + &part
    };
    headings.into_iter().map(under).collect()
}

fn rendered(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut page = Vec::new();
    render(&mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// A part without the preamble that each part has but the page needs only once.
fn section(part: &str) -> String {
    without(part, &[".ie ", ".el "])
}

/// The same without its heading.
fn content(part: &str) -> String {
    without(&section(part), &[".SH "])
}

fn without(part: &str, requests: &[&str]) -> String {
    let is_wanted = |line: &&str| !requests.iter().any(|request| line.starts_with(request));
    part.split_inclusive('\n').filter(is_wanted).collect()
}

/// The environment variables that the help texts name.
fn environment(root: &Command) -> String {
    let mut text = Roff::new();
    text.control("SH", ["ENVIRONMENT"]);
    text.text([roman("An option that is not on the command line is taken from the environment:")]);
    let mut variables = BTreeMap::new();
    for command in std::iter::once(root).chain(root.get_subcommands()) {
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let variable = help.split_once("[env: ").and_then(|(_, rest)| rest.split_once(']'));
            if let Some((variable, _)) = variable {
                variables.insert(variable.to_owned(), arg.get_id().to_string());
            }
        }
    }
    assert!(variables.len() >= OPTIONS.len(), "{variables:?}");
    for (variable, option) in variables {
        text.control("TP", []).text([bold(variable)]).text([bold(format!("--{option}"))]);
    }
    text.control("TP", []).text([bold("SSL_CERT_FILE"), roman(", "), bold("SSL_CERT_DIR")]);
    text.text([roman("Certificates to trust instead of the system's.")]);
    text.control("TP", []).text([bold("TZ")]).text([roman("The time zone of the log.")]);
    section(&text.render())
}

#[test]
fn every_command_is_in_the_manual_page() {
    fn commands(command: &Command) -> Vec<String> {
        let own = command.get_name();
        let below = command.get_subcommands().flat_map(commands).map(|name| format!("{own} {name}"));
        std::iter::once(own.to_owned()).chain(below).collect()
    }
    for name in commands(&args::command()) {
        assert!(name == args::NAME || manual().contains(&format!(".SH \"{name}\"")), "{name}");
    }
}

#[test]
fn every_exit_status_is_in_the_manual_page() {
    let page = include_str!("docs/sections.roff");
    let statuses = page.split(".SH ").find(|section| section.starts_with("\"EXIT STATUS\"")).unwrap();
    for code in Code::ALL {
        if code == Code::Cancelled {
            continue; // the program ends by the signal
        }
        let status = code.exit_status();
        assert!(statuses.contains(&format!(".B {status}\n")), "{status} of {}", code.name());
    }
}
