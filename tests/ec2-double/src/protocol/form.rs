//! The form of a query request: flat names such as `Filter.1.Value.2`.

use std::collections::BTreeMap;

use super::Refusal;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn require(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A number, or the refusal that EC2 has for text that is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let parse = |text: &str| {
            text.parse().map_err(|_| {
                Refusal::bad("InvalidParameterValue", format!("Invalid value '{text}' for {name}. Must be an integer."))
            })
        };
        self.get(name).map(parse).transpose()
    }

    /// The values of `name.1`, `name.2` … in that order.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let mut numbered: Vec<(u32, &str)> = Vec::new();
        for (rest, value) in self.below(name) {
            if let Ok(number) = rest.parse() {
                numbered.push((number, value));
            }
        }
        numbered.sort_unstable();
        numbered.into_iter().map(|(_, value)| value).collect()
    }

    /// The numbers `n` for which there is a `name.n.…`, as prefixes `name.n`.
    pub(crate) fn groups(&self, name: &str) -> Vec<String> {
        let number = |rest: &str| rest.split('.').next().and_then(|number| number.parse::<u32>().ok());
        let mut numbers: Vec<u32> = self.below(name).filter_map(|(rest, _)| number(rest)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| format!("{name}.{number}")).collect()
    }

    fn below<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = format!("{name}.");
        let below = self.0.range(from..);
        below.map_while(move |(key, value)| Some((key.strip_prefix(name)?.strip_prefix('.')?, value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn lists_come_in_the_order_of_their_numbers() {
        let form = Form::parse(b"InstanceId.10=j&InstanceId.2=b&InstanceId.1=a&InstanceIds.3=x&InstanceId=y");
        assert_eq!(form.list("InstanceId"), ["a", "b", "j"]);
    }

    #[test]
    fn groups_are_found_by_their_numbers() {
        let form = Form::parse(b"Filter.2.Name=b&Filter.1.Name=a&Filter.1.Value.1=x%26y&Filters.7.Name=no");
        assert_eq!(form.groups("Filter"), ["Filter.1", "Filter.2"]);
        assert_eq!(form.list("Filter.1.Value"), ["x&y"]);
    }
}
