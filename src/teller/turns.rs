//! Who is told next: hooks side by side, each in its turn. One that is slow holds its own place and no other; those of one Account
//! never take all of them. Knows nothing of what is told.

use crate::model::{AccountId, Doc, Hook};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use tokio::task::{Id, JoinSet};

/// Hooks told at a time.
const AT_ONCE: usize = 16;
/// Of them those of one Account.
const OF_ONE: usize = 4;

/// The hooks that are being told, and those that wait for it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Ids, the one that has waited longest first.
    waiting: VecDeque<String>,
    under_way: JoinSet<()>,
    busy: HashMap<Id, (String, AccountId)>,
}

impl Turns {
    /// Begins as many turns as there are places for, of those who are due and not being told already.
    pub(super) fn begin<F>(&mut self, due: Vec<Doc<Hook>>, turn: impl Fn(Doc<Hook>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.take_leave();
        let mut due: BTreeMap<String, Doc<Hook>> = due.into_iter().map(|doc| (doc.id.clone(), doc)).collect();
        for (id, _) in self.busy.values() {
            due.remove(id);
        }
        self.waiting.retain(|id| due.contains_key(id));
        for id in due.keys() {
            if !self.waiting.contains(id) {
                self.waiting.push_back(id.clone());
            }
        }
        for id in std::mem::take(&mut self.waiting) {
            match due.remove(&id).filter(|doc| self.has_place(&doc.body.account)) {
                Some(doc) => {
                    let whose = (id, doc.body.account.clone());
                    self.busy.insert(self.under_way.spawn(turn(doc)).id(), whose);
                }
                None => self.waiting.push_back(id),
            }
        }
    }

    /// The ids of those that are being told.
    pub(super) fn busy(&mut self) -> BTreeSet<String> {
        self.take_leave();
        self.busy.values().map(|(id, _)| id.clone()).collect()
    }

    /// Waits for those that are being told.
    pub(super) async fn end(mut self) {
        while self.under_way.join_next().await.is_some() {}
    }

    fn has_place(&self, account: &AccountId) -> bool {
        let own = self.busy.values().filter(|(_, of)| of == account).count();
        self.busy.len() < AT_ONCE && own < OF_ONE
    }

    /// Of those whose turn is over.
    fn take_leave(&mut self) {
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            let id = match ended {
                Ok((id, ())) => id,
                Err(why) => {
                    tracing::error!(%why, "telling a hook");
                    why.id()
                }
            };
            self.busy.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, OF_ONE, Turns};
    use crate::model::{Doc, Hook};
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    fn hook(account: &str, number: usize) -> Doc<Hook> {
        let body = json!({
            "account": account, "name": "x", "url": "https://x.example", "shape": "signed", "secret": "", "after": "",
        });
        Doc { id: format!("hook::{account}::{number:02}"), rev: None, body: serde_json::from_value(body).unwrap() }
    }

    #[tokio::test]
    async fn slow_ones_keep_their_places_and_whoever_waits_longest_comes_next() {
        let all: Vec<_> = (0..5).flat_map(|account| (0..6).map(move |n| hook(&format!("a{account}"), n))).collect();
        let begun = Arc::new(Mutex::new(Vec::new()));
        let hold = Arc::new(tokio::sync::Semaphore::new(0));
        let ended = Arc::new(AtomicUsize::new(0));
        let mut turns = Turns::default();
        let begin = async |turns: &mut Turns| {
            turns.begin(all.clone(), |doc| {
                begun.lock().unwrap().push(doc.id);
                let hold = Arc::clone(&hold);
                let ended = Arc::clone(&ended);
                async move {
                    hold.acquire().await.unwrap().forget();
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            });
            tokio::task::yield_now().await;
            std::mem::take(&mut *begun.lock().unwrap())
        };
        let first = begin(&mut turns).await;
        assert_eq!(first.len(), AT_ONCE);
        for account in 0..5 {
            let own = first.iter().filter(|id| id.starts_with(&format!("hook::a{account}::"))).count();
            assert!(own <= OF_ONE, "{first:?}");
        }
        assert!(begin(&mut turns).await.is_empty(), "all places are taken, and nobody is told twice at a time");
        hold.add_permits(AT_ONCE);
        while ended.load(Ordering::SeqCst) < AT_ONCE {
            tokio::task::yield_now().await;
        }
        let second = begin(&mut turns).await;
        // Two more of each of the four Accounts that had their four, and the fifth's.
        assert!(second.len() == AT_ONCE && second[..12].iter().all(|id| !first.contains(id)), "{second:?}");
        hold.add_permits(2 * all.len());
        turns.end().await;
    }
}
