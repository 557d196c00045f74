//! Instants and days as the regulations use them: Asia/Shanghai, no daylight saving (CH-19).

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, NaiveTime, SecondsFormat, TimeZone};
use schemars::{json_schema, JsonSchema, Schema, SchemaGenerator};
use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

/// Seconds east of Greenwich of Asia/Shanghai.
const SHANGHAI_OFFSET_S: i32 = 8 * 3600;
/// Days from 1 January of the year 1, counted as 1, to 1 January 1970.
const DAYS_BEFORE_1970: i64 = 719_163;

/// An instant: microseconds since 1970-01-01T00:00:00Z. As text RFC 3339; written with `+08:00`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(i64);

/// A day of Asia/Shanghai, inclusive as a validity bound (CH-19). As text `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(NaiveDate);

/// A text that is no instant or no day; says what was given and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {wanted}")]
pub struct TimeError {
    given: String,
    wanted: &'static str,
}

fn shanghai() -> FixedOffset {
    // INVARIANT: eight hours is inside the range FixedOffset accepts.
    FixedOffset::east_opt(SHANGHAI_OFFSET_S).unwrap_or_else(|| chrono::Offset::fix(&chrono::Utc))
}

impl Instant {
    /// From microseconds since the epoch.
    pub const fn from_micros(us: i64) -> Self {
        Self(us)
    }
    /// From milliseconds since the epoch; saturates at the ends of the range.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1000))
    }
    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    /// Milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// This instant moved by milliseconds (negative: earlier); saturates.
    pub const fn plus_millis(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }
    /// Milliseconds from `earlier` to `self`; negative where `self` is the earlier one.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(1000)
    }
    /// Microseconds from `earlier` to `self`.
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
    fn local(self) -> DateTime<FixedOffset> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default().with_timezone(&shanghai())
    }
    /// The day of Asia/Shanghai this instant lies in.
    pub fn date(self) -> Date {
        Date(self.local().date_naive())
    }
    /// One calendar year later at the same local time; 29 February becomes 28 February (CH-17).
    pub fn plus_one_year(self) -> Self {
        let local = self.local();
        let day = local.date_naive();
        let year = day.year().saturating_add(1);
        let next = NaiveDate::from_ymd_opt(year, day.month(), day.day()).or_else(|| NaiveDate::from_ymd_opt(year, 2, 28)).unwrap_or(day);
        from_local(next, local.time())
    }
}

fn from_local(day: NaiveDate, time: NaiveTime) -> Instant {
    match shanghai().from_local_datetime(&day.and_time(time)).single() {
        Some(t) => Instant(t.timestamp_micros()),
        None => Instant(i64::MAX),
    }
}

impl Date {
    /// The first instant of the day.
    pub fn start(self) -> Instant {
        from_local(self.0, NaiveTime::MIN)
    }
    /// The first instant after the day: `valid_to` holds while `at < valid_to.end()`.
    pub fn end(self) -> Instant {
        self.plus_days(1).start()
    }
    /// The day `n` days later.
    pub fn plus_days(self, n: u64) -> Self {
        Self(self.0.checked_add_days(Days::new(n)).unwrap_or(NaiveDate::MAX))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.0.rem_euclid(1000) == 0 { SecondsFormat::Millis } else { SecondsFormat::Micros };
        f.write_str(&self.local().to_rfc3339_opts(form, false))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number that some digits write; none where one of them is no digit.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n: i64, d| {
        let digit = char::from(*d).to_digit(10)?;
        n.checked_mul(10)?.checked_add(i64::from(digit))
    })
}

/// `YYYY-MM-DD`; none: another writing, or no day.
fn plain_day(text: &[u8]) -> Option<NaiveDate> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month).ok()?, u32::try_from(day).ok()?)
}

/// As instants are written here: milliseconds or microseconds, `+08:00`; none: another writing.
fn plain_instant(text: &str) -> Option<Instant> {
    let (day, rest) = text.strip_suffix("+08:00")?.as_bytes().split_at_checked(10)?;
    let (clock, fraction) = rest.split_at_checked(10)?;
    let &[b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.'] = clock else { return None };
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[m1, m2])?, number(&[s1, s2])?);
    let micros = match fraction.len() {
        3 => number(fraction)?.checked_mul(1000)?,
        6 => number(fraction)?,
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = i64::from(plain_day(day)?.num_days_from_ce()).checked_sub(DAYS_BEFORE_1970)?;
    let hours = days.checked_mul(24)?.checked_add(hour)?;
    let minutes = hours.checked_mul(60)?.checked_add(minute)?;
    let seconds = minutes.checked_mul(60)?.checked_add(second)?.checked_sub(i64::from(SHANGHAI_OFFSET_S))?;
    Some(Instant(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

/// Reads a text of its own from a deserializer, without a copy.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = TimeError>> de::Visitor<'_> for Text<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl FromStr for Instant {
    type Err = TimeError;
    fn from_str(s: &str) -> Result<Self, TimeError> {
        if let Some(instant) = plain_instant(s) {
            return Ok(instant);
        }
        DateTime::parse_from_rfc3339(s).map(|t| Self(t.timestamp_micros())).map_err(|_| TimeError {
            given: s.chars().take(40).collect(),
            wanted: "an instant of RFC 3339 with an offset, like 2026-03-10T10:00:00+08:00",
        })
    }
}

impl FromStr for Date {
    type Err = TimeError;
    fn from_str(s: &str) -> Result<Self, TimeError> {
        plain_day(s.as_bytes())
            .map_or_else(|| NaiveDate::parse_from_str(s, "%Y-%m-%d"), Ok)
            .map(Self)
            .map_err(|_| TimeError { given: s.chars().take(40).collect(), wanted: "a day, like 2026-03-10" })
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text(PhantomData))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text(PhantomData))
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

impl JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Instant {
        s.parse().unwrap()
    }

    #[test]
    fn instants_keep_their_moment_whatever_the_offset() {
        assert_eq!(at("2026-03-10T10:00:00+08:00"), at("2026-03-10T02:00:00Z"));
        assert_eq!(at("2026-03-10T02:00:00Z").to_string(), "2026-03-10T10:00:00.000+08:00");
        assert!("2026-03-10T10:00:00".parse::<Instant>().is_err());
    }

    #[test]
    fn the_short_way_of_reading_gives_what_the_long_way_gives() {
        let long = |s: &str| DateTime::parse_from_rfc3339(s).ok().map(|t| Instant(t.timestamp_micros()));
        for s in [
            "2026-03-10T10:00:00.000+08:00",
            "2026-03-10T10:00:00.123456+08:00",
            "1969-12-31T23:59:59.999+08:00",
            "2028-02-29T00:00:00.001+08:00",
            "2027-02-29T00:00:00.000+08:00",
            "2026-13-01T00:00:00.000+08:00",
            "2026-03-10T24:00:00.000+08:00",
            "2026-03-10T23:59:60.000+08:00",
            "2026-03-10T10:00:00.12+08:00",
            "2026-03-10T10:00:00.000+09:00",
            "2026-03-10 10:00:00.000+08:00",
            "2026-03-1xT10:00:00.000+08:00",
            "+08:00",
        ] {
            assert_eq!(s.parse::<Instant>().ok(), long(s), "{s}");
        }
        for s in ["2026-03-10", "2028-02-29", "2027-02-29", "2026-3-1", "2026-00-10", "+026-03-10", "2026-03-10 ", ""] {
            assert_eq!(s.parse::<Date>().ok(), NaiveDate::parse_from_str(s, "%Y-%m-%d").ok().map(Date), "{s}");
        }
        let read = |s: &str| serde_json::from_str::<Date>(s).map_err(|e| e.to_string());
        assert_eq!(read("\"2026-03-10\""), Ok("2026-03-10".parse().unwrap()));
        assert!(read("7").unwrap_err().contains("a string") && read("\"x\"").unwrap_err().contains("a day, like"));
    }

    #[test]
    fn days_are_inclusive_in_shanghai() {
        let day: Date = "2026-03-10".parse().unwrap();
        assert!(at("2026-03-10T23:59:59.999+08:00") < day.end());
        assert_eq!(at("2026-03-11T00:00:00+08:00"), day.end());
        assert_eq!(at("2026-03-10T16:00:00Z").date(), "2026-03-11".parse().unwrap());
    }

    #[test]
    fn a_ban_of_29_february_ends_on_28_february() {
        assert_eq!(at("2028-02-29T10:00:00+08:00").plus_one_year(), at("2029-02-28T10:00:00+08:00"));
    }
}
