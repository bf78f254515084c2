//! Days: of a reply's `Date` and of an operation's ID. Pure.

/// A day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date(i64);

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An operation that is older than this belongs to no create of now.
const RECENT_DAYS: i64 = 2;

impl Date {
    /// Of a header `Date`: `Sun, 22 Nov 2026 10:22:57 GMT`.
    pub(crate) fn of_header(text: &str) -> Option<Date> {
        let mut words = text.trim().split_once(", ")?.1.split(' ');
        let day = words.next()?;
        let name = words.next()?;
        let month = (1..).zip(MONTHS).find(|(_, month)| *month == name)?.0;
        let year = words.next()?;
        let is_time = words.next().is_some_and(|time| time.len() == 8) && words.next() == Some("GMT");
        if !is_time || (day.len(), year.len()) != (2, 4) || words.next().is_some() {
            return None;
        }
        Date::new(number(year)?, month, number(day)?)
    }

    /// Of an operation's ID: `20261122T102257`. By Barman's local time, so that it may be a day off.
    fn of_id(id: &str) -> Option<Date> {
        let (date, time) = id.split_once('T')?;
        if (date.len(), time.len()) != (8, 6) {
            return None;
        }
        number(time)?;
        Date::new(number(date.get(..4)?)?, number(date.get(4..6)?)?, number(date.get(6..)?)?)
    }

    fn new(year: i64, month: i64, day: i64) -> Option<Date> {
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // The year begins in March here, so that the leap day is its last.
        let year = if month > 2 { year } else { year - 1 };
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        Some(Date(365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468))
    }
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether the operation of this ID is not older than two days. An ID that is no time may be of any.
pub(crate) fn is_recent(id: &str, now: Date) -> bool {
    Date::of_id(id).is_none_or(|day| day.0 >= now.0 - RECENT_DAYS)
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
            assert_eq!(Date::of_header(text), Some(Date(days)), "{text}");
        }
        assert_eq!(Date::of_id("20261122T102257"), Some(Date(20_779)));
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
            assert_eq!(Date::of_header(text), None, "{text}");
        }
        for id in ["", "T", "20261122T10225", "20261322T102257", "20261100T102257", "2026112éT102257", "x"] {
            assert_eq!(Date::of_id(id), None, "{id}");
        }
    }

    #[test]
    fn an_operation_of_the_last_two_days_is_recent() {
        let now = Date::of_header("Sun, 01 Mar 2026 00:00:01 GMT").unwrap();
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
