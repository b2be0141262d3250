//! How often one client may try what a stranger can try: signing in, links, hooks, tokens that are of no use; and how much one
//! AWS account may tell.

use super::WebError;
use crate::model::AwsId;
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{NotUntil, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// Tries a minute. An office shares one address, and mail programs fetch every link of a mail at once.
const SIGN_INS: u32 = 30;
const LINKS: u32 = 240;
const HOOKS: u32 = 600;
const TOKENS: u32 = 60;
/// Instances that the events of one AWS account may name a second, and at once: several launches of a thousand.
const TOLD: u32 = 1_000;
const TOLD_AT_ONCE: u32 = 5_000;
/// Clients that are remembered before those that were quiet are forgotten.
const REMEMBERED: usize = 10_000;

/// One limit for each kind of try.
#[derive(Debug)]
pub(super) struct Limits {
    sign_in: Keyed<IpAddr>,
    link: Keyed<IpAddr>,
    hook: Keyed<IpAddr>,
    token: Keyed<IpAddr>,
    /// There are as many keys as AWS accounts that are connected.
    told: Keyed<AwsId>,
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
    /// An API token that is not valid.
    Token,
}

impl Default for Limits {
    fn default() -> Limits {
        let limit = |tries: u32| RateLimiter::hashmap(Quota::per_minute(count(tries)));
        let told = RateLimiter::hashmap(Quota::per_second(count(TOLD)).allow_burst(count(TOLD_AT_ONCE)));
        Limits { sign_in: limit(SIGN_INS), link: limit(LINKS), hook: limit(HOOKS), token: limit(TOKENS), told }
    }
}

impl Limits {
    /// Counts a try of `client`.
    pub(super) fn check(&self, what: Try, client: IpAddr) -> Result<(), WebError> {
        let limit = match what {
            Try::SignIn => &self.sign_in,
            Try::Link => &self.link,
            Try::Hook => &self.hook,
            Try::Token => &self.token,
        };
        if limit.len() > REMEMBERED {
            limit.retain_recent();
        }
        limit.check_key(&network(client)).map_err(|not_until| later(&not_until))
    }

    /// Counts an event of an AWS account that names so many instances. One that names nothing counts as one.
    pub(super) fn told(&self, aws_id: &AwsId, instances: usize) -> Result<(), WebError> {
        let weight = count(u32::try_from(instances).unwrap_or(TOLD_AT_ONCE).min(TOLD_AT_ONCE));
        match self.told.check_key_n(aws_id, weight) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(later(&not_until)),
            Err(_) => Err(WebError::TooMany { after: 1 }),
        }
    }
}

/// At least one.
fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

fn later(not_until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> WebError {
    let wait = not_until.wait_time_from(DefaultClock::default().now());
    WebError::TooMany { after: wait.as_secs() + 1 }
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
    use super::{Limits, SIGN_INS, TOLD_AT_ONCE, Try};
    use crate::model::AwsId;
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
    #[test]
    fn an_aws_account_may_name_so_many_instances_at_once_and_takes_nothing_from_another() {
        let limits = Limits::default();
        let [one, other] = ["111122223333", "444455556666"].map(|id| AwsId::parse(id).unwrap());
        for _ in 0..TOLD_AT_ONCE / 1_000 {
            limits.told(&one, 1_000).unwrap();
        }
        let refused = limits.told(&one, 1_000);
        assert!(matches!(refused, Err(WebError::TooMany { after: 1..=2 })), "{refused:?}");
        limits.told(&other, 0).unwrap();
        // More than ever fits is not refused for ever.
        limits.told(&AwsId::parse("777788889999").unwrap(), usize::MAX).unwrap();
    }
}
