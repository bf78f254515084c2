//! Writes the shell completions of `patroni_barman` into a folder: `cargo run --example completions -- FOLDER`.
//! `./install` runs it. A program of its own, as the one that is shipped has no use for the generators.

#[allow(dead_code, reason = "the program uses the rest")]
#[path = "args/command.rs"]
mod command;

use std::{env, io};

use barman_recover::{Kind, OPTIONS};
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::{Shell, generate_to};

use command::{NAME, OWN};

/// The commands with what a shell can complete for each value: words, files for a path, and nothing where only the
/// user knows the value.
fn completed(command: Command) -> Command {
    let kind = |name: &str| {
        let own = OWN.iter().map(|(own, kind, ..)| (*own, *kind));
        OPTIONS.iter().map(|spec| (spec.name, spec.kind)).chain(own).find(|(known, _)| *known == name)
    };
    let offered = |arg: Arg| match kind(arg.get_id().as_str()) {
        Some((_, Kind::Word(words))) => arg.value_parser(words.to_vec()),
        Some((name, Kind::Flag)) => {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
        }
        Some(("data-directory", _)) => arg.value_hint(ValueHint::DirPath),
        Some((_, Kind::Path)) => arg.value_hint(ValueHint::FilePath),
        Some(_) => arg.value_hint(ValueHint::Other),
        None => arg,
    };
    command.mut_args(offered).mut_subcommands(completed)
}

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("give the folder to write into"))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut completed(command::command()), NAME, &folder)?;
    }
    Ok(())
}
