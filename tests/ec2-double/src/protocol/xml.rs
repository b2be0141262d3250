//! Writing XML by appending to a string: a page of a thousand instances is over a megabyte and must not be the slow part of a bench.

use jiff::Timestamp;

/// XML under construction.
#[derive(Debug, Default)]
pub(crate) struct Xml {
    text: String,
    /// The date written last: most items of a page share theirs.
    last: Option<(Timestamp, String)>,
}

impl Xml {
    pub(crate) fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.tag("<", name);
        inside(self);
        self.tag("</", name);
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.tag("<", name);
        self.escape(value);
        self.tag("</", name);
    }

    /// Text that needs no escaping: ids, states and the like that the double made itself.
    pub(crate) fn plain(&mut self, name: &str, value: &str) {
        self.tag("<", name);
        self.text.push_str(value);
        self.tag("</", name);
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.plain(name, if value { "true" } else { "false" });
    }

    pub(crate) fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, &value.to_string());
    }

    pub(crate) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(crate) fn date(&mut self, name: &str, at: Timestamp) {
        let text = match self.last.take() {
            Some((last, text)) if last == at => text,
            _ => date(at),
        };
        self.plain(name, &text);
        self.last = Some((at, text));
    }

    /// What is written already is trusted to be XML: constant parts of items.
    pub(crate) fn raw(&mut self, xml: &str) {
        self.text.push_str(xml);
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn tag(&mut self, open: &str, name: &str) {
        self.text.push_str(open);
        self.text.push_str(name);
        self.text.push('>');
    }

    fn escape(&mut self, value: &str) {
        let mut rest = value;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\r']) {
            let (before, after) = rest.split_at(at);
            self.text.push_str(before);
            self.text.push_str(match after.as_bytes().first() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'"') => "&quot;",
                _ => "&#13;",
            });
            rest = &after[1..];
        }
        self.text.push_str(rest);
    }
}

/// A time as EC2 writes it.
pub(crate) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::Xml;

    #[test]
    fn text_is_escaped_and_what_needs_no_escape_is_kept() {
        let mut xml = Xml::default();
        xml.within("item", |xml| xml.text("value", "a<b & \"ü\" >c\r\n"));
        assert_eq!(xml.finish(), "<item><value>a&lt;b &amp; &quot;ü&quot; &gt;c&#13;\n</value></item>");
    }
}
