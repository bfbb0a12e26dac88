//! What servers ask for that refuse a connection.

use std::time::{Duration, SystemTime};
use tremor_ws::{Headers, Refusal};

/// Whether a 401 asks for name and password.
pub(super) fn asks_for_login(headers: &Headers) -> bool {
    // A challenge begins a header or stands behind a comma; a quoted comma does no harm here.
    let mut challenges = headers.all("www-authenticate").flat_map(|value| value.split(|byte| *byte == b','));
    challenges.any(|challenge| {
        let challenge = challenge.trim_ascii();
        let word = challenge.split(|byte| *byte == b' ').next().unwrap_or_default();
        word.eq_ignore_ascii_case(b"basic")
    })
}

/// How long a server wants us to wait.
pub(super) fn retry_after(refusal: &Refusal) -> Option<Duration> {
    if let Some(seconds) = refusal.retry_after {
        return Some(Duration::from_secs(seconds));
    }
    let value = std::str::from_utf8(refusal.headers.get("retry-after")?).ok()?;
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds_of(value.trim())?))?;
    at.duration_since(SystemTime::now()).ok()
}

/// Seconds since 1970 of a date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn seconds_of(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = date.split_once(", ")?;
    let mut parts = rest.split(' ');
    let number = |text: Option<&str>, most: u64| text?.parse::<u64>().ok().filter(|number| *number <= most);
    let day = number(parts.next(), 31)?;
    let month = parts.next()?;
    let month = u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
    let year = number(parts.next(), 9999).filter(|year| *year >= 1970)?;
    let mut time = parts.next()?.split(':');
    let (hour, minute, second) =
        (number(time.next(), 23)?, number(time.next(), 59)?, number(time.next(), 60)?);
    if parts.next() != Some("GMT") || parts.next().is_some() || time.next().is_some() || day == 0 {
        return None;
    }
    // Years begin with March here, so that a leap day is the last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days.checked_sub(719_468).map(|days| days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        for (date, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 23:59:60 GMT", Some(951_868_800)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1969 08:49:37 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("soon", None),
        ] {
            assert_eq!(seconds_of(date), seconds, "{date}");
        }
    }
}
