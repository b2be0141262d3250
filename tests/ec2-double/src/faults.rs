//! Faults that a test injects: rules that say which calls go wrong, how, and how often.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::{Refusal, Service};

/// How a call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Refused for too many requests, as the service words it. Nothing happens.
    Throttle,
    /// Refused with that status, 500 to 599, as the service words it. Nothing happens.
    Server(u16),
    /// Refused in these words. Nothing happens.
    Refuse {
        /// HTTP status.
        status: u16,
        /// The error's code.
        code: String,
        /// Its text.
        message: String,
    },
    /// Never answered. Nothing happens.
    Hang,
    /// The call takes effect, half of the answer arrives, then the connection is cut.
    Cut,
    /// The call takes effect, and the connection is cut before anything of the answer arrives.
    Lost,
    /// Answered after that many milliseconds.
    Delay(u64),
    /// DescribeInstances and `DescribeTags` answer as if nothing had a tag.
    NoTags,
    /// DescribeInstances leaves out that many of every hundred instances, and says nothing of it.
    Drop(u8),
    /// A paged DescribeInstances answers with nothing and a token that goes on where the page began.
    EmptyPage,
}

/// Which calls a fault befalls. Without conditions: all, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    fault: Fault,
    #[serde(default)]
    service: Option<Service>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    page: Option<u32>,
    #[serde(default)]
    names_ids: Option<bool>,
    #[serde(default)]
    skip: u32,
    #[serde(default)]
    times: Option<u32>,
}

impl Rule {
    /// Befalls every call for ever; the methods below narrow it.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            service: None,
            account: None,
            region: None,
            action: None,
            page: None,
            names_ids: None,
            skip: 0,
            times: None,
        }
    }

    /// Only calls of that service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only calls into that account.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Only calls in that region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Only calls of that action.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// Only that page of a listing, the first being 1.
    #[must_use]
    pub fn page(mut self, page: u32) -> Self {
        self.page = Some(page);
        self
    }

    /// Only calls that name no ids, neither as parameter nor as filter.
    #[must_use]
    pub fn listings(mut self) -> Self {
        self.names_ids = Some(false);
        self
    }

    /// Only calls that name ids.
    #[must_use]
    pub fn by_id(mut self) -> Self {
        self.names_ids = Some(true);
        self
    }

    /// Not the first `count` calls that it would befall.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// That many calls, then no more.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = Some(count);
        self
    }

    fn befalls(&self, target: &Target<'_>) -> bool {
        let is = |wanted: Option<&String>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        self.service.is_none_or(|service| service == target.service)
            && is(self.account.as_ref(), target.account)
            && is(self.region.as_ref(), target.region)
            && is(self.action.as_ref(), target.action)
            && self.page.is_none_or(|page| page == target.page)
            && self.names_ids.is_none_or(|wanted| wanted == target.names_ids)
    }
}

/// Names a rule, to take it away or ask how often it struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleId(u64);

/// A call as rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) service: Service,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) action: &'a str,
    pub(crate) page: u32,
    pub(crate) names_ids: bool,
}

/// What an answer lacks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gaps {
    pub(crate) no_tags: bool,
    /// Of every hundred instances.
    pub(crate) dropped: u8,
    pub(crate) empty_page: bool,
}

/// How the answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Delivery {
    #[default]
    Whole,
    Cut,
    Lost,
}

/// What befalls one call.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) hang: bool,
    pub(crate) gaps: Gaps,
    pub(crate) delivery: Delivery,
}

/// All rules, and how often each struck.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<(RuleId, Rule, u32)>,
    last: u64,
}

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) -> RuleId {
        self.last += 1;
        self.rules.push((RuleId(self.last), rule, 0));
        RuleId(self.last)
    }

    pub(crate) fn remove(&mut self, id: RuleId) {
        self.rules.retain(|(of, ..)| *of != id);
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn struck(&self, id: RuleId) -> u32 {
        self.rules.iter().find(|(of, ..)| *of == id).map_or(0, |(.., struck)| *struck)
    }

    /// What befalls a call; counts it for every rule that does.
    pub(crate) fn judge(&mut self, target: &Target<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for (_, rule, struck) in &mut self.rules {
            if !rule.befalls(target) || rule.times.is_some_and(|times| *struck >= times) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            *struck += 1;
            match &rule.fault {
                Fault::Throttle => _ = verdict.refusal.get_or_insert_with(|| throttled(target.service)),
                Fault::Server(status) => _ = verdict.refusal.get_or_insert_with(|| broken(target.service, *status)),
                Fault::Refuse { status, code, message } => {
                    let code = Cow::Owned(code.clone());
                    verdict.refusal.get_or_insert_with(|| Refusal::new(*status, code, message));
                }
                Fault::Hang => verdict.hang = true,
                Fault::Cut => verdict.delivery = Delivery::Cut,
                Fault::Lost => verdict.delivery = Delivery::Lost,
                Fault::Delay(milliseconds) => verdict.delay += Duration::from_millis(*milliseconds),
                Fault::NoTags => verdict.gaps.no_tags = true,
                Fault::Drop(share) => verdict.gaps.dropped = *share,
                Fault::EmptyPage => verdict.gaps.empty_page = true,
            }
        }
        verdict
    }
}

/// Too many requests, in the words of each service.
pub(crate) fn throttled(service: Service) -> Refusal {
    match service {
        Service::Ec2 => Refusal::new(503, "RequestLimitExceeded", "Request limit exceeded."),
        Service::Sts | Service::AutoScaling => Refusal::bad("Throttling", "Rate exceeded"),
        Service::Ses => Refusal::new(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
        Service::CloudTrail => Refusal::bad("ThrottlingException", "Rate exceeded"),
    }
}

fn broken(service: Service, status: u16) -> Refusal {
    match (service, status) {
        (Service::Ec2, 503) => {
            Refusal::new(503, "Unavailable", "The server is overloaded and can't handle the request.")
        }
        (Service::Ec2, _) => Refusal::new(status, "InternalError", "An internal error has occurred"),
        (Service::Sts | Service::AutoScaling, 503) => {
            Refusal::new(503, "ServiceUnavailable", "Service is unable to handle request.")
        }
        (Service::Sts | Service::AutoScaling, _) => {
            Refusal::new(status, "InternalFailure", "The request processing has failed because of an unknown error.")
        }
        (Service::Ses, 503) => Refusal::new(503, "ServiceUnavailableException", "Service is unable to handle request."),
        (Service::Ses | Service::CloudTrail, _) => {
            Refusal::new(status, "InternalServiceErrorException", "An internal error has occurred")
        }
    }
}
