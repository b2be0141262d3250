//! Moves a database from one gateway to another, embedded or real, in either direction: over HTTP on the admin ports alone.
//!
//! Level, not edge: each pass compares what both sides have and copies what differs, so a run that was killed and started
//! again, a document that changed meanwhile and a first run are one path. Knows documents, not leases.

mod copy;
mod designs;
mod document;
mod fetch;
mod inventory;
mod parts;
mod people;
mod plan;
mod report;
mod side;
mod verify;

pub use plan::{CANNOT_MOVE, Options, Plan};
pub use report::{Counts, Difference, Range, Refusal, Report};
pub use side::{Place, Side, SideError};

use copy::Copier;
use inventory::Inventory;
use people::Kind;

/// How a run gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A new part of the work, and how many steps it has if that is known.
    Began(&'static str, Option<usize>),
    /// So many steps of it are done.
    At(usize),
}

/// Who is told; called often.
pub type Tell<'a> = &'a (dyn Fn(Progress) + Sync);

/// How often what changed on the source meanwhile is copied as well.
const PASSES: u32 = 6;
/// How often a source that was written to while it was compared is compared again.
const ROUNDS: u32 = 3;

impl Plan {
    /// Copies and compares. Everything may be done again after a failure.
    ///
    /// # Errors
    /// When a side does not answer for longer than the patience, or refuses the service; documents that are refused one by
    /// one are in the report.
    pub async fn run(self, tell: Tell<'_>) -> anyhow::Result<Report> {
        let mut report = self.report();
        self.prepare_target().await?;
        self.carry_people_and_designs(&mut report, tell).await?;
        let mut copier = Copier::new(&self.source, &self.target, self.purges());
        let (mut from, mut to) = (Inventory::new(), Inventory::new());
        for _ in 0..ROUNDS {
            self.copy(&mut copier, &mut from, &mut to, tell).await?;
            let verify = verify::Verify { source: &self.source, target: &self.target, revs_limit: self.revs_limit() };
            let verified = verify.run(&from, &to, &copier.refused, tell).await?;
            report.take(verified);
            report.source_still_written = from.follow(&self.source, |_| {}).await? > 0;
            if !report.source_still_written {
                break;
            }
        }
        report.from_documents = from.counts().into();
        report.to_documents = to.counts().into();
        report.copied = copier.copied;
        report.attachments = copier.attachments;
        report.refused = copier.refused.into_values().collect();
        report.finish();
        if report.complete {
            self.mark(true).await?;
        }
        Ok(report)
    }

    async fn carry_people_and_designs(&self, report: &mut Report, tell: Tell<'_>) -> Result<(), SideError> {
        for (kind, what) in [(Kind::Role, "roles"), (Kind::User, "users")] {
            tell(Progress::Began(what, Some(people::names(&self.source, kind).await?.len())));
            let done = std::sync::atomic::AtomicUsize::new(0);
            let step = || tell(Progress::At(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1));
            let carried = people::carry(&self.source, &self.target, kind, step).await?;
            *(if kind == Kind::Role { &mut report.roles } else { &mut report.users }) = carried.names.len();
            report
                .principals_refused
                .extend(carried.failed.into_iter().map(|(name, why)| format!("{what} {name}: {why}")));
        }
        for name in &self.designs {
            match designs::carry(&self.source, &self.target, name).await? {
                designs::Outcome::Carried => report.design_documents.push(name.clone()),
                designs::Outcome::Absent => report.notes.push(format!("the source has no design document {name}")),
                designs::Outcome::Refused(why) => {
                    report.notes.push(format!("the design document {name} was not taken: {why}"));
                }
            }
        }
        Ok(())
    }

    /// Copies what differs until nothing does, or the source changes faster than it can be followed.
    async fn copy(
        &self,
        copier: &mut Copier<'_>,
        from: &mut Inventory,
        to: &mut Inventory,
        tell: Tell<'_>,
    ) -> Result<(), SideError> {
        for pass in 0..PASSES {
            tell(Progress::Began("reading what both sides have", None));
            from.follow(&self.source, |seen| tell(Progress::At(seen))).await?;
            to.follow(&self.target, |_| {}).await?;
            let wanted = copier.wanted(from, to);
            if wanted.is_empty() {
                return Ok(());
            }
            tell(Progress::Began("copying documents", Some(wanted.len())));
            copier.copy(wanted, pass + 1 == PASSES, tell).await?;
        }
        to.follow(&self.target, |_| {}).await.map(|_| ())
    }
}
