//! What is wrong with a layer of a policy, though each of its settings can be read: said alike on pages, over the API and so on the
//! command line. Pure.

use crate::model::{Policy, PolicyLayer};
use crate::words::{clean, span};

/// A setting, and what is wrong with it.
pub(super) type Mistake = (&'static str, String);

/// Everything that is wrong with `layer`, over what holds without it. What another layer says is none of its mistakes.
pub(super) fn mistakes(layer: &PolicyLayer, without: &Policy) -> Vec<Mistake> {
    let policy = without.clone().with(layer);
    let mut found = Vec::new();
    let names_a_length = layer.default_lease.is_some() || layer.max_lease.is_some();
    if names_a_length && policy.default_lease > policy.max_lease {
        let (new, most) = (span(policy.default_lease), span(policy.max_lease));
        found.push((
            "default_lease",
            format!("a new lease of {new} is longer than the longest renewal (max_lease) of {most}"),
        ));
    }
    if layer.warnings.as_ref().is_some_and(Vec::is_empty) {
        let text = "name at least one, such as 1h: without any, nobody hears of an end that comes near";
        found.push(("warnings", text.to_owned()));
    }
    if let Some(Some(pattern)) = &layer.email_pattern
        && let Some(odd) = unmatched(pattern)
    {
        let text = if odd.is_empty() { "it is empty".to_owned() } else { format!("{} fits no address", clean(odd)) };
        found.push(("email_pattern", format!("{text}; write one such as *@example.com, or none")));
    }
    found
}

/// A part of the pattern that no mail address fits: it has neither `@` nor `*`.
fn unmatched(pattern: &str) -> Option<&str> {
    let parts = || pattern.split(',').map(str::trim).filter(|part| !part.is_empty());
    let none = parts().next().is_none().then_some("");
    none.or_else(|| parts().find(|part| !part.contains(['@', '*'])))
}

#[cfg(test)]
mod tests {
    use super::mistakes;
    use crate::model::{Policy, PolicyLayer};
    use serde_json::{Value, json};

    fn named(layer: &Value, without: &Policy) -> Vec<&'static str> {
        let layer: PolicyLayer = serde_json::from_value(layer.clone()).unwrap();
        mistakes(&layer, without).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_contradicts_itself_or_can_have_no_effect_is_named_and_what_another_layer_says_is_not() {
        let usual = Policy { default_lease: 7_200, max_lease: 14_400, ..Policy::default() };
        for (layer, wrong) in [
            (json!({ "default_lease": 32_400, "max_lease": 3_600 }), vec!["default_lease"]),
            (json!({ "default_lease": 14_401 }), vec!["default_lease"]),
            (json!({ "max_lease": 7_199 }), vec!["default_lease"]),
            (json!({ "default_lease": 14_400 }), vec![]),
            (json!({ "warnings": [] }), vec!["warnings"]),
            (json!({ "email_pattern": "nonsense" }), vec!["email_pattern"]),
            (json!({ "email_pattern": "*@a.example, b.example" }), vec!["email_pattern"]),
            (json!({ "email_pattern": " , " }), vec!["email_pattern"]),
            (json!({ "email_pattern": "*@a.example, ada@b.example" }), vec![]),
            (json!({ "email_pattern": null, "warnings": [60] }), vec![]),
        ] {
            assert_eq!(named(&layer, &usual), wrong, "{layer}");
        }
        let odd = Policy { default_lease: 7_200, max_lease: 60, ..Policy::default() };
        assert!(named(&json!({ "grace": 60 }), &odd).is_empty());
    }
}
