//! The record of every call, for tests that assert what was asked of AWS and what was not.

use std::ops::Deref;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use crate::protocol::Service;

/// One call.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Counts from 1 in the order of arrival.
    pub number: u64,
    /// When it arrived, by the double's clock.
    pub at: Timestamp,
    /// When it arrived, for rates.
    #[serde(skip)]
    pub arrived: Instant,
    /// The service.
    pub service: Service,
    /// The account whose credentials it carried; empty when they were unknown.
    pub account: String,
    /// The region of the credential scope.
    pub region: String,
    /// The caller's ARN, with the session name when a role was assumed.
    pub caller: String,
    /// Such as `DescribeInstances`.
    pub action: String,
    /// What it named: instances, resources, spot requests, groups, a role, or mail addresses; as parameter or as filter.
    pub ids: Vec<String>,
    /// Whether it asked for a dry run.
    pub dry_run: bool,
    /// The page of a listing, the first being 1.
    pub page: u32,
    /// The HTTP status of the answer; 0 while there is none.
    pub status: u16,
    /// The error's code.
    pub error: Option<String>,
}

impl Call {
    /// Whether it only asks: Describe…, Get…, List…, and AssumeRole.
    pub fn is_reading(&self) -> bool {
        ["Describe", "Get", "List", "AssumeRole"].iter().any(|start| self.action.starts_with(start))
    }
}

/// Calls in the order of arrival.
#[derive(Debug, Clone, Default)]
pub struct Calls(Vec<Call>);

impl Deref for Calls {
    type Target = [Call];

    fn deref(&self) -> &[Call] {
        &self.0
    }
}

impl IntoIterator for Calls {
    type Item = Call;
    type IntoIter = std::vec::IntoIter<Call>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Calls {
    /// Those that pass the test.
    #[must_use]
    pub fn only(self, mut test: impl FnMut(&Call) -> bool) -> Self {
        Self(self.0.into_iter().filter(|call| test(call)).collect())
    }

    /// Those of that action.
    #[must_use]
    pub fn action(self, action: &str) -> Self {
        self.only(|call| call.action == action)
    }

    /// Those of that service.
    #[must_use]
    pub fn service(self, service: Service) -> Self {
        self.only(|call| call.service == service)
    }

    /// Those into that account.
    #[must_use]
    pub fn account(self, account: &str) -> Self {
        self.only(|call| call.account == account)
    }

    /// Those in that region.
    #[must_use]
    pub fn region(self, region: &str) -> Self {
        self.only(|call| call.region == region)
    }

    /// Those that named that id.
    #[must_use]
    pub fn naming(self, id: &str) -> Self {
        self.only(|call| call.ids.iter().any(|named| named == id))
    }

    /// Those that would change something: not reading, not a dry run, not mail.
    #[must_use]
    pub fn acting(self) -> Self {
        self.only(|call| !call.is_reading() && !call.dry_run && call.service != Service::Ses)
    }

    /// Those that were answered without an error.
    #[must_use]
    pub fn successful(self) -> Self {
        self.only(|call| call.status == 200)
    }

    /// The most calls that arrived within any stretch of that length.
    pub fn most_within(&self, stretch: Duration) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (index, call) in self.iter().enumerate() {
            while call.arrived.duration_since(self[first].arrived) > stretch {
                first += 1;
            }
            most = most.max(index + 1 - first);
        }
        most
    }
}

/// The record itself.
#[derive(Debug, Default)]
pub(crate) struct Record {
    calls: Vec<Call>,
    count: u64,
}

impl Record {
    /// Notes a call's arrival; the number names it until it is answered.
    pub(crate) fn arrive(&mut self, mut call: Call) -> u64 {
        self.count += 1;
        call.number = self.count;
        self.calls.push(call);
        self.count
    }

    pub(crate) fn answer(&mut self, number: u64, status: u16, error: Option<String>) {
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.number == number) {
            call.status = status;
            call.error = error;
        }
    }

    pub(crate) fn all(&self) -> Calls {
        Calls(self.calls.clone())
    }

    pub(crate) fn clear(&mut self) {
        self.calls.clear();
    }
}
