//! Which exemption rule keeps a resource from its end: of those in force that pick it out, the one that lasts longest; one that
//! nobody understands only where no other does. And what the story tells of an admin's own word about one lease.

use super::work::Work;
use crate::model::{ExemptionRule, Facts, RuleKind, Time};

/// The rule in force at `now` for a resource with these facts.
pub fn exempting<'a>(rules: &'a [ExemptionRule], facts: &Facts, now: Time) -> Option<&'a ExemptionRule> {
    let in_force = rules.iter().filter(|rule| rule.until > now && rule.picks(facts));
    in_force.max_by_key(|rule| (rule.by != RuleKind::Unknown, rule.until))
}

impl Work<'_> {
    /// An exemption that an admin gave or lifted is told in the story, once: who, until when and why. Decides nothing.
    pub(super) fn note_exemption(&mut self) {
        if self.lease.exemption == self.marks.exemption {
            return;
        }
        let by = self.lease.extra.get("updated_by").and_then(serde_json::Value::as_str);
        let by = by.map(|name| name.strip_prefix(&format!("{}.", self.lease.account)).unwrap_or(name).to_owned());
        let told = match (&self.lease.exemption, by) {
            // One that was over before anybody looked.
            (Some(exemption), _) if exemption.until <= self.now => None,
            (Some(it), Some(by)) => Some(format!("{by} exempted it until {}: {}", it.until, it.reason)),
            (Some(it), None) => Some(format!("exempted until {}: {}", it.until, it.reason)),
            (None, Some(by)) => Some(format!("{by} lifted its exemption")),
            (None, None) => Some("its exemption was lifted".to_owned()),
        };
        if let Some(told) = told {
            self.lease.log(self.now, told);
        }
        self.marks.exemption = self.lease.exemption.clone();
    }
}
