//! Dates: a reply's `Date` header, and an operation's ID. Pure.

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

/// `Sun, 22 Nov 2026 10:22:57 GMT`
const HEADER: StaticFormatDescription =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
/// `20261122T102257`
const ID: StaticFormatDescription = format_description!("[year][month][day]T[hour][minute][second]");

/// An operation older than this can't come from a recent create.
const RECENT_DAYS: i64 = 2;

/// A day, as the number of days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date(i64);

impl Date {
    /// From a `Date` header.
    pub(crate) fn from_header(text: &str) -> Option<Date> {
        Date::parse(text.trim(), HEADER)
    }

    /// From an operation's ID. IDs use Barman's local time, so this may be a day off.
    fn from_id(id: &str) -> Option<Date> {
        Date::parse(id, ID)
    }

    fn parse(text: &str, form: StaticFormatDescription) -> Option<Date> {
        let day = time::Date::parse(text, form).ok()?;
        Some(Date((day - OffsetDateTime::UNIX_EPOCH.date()).whole_days()))
    }
}

/// Whether the operation with this ID is at most two days old. An ID that is not a timestamp may be of any age.
pub(crate) fn is_recent(id: &str, now: Date) -> bool {
    Date::from_id(id).is_none_or(|day| day.0 >= now.0 - RECENT_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_through_leap_years() {
        for (text, days) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Mon, 28 Feb 2000 00:00:00 GMT", 11_015),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 11_016),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 11_017),
            ("Sun, 22 Nov 2026 10:22:57 GMT", 20_779),
            (" Thu, 31 Dec 2099 23:59:59 GMT ", 47_481),
            ("Fri, 01 Jan 2100 00:00:00 GMT", 47_482),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 47_541),
        ] {
            assert_eq!(Date::from_header(text), Some(Date(days)), "{text}");
        }
        assert_eq!(Date::from_id("20261122T102257"), Some(Date(20_779)));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun, 22 Nov 2026 10:22:57",
            "Sun, 22 Nov 2026 10:22:57 CET",
            "Sun, 22 Nov 2026 10:22:57 GMT GMT",
            "Sun, 22 nov 2026 10:22:57 GMT",
            "Sun, 00 Nov 2026 10:22:57 GMT",
            "Sun, 2 Nov 2026 10:22:57 GMT",
            "Sun, -2 Nov 2026 10:22:57 GMT",
            "Sunday, 22-Nov-26 10:22:57 GMT",
            "22 Nov 2026 10:22:57 GMT",
        ] {
            assert_eq!(Date::from_header(text), None, "{text}");
        }
        for id in ["", "T", "20261122T10225", "20261322T102257", "20261100T102257", "2026112éT102257", "x"] {
            assert_eq!(Date::from_id(id), None, "{id}");
        }
    }

    #[test]
    fn an_operation_of_the_last_two_days_is_recent() {
        let now = Date::from_header("Sun, 01 Mar 2026 00:00:01 GMT").unwrap();
        for (id, recent) in [
            ("20260301T000000", true),
            ("20260302T110000", true),
            ("20260227T000000", true),
            ("20260226T235959", false),
            ("20250301T000000", false),
            ("other", true),
        ] {
            assert_eq!(is_recent(id, now), recent, "{id}");
        }
    }
}
