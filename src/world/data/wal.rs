//! Names of WAL files: which segments a backup needs, and which of them are there. Pure.

use std::collections::BTreeSet;
use std::fmt;

use crate::world::MissingWal;

/// The size of a segment if Barman's record does not give it.
pub(super) const USUAL_SIZE: u64 = 16 << 20;
const SIZES: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 30);

/// A WAL segment, as its file is named: `000000010000000000000004`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) timeline: u32,
    log: u32,
    number: u32,
}

impl Segment {
    /// None for every other file of `pg_wal`: partial segments, backup history files, histories of timelines.
    pub(super) fn parse(name: &str) -> Option<Segment> {
        let (timeline, rest) = (name.get(..8)?, name.get(8..)?);
        let (log, number) = (rest.get(..8)?, rest.get(8..)?);
        Some(Segment { timeline: hex(timeline)?, log: hex(log)?, number: hex(number)? })
    }

    /// The segment after this one, where segments have this size.
    fn next(self, size: u64) -> Option<Segment> {
        let last = u32::try_from((1_u64 << 32) / size - 1).ok()?;
        if self.number < last {
            Some(Segment { number: self.number + 1, ..self })
        } else {
            Some(Segment { log: self.log.checked_add(1)?, number: 0, ..self })
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}{:08X}", self.timeline, self.log, self.number)
    }
}

/// Eight hexadecimal digits, in upper case as PostgreSQL writes them.
fn hex(text: &str) -> Option<u32> {
    let is_hex = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    u32::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

/// The size of a segment, if PostgreSQL could have been built or initialised with it.
pub(super) fn segment_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| SIZES.contains(size) && size.is_power_of_two())
}

/// What is in `pg_wal`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct WalFiles {
    pub(super) segments: BTreeSet<Segment>,
    /// The newest timeline that has a history there.
    pub(super) newest_history: Option<u32>,
}

impl WalFiles {
    pub(super) fn add(&mut self, name: &str) {
        if let Some(segment) = Segment::parse(name) {
            self.segments.insert(segment);
        } else if let Some(timeline) = name.strip_suffix(".history").and_then(hex) {
            self.newest_history = self.newest_history.max(Some(timeline));
        }
    }

    /// What is missing from `begin` to `end`; None if nothing is. An unknown end always counts as missing.
    pub(super) fn missing(&self, begin: Segment, end: Option<Segment>, size: u64) -> Option<MissingWal> {
        let (mut next, mut there) = (begin, None);
        while self.segments.contains(&next) {
            there = Some(next);
            if Some(next) == end {
                return None;
            }
            let Some(following) = next.next(size) else { break };
            next = following;
        }
        let name = |segment: Segment| segment.to_string();
        Some(MissingWal { needed: end.map(name), there: there.map(name) })
    }

    /// The newest timeline with a history here, if it is newer than all WAL here and than the backup's: its
    /// WAL did not come.
    pub(super) fn newer_timeline(&self, backup: u32) -> Option<u32> {
        let newest = self.segments.last().map_or(backup, |segment| segment.timeline.max(backup));
        self.newest_history.filter(|history| *history > newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABYTE: u64 = 1 << 20;

    fn files(names: &[&str]) -> WalFiles {
        let mut files = WalFiles::default();
        for name in names {
            files.add(name);
        }
        files
    }

    fn missing(names: &[&str], begin: &str, end: &str, size: u64) -> Option<MissingWal> {
        files(names).missing(Segment::parse(begin).unwrap(), Segment::parse(end), size)
    }

    fn lacks(needed: Option<&str>, there: Option<&str>) -> MissingWal {
        MissingWal { needed: needed.map(Into::into), there: there.map(Into::into) }
    }

    #[test]
    fn only_whole_segments_are_segments() {
        let segment = Segment::parse("0000000A000000FF0000001C").unwrap();
        assert_eq!(segment.to_string(), "0000000A000000FF0000001C");
        for other in [
            "0000000A000000FF0000001C.partial",
            "000000010000000000000004.00000028.backup",
            "00000002.history",
            "0000000a000000ff0000001c",
            "+000000A000000FF0000001C",
            "archive_status",
            "äääääääääääää",
            "",
        ] {
            assert_eq!(Segment::parse(other), None, "{other}");
        }
    }

    #[test]
    fn segments_follow_each_other_across_log_files() {
        for (size, last) in
            [(16 * MEGABYTE, "000000FF"), (MEGABYTE, "00000FFF"), (1024 * MEGABYTE, "00000003")]
        {
            let (begin, end) = (format!("0000000100000000{last}"), "000000010000000100000000");
            assert_eq!(missing(&[&begin, end], &begin, end, size), None, "{size}");
            assert_eq!(missing(&[&begin], &begin, end, size), Some(lacks(Some(end), Some(&begin))), "{size}");
        }
        let last = "00000001FFFFFFFF000000FF";
        let end = "000000020000000000000000";
        assert_eq!(
            missing(&[last], last, end, 16 * MEGABYTE),
            Some(lacks(Some(end), Some(last))),
            "no more segments"
        );
    }

    #[test]
    fn a_gap_is_missing_wal_whatever_comes_after_it() {
        let (a, b, c) = ("000000010000000000000004", "000000010000000000000005", "000000010000000000000006");
        assert_eq!(missing(&[a, b, c], a, c, USUAL_SIZE), None);
        assert_eq!(missing(&[a, c], a, c, USUAL_SIZE), Some(lacks(Some(c), Some(a))));
        assert_eq!(missing(&[b, c], a, c, USUAL_SIZE), Some(lacks(Some(c), None)));
        assert_eq!(missing(&[], a, a, USUAL_SIZE), Some(lacks(Some(a), None)));
        assert_eq!(missing(&[a, b], a, "None", USUAL_SIZE), Some(lacks(None, Some(b))), "the end is unknown");
        let other = "000000020000000000000005";
        assert_eq!(
            missing(&[a, other], a, b, USUAL_SIZE),
            Some(lacks(Some(b), Some(a))),
            "of another timeline"
        );
    }

    #[test]
    fn a_history_newer_than_all_wal_is_a_timeline_that_did_not_come() {
        let wal = "000000020000000000000004";
        for (names, newer) in [
            (&[wal, "00000002.history"][..], None),
            (&[wal, "00000002.history", "00000003.history"], Some(3)),
            (&[wal, "00000003.history", "00000002.history"], Some(3)),
            (&["00000003.history", "000000030000000000000004", wal], None),
            (&["00000002.history"], None),
            (&["00000004.history"], Some(4)),
            (&["00000003.history.tmp", "3.history"], None),
        ] {
            assert_eq!(files(names).newer_timeline(2), newer, "{names:?}");
        }
    }

    #[test]
    fn a_size_that_no_server_has_is_none() {
        assert_eq!(segment_size("16777216"), Some(USUAL_SIZE));
        for wrong in ["0", "1", "16777215", "2147483648", "None", "-1", ""] {
            assert_eq!(segment_size(wrong), None, "{wrong}");
        }
    }
}
