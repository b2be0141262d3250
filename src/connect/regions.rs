//! Whether AWS has the regions that an admin names: compared with those that are enabled there, where they can be read, else by
//! their form alone. A name that is none would fail at every poll.

use super::report::Check;
use super::{Connect, Trouble};
use crate::model::{AccountId, AwsId, Region};

const KNOWN: &str = "AWS has the regions that are named";

/// How names of regions were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// With the regions that are enabled there.
    Enabled,
    /// By their form alone: those that are enabled could not be read.
    Form,
}

impl Connect {
    /// Whether a connected AWS account may be told to watch these.
    ///
    /// # Errors
    /// `Invalid` names those that are none.
    pub async fn check_regions(
        &self,
        account: &AccountId,
        aws_id: &AwsId,
        regions: &[Region],
    ) -> Result<Compared, Trouble> {
        well_formed(regions)?;
        if regions.is_empty() {
            return Ok(Compared::Enabled);
        }
        let doc = self.connected(account, aws_id).await?.ok_or(Trouble::Unknown)?;
        let Ok(enabled) = self.aws.regions(&doc.body).await else { return Ok(Compared::Form) };
        let unknown = unknown(regions, &enabled);
        if unknown.is_empty() { Ok(Compared::Enabled) } else { Err(Trouble::Invalid(said(&unknown, &enabled))) }
    }
}

/// # Errors
/// `Invalid` names the first that no region of AWS can be called.
pub(super) fn well_formed(regions: &[Region]) -> Result<(), Trouble> {
    match regions.iter().find(|region| !is_like_one(region.as_str())) {
        None => Ok(()),
        Some(odd) => Err(Trouble::Invalid(format!(
            "there is no region {odd} in AWS; one is called such as us-east-1, eu-west-1 or us-gov-west-1"
        ))),
    }
}

/// Such as `us-east-1`, `us-gov-west-1`, `us-isob-east-1`: words, and a number at the end.
pub(crate) fn is_like_one(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let word = |part: &&str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_lowercase());
    // "eusc-de-east-1" is the longest kind there is.
    (2..=3).contains(&parts.len())
        && parts.iter().all(word)
        && parts[0].len() <= 4
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// Those that are not enabled there.
pub(super) fn unknown(regions: &[Region], enabled: &[Region]) -> Vec<Region> {
    regions.iter().filter(|region| !enabled.contains(region)).cloned().collect()
}

fn said(unknown: &[Region], enabled: &[Region]) -> String {
    let list = |regions: &[Region]| regions.iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
    format!("not enabled in this AWS account, or no region at all: {}; enabled are {}", list(unknown), list(enabled))
}

/// What verifying says of it: nothing where all is well, or where it cannot be known.
pub(super) fn check(regions: &[Region], enabled: Option<&[Region]>, is_connected: bool) -> Option<Check> {
    let enabled = enabled?;
    let unknown = unknown(regions, enabled);
    if unknown.is_empty() {
        return None;
    }
    let what = super::verify::sentence(&said(&unknown, enabled));
    Some(if is_connected {
        Check::note(KNOWN, format!("{what} Correct the regions to watch on the page of the AWS account."))
    } else {
        Check::bad(
            KNOWN,
            format!("{what} Begin it again with other regions, or with none for all; its external id stays."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::is_like_one;

    #[test]
    fn names_of_regions_have_words_and_a_number() {
        for name in [
            "us-east-1",
            "ap-southeast-7",
            "mx-central-1",
            "us-gov-west-1",
            "cn-north-1",
            "us-isob-east-1",
            "eusc-de-east-1",
        ] {
            assert!(is_like_one(name), "{name}");
        }
        for name in [
            "mars-1",
            "mars",
            "us-east",
            "us-east-1a",
            "useast1",
            "us--1",
            "us-east-123",
            "a-b-1",
            "-1",
            "us-east-1-2",
            "planet-mars-1",
        ] {
            assert!(!is_like_one(name), "{name}");
        }
    }
}
