//! Single-purpose tokens for mail: who may do what to which lease, until when, signed with HMAC-SHA256.
//!
//! Stateless: nothing is kept per token, so one survives restarts and later mails. The keys stand in the document
//! `secret::tokens`; the newest signs, all verify, so that a rotation breaks no mail already sent. A token only says what
//! its bearer may wish; whether the wish is granted is judged when it arrives.

use crate::model::{Doc, Extra, LeaseKey, Time, UserId};
use crate::store::{Store, StoreError};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// The document that holds the keys.
const DOCUMENT: &str = "secret::tokens";
/// The form of a token; part of what is signed. It also keeps a token from starting with `-` on a command line.
const FORM: &str = "zc1";
/// Bytes of a key: the size of the hash (RFC 2104, section 3).
const KEY_BYTES: usize = 32;
/// Keys that a rotation keeps.
const KEPT_KEYS: usize = 4;
/// Longer texts are refused unread; a real token has about 180 characters.
const MAX_TOKEN: usize = 1024;

/// What a token allows, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenAction {
    /// A later end.
    Renew,
    /// The policy's expiry action, at once.
    End,
    /// It belongs to somebody else.
    NotMine,
}

impl TokenAction {
    /// `renew`, `end` or `not_mine`: the words of requests.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenAction::Renew => "renew",
            TokenAction::End => "end",
            TokenAction::NotMine => "not_mine",
        }
    }

    fn parse(text: &str) -> Option<TokenAction> {
        [TokenAction::Renew, TokenAction::End, TokenAction::NotMine].into_iter().find(|action| action.as_str() == text)
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// About which lease.
    pub lease: LeaseKey,
    /// The lease's owner when it was signed.
    pub owner: UserId,
    /// Who stands in for the owner, when it was made for them.
    pub delegate: Option<UserId>,
    /// What it allows.
    pub action: TokenAction,
    /// From then on it is worth nothing.
    pub expires: Time,
}

impl Purpose {
    /// As whom its bearer acts.
    pub fn bearer(&self) -> &UserId {
        self.delegate.as_ref().unwrap_or(&self.owner)
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all, or cut short in copying.
    #[error("this is not a whole token; copy all of it, from `zc1.` to the end of the line")]
    Malformed,
    /// Its time is over.
    #[error("this token was good until {at}; a later mail has a newer one")]
    Expired {
        /// When it ended.
        at: Time,
    },
    /// Not signed with a key of this installation, or changed since.
    #[error("this token was not signed by this installation, or it was changed since")]
    Forged,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store.
    #[error("the keys for tokens (document {DOCUMENT}) cannot be read or written")]
    Store(#[from] StoreError),
    /// A key that is not one.
    #[error("key {id:?} in document {DOCUMENT} is not {KEY_BYTES} bytes in base64url")]
    BadKey {
        /// Which.
        id: String,
    },
    /// An id that would not fit into a token.
    #[error("a key in document {DOCUMENT} has an id that is not 1 to 32 letters or digits")]
    BadKeyId,
    /// The document is there, but empty.
    #[error("document {DOCUMENT} has no keys; delete it and new ones are made")]
    NoKeys,
}

/// Signs and verifies.
#[derive(Clone)]
pub struct Tokens {
    /// Oldest first; the last one signs.
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    bytes: [u8; KEY_BYTES],
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("Tokens").field("keys", &ids).finish()
    }
}

/// The document's body.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Keys {
    keys: Vec<StoredKey>,
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    id: String,
    key: String,
}

impl Tokens {
    /// Reads the keys; makes the first one when there is none. Two that start at once end with the same keys.
    pub async fn load(store: &Store) -> Result<Tokens, KeysError> {
        loop {
            if let Some(found) = store.get::<Keys>(DOCUMENT).await? {
                return Tokens::from_document(&found.body);
            }
            let first =
                Doc { id: DOCUMENT.to_owned(), rev: None, body: Keys { keys: vec![new_key()], extra: Extra::new() } };
            match store.put("secret", &first).await {
                Ok(_) => return Tokens::from_document(&first.body),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Adds a key that signs from now on. Tokens of the three keys before it stay good.
    pub async fn rotate(store: &Store) -> Result<Tokens, KeysError> {
        loop {
            Tokens::load(store).await?;
            let Some(mut found) = store.get::<Keys>(DOCUMENT).await? else {
                continue;
            };
            found.body.keys.push(new_key());
            let surplus = found.body.keys.len().saturating_sub(KEPT_KEYS);
            found.body.keys.drain(..surplus);
            match store.put("secret", &found).await {
                Ok(_) => return Tokens::from_document(&found.body),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn from_document(document: &Keys) -> Result<Tokens, KeysError> {
        let keys = document.keys.iter().map(Key::read);
        let keys = keys.collect::<Result<Vec<Key>, KeysError>>()?;
        if keys.is_empty() {
            return Err(KeysError::NoKeys);
        }
        Ok(Tokens { keys })
    }

    /// Keys made up from `seed`, for tests and simulations: the same seed gives the same tokens.
    #[doc(hidden)]
    pub fn fixed(seed: u8) -> Tokens {
        Tokens { keys: vec![Key { id: format!("seed{seed}"), bytes: [seed; KEY_BYTES] }] }
    }

    /// A token for this purpose, in characters that are safe in a URL and on a command line.
    pub fn sign(&self, purpose: &Purpose) -> String {
        // Never empty: both constructors see to it.
        let Some(key) = self.keys.last() else {
            return String::new();
        };
        let delegate = purpose.delegate.as_ref().map(|user| format!("|{user}")).unwrap_or_default();
        let payload = format!(
            "{}|{}|{}|{}|{}{delegate}",
            key.id,
            purpose.action.as_str(),
            purpose.expires.unix(),
            purpose.owner,
            purpose.lease
        );
        let signed = format!("{FORM}.{}", BASE64.encode(payload));
        let seal = BASE64.encode(key.mac(&signed).finalize().into_bytes());
        format!("{signed}.{seal}")
    }

    /// What the token allows, when it is genuine and its time is not over.
    pub fn verify(&self, token: &str, now: Time) -> Result<Purpose, TokenError> {
        let token = token.trim();
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let (signed, seal) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let payload = signed
            .strip_prefix(FORM)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|payload| BASE64.decode(payload).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(TokenError::Malformed)?;
        let seal = BASE64.decode(seal).map_err(|_| TokenError::Malformed)?;
        let (key_id, purpose) = read_payload(&payload).ok_or(TokenError::Malformed)?;
        let genuine =
            self.keys.iter().filter(|key| key.id == key_id).any(|key| key.mac(signed).verify_slice(&seal).is_ok());
        if !genuine {
            return Err(TokenError::Forged);
        }
        if now >= purpose.expires {
            return Err(TokenError::Expired { at: purpose.expires });
        }
        Ok(purpose)
    }
}

impl Key {
    fn read(stored: &StoredKey) -> Result<Key, KeysError> {
        let id_fits = (1..=32).contains(&stored.id.len()) && stored.id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !id_fits {
            return Err(KeysError::BadKeyId);
        }
        let bytes = BASE64.decode(&stored.key).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| KeysError::BadKey { id: stored.id.clone() })?;
        Ok(Key { id: stored.id.clone(), bytes })
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        // A key of the hash's own size is never refused; the block form takes no other.
        let mut block = [0; 64];
        block[..KEY_BYTES].copy_from_slice(&self.bytes);
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into());
        mac.update(signed.as_bytes());
        mac
    }
}

fn new_key() -> StoredKey {
    let mut rng = rand::rng();
    let mut bytes = [0; KEY_BYTES];
    rng.fill_bytes(&mut bytes);
    let mut id = [0; 4];
    rng.fill_bytes(&mut id);
    StoredKey { id: hex::encode(id), key: BASE64.encode(bytes) }
}

/// `key id|action|expires|owner|lease`, and `|delegate` when it was made for one; none of the parts can hold a `|`.
fn read_payload(payload: &str) -> Option<(&str, Purpose)> {
    let mut parts = payload.split('|');
    let key_id = parts.next()?;
    let purpose = Purpose {
        action: TokenAction::parse(parts.next()?)?,
        expires: Time::from_unix(parts.next()?.parse().ok()?),
        owner: UserId::parse(parts.next()?).ok()?,
        lease: LeaseKey::parse(parts.next()?).ok()?,
        delegate: match parts.next() {
            Some(user) => Some(UserId::parse(user).ok()?),
            None => None,
        },
    };
    parts.next().is_none().then_some((key_id, purpose))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose() -> Purpose {
        Purpose {
            lease: LeaseKey::parse("111122223333::eu-west-1::i-0a1").unwrap(),
            owner: UserId::parse("ada").unwrap(),
            action: TokenAction::Renew,
            delegate: None,
            expires: Time::parse("2026-11-24T08:00:00Z").unwrap(),
        }
    }

    fn before() -> Time {
        purpose().expires.plus(-1)
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let tokens = Tokens::fixed(1);
        for action in [TokenAction::Renew, TokenAction::End, TokenAction::NotMine] {
            let purpose = Purpose { action, ..purpose() };
            let token = tokens.sign(&purpose);
            assert_eq!(tokens.verify(&token, before()), Ok(purpose));
            let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            assert!(token.starts_with("zc1.") && token.bytes().all(safe));
        }
    }

    #[test]
    fn a_delegates_token_is_bound_to_them() {
        let tokens = Tokens::fixed(1);
        let max = UserId::parse("max").unwrap();
        let theirs = Purpose { delegate: Some(max.clone()), ..purpose() };
        let token = tokens.sign(&theirs);
        assert_eq!(tokens.verify(&token, before()), Ok(theirs.clone()));
        assert_eq!((theirs.bearer(), purpose().bearer()), (&max, &purpose().owner));
        assert_ne!(token, tokens.sign(&purpose()));
    }

    #[test]
    fn its_time_ends_to_the_second() {
        let tokens = Tokens::fixed(1);
        let token = tokens.sign(&purpose());
        let at = purpose().expires;
        assert_eq!(tokens.verify(&token, at), Err(TokenError::Expired { at }));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let tokens = Tokens::fixed(1);
        let token = tokens.sign(&purpose());
        for at in 0..token.len() {
            for other in ["A", "b", "0", "-", "."] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, other);
                if changed != token {
                    assert!(tokens.verify(&changed, before()).is_err(), "{changed}");
                }
            }
        }
        for cut in 0..token.len() {
            assert!(tokens.verify(&token[..cut], before()).is_err());
        }
    }

    #[test]
    fn a_payload_put_on_another_seal_is_forged() {
        let tokens = Tokens::fixed(1);
        let renew = tokens.sign(&purpose());
        let end = tokens.sign(&Purpose { action: TokenAction::End, ..purpose() });
        let (_, seal) = renew.rsplit_once('.').unwrap();
        let (signed, _) = end.rsplit_once('.').unwrap();
        let mixed = format!("{signed}.{seal}");
        assert_eq!(tokens.verify(&mixed, before()), Err(TokenError::Forged));
        let foreign = Tokens::fixed(2).sign(&purpose());
        assert_eq!(tokens.verify(&foreign, before()), Err(TokenError::Forged));
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let tokens = Tokens::fixed(1);
        for text in ["", ".", "zc1", "zc1..", "zc1.a.b", "hello", "zc2.YQ.YQ", "é"] {
            assert_eq!(tokens.verify(text, before()), Err(TokenError::Malformed), "{text}");
        }
        let long = "zc1.".repeat(1000);
        assert_eq!(tokens.verify(&long, before()), Err(TokenError::Malformed));
    }

    #[test]
    fn a_rotation_breaks_no_token_already_sent() {
        let mut document = Keys { keys: vec![new_key()], extra: Extra::new() };
        let old = Tokens::from_document(&document).unwrap();
        let sent = old.sign(&purpose());
        document.keys.push(new_key());
        let both = Tokens::from_document(&document).unwrap();
        assert_eq!(both.verify(&sent, before()), Ok(purpose()));
        let fresh = both.sign(&purpose());
        assert_eq!(both.verify(&fresh, before()), Ok(purpose()));
        assert_eq!(old.verify(&fresh, before()), Err(TokenError::Forged));
    }

    #[test]
    fn keys_survive_the_document_and_bad_ones_are_named() {
        let document = Keys { keys: vec![new_key()], extra: Extra::new() };
        let text = serde_json::to_string(&document).unwrap();
        let read: Keys = serde_json::from_str(&text).unwrap();
        let token = Tokens::from_document(&document).unwrap().sign(&purpose());
        let again = Tokens::from_document(&read).unwrap();
        assert_eq!(again.verify(&token, before()), Ok(purpose()));

        let short = Keys { keys: vec![StoredKey { id: "k1".to_owned(), key: "YQ".to_owned() }], extra: Extra::new() };
        let error = Tokens::from_document(&short).unwrap_err();
        assert!(error.to_string().contains("k1"), "{error}");
        assert!(matches!(Tokens::from_document(&Keys::default()), Err(KeysError::NoKeys)));
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", Tokens::fixed(7));
        assert_eq!(shown, r#"Tokens { keys: ["seed7"] }"#);
    }
}
