//! The manual page `barman_recover(3)`, made from the C header, and the form of both manual pages. The committed
//! copy is held equal; `UPDATE_DOCS=1 cargo test --test suite man` makes it anew.

use std::{env, fs};

use clap_mangen::roff::{Roff, bold, roman};

use crate::support::table::check_rows;
use crate::support::tools::{said, source, tool, version};

#[test]
fn the_librarys_manual_page_is_that_of_the_header() {
    let committed = source("docs/man/barman_recover.3");
    let page = manual(&fs::read_to_string(env!("BARMAN_RECOVER_HEADER")).unwrap());
    if env::var_os("UPDATE_DOCS").is_some_and(|set| set == "1") {
        fs::write(&committed, &page).unwrap();
    }
    assert!(
        fs::read_to_string(committed).is_ok_and(|text| text == page),
        "UPDATE_DOCS=1 cargo test --test suite man makes it anew"
    );
}

#[test]
fn the_manual_pages_are_well_formed() {
    check_rows(["docs/man/barman_recover.3", "docs/man/patroni_barman.1"], |page| {
        if let Some(mut man) = tool("man") {
            let formatted =
                man.args(["--warnings", "--encoding=UTF-8", "-l"]).arg(source(page)).output().unwrap();
            assert!(formatted.status.success() && formatted.stderr.is_empty(), "{}", said(&formatted));
        }
    });
}

/// A comment of the header, as paragraphs of one line each, and the declaration behind it.
struct Declared {
    comment: Vec<String>,
    text: String,
}

fn declarations(header: &str) -> Vec<Declared> {
    let mut found = Vec::new();
    for part in header.split("\n/**").skip(1) {
        let (comment, rest) = part.split_once(" */\n").unwrap();
        if rest.starts_with('#') {
            continue; // the version
        }
        // Comments inside of an enum may hold a semicolon, but not at the end of a line.
        let text = rest.split(";\n").next().unwrap().to_owned();
        found.push(Declared { comment: paragraphs(comment), text });
    }
    found
}

/// Without the stars, one line each.
fn paragraphs(comment: &str) -> Vec<String> {
    let lines = comment.lines().map(|line| line.trim().trim_start_matches('*').trim());
    let text: Vec<&str> = lines.collect();
    text.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|text| !text.is_empty()).collect()
}

/// Two manual pages made of one source are equal.
const NO_DATE: &str = "\"\"";

fn manual(header: &str) -> String {
    let declared = declarations(header);
    let functions = || declared.iter().filter(|each| !each.text.starts_with("typedef"));
    assert_eq!(functions().count(), 15);

    let mut page = Roff::new();
    let source = format!("barman-recover {}", version());
    page.control("TH", ["barman_recover", "3", NO_DATE, &source, "PostgreSQL backup and recovery"]);
    page.control("nr", ["HY", "0"]).control("ad", ["l"]); // names can be searched for and copied
    let mut opening =
        header.split("*/").next().unwrap().lines().skip(1).map(|line| line.trim_start_matches(" *"));
    let about = opening.next().unwrap().split_once(" - ").unwrap().1;
    page.control("SH", ["NAME"]).text([roman(format!("barman_recover - {about}"))]);

    page.control("SH", ["SYNOPSIS"]).control("nf", []);
    page.text([bold("#include <barman_recover.h>")]).text([roman("")]);
    for function in functions() {
        page.text([bold(one_line(&function.text) + ";")]);
    }
    page.text([roman("")]);
    page.text([roman("Build with: cc program.c $(pkg-config --cflags --libs barman_recover)")]);
    page.control("fi", []);

    page.control("SH", ["DESCRIPTION"]);
    let rest: Vec<&str> = opening.collect();
    let topics = rest.iter().position(|line| line.starts_with(" Handles ")).expect("the first topic");
    intro(&mut page, &rest[..topics]);
    notes(&mut page, &rest[topics..]);

    page.control("SH", ["FUNCTIONS"]);
    for function in functions() {
        described(&mut page, &(one_line(&function.text) + ";"), &function.comment);
    }
    page.control("SH", ["TYPES AND NUMBERS"]);
    for each in declared.iter().filter(|each| each.text.starts_with("typedef")) {
        if each.text.starts_with("typedef enum") {
            numbers(&mut page, each);
        } else {
            described(&mut page, &(one_line(&each.text) + ";"), &each.comment);
        }
    }
    page.control("SH", ["SEE ALSO"]).text([bold("patroni_barman"), roman("(1)")]);
    page.render()
}

fn one_line(declaration: &str) -> String {
    declaration.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text and the program before the topics.
fn intro(page: &mut Roff, lines: &[&str]) {
    let paragraphs = lines.split(|line| line.trim().is_empty()).filter(|lines| !lines.is_empty());
    for (number, paragraph) in paragraphs.enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        if paragraph[0].starts_with("     ") {
            page.control("RS", ["4"]).control("EX", []);
            for line in paragraph {
                page.text([roman(line.strip_prefix("     ").unwrap())]);
            }
            page.control("EE", []).control("RE", []);
        } else if !paragraph[0].starts_with(" Build with") {
            page.text([roman(paragraph.join(" ").trim())]);
        }
    }
}

/// "Topic      text", where the text goes on in the same column.
fn notes(page: &mut Roff, lines: &[&str]) {
    for line in lines.iter().take_while(|line| !line.trim().is_empty()) {
        let line = line.strip_prefix(' ').unwrap();
        match line.split_once(' ').filter(|(topic, _)| !topic.is_empty()) {
            Some((topic, text)) => {
                page.control("TP", []).text([bold(topic)]).text([roman(text.trim())]);
            }
            None => {
                page.text([roman(line.trim())]);
            }
        }
    }
}

fn described(page: &mut Roff, title: &str, paragraphs: &[String]) {
    page.control("TP", []).text([bold(title)]);
    for (number, paragraph) in paragraphs.iter().enumerate() {
        if number > 0 {
            page.control("IP", []);
        }
        page.text([roman(paragraph)]);
    }
}

/// An enum: its name, and a line for each number.
fn numbers(page: &mut Roff, declared: &Declared) {
    let (body, name) = declared.text.rsplit_once("\n} ").unwrap();
    page.control("SS", [name]).text([roman(declared.comment.join(" "))]);
    for each in body.split("  /**").skip(1) {
        let (comment, constant) = each.split_once("*/").unwrap();
        let constant = constant.trim().trim_end_matches(',');
        described(page, constant, &paragraphs(comment));
    }
}
