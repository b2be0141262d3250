//! Reads settings out of YAML one by one and collects every mistake with its key, so that all are told at once.

use serde_yaml_ng::Value;

/// Every mistake found so far, each with its key and what would be right.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, key: &str, what: impl std::fmt::Display) {
        self.0.push(format!("{key}: {what}"));
    }
}

/// Puts a setting from the environment in the place of the file's. Whole numbers, true and false are read as such.
pub(super) fn put(yaml: &mut Value, setting: &str, text: &str) {
    let mut at = yaml;
    for name in setting.split('.') {
        if !at.is_mapping() {
            *at = Value::Mapping(serde_yaml_ng::Mapping::new());
        }
        at = &mut at[name];
    }
    let read = serde_yaml_ng::from_str::<Value>(text).ok();
    let plain = read.filter(|value| value.is_bool() || value.as_u64().is_some_and(|number| number.to_string() == text));
    *at = plain.unwrap_or_else(|| Value::String(text.to_owned()));
}

/// One mapping of the file, with the path that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Section<'a> {
    pub(super) fn root(value: &'a Value) -> Section<'a> {
        Section { path: String::new(), value: Some(value) }
    }

    /// The full name of a setting, such as `mail.from`.
    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Whether the file, or the environment, says anything here.
    pub(super) fn is_there(&self) -> bool {
        self.value.is_some()
    }

    fn raw(&self, name: &str) -> Option<&'a Value> {
        self.value?.get(name).filter(|value| !value.is_null())
    }

    /// A part of the file; absent parts read as empty.
    pub(super) fn section(&self, name: &str, problems: &mut Problems) -> Section<'a> {
        let value = self.raw(name);
        if value.is_some_and(|value| !value.is_mapping()) {
            problems.add(&self.key(name), "is not a mapping; write its settings indented below it");
        }
        Section { path: self.key(name), value }
    }

    /// A list of mappings.
    pub(super) fn sections(&self, name: &str, problems: &mut Problems) -> Vec<Section<'a>> {
        match self.raw(name) {
            None => Vec::new(),
            Some(Value::Sequence(items)) => items
                .iter()
                .enumerate()
                .map(|(i, value)| Section { path: format!("{}[{i}]", self.key(name)), value: Some(value) })
                .collect(),
            Some(_) => {
                problems.add(&self.key(name), "is not a list; start each entry with a dash");
                Vec::new()
            }
        }
    }

    /// No two entries of a list may have the same name: one of them would be without effect.
    pub(super) fn unique(entries: &[Section<'_>], name: &str, problems: &mut Problems) {
        let mut seen: Vec<(&Value, String)> = Vec::new();
        for entry in entries {
            let Some(value) = entry.raw(name) else { continue };
            match seen.iter().find(|(other, _)| *other == value) {
                Some((_, first)) => problems.add(&entry.key(name), format!("is the same as {first}: write one entry")),
                None => seen.push((value, entry.key(name))),
            }
        }
    }

    /// Names what this version does not know: a misspelt setting must not be silently without effect.
    pub(super) fn only(&self, known: &[&str], problems: &mut Problems) {
        for (name, _) in self.value.and_then(Value::as_mapping).into_iter().flatten() {
            let name = name.as_str().unwrap_or("?");
            if !known.contains(&name) {
                problems.add(&self.key(name), format!("is not a setting; known here: {}", known.join(", ")));
            }
        }
    }

    pub(super) fn text(&self, name: &str, problems: &mut Problems) -> Option<String> {
        match self.raw(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                problems.add(&self.key(name), "is not a text");
                None
            }
        }
    }

    pub(super) fn texts(&self, name: &str, problems: &mut Problems) -> Vec<String> {
        match self.raw(name) {
            None => Vec::new(),
            Some(Value::Sequence(items)) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(_) => {
                problems.add(&self.key(name), "is not a list of texts; quote numbers");
                Vec::new()
            }
        }
    }

    /// A mapping of texts, in its order.
    pub(super) fn texts_by_name(&self, name: &str, problems: &mut Problems) -> Vec<(String, String)> {
        let all = self.section(name, problems);
        let names = all.value.and_then(Value::as_mapping).into_iter().flatten().filter_map(|(name, _)| name.as_str());
        names.filter_map(|name| Some((name.to_owned(), all.text(name, problems)?))).collect()
    }

    /// A whole number from 1.
    pub(super) fn count(&self, name: &str, problems: &mut Problems) -> Option<u32> {
        let value = self.raw(name)?;
        let count = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        if count.is_none() {
            problems.add(&self.key(name), "is not a whole number from 1");
        }
        count
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.raw(name)?;
        if !value.is_bool() {
            problems.add(&self.key(name), "is neither true nor false");
        }
        value.as_bool()
    }

    /// A duration such as `3d`, in seconds.
    pub(super) fn duration(&self, name: &str, problems: &mut Problems) -> Option<i64> {
        let value = self.raw(name)?;
        let said = value.as_str().map_or_else(|| serde_yaml_ng::to_string(value).unwrap_or_default(), str::to_owned);
        match parse_duration(said.trim()) {
            Ok(seconds) => Some(seconds),
            Err(why) => {
                problems.add(&self.key(name), why);
                None
            }
        }
    }

    pub(super) fn durations(&self, name: &str, problems: &mut Problems) -> Option<Vec<i64>> {
        self.raw(name)?;
        let texts = self.texts(name, problems);
        let mut all = Vec::new();
        for text in texts {
            match parse_duration(&text) {
                Ok(seconds) => all.push(seconds),
                Err(why) => problems.add(&self.key(name), why),
            }
        }
        Some(all)
    }

    /// A text that `parse` accepts; its error says what would be right.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        problems: &mut Problems,
    ) -> Option<T> {
        let text = self.text(name, problems)?;
        parse(&text).map_err(|why| problems.add(&self.key(name), why)).ok()
    }

    /// What must be there.
    pub(super) fn required<T>(&self, name: &str, value: Option<T>, problems: &mut Problems) -> Option<T> {
        if value.is_none() && self.raw(name).is_none() {
            problems.add(&self.key(name), "is missing");
        }
        value
    }
}

/// Seconds in `90s`, `15m`, `12h`, `3d`, or several after another such as `1d 12h`. Days have 24 hours. Zero is refused
/// (SAFETY.md: a documented 4 days was 0).
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is not a duration such as 90s, 15m, 12h or 3d");
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let total = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let (whole, exact) = (total.as_secs(), total.subsec_nanos() == 0);
    if !exact || !(1..=100 * 366 * 86_400).contains(&whole) {
        return Err(format!("{text:?} must be at least one whole second, at most 100 years"));
    }
    Ok(whole)
}
