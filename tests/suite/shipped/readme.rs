//! The README: what it says of options and exit codes is what the program has.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use barman_recover::{Code, Command, Kind, OPTIONS};

const BEGIN: &str =
    "<!-- options: made from the table of options by UPDATE_README=1 cargo test --test suite readme -->\n";
const END: &str = "<!-- end of options -->\n";

fn table() -> String {
    let mut rows = String::from("\n| option | default | meaning |\n| --- | --- | --- |\n");
    let recover: Vec<_> = Command::Recover.options().collect();
    let others = OPTIONS.iter().filter(|spec| !spec.commands.contains(&Command::Recover));
    for spec in recover.into_iter().chain(others) {
        let value =
            if spec.kind == Kind::Flag { String::new() } else { format!(" {}", spec.kind.value_name()) };
        let alias = if spec.alias.is_empty() { String::new() } else { format!(", `--{}`", spec.alias) };
        let default = if spec.required { "required" } else { spec.default };
        let only = if spec.commands.contains(&Command::Recover) { "" } else { "`config-switch`: " };
        let help = spec.help.replace('|', "\\|");
        writeln!(rows, "| `--{}{value}`{alias} | {default} | {only}{help} |", spec.name).unwrap();
    }
    rows + "\n"
}

#[test]
fn the_options_are_those_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the options");
    let (options, after) = rest.split_once(END).expect("the mark behind the options");
    if env::var_os("UPDATE_README").is_some_and(|set| set == "1") {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(options, table(), "UPDATE_README=1 cargo test --test suite readme makes it anew");
}

#[test]
fn every_exit_code_is_named() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for code in Code::ALL {
        let number = code as i32;
        let status = code.exit_status();
        let cell = if number < 0 { format!("{status} ({number})") } else { number.to_string() };
        assert!(text.contains(&format!("| {cell} | `{}` |", code.name())), "{cell} {}", code.name());
    }
}
