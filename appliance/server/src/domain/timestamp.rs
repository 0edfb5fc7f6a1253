//! When something happened, to the millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970, UTC; RFC 3339 in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    /// By the system's clock.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// At this second since 1970.
    pub(crate) fn at_second(second: u64) -> Self {
        Self(i64::try_from(second).unwrap_or(i64::MAX / 1000).saturating_mul(1000))
    }

    /// At this microsecond since 1970.
    pub(crate) fn at_micros(micros: u64) -> Self {
        Self(i64::try_from(micros / 1000).unwrap_or(i64::MAX))
    }

    /// Whole seconds since 1970.
    pub(crate) fn second(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or_default()
    }

    /// So many seconds later.
    pub(crate) fn plus_seconds(self, seconds: u32) -> Self {
        Self(self.0 + i64::from(seconds) * 1000)
    }

    /// How long it is until then.
    pub(crate) fn remaining(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - Self::now().0).unwrap_or_default())
    }

    /// Milliseconds since 1970.
    #[cfg(test)]
    pub(crate) fn millis(self) -> i64 {
        self.0
    }

    /// So many hours before.
    pub(crate) fn hours_before(self, hours: i64) -> Self {
        Self(self.0 - hours * 3_600_000)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let text = time.map_err(serde::ser::Error::custom)?.format(&Rfc3339);
        serializer.serialize_str(&text.map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)?;
        i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map(Self).map_err(serde::de::Error::custom)
    }
}
