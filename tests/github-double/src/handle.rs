//! Who there is, what was granted, and what a test makes go wrong.

use crate::App;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An address of a person, as `/user/emails` tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Email {
    /// The address.
    pub email: String,
    /// Where GitHub writes to.
    pub primary: bool,
    /// Whether GitHub knows that it is theirs.
    pub verified: bool,
}

/// Somebody with an account at GitHub.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Person {
    /// The number that never changes.
    pub id: u64,
    /// The name that may.
    pub login: String,
    /// For people to read.
    pub name: String,
    /// Their addresses.
    pub emails: Vec<Email>,
}

impl Person {
    /// With one address, primary and verified.
    pub fn new(id: u64, login: &str, name: &str, address: &str) -> Person {
        let first = Email { email: address.to_owned(), primary: true, verified: true };
        Person { id, login: login.to_owned(), name: name.to_owned(), emails: vec![first] }
    }

    /// And another address.
    #[must_use]
    pub fn also(mut self, address: &str, verified: Verified) -> Person {
        let verified = verified == Verified::Yes;
        self.emails.push(Email { email: address.to_owned(), primary: false, verified });
        self
    }
}

/// Whether GitHub knows that an address is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// They clicked the link in GitHub's mail.
    Yes,
    /// They did not.
    No,
}

/// A code that waits to become a token.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) person: u64,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) scope: String,
}

/// A device that waits for somebody.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) user_code: String,
    pub(crate) scope: String,
    /// The person, or that they said no.
    pub(crate) answer: Option<Result<u64, ()>>,
    pub(crate) asked: Option<std::time::Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) people: BTreeMap<u64, Person>,
    pub(crate) codes: BTreeMap<String, Code>,
    pub(crate) devices: BTreeMap<String, Device>,
    /// Token to person and scope.
    pub(crate) tokens: BTreeMap<String, (u64, String)>,
    pub(crate) down: bool,
}

/// Reads and changes what there is; clones are one.
#[derive(Debug, Clone)]
pub struct Handle {
    app: App,
    pub(crate) url: String,
    world: Arc<Mutex<World>>,
}

impl Handle {
    pub(crate) fn new(app: App, url: String) -> Handle {
        Handle { app, url, world: Arc::default() }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn app(&self) -> App {
        self.app.clone()
    }

    /// Adds a person, or changes the one with that number.
    pub fn put(&self, person: Person) {
        self.world().people.insert(person.id, person);
    }

    /// From now on everything answers 503, or again as it should.
    pub fn set_down(&self, down: Down) {
        self.world().down = down == Down::Yes;
    }

    pub(crate) fn is_down(&self) -> bool {
        self.world().down
    }

    /// How many tokens were given.
    pub fn tokens(&self) -> usize {
        self.world().tokens.len()
    }
}

/// Whether GitHub is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// Every call is answered 503.
    Yes,
    /// As usual.
    No,
}
