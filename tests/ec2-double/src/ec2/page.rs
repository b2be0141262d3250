//! Pages: a size between 5 and 1000, and tokens that mean nothing to who holds them.

use crate::protocol::{Form, Refusal};

/// Where a page begins: after an item, and after `within` parts of the one that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) after: u64,
    pub(super) within: u64,
    /// The page that begins here, the first being 1.
    pub(super) page: u32,
}

impl Cursor {
    const START: Self = Self { after: 0, within: 0, page: 1 };

    /// The token for the page after this one, which begins after that item.
    pub(super) fn next(self, after: u64, within: u64) -> String {
        Self { after, within, page: self.page + 1 }.token()
    }

    /// The token for this place again, as the next page.
    pub(super) fn again(self) -> String {
        self.next(self.after, self.within)
    }

    fn token(self) -> String {
        let Self { after, within, page } = self;
        format!("{after:016x}{within:08x}{page:08x}{:016x}", seal(after, within, page))
    }

    fn parse(token: &str) -> Option<Self> {
        let part = |from: usize, to: usize| u64::from_str_radix(token.get(from..to)?, 16).ok();
        let page = u32::try_from(part(24, 32)?).ok()?;
        let cursor = Self { after: part(0, 16)?, within: part(16, 24)?, page };
        (cursor.token() == token).then_some(cursor)
    }
}

fn seal(after: u64, within: u64, page: u32) -> u64 {
    let mixed = (after ^ within.rotate_left(17) ^ u64::from(page).rotate_left(41)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// The page that a call asks for, the first being 1; unreadable tokens count as the first.
pub(crate) fn page(form: &Form) -> u32 {
    form.get("NextToken").and_then(Cursor::parse).map_or(1, |cursor| cursor.page)
}

/// Where the page begins and how many items it holds; `ids` is EC2's name for the parameter that excludes paging.
pub(super) fn read(form: &Form, named: bool, ids: &str) -> Result<(Cursor, usize), Refusal> {
    let most = form.number("MaxResults")?;
    let token = form.get("NextToken");
    if named && (most.is_some() || token.is_some()) {
        let other = if most.is_some() { "maxResults" } else { "nextToken" };
        let message = format!("The parameter {ids} cannot be used with the parameter {other}");
        return Err(Refusal::bad("InvalidParameterCombination", message));
    }
    let size = match most {
        Some(most) if most < 5 => return Err(outside(most, "greater than or equal to 5.")),
        Some(most) if most > 1000 => return Err(outside(most, "less than or equal to 1000.")),
        // Without MaxResults EC2 answers a thousand items and a token.
        most => most.and_then(|most| usize::try_from(most).ok()).unwrap_or(1000),
    };
    let cursor = match token {
        None => Cursor::START,
        Some("") => {
            let message = "Value (  ) for parameter NextToken is invalid. The token is invalid.";
            return Err(Refusal::bad("InvalidParameterValue", message));
        }
        Some(token) => {
            let invalid = || Refusal::bad("InvalidNextToken", "The specified NextToken is not valid.");
            Cursor::parse(token).ok_or_else(invalid)?
        }
    };
    Ok((cursor, size))
}

fn outside(most: u64, expected: &str) -> Refusal {
    let message = format!("Value ( {most} ) for parameter maxResults is invalid. Expecting a value {expected}");
    Refusal::bad("InvalidParameterValue", message)
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not() {
        let token = Cursor::START.next(70_000, 3);
        assert_eq!(Cursor::parse(&token), Some(Cursor { after: 70_000, within: 3, page: 2 }));
        assert_eq!(Cursor::parse(&token.replace('7', "8").replace('1', "2")), None);
        assert_eq!(Cursor::parse("bogus"), None);
    }
}
