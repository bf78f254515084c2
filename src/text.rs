//! Text for logs and terminals: lines that stay lines, sizes, times and lists. Pure.

use std::time::Duration;

/// One printable line of at most 500 characters, for a server's words in logs and terminals.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(500) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The text on one line, otherwise unchanged: an option, a state file or an ID may contain line breaks.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The first few of these, and how many more there are.
pub(crate) fn first_few<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let mut all = all.into_iter();
    let first: Vec<&str> = all.by_ref().take(SHOWN).collect();
    match (first.len(), all.count()) {
        (0, _) => "none".into(),
        (_, 0) => first.join(", "),
        (_, more) => format!("{} and {more} more", first.join(", ")),
    }
}

/// `1 process of rsync or pg_basebackup`, `2 processes of rsync or pg_basebackup`
pub(crate) fn receivers(count: usize) -> String {
    format!("{count} process{} of rsync or pg_basebackup", if count == 1 { "" } else { "es" })
}

/// `1.2 GB`: decimal units, as Barman and disk vendors use them.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 1;
    for name in ["bytes", "kB", "MB", "GB", "TB"] {
        let tenths = bytes / (unit / 10).max(1);
        if unit == 1 && bytes < 1000 {
            return format!("{bytes} {name}");
        }
        if unit > 1 && (tenths < 10_000 || name == "TB") {
            return if tenths < 100 {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", tenths / 10)
            };
        }
        unit *= 1000;
    }
    format!("{bytes} bytes")
}

/// `12 s`, `3:07 min`, `2:15 h`
pub(crate) fn clock(time: Duration) -> String {
    match time.as_secs() {
        whole @ 0..=119 => format!("{whole} s"),
        whole @ 120..=7199 => format!("{}:{:02} min", whole / 60, whole % 60),
        whole => format!("{}:{:02} h", whole / 3600, whole / 60 % 60),
    }
}

/// `12.3 s`
pub(crate) fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_become_one_printable_line() {
        assert_eq!(one_line(" a\r\nb\x1b[31m\tc\0"), "a b [31m c");
        assert_eq!(one_line(&"é".repeat(600)).chars().count(), 503);
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(first_few([]), "none");
        assert_eq!(first_few(["a", "b", "c", "d", "e"]), "a, b, c, d, e");
        assert_eq!(first_few(["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (9_999, "9.9 kB"),
            (12_345, "12 kB"),
            (999_999, "999 kB"),
            (1_000_000, "1.0 MB"),
            (2_500_000_000, "2.5 GB"),
            (7_000_000_000_000_000, "7000 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_readable() {
        for (secs, text) in [(0, "0 s"), (119, "119 s"), (187, "3:07 min"), (8_100, "2:15 h")] {
            assert_eq!(clock(Duration::from_secs(secs)), text);
        }
    }
}
