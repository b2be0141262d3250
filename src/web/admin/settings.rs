//! The settings of a policy as a form shows and takes them: durations such as `3d`, an empty field for what the layer before
//! says, and `none` for a limit that is lifted.

use super::super::form::Fields;
use crate::model::{Extra, Policy, PolicyLayer};
use crate::reactor::lease_length;
use crate::words::clean;
use minijinja::context;
use serde_json::{Value, json};

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Span,
    SpanOrNone,
    Spans,
    Count,
    CountOrNone,
    Action,
    Text,
    TextOrNone,
}

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    kind: Kind,
    group: &'static str,
    /// A person's own layer may name it.
    personal: bool,
}

const LENGTHS: &str = "How long leases are";
const TELLING: &str = "How people are told";
const ENDING: &str = "How leases end";
const OWNING: &str = "Who owns what";

/// In the order of the form.
pub(super) const SETTINGS: [Setting; 18] = [
    setting("default_lease", "New lease", "When nobody asks for anything.", Kind::Span, LENGTHS, true),
    setting("max_lease", "Longest renewal", "From the moment it is accepted.", Kind::Span, LENGTHS, true),
    setting(
        "max_total",
        "All renewals together",
        "From when it was first seen; none: no limit.",
        Kind::SpanOrNone,
        LENGTHS,
        true,
    ),
    setting(
        "max_instances",
        "Instances of one person",
        "More get a short lease; none: no limit.",
        Kind::CountOrNone,
        LENGTHS,
        true,
    ),
    setting("over_quota_lease", "Short lease", "For those beyond that number.", Kind::Span, LENGTHS, true),
    setting("warnings", "Warnings before the end", "Several, apart by spaces.", Kind::Spans, TELLING, true),
    setting("min_notice", "Minimum notice", "Nothing ends sooner after it was announced.", Kind::Span, TELLING, true),
    setting("grace", "Grace", "Between the end of a lease and the act.", Kind::Span, ENDING, true),
    setting("expiry_action", "What the end does", "A stopped one can be started again.", Kind::Action, ENDING, true),
    setting("terminate_after", "Stopped for", "Before a stopped one is terminated.", Kind::Span, ENDING, true),
    setting("terminate_notice", "Notice of termination", "Its own, before it.", Kind::Span, ENDING, true),
    setting("stage_notice", "After a stage was raised", "No end happens sooner.", Kind::Span, ENDING, false),
    setting(
        "max_reaps_per_hour",
        "Most ends in one hour",
        "In each AWS account; further ones wait.",
        Kind::Count,
        ENDING,
        false,
    ),
    setting("owner_tag", "Owner tag", "The tag that names the owner.", Kind::Text, OWNING, false),
    setting("lease_tag", "Lease tag", "The tag that asks for a length, such as 2d.", Kind::Text, OWNING, false),
    setting(
        "email_pattern",
        "Who may come in",
        "Such as *@example.com; none: only who is invited.",
        Kind::TextOrNone,
        OWNING,
        false,
    ),
    setting("settle", "Tags settle for", "Before the owner is judged by them.", Kind::Span, OWNING, false),
    setting("retention", "Ended leases are kept for", "Then they and their audit go.", Kind::Span, OWNING, false),
];

const fn setting(
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    kind: Kind,
    group: &'static str,
    personal: bool,
) -> Setting {
    Setting { name, label, hint, kind, group, personal }
}

impl Setting {
    fn show(&self, value: &Value) -> String {
        match (self.kind, value) {
            (_, Value::Null) => "none".to_owned(),
            (Kind::Span | Kind::SpanOrNone, Value::Number(seconds)) => seconds.as_i64().map(short).unwrap_or_default(),
            (Kind::Spans, Value::Array(all)) if all.is_empty() => "none".to_owned(),
            (Kind::Spans, Value::Array(all)) => {
                all.iter().filter_map(Value::as_i64).map(short).collect::<Vec<_>>().join(" ")
            }
            (_, Value::String(text)) => clean(text),
            (_, other) => clean(&other.to_string()),
        }
    }

    /// What a field says; `None` when it says nothing, and so what the layer before does.
    fn read(&self, text: &str) -> Result<Option<Value>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let none = text.eq_ignore_ascii_case("none");
        let span = |text: &str| {
            lease_length(text).ok_or_else(|| format!("write a time such as 3d, 12h or 90m, not {}", clean(text)))
        };
        let count = |text: &str| text.parse::<u32>().map(|n| json!(n)).map_err(|_| "write a whole number".to_owned());
        Ok(Some(match self.kind {
            Kind::SpanOrNone | Kind::CountOrNone | Kind::TextOrNone if none => Value::Null,
            Kind::Spans if none => json!([]),
            Kind::Span | Kind::SpanOrNone => json!(span(text)?),
            Kind::Spans => {
                let parts = text.split([' ', ',']).filter(|part| !part.is_empty());
                json!(parts.map(span).collect::<Result<Vec<_>, _>>()?)
            }
            Kind::Count | Kind::CountOrNone => count(text)?,
            Kind::Action if text == "stop" || text == "terminate" => json!(text),
            Kind::Action => return Err("choose stop or terminate".to_owned()),
            Kind::Text | Kind::TextOrNone if text.chars().count() > 200 => return Err("is too long".to_owned()),
            Kind::Text | Kind::TextOrNone => json!(text),
        }))
    }
}

/// A duration in one unit that loses nothing.
pub(super) fn short(seconds: i64) -> String {
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    let (size, unit) = units.into_iter().find(|(size, _)| seconds % size == 0 && seconds != 0).unwrap_or((1, 's'));
    format!("{}{unit}", seconds / size)
}

/// The groups of fields: what this layer says, and what holds without it.
pub(super) fn form(layer: &Value, without: &Policy, typed: Option<&Fields>, personal: bool) -> Vec<minijinja::Value> {
    let before = serde_json::to_value(without).unwrap_or_default();
    let mut groups: Vec<(&str, Vec<minijinja::Value>)> = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| setting.personal || !personal) {
        let said = layer.get(setting.name).map(|value| setting.show(value)).unwrap_or_default();
        let value = typed.map_or(said, |fields| fields.get(setting.name).to_owned());
        let field = context! {
            name => setting.name, label => setting.label, hint => setting.hint, value,
            otherwise => before.get(setting.name).map(|value| setting.show(value)),
            choice => setting.kind == Kind::Action,
        };
        match groups.last_mut().filter(|(group, _)| *group == setting.group) {
            Some((_, fields)) => fields.push(field),
            None => groups.push((setting.group, vec![field])),
        }
    }
    groups.into_iter().map(|(title, fields)| context! { title, fields }).collect()
}

/// The layer with what the form says in it; what this version does not know stays. All mistakes at once, each with its label.
pub(super) fn read(layer: &Value, fields: &Fields, personal: bool, without: &Policy) -> Result<Value, Vec<String>> {
    let mut all: Extra = layer.as_object().cloned().unwrap_or_default();
    let mut mistakes = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| setting.personal || !personal) {
        match setting.read(fields.get(setting.name)) {
            Ok(Some(value)) => drop(all.insert(setting.name.to_owned(), value)),
            Ok(None) => drop(all.shift_remove(setting.name)),
            Err(why) => mistakes.push(format!("{}: {why}.", setting.label)),
        }
    }
    let read: PolicyLayer = serde_json::from_value(Value::Object(all.clone())).unwrap_or_default();
    let label = |name: &str| SETTINGS.iter().find(|setting| setting.name == name).map_or("Policy", |it| it.label);
    mistakes.extend(
        crate::web::mistakes::mistakes(&read, without).iter().map(|(name, why)| format!("{}: {why}.", label(name))),
    );
    if mistakes.is_empty() { Ok(Value::Object(all)) } else { Err(mistakes) }
}

/// What differs between two policies in force, for people.
pub(super) fn differences(before: &Policy, after: &Policy) -> Vec<minijinja::Value> {
    let (before, after) = [before, after].map(|policy| serde_json::to_value(policy).unwrap_or_default()).into();
    let differing = SETTINGS.iter().filter(|setting| before.get(setting.name) != after.get(setting.name));
    let show = |setting: &Setting, values: &Value| values.get(setting.name).map(|value| setting.show(value));
    differing
        .map(|setting| context! { label => setting.label, before => show(setting, &before), after => show(setting, &after) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Fields, Policy, SETTINGS, read, short};
    use serde_json::json;

    #[test]
    fn what_a_form_shows_is_what_it_reads() {
        let layer = json!({"default_lease": 259_200, "warnings": [86_400, 5_400], "max_total": null, "max_instances": 7,
            "expiry_action": "stop", "owner_tag": "owner", "colour": "blue"});
        let mut text = form_urlencoded::Serializer::new(String::new());
        for setting in &SETTINGS {
            text.append_pair(
                setting.name,
                &layer.get(setting.name).map(|value| setting.show(value)).unwrap_or_default(),
            );
        }
        assert_eq!(read(&layer, &Fields::read(text.finish().as_bytes()), false, &Policy::default()).unwrap(), layer);
    }

    #[test]
    fn an_empty_field_leaves_the_layer_before_and_mistakes_come_together() {
        let layer = json!({"default_lease": 60});
        assert_eq!(read(&layer, &Fields::read(b"default_lease="), false, &Policy::default()).unwrap(), json!({}));
        let fields = Fields::read(b"default_lease=soon&max_instances=-1&grace=0s&warnings=none&email_pattern=nonsense");
        let mistakes = read(&layer, &fields, false, &Policy::default()).unwrap_err();
        assert_eq!(mistakes.len(), 5, "{mistakes:?}");
        let contrary = Fields::read(b"default_lease=9h&max_lease=1h");
        let mistakes = read(&layer, &contrary, false, &Policy::default()).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("New lease: "), "{mistakes:?}");
    }

    #[test]
    fn a_duration_is_in_one_unit() {
        assert_eq!([259_200, 129_600, 5_400, 61, 0].map(short), ["3d", "36h", "90m", "61s", "0s"]);
    }
}
