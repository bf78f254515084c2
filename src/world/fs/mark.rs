//! Barman's last mark: what `.barman-recover.info` and `backup_label` say, and whether they describe the same
//! backup. Pure: texts in, values out.

use crate::text::one_line;

/// `.barman-recover.info`, Barman's own record of the backup that it restores; the parts that matter to a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) server: String,
    pub(crate) begin_time: String,
    start: Start,
    backup_id: Option<String>,
}

/// `backup_label`, which PostgreSQL made for the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    start: Start,
    backup_id: Option<String>,
}

/// Where the WAL of a backup starts: location and file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Start {
    location: (u32, u32),
    file: String,
}

impl Info {
    /// `None` unless it has everything that a mark needs: the text is cut off, or not Barman's.
    pub(crate) fn parse(text: &str) -> Option<Info> {
        let (mut server, mut begin_time, mut location, mut file, mut label) = (None, None, None, None, None);
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "server_name" => server = Some(one_line(&plain(value))).filter(|name| !name.is_empty()),
                "begin_time" => begin_time = Some(one_line(&plain(value))),
                "begin_xlog" => location = parse_location(&plain(value)),
                "begin_wal" => file = Some(plain(value)).filter(|name| is_segment(name)),
                "backup_label" => label = Some(plain(value)),
                _ => {}
            }
        }
        Some(Info {
            server: server?,
            begin_time: begin_time?,
            start: Start { location: location?, file: file? },
            backup_id: label.as_deref().and_then(labelled_id),
        })
    }

    /// Whether both belong to the same backup.
    pub(crate) fn matches(&self, label: &Label) -> bool {
        self.start == label.start
    }

    /// The ID of the backup, if Barman itself made the label.
    pub(crate) fn backup_id(&self, label: &Label) -> Option<String> {
        self.backup_id.clone().or_else(|| label.backup_id.clone())
    }
}

impl Label {
    /// `None` without a WAL start: the text is cut off, or not PostgreSQL's.
    pub(crate) fn parse(text: &str) -> Option<Label> {
        let start = text.lines().find_map(|line| line.strip_prefix("START WAL LOCATION: "))?;
        let (location, file) = start.split_once(" (file ")?;
        let file = file.strip_suffix(')').filter(|name| is_segment(name))?;
        let start = Start { location: parse_location(location)?, file: file.into() };
        Some(Label { start, backup_id: labelled_id(text) })
    }
}

/// Whether this is the name of a complete WAL file, rather than a partial one or a backup history file.
pub(crate) fn is_segment(name: &str) -> bool {
    name.len() == 24 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}

/// The ID in `backup_manifest.ID`, which is what Barman calls the manifest of a postgres backup.
pub(crate) fn manifest_id(name: &str) -> Option<&str> {
    name.strip_prefix("backup_manifest.").filter(|id| is_id(id))
}

/// The ID in the label that Barman gives an rsync backup: `LABEL: Barman backup SERVER ID`. A server's name may
/// hold spaces, an ID does not.
fn labelled_id(label: &str) -> Option<String> {
    let text = label.lines().find_map(|line| line.strip_prefix("LABEL: Barman backup "))?;
    let (_, id) = text.rsplit_once(' ')?;
    is_id(id).then(|| id.into())
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// `0/4000028`, with any leading zeros removed.
fn parse_location(text: &str) -> Option<(u32, u32)> {
    let (high, low) = text.split_once('/')?;
    let number = |digits| u32::from_str_radix(digits, 16).ok();
    Some((number(high)?, number(low)?))
}

/// A value as Python writes it: with or without quotes, with escapes like `
/// ` for what does not fit on a line.
fn plain(value: &str) -> String {
    let value = value.trim();
    let quoted = ['\'', '"'].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let Some(quoted) = quoted else { return value.into() };
    let (mut text, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        let next = if character == '\\' { characters.next() } else { Some(character) };
        text.extend(match (character, next) {
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('r')) => Some('\r'),
            ('\\', Some('t')) => Some('\t'),
            (_, next) => next,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = include_str!("../../../tests/recordings/restored-directory.txt");

    /// What Barman and PostgreSQL actually wrote.
    fn recorded() -> (&'static str, &'static str) {
        let mut sections = RECORDING.split("\n== ").skip(1).map(|part| part.split_once('\n').unwrap().1);
        (sections.next().unwrap(), sections.next().unwrap())
    }

    fn with(key: &str, value: &str) -> String {
        let lines = recorded().0.lines().map(|line| match line.split_once('=') {
            Some((found, _)) if found == key => format!("{key}={value}\n"),
            _ => format!("{line}\n"),
        });
        lines.collect()
    }

    #[test]
    fn the_real_files_of_a_restore_are_understood() {
        let (info, label) = recorded();
        let (info, label) = (Info::parse(info).unwrap(), Label::parse(label).unwrap());
        assert!(info.matches(&label));
        assert_eq!(info.backup_id(&label).as_deref(), Some("20261124T163715"));
        assert_eq!(
            (info.server.as_str(), info.begin_time.as_str()),
            ("pg", "2026-11-24 16:37:15.488941+00:00")
        );
    }

    #[test]
    fn an_info_that_came_with_the_backup_matches_no_label() {
        let label = Label::parse(recorded().1).unwrap();
        for (key, value) in [("begin_xlog", "0/2000028"), ("begin_wal", "000000020000000000000004")] {
            assert!(!Info::parse(&with(key, value)).unwrap().matches(&label), "{key}");
        }
        for leading in ["0/04000028", "00000000/4000028"] {
            assert!(Info::parse(&with("begin_xlog", leading)).unwrap().matches(&label), "{leading}");
        }
    }

    #[test]
    fn the_id_is_in_either_label_or_unknown() {
        let label = |text: &str| {
            Label::parse(&recorded().1.replace("Barman backup pg 20261124T163715", text)).unwrap()
        };
        let info = Info::parse(&with("backup_label", "None")).unwrap();
        for (text, id) in [
            ("Barman backup pg 20261124T163715", Some("20261124T163715")),
            ("Barman backup a server's name 20261124T163715", Some("20261124T163715")),
            ("pg_basebackup base backup", None),
            ("Barman backup ../../etc/passwd", None),
        ] {
            assert_eq!(info.backup_id(&label(text)).as_deref(), id, "{text}");
        }
        let quoted = r#""LABEL: Barman backup it's 20261124T000000\n""#;
        let info = Info::parse(&with("backup_label", quoted)).unwrap();
        assert_eq!(info.backup_id(&label("x")).as_deref(), Some("20261124T000000"));
        assert_eq!(manifest_id("backup_manifest.20261124T163715"), Some("20261124T163715"));
        for none in ["backup_manifest", "backup_manifest.", "backup_manifest.a b", "xbackup_manifest.1"] {
            assert_eq!(manifest_id(none), None, "{none}");
        }
    }

    #[test]
    fn a_text_cut_anywhere_is_no_mark_of_another_backup() {
        let (info, label) = recorded();
        let whole = (Info::parse(info).unwrap(), Label::parse(label).unwrap());
        for end in 0..info.len() {
            if let Some(cut) = Info::parse(&info[..end]) {
                assert!(!cut.matches(&whole.1) || cut.start == whole.0.start, "{end}");
            }
        }
        for end in 0..label.len() {
            assert!(Label::parse(&label[..end]).is_none_or(|cut| cut.start == whole.1.start), "{end}");
        }
    }

    #[test]
    fn garbage_is_no_mark() {
        for text in
            ["", "=", "begin_xlog=0/4", "\0\0\0", "server_name=\nbegin_time=\nbegin_xlog=/\nbegin_wal=", "\\"]
        {
            assert!(Info::parse(text).is_none() && Label::parse(text).is_none(), "{text:?}");
        }
        for (key, value) in [
            ("server_name", "''"),
            ("begin_xlog", "None"),
            ("begin_xlog", "0/123456789"),
            ("begin_wal", "None"),
            ("begin_wal", "00000001000000000000000g"),
        ] {
            assert!(Info::parse(&with(key, value)).is_none(), "{key}={value}");
        }
        assert!(Label::parse("START WAL LOCATION: 0/4000028").is_none());
        assert!(Label::parse("START WAL LOCATION: 0/4000028 (file x)").is_none());
    }

    #[test]
    fn values_are_read_as_python_writes_them() {
        for (value, text) in [
            ("'a\\nb\\tc'", "a\nb\tc"),
            ("\"it's\"", "it's"),
            ("'a\\\\'", "a\\"),
            ("'\\'", ""),
            ("'", "'"),
            (" x ", "x"),
        ] {
            assert_eq!(plain(value), text, "{value}");
        }
    }
}
