//! The texts of a restored data directory: `.barman-recover.info`, `backup_label`, the manifest of a postgres backup,
//! and the `restore_command` that Barman writes. Pure: texts in, values out. All of them are untrusted.

use crate::text::one_line;
use crate::world::data::wal::{self, Segment};

/// `.barman-recover.info`, Barman's own record of the backup that it restores; the parts that matter to a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) server: String,
    pub(super) begin_time: String,
    pub(super) status: String,
    pub(super) start: Start,
    pub(super) end: Option<Segment>,
    pub(super) segment_size: u64,
    pub(super) backup_id: Option<String>,
}

/// `backup_label`, which PostgreSQL made for the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) start: Start,
    pub(super) backup_id: Option<String>,
}

/// Where the WAL of a backup starts: location and file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) location: Location,
    pub(super) segment: Segment,
}

/// `0/4000028`
pub(super) type Location = (u32, u32);

impl Info {
    /// `None` unless it says where the backup starts, and how it ended: the text is cut off, or not Barman's.
    pub(super) fn parse(text: &str) -> Option<Info> {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| plain(value))
        };
        let location = parse_location(&value("begin_xlog")?)?;
        let segment = Segment::parse(&value("begin_wal")?)?;
        Some(Info {
            server: one_line(&value("server_name").unwrap_or_default()),
            begin_time: one_line(&value("begin_time").unwrap_or_default()),
            status: one_line(&value("status")?),
            start: Start { location, segment },
            end: value("end_wal").and_then(|name| Segment::parse(&name)),
            segment_size: value("xlog_segment_size")
                .and_then(|size| wal::segment_size(&size))
                .unwrap_or(wal::USUAL_SIZE),
            backup_id: value("backup_label").and_then(|label| labelled_id(&label)),
        })
    }
}

impl Label {
    /// `None` without a WAL start: the text is cut off, or not PostgreSQL's.
    pub(super) fn parse(text: &str) -> Option<Label> {
        let start = text.lines().find_map(|line| line.strip_prefix("START WAL LOCATION: "))?;
        let (location, file) = start.split_once(" (file ")?;
        let segment = Segment::parse(file.strip_suffix(')')?)?;
        let start = Start { location: parse_location(location)?, segment };
        Some(Label { start, backup_id: labelled_id(text) })
    }
}

/// The ID in `backup_manifest.ID`, which is what Barman calls the manifest of a postgres backup.
pub(super) fn manifest_id(name: &str) -> Option<&str> {
    name.strip_prefix("backup_manifest.").filter(|id| is_id(id))
}

/// Whether the end of a manifest says that the WAL of its backup starts there. This distinguishes the
/// manifest of this backup from one that came with the data, because the source had been restored from an
/// earlier backup.
pub(super) fn manifest_starts_at(end: &str, location: Location) -> bool {
    let Some((_, ranges)) = end.rsplit_once("\"WAL-Ranges\"") else { return false };
    let starts = ranges.split("\"Start-LSN\":").skip(1).filter_map(|rest| rest.split('"').nth(1));
    starts.filter_map(parse_location).any(|start| start == location)
}

/// The command by which PostgreSQL is to fetch WAL from Barman, as Barman writes it for servers with `get-wal`: the
/// last `restore_command` of the text, if it is one of Barman's.
pub(super) fn wal_fetcher(configuration: &str) -> Option<String> {
    let mut command = configuration.lines().filter_map(|line| {
        let value = line.trim_start().strip_prefix("restore_command")?.trim_start();
        let value = value.strip_prefix('=').unwrap_or(value).trim();
        Some(value.strip_prefix('\'')?.rsplit_once('\'')?.0.replace("''", "'"))
    });
    let command = command.next_back()?;
    let barmans = ["barman-wal-restore", "barman get-wal", "barman cloud-wal-restore"];
    let is_barmans = barmans.into_iter().any(|one| command.contains(one));
    is_barmans.then(|| one_line(&command))
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
fn parse_location(text: &str) -> Option<Location> {
    let (high, low) = text.split_once('/')?;
    let number = |digits| u32::from_str_radix(digits, 16).ok();
    Some((number(high)?, number(low)?))
}

/// A value as Python writes it: with or without quotes, with escapes like `\n` for what does not fit on a line.
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
mod tests;
