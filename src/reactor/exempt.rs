//! Which exemption rule keeps a resource from its end: of those in force that pick it out, the one that lasts longest.

use crate::model::{ExemptionRule, Facts, Time};

/// The rule in force at `now` for a resource with these facts.
pub fn exempting<'a>(rules: &'a [ExemptionRule], facts: &Facts, now: Time) -> Option<&'a ExemptionRule> {
    let in_force = rules.iter().filter(|rule| rule.until > now && rule.picks(facts));
    in_force.max_by_key(|rule| rule.until)
}
