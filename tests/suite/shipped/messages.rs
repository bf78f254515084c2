//! `docs/messages.md`: every text that the program can print, read from the sources, so that a reviewer has them on one
//! page. The committed page is held equal; `UPDATE_DOCS=1 cargo test --test suite messages` makes it anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::support::tools::source;

const HEAD: &str = "# Messages

Every text that the program can print, by source file: log lines, errors, hints, help texts. Parts in braces are
filled in. Made by `UPDATE_DOCS=1 cargo test --test suite messages`; [Troubleshooting](troubleshooting.md) has
what to do about them.
";

/// Compiled for tests alone.
const NOT_SHIPPED: [&str; 3] = ["tests.rs", "docs.rs", "scratch.rs"];

#[test]
fn the_page_has_every_text() {
    let mut page = HEAD.to_owned();
    for file in ["src", "cli"].iter().flat_map(|folder| files(&source(folder))) {
        let text = fs::read_to_string(&file).unwrap();
        let is_help = file.extension().is_some_and(|ending| ending == "txt");
        let texts = if is_help { vec![text.trim_end().to_owned()] } else { texts(&text) };
        if !texts.is_empty() {
            let name = file.strip_prefix(source("")).unwrap().display().to_string();
            write!(page, "\n## {name}\n\n```text\n{}\n```\n", texts.join("\n")).unwrap();
        }
    }
    let path = source("docs/messages.md");
    if env::var_os("UPDATE_DOCS").is_some_and(|set| set == "1") {
        fs::write(&path, &page).unwrap();
    }
    let is_equal = fs::read_to_string(path).is_ok_and(|text| text == page);
    assert!(is_equal, "UPDATE_DOCS=1 cargo test --test suite messages makes it anew");
}

#[test]
fn texts_are_told_from_comments_and_from_other_strings() {
    let code = r##"
        // "a comment is none"
        /* "nor is this one" */
        #[allow(dead_code, reason = "a lint's reason is none")]
        fn f<'a>(c: &'a str) { warn("line one \
            and \"two\""); header("content-type"); let quote = '"'; raw(r#"a "raw" text"#) }
        bytes(b"these are none");
        #[cfg(test)]
        mod tests { "this is none" }
    "##;
    assert_eq!(texts(code), ["line one and \"two\"", "a \"raw\" text"]);
}

/// The sources below a folder, but for those of tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "txt")
            && !NOT_SHIPPED.contains(&&*name)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The string literals that people read: those with several words.
fn texts(code: &str) -> Vec<String> {
    let end = code
        .find("#[cfg(test)]")
        .filter(|at| code[*at..].lines().nth(1).is_some_and(|line| line.contains('{')));
    let mut rest = &code[..end.unwrap_or(code.len())];
    let mut found = Vec::new();
    while let Some(at) = rest.find(['/', '"', '\'']) {
        let (before, here) = rest.split_at(at);
        rest = if here.starts_with("//") {
            here.find('\n').map_or("", |end| &here[end..])
        } else if here.starts_with("/*") {
            here.split_once("*/").map_or("", |(_, rest)| rest)
        } else if let Some(literal) = here.strip_prefix('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let is_raw = before[..before.len() - hashes].ends_with('r');
            let (text, rest) = if is_raw {
                literal.split_once(&format!("\"{}", "#".repeat(hashes))).unwrap()
            } else {
                let (text, rest) = literal.split_at(end_of(literal));
                (text, &rest[1..])
            };
            let is_for_people = !before.ends_with('b') && !before.ends_with("reason = ");
            let text = if is_raw { text.to_owned() } else { unescaped(text) };
            if is_for_people && text.trim().contains(' ') && text.contains(char::is_alphabetic) {
                found.push(text.trim().to_owned());
            }
            rest
        } else if let Some(rest) = here.strip_prefix("'\"'") {
            rest
        } else {
            &here[1..]
        };
    }
    found
}

fn end_of(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.expect("the end of a literal")
}

/// A line of the source that goes on in the next one is one text; a line break stays visible.
fn unescaped(text: &str) -> String {
    let joined: Vec<&str> = text
        .split("\\\n")
        .enumerate()
        .map(|(i, part)| if i == 0 { part } else { part.trim_start() })
        .collect();
    joined.concat().replace("\\\"", "\"").replace("\\'", "'")
}
