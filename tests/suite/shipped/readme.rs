//! The README and the pages of `docs/`: what they say of options and exit codes is what the program has, and their
//! links lead somewhere.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use barman_recover::{Code, Command, Kind, OPTIONS};

use crate::support::tools::source;

const BEGIN: &str =
    "<!-- options: made from the table of options by UPDATE_DOCS=1 cargo test --test suite readme -->\n";
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
        let only = match spec.commands {
            [one] => format!("`{}`: ", one.name()),
            _ => String::new(),
        };
        let help = spec.help.replace('|', "\\|");
        writeln!(rows, "| `--{}{value}`{alias} | {default} | {only}{help} |", spec.name).unwrap();
    }
    rows + "\n"
}

#[test]
fn the_options_are_those_of_the_program() {
    let path = source("docs/options.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the options");
    let (options, after) = rest.split_once(END).expect("the mark behind the options");
    if env::var_os("UPDATE_DOCS").is_some_and(|set| set == "1") {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(options, table(), "UPDATE_DOCS=1 cargo test --test suite readme makes it anew");
}

#[test]
fn every_exit_code_is_named() {
    for page in ["README.md", "docs/exit-codes.md"] {
        let text = fs::read_to_string(source(page)).unwrap();
        for code in Code::ALL {
            let number = code as i32;
            let status = code.exit_status();
            let cell = if number < 0 { format!("{status} ({number})") } else { number.to_string() };
            assert!(
                text.contains(&format!("| {cell} | `{}` |", code.name())),
                "{page}: {cell} {}",
                code.name()
            );
        }
    }
}

#[test]
fn the_readme_is_a_front_door() {
    let lines = fs::read_to_string(source("README.md")).unwrap().lines().count();
    assert!(lines <= 130, "{lines} lines: details belong in docs/");
}

/// Every page that people read, from the root of the source.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "bindings/go/README.md",
        "bindings/python/README.md",
        "examples/container/README.md",
        "examples/patroni/README.md",
        "tests/standin/README.md",
    ]
    .map(source)
    .to_vec();
    let docs = fs::read_dir(source("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    pages
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let there = fs::read_to_string(&target).unwrap();
                assert!(headings(&there).any(|heading| heading == anchor), "{}: {link}", page.display());
            }
        }
    }
}

#[test]
fn every_page_is_in_the_index() {
    let index = fs::read_to_string(source("docs/README.md")).unwrap();
    let pages = pages().into_iter().filter(|page| page.parent() == Some(&source("docs")));
    for page in pages.filter(|page| !page.ends_with("README.md")) {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        assert!(index.contains(&format!("]({name})")), "{name} is not in docs/README.md");
    }
}

/// The anchors that headings get where Markdown is shown.
fn headings(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')))
        .map(|title| {
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            title.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
        })
}
