//! What previews stand on: every lease of the Account that is not over, as the admin sees it, with all that bears on it. The
//! views are made by the same function as the driver's.

use super::super::WebError;
use super::super::outlook::is_protected;
use super::office::Admin;
use super::preview::Preview;
use crate::follower::Index;
use crate::model::{AwsId, Directory, Lease, LeaseKey, Notice, Time};
use crate::reactor::{Forecast, Known, View, forecast};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How far previews look, in seconds.
pub(in crate::web) const HORIZON: i64 = 14 * 86_400;
/// Leases after which others may run.
const AT_ONCE: usize = 8;

/// The leases and what bears on them.
#[derive(Debug)]
pub(in crate::web) struct Ground {
    index: Index,
    pub(in crate::web) directory: Arc<Directory>,
    pub(in crate::web) leases: Vec<Lease>,
    notices: HashMap<LeaseKey, Vec<Notice>>,
    now: Time,
}

impl Ground {
    /// Of the whole Account, or of one of its AWS accounts. Notices, which no channel shows, are read for leases that were
    /// read as the admin.
    pub(in crate::web) async fn read(desk: &Admin, aws_id: Option<&AwsId>) -> Result<Ground, WebError> {
        let prefix = aws_id.map_or_else(|| "lease::".to_owned(), |aws_id| format!("lease::{aws_id}::"));
        let leases: Vec<Lease> = desk
            .all(&prefix)
            .await?
            .into_iter()
            .filter_map(|doc| serde_json::from_value(doc.body).ok())
            .filter(|lease: &Lease| lease.account == desk.person.account && !lease.state.is_over())
            .collect();
        let mut notices: HashMap<LeaseKey, Vec<Notice>> = HashMap::new();
        let places: BTreeSet<&AwsId> = leases.iter().map(|lease| &lease.key.aws_id).collect();
        for aws_id in places {
            for doc in desk.state.store.prefix(&format!("notice::{aws_id}::")).await? {
                let Ok(notice) = serde_json::from_value::<Notice>(doc.body) else { continue };
                notices.entry(notice.lease.clone()).or_default().push(notice);
            }
        }
        let (index, now) = (desk.state.index.clone(), desk.now());
        Ok(Ground { directory: index.directory(), index, leases, notices, now })
    }

    /// What bears on a lease by these small documents.
    pub(in crate::web) fn view(&self, directory: &Directory, lease: &Lease) -> View {
        let key = lease.key();
        let term = |notice: &&Notice| notice.term == lease.term;
        let owner = Some(&lease.owner).filter(|owner| !owner.is_pending());
        let resource = self.index.resource(&key);
        let known = Known {
            cover: resource.as_ref().and_then(|resource| self.index.cover(resource)),
            members: resource.as_ref().map(|resource| self.index.covered(resource)).unwrap_or_default(),
            resource,
            trigger: Value::Null,
            requests: self.index.requests(&key),
            notices: self.notices.get(&key).into_iter().flatten().filter(term).cloned().collect(),
            usage: owner.map_or(0, |owner| self.index.rank(&lease.account, owner, &key)),
            lease: Some(lease.clone()),
        };
        View::assemble(directory, &lease.account, &key, known)
    }

    /// What goes on otherwise when the small documents are these instead.
    pub(in crate::web) async fn compare(&self, desk: &Admin, then: &Directory) -> Preview {
        let change = |view: &View| Some(view.clone());
        self.compare_views(desk, then, change).await
    }

    /// The same, with a further change of each lease's view; those for which there is none go on as they are.
    pub(in crate::web) async fn compare_views(
        &self,
        desk: &Admin,
        then: &Directory,
        change: impl Fn(&View) -> Option<View>,
    ) -> Preview {
        let mut preview = Preview::new(self.leases.len(), HORIZON);
        for (number, lease) in self.leases.iter().enumerate() {
            if number % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            let before = self.forecast(&self.view(&self.directory, lease));
            let after = change(&self.view(then, lease)).map_or_else(|| before.clone(), |view| self.forecast(&view));
            preview.add(desk, &self.directory, lease, (&before, &after));
        }
        preview.finish()
    }

    fn forecast(&self, view: &View) -> Forecast {
        let mut found = forecast(view, self.now, self.now.plus(HORIZON));
        // AWS refuses its end as long as somebody leaves its protection on, and a forecast knows only that it is tried again.
        if let Some(lease) = view.lease.as_ref().filter(|lease| is_protected(lease)) {
            found.ends.clear();
            found.hold.clone_from(&lease.hold);
        }
        found
    }

    pub(in crate::web) fn now(&self) -> Time {
        self.now
    }
}
