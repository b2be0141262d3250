//! DescribeRegions.

use super::{Filters, dry_run};
use crate::protocol::{Form, Refusal, Xml};
use crate::world::{Access, Account};

/// Those enabled for the account, or all.
pub(super) fn describe(account: &Account, form: &Form) -> Result<String, Refusal> {
    let filters = Filters::parse(form, &["endpoint", "opt-in-status", "region-name"])?;
    let names = form.list("RegionName");
    if let Some(name) = names.iter().find(|name| !account.regions.contains_key(**name)) {
        return Err(Refusal::bad("InvalidParameterValue", format!("Invalid region: [{name}]")));
    }
    dry_run(form)?;
    let all = form.flag("AllRegions");
    let mut xml = Xml::default();
    xml.within("regionInfo", |xml| {
        for region in account.regions.values() {
            let endpoint = format!("ec2.{}.amazonaws.com", region.name);
            let named = names.contains(&region.name.as_str());
            let enabled = region.access != Access::NotOptedIn;
            let has = |name: &str, test: &dyn Fn(&str) -> bool| match name {
                "endpoint" => test(&endpoint),
                "opt-in-status" => test(region.access.opt_in_status()),
                _ => test(&region.name),
            };
            if (named || (names.is_empty() && (all || enabled))) && filters.accept(has) {
                xml.within("item", |xml| {
                    xml.text("regionName", &region.name);
                    xml.text("regionEndpoint", &endpoint);
                    xml.text("optInStatus", region.access.opt_in_status());
                });
            }
        }
    });
    Ok(xml.finish())
}
