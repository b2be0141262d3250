//! `Range` requests for attachments: one range of bytes.

/// What of a body to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// All of it: nothing, nonsense or everything was asked for.
    Whole,
    /// These bytes, the end not included.
    Part(usize, usize),
    /// Nothing: the range lies behind the end.
    Unsatisfiable,
}

/// Reads a `Range` header for a body of this length.
pub(super) fn parse(header: Option<&str>, length: usize) -> Range {
    let pair = header.and_then(|text| text.trim().strip_prefix("bytes=")).and_then(|text| text.split_once('-'));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((first, last)) = pair.filter(|(first, last)| digits(first) && digits(last)) else {
        return Range::Whole;
    };
    // Only digits, so that what cannot be parsed is too large.
    let number = |text: &str| text.parse::<usize>().unwrap_or(usize::MAX);
    let (start, end) = match (first, last) {
        ("", "") => return Range::Whole,
        ("", last) if number(last) == 0 => return Range::Unsatisfiable,
        ("", last) => (length.saturating_sub(number(last)), length),
        (first, "") => (number(first), length),
        (first, last) if number(last) < number(first) => return Range::Whole,
        (first, last) => (number(first), number(last).saturating_add(1).min(length)),
    };
    if start >= length {
        return Range::Unsatisfiable;
    }
    if start == 0 && end == length { Range::Whole } else { Range::Part(start, end) }
}

#[cfg(test)]
mod tests {
    use super::{Range, parse};

    #[test]
    fn ranges_as_the_standard_has_them() {
        for (header, expected) in [
            ("bytes=0-1", Range::Part(0, 2)),
            ("bytes=3-", Range::Part(3, 5)),
            ("bytes=-2", Range::Part(3, 5)),
            ("bytes=1-99", Range::Part(1, 5)),
            ("bytes=0-", Range::Whole),
            ("bytes=-99", Range::Whole),
            ("bytes=5-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=3-1", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
            ("lines=1-2", Range::Whole),
        ] {
            assert_eq!(parse(Some(header), 5), expected, "{header}");
        }
        assert_eq!(parse(None, 0), Range::Whole);
    }
}
