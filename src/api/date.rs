//! Dates: a reply's `Date` header, an operation's ID, and timestamps as Barman writes them. Pure.

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

// Byte strings, because string literals are listed as messages in the documentation.
/// `Sun, 22 Nov 2026 10:22:57 GMT`
const HEADER: StaticFormatDescription = format_description!(
    b"[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);
/// `20261122T102257`
const ID: StaticFormatDescription = format_description!(b"[year][month][day]T[hour][minute][second]");

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

/// A timestamp as Barman writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment(String);

impl Moment {
    pub(crate) fn new(text: String) -> Moment {
        Moment(text)
    }

    /// The text that Barman wrote.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Seconds since 1970-01-01, if the time zone is known: `2026-11-22T13:34:30.680354+00:00`, also with a space
    /// instead of the `T`.
    pub(crate) fn unix(&self) -> Option<i64> {
        OffsetDateTime::parse(&self.0, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
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

    #[test]
    fn moments_are_compared_across_time_zones() {
        let unix = |text: &str| Moment::new(text.into()).unix();
        for text in [
            "2026-11-22T10:22:57+00:00",
            "2026-11-22T10:22:57Z",
            "2026-11-22 10:22:57.999999+00:00",
            "2026-11-22T11:22:57.5+01:00",
            "2026-11-21T22:52:57-11:30",
        ] {
            assert_eq!(unix(text), Some(1_795_342_977), "{text}");
        }
        for text in [
            "",
            "T+",
            "2026-11-22",
            "2026-11-22T10:22:57",
            "2026-11-22T10:22:57+0000",
            "2026-11-22T10:22+00:00",
            "2026-11-22T24:22:57+00:00",
            "2026-13-22T10:22:57+00:00",
            "2026-11-22T10:22:57é+00:00",
            "9999999999-11-22T10:22:57+00:00",
            "Sun Nov 22 10:22:57 2026",
        ] {
            assert_eq!(unix(text), None, "{text}");
        }
    }
}
