//! Days and moments: of a reply's `Date`, of an operation's ID, and as Barman writes them. Pure.

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

/// A moment as Barman writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment(String);

impl Moment {
    pub(crate) fn new(text: String) -> Moment {
        Moment(text)
    }

    /// As Barman wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Seconds since 1970-01-01, if its time zone is known: `2026-11-22T13:34:30.680354+00:00`.
    pub(crate) fn unix(&self) -> Option<i64> {
        let (date, time) = self.0.split_once(['T', ' '])?;
        let [year, month, day] = numbers(date, '-')?;
        let zone = time.find(['+', '-', 'Z'])?;
        let (clock, zone) = (time.get(..zone)?, time.get(zone..)?);
        let [hour, minute, second] = numbers(clock.split('.').next()?, ':')?;
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let offset = match (zone.get(..1)?, zone.get(1..)?) {
            ("Z", "") => 0,
            (sign, zone) => {
                let [hours, minutes] = numbers(zone, ':')?;
                (hours * 60 + minutes) * if sign == "-" { -60 } else { 60 }
            }
        };
        Some(Date::new(year, month, day)?.0 * 86_400 + hour * 3600 + minute * 60 + second - offset)
    }
}

/// Exactly so many numbers.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let all: Option<Vec<i64>> = text.split(between).map(number).collect();
    all?.try_into().ok()
}

fn number(digits: &str) -> Option<i64> {
    let plain = digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// Whether the operation of this ID is not older than two days. An ID that is not a time may be of any.
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
