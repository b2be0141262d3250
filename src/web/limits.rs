//! How often one client may try what a stranger can try: signing in, links, hooks.

use super::WebError;
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

type Keyed = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>;

/// Tries a minute. An office shares one address, and mail programs fetch every link of a mail at once.
const SIGN_INS: u32 = 30;
const LINKS: u32 = 240;
const HOOKS: u32 = 600;
/// Clients that are remembered before those that were quiet are forgotten.
const REMEMBERED: usize = 10_000;

/// One limit for each kind of try.
#[derive(Debug)]
pub(super) struct Limits {
    sign_in: Keyed,
    link: Keyed,
    hook: Keyed,
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub(super) enum Try {
    /// Signing in, or setting up.
    SignIn,
    /// A link of a mail.
    Link,
    /// A call of another service.
    Hook,
}

impl Default for Limits {
    fn default() -> Limits {
        let limit =
            |count: u32| RateLimiter::hashmap(Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)));
        Limits { sign_in: limit(SIGN_INS), link: limit(LINKS), hook: limit(HOOKS) }
    }
}

impl Limits {
    /// Counts a try of `client`.
    pub(super) fn check(&self, what: Try, client: IpAddr) -> Result<(), WebError> {
        let limit = match what {
            Try::SignIn => &self.sign_in,
            Try::Link => &self.link,
            Try::Hook => &self.hook,
        };
        if limit.len() > REMEMBERED {
            limit.retain_recent();
        }
        limit.check_key(&network(client)).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            WebError::TooMany { after: wait.as_secs() + 1 }
        })
    }
}

/// A client of IPv6 owns a whole /64 and may call from any address in it.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, SIGN_INS, Try};
    use crate::web::WebError;

    #[test]
    fn a_client_that_tries_too_often_waits_and_others_do_not() {
        let limits = Limits::default();
        let ip = |text: &str| text.parse().unwrap();
        for _ in 0..SIGN_INS {
            limits.check(Try::SignIn, ip("2001:db8::1")).unwrap();
        }
        let refused = limits.check(Try::SignIn, ip("2001:db8::2"));
        assert!(matches!(refused, Err(WebError::TooMany { after: 1..=60 })), "{refused:?}");
        limits.check(Try::SignIn, ip("2001:db8:0:1::1")).unwrap();
        limits.check(Try::Link, ip("2001:db8::1")).unwrap();
    }
}
