//! Sessions of signed-in people: a random cookie, of which only the hash is kept, in memory.
//! They end with the shift, with the account, or with the program.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::accounts::{random_secret, sha256};
use crate::error::AccountError;

/// Name of the cookie.
pub const COOKIE: &str = "portgate_session";
/// A session ends after this, whatever happens: a long shift.
pub const SESSION_MAX: Duration = Duration::from_secs(12 * 3600);
const SESSIONS_MAX: usize = 4096;

struct Session {
    name: String,
    began: Instant,
}

/// The sessions that are open.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Opens a session for the account and returns the cookie's value.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn open(&self, name: &str, now: Instant) -> Result<String, AccountError> {
        let secret = random_secret()?;
        let mut open = self.open.lock();
        if open.len() >= SESSIONS_MAX {
            open.retain(|_, s| now.saturating_duration_since(s.began) < SESSION_MAX);
        }
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, s)| s.began).map(|(k, _)| *k);
            if let Some(oldest) = oldest {
                open.remove(&oldest);
            }
        }
        open.insert(sha256(&secret), Session { name: name.to_owned(), began: now });
        Ok(secret)
    }

    /// The account a cookie stands for.
    pub fn account(&self, secret: &str, now: Instant) -> Option<String> {
        let open = self.open.lock();
        let session = open.get(&sha256(secret))?;
        (now.saturating_duration_since(session.began) < SESSION_MAX).then(|| session.name.clone())
    }

    /// Ends a session.
    pub fn close(&self, secret: &str) {
        self.open.lock().remove(&sha256(secret));
    }

    /// Ends every session of an account.
    pub fn close_all_of(&self, name: &str) {
        self.open.lock().retain(|_, s| s.name != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_with_time_and_with_the_account() {
        let sessions = Sessions::default();
        let t0 = Instant::now();
        let a = sessions.open("wang", t0).unwrap();
        let b = sessions.open("wang", t0).unwrap();
        assert_eq!(sessions.account(&a, t0).as_deref(), Some("wang"));
        assert_eq!(sessions.account(&a, t0 + SESSION_MAX), None);
        assert_eq!(sessions.account("made up", t0), None);
        sessions.close(&a);
        assert_eq!(sessions.account(&a, t0), None);
        sessions.close_all_of("wang");
        assert_eq!(sessions.account(&b, t0), None);
    }
}
