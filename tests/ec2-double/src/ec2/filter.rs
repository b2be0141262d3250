//! Filters: every one has to find a value that one of its patterns matches; `*` and `?` are wildcards.

use std::collections::BTreeMap;

use crate::protocol::{Form, Refusal};

/// The most filter values in one call (EC2's `FilterLimitExceeded`).
const MOST_VALUES: usize = 200;

/// The filters of one call, each a name and its patterns.
#[derive(Debug)]
pub(crate) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// The filters of an EC2 call; `known` lists the names that the action has, `tag:` standing for every `tag:KEY`.
    pub(super) fn parse(form: &Form, known: &[&str]) -> Result<Self, Refusal> {
        let filters = Self::read(form, "Filter", "Value");
        let has = |name: &str| known.contains(&name) || (name.starts_with("tag:") && known.contains(&"tag:"));
        if let Some((name, _)) = filters.0.iter().find(|(name, _)| !has(name)) {
            return Err(Refusal::bad("InvalidParameterValue", format!("The filter '{name}' is invalid")));
        }
        if filters.0.iter().map(|(_, values)| values.len()).sum::<usize>() > MOST_VALUES {
            let message = "The maximum number of filter values specified on a single call is 200";
            return Err(Refusal::bad("FilterLimitExceeded", message));
        }
        Ok(filters)
    }

    /// The filters of `DescribeAutoScalingGroups`.
    pub(crate) fn of_groups(form: &Form) -> Result<Self, Refusal> {
        let filters = Self::read(form, "Filters.member", "Values.member");
        let has = |name: &str| name == "tag-key" || name == "tag-value" || name.starts_with("tag:");
        match filters.0.iter().find(|(name, _)| !has(name)) {
            Some((name, _)) => Err(Refusal::bad("ValidationError", format!("Filter type {name} is not correct."))),
            None => Ok(filters),
        }
    }

    fn read(form: &Form, list: &str, values: &str) -> Self {
        let read = |group: String| {
            let name = form.get(&format!("{group}.Name"))?.to_owned();
            let values = form.list(&format!("{group}.{values}"));
            Some((name, values.into_iter().map(str::to_owned).collect()))
        };
        Self(form.groups(list).into_iter().filter_map(read).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an item passes every filter. `has` says whether the item has a value under a filter's name that passes the test.
    pub(crate) fn accept(&self, has: impl Fn(&str, &dyn Fn(&str) -> bool) -> bool) -> bool {
        self.0.iter().all(|(name, patterns)| has(name, &|value| patterns.iter().any(|pattern| matches(pattern, value))))
    }

    /// [`Self::accept`]'s question for filters about tags.
    pub(crate) fn tagged(tags: &BTreeMap<String, String>, name: &str, test: &dyn Fn(&str) -> bool) -> bool {
        match name.strip_prefix("tag:") {
            Some(key) => tags.get(key).is_some_and(|value| test(value)),
            None if name == "tag-key" => tags.keys().any(|key| test(key)),
            None if name == "tag-value" => tags.values().any(|value| test(value)),
            None => false,
        }
    }
}

fn matches(pattern: &str, value: &str) -> bool {
    if !pattern.contains(['*', '?', '\\']) {
        return pattern == value;
    }
    let (pattern, value): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
    glob(&pattern, &value)
}

fn glob(pattern: &[char], value: &[char]) -> bool {
    match (pattern, value) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=value.len()).any(|skipped| glob(rest, &value[skipped..])),
        (['?', rest @ ..], [_, left @ ..]) => glob(rest, left),
        (['\\', wanted, rest @ ..], [is, left @ ..]) if wanted == is => glob(rest, left),
        ([wanted, rest @ ..], [is, left @ ..]) if wanted == is && *wanted != '\\' => glob(rest, left),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_as_in_ec2() {
        assert!(matches("ada*", "ada@bigdb.example") && matches("*@bigdb.example", "ada@bigdb.example"));
        assert!(matches("t?.micro", "t3.micro") && !matches("t?.micro", "t33.micro"));
        assert!(matches("a\\*b", "a*b") && !matches("a\\*b", "axb"));
        assert!(!matches("Ada", "ada"));
    }
}
