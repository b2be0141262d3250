//! Runs of sync functions that jobs of one transaction ask for beforehand, so that each function is called once for all:
//! handing over to a function's thread costs about as much as a run.

use std::rc::Rc;

use crate::script::{SyncFunction, Texts, Verdict};

/// Where a verdict will be.
#[derive(Debug)]
pub struct Ticket {
    round: usize,
    run: usize,
}

/// One function's runs: texts before, verdicts after.
struct Round {
    function: Rc<SyncFunction>,
    texts: Vec<Texts>,
    verdicts: Vec<Option<Verdict>>,
}

/// All runs of a transaction.
#[derive(Default)]
pub(super) struct Verdicts(Vec<Round>);

impl Verdicts {
    /// Asks for a run.
    pub(super) fn ask(&mut self, function: Rc<SyncFunction>, texts: Texts) -> Ticket {
        let open = |round: &Round| round.verdicts.is_empty() && Rc::ptr_eq(&round.function, &function);
        let round = self.0.iter().position(open).unwrap_or_else(|| {
            self.0.push(Round { function, texts: Vec::new(), verdicts: Vec::new() });
            self.0.len() - 1
        });
        let texts_of = &mut self.0[round].texts;
        texts_of.push(texts);
        Ticket { round, run: texts_of.len() - 1 }
    }

    /// Runs what was asked for.
    pub(super) fn run(&mut self) {
        for round in self.0.iter_mut().filter(|round| round.verdicts.is_empty()) {
            let texts = std::mem::take(&mut round.texts);
            round.verdicts = round.function.run_all(texts).into_iter().map(Some).collect();
        }
    }

    /// The verdict, once; `None` when there is none.
    pub(super) fn take(&mut self, ticket: &Ticket) -> Option<Verdict> {
        self.0.get_mut(ticket.round)?.verdicts.get_mut(ticket.run)?.take()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
