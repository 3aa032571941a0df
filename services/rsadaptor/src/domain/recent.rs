//! When something last happened to a record other than the one that asks.

use std::time::Instant;

/// The last moments of something, for two different keys: enough to answer for any key whether it happened to
/// another one since.
#[derive(Debug, Default)]
pub(super) struct Recent {
    newest: Option<(String, Instant)>,
    /// The newest of all the other keys.
    other: Option<Instant>,
}

impl Recent {
    pub(super) fn note(&mut self, key: &str, at: Instant) {
        match &mut self.newest {
            None => self.newest = Some((key.to_owned(), at)),
            Some((newest, moment)) if newest == key => *moment = (*moment).max(at),
            Some((_, moment)) if at < *moment => self.other = self.other.max(Some(at)),
            Some((newest, moment)) => {
                self.other = Some(*moment);
                (*newest, *moment) = (key.to_owned(), at);
            }
        }
    }

    /// Whether it happened to a key other than this after `moment`.
    pub(super) fn to_another_since(&self, key: &str, moment: Instant) -> bool {
        let at = match &self.newest {
            Some((newest, _)) if newest == key => self.other,
            Some((_, at)) => Some(*at),
            None => None,
        };
        at.is_some_and(|it| it > moment)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_happened_to_oneself_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut recent = Recent::default();
        assert!(!recent.to_another_since("a", start));
        recent.note("a", at(1));
        assert!(!recent.to_another_since("a", start));
        assert!(recent.to_another_since("b", start));
        recent.note("b", at(2));
        recent.note("b", at(5));
        assert!(recent.to_another_since("a", at(4)));
        assert!(recent.to_another_since("b", start));
        assert!(!recent.to_another_since("b", at(1)));
        // Noted late: it began before what is known already.
        recent.note("c", at(3));
        assert!(recent.to_another_since("b", at(2)));
        assert!(!recent.to_another_since("b", at(3)));
    }
}
