//! Who is asking: passwords, session cookies, the guest.

pub mod session;

use std::collections::HashMap;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::principals::User;

/// Kibibytes and passes: some milliseconds on a small machine; verified logins are remembered.
const MEMORY: u32 = 4096;
const PASSES: u32 = 2;
const MOST_REMEMBERED: usize = 20_000;

/// Hashes a password for the store; slow by design.
pub fn hash_password(password: &str) -> Result<String> {
    let failed = |_| Error::refused(500, "Internal error");
    let params = Params::new(MEMORY, PASSES, 1, None).map_err(|_| Error::refused(500, "Internal error"))?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(failed)?;
    let hash = argon.hash_password(password.as_bytes(), &salt).map_err(failed)?;
    Ok(hash.to_string())
}

/// Most passwords verified at the same time: each takes memory and a processor, and anyone may try.
const MOST_AT_ONCE: usize = 4;

/// Logins verified before, so that Basic does not cost a hash per request.
#[derive(Debug)]
pub struct Logins {
    /// Digest of a right password, by stored hash.
    known: Mutex<HashMap<String, [u8; 32]>>,
    turns: Semaphore,
}

impl Default for Logins {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Semaphore::new(MOST_AT_ONCE) }
    }
}

impl Logins {
    /// Whether this is the user's password, when known without hashing.
    pub fn recall(&self, user: &User, password: &str) -> Option<bool> {
        let Some(hash) = &user.record.password else {
            return Some(false);
        };
        let known = self.known.lock().get(hash).copied()?;
        let given: [u8; 32] = Sha256::digest(password.as_bytes()).into();
        (known == given).then_some(true)
    }

    /// Whether this is the user's password; slow by design.
    pub fn verify(&self, user: &User, password: &str) -> bool {
        let Some(hash) = &user.record.password else {
            return false;
        };
        let Ok(parsed) = PasswordHash::new(hash) else {
            return false;
        };
        if Argon2::default().verify_password(password.as_bytes(), &parsed).is_err() {
            return false;
        }
        let mut known = self.known.lock();
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(hash.clone(), Sha256::digest(password.as_bytes()).into());
        true
    }

    /// The same without blocking the caller's thread.
    pub async fn check(self: &Arc<Self>, user: &Arc<User>, password: &str) -> Result<bool> {
        if user.record.disabled {
            return Ok(false);
        }
        if let Some(right) = self.recall(user, password) {
            return Ok(right);
        }
        let _turn = self.turns.acquire().await.map_err(|_| Error::Stopped)?;
        let (logins, user, password) = (Arc::clone(self), Arc::clone(user), password.to_owned());
        tokio::task::spawn_blocking(move || logins.verify(&user, &password)).await.map_err(|_| Error::Stopped)
    }
}
