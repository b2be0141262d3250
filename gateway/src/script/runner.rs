//! A thread of its own for one function. Most runs that take too long are interrupted by the engine; one that is stuck
//! in a built-in cannot be, and is left behind so that nobody waits for it. Runs are handed over many at a time: a
//! change of threads costs about as much as a run.

use std::ops::Range;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::engine::{Engine, RunError};
use super::{CompileError, Limits};

/// Time beyond the limit for the engine to notice it.
const GRACE: Duration = Duration::from_secs(1);
/// Runs of one function that may be left behind at the same time; then it is refused until one has ended.
const MOST_STUCK: usize = 2;
/// Bytes of the thread's stack; the engine's own limit is well below.
const STACK: usize = 2 << 20;

/// Longest time that results of a batch are held back.
const FLUSH: Duration = Duration::from_millis(2);

/// What one run is given.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) first: String,
    pub(crate) second: Option<String>,
    pub(crate) third: Option<String>,
}

/// A batch, and which part of it to run.
type Work = (Arc<[Texts]>, Range<usize>);

/// What one run says.
pub(super) type Said = Result<String, RunError>;

/// Compiles and runs one function.
#[derive(Debug)]
pub(super) struct Runner {
    prelude: &'static str,
    source: Arc<str>,
    limits: Limits,
    thread: Option<Thread>,
    left_behind: Vec<Alive>,
}

/// Dead once the thread has ended.
type Alive = Weak<()>;

#[derive(Debug)]
struct Thread {
    work: Sender<Work>,
    /// Results in order, some at a time.
    results: Receiver<Vec<Said>>,
    alive: Alive,
}

impl Runner {
    pub(super) fn new(prelude: &'static str, source: &str, limits: Limits) -> Result<Self, CompileError> {
        let mut runner = Self { prelude, source: source.into(), limits, thread: None, left_behind: Vec::new() };
        runner.thread = Some(runner.start()?);
        Ok(runner)
    }

    /// Runs the function on each; answers in the same order.
    pub(super) fn run(&mut self, batch: Vec<Texts>) -> Vec<Said> {
        let batch: Arc<[Texts]> = batch.into();
        let mut said = Vec::with_capacity(batch.len());
        // When a batch gets stuck, it is not known where: from then on each run is waited for alone.
        let mut step = batch.len();
        while said.len() < batch.len() {
            let to = (said.len() + step).min(batch.len());
            match self.go_on(&batch, to, &mut said) {
                Err(_) if step > 1 => step = 1,
                Err(error) => said.push(Err(error)),
                Ok(()) => {}
            }
        }
        said
    }

    /// Runs what is not answered yet, up to one place in the batch.
    fn go_on(&mut self, batch: &Arc<[Texts]>, to: usize, said: &mut Vec<Said>) -> Result<(), RunError> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => self.start().map_err(|error| RunError::of(error.message))?,
        };
        let ended = || RunError::of("the function's thread has ended");
        thread.work.send((Arc::clone(batch), said.len()..to)).map_err(|_| ended())?;
        while said.len() < to {
            match thread.results.recv_timeout(self.limits.time + GRACE) {
                Ok(some) => said.extend(some),
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
                Err(RecvTimeoutError::Timeout) => {
                    self.left_behind.push(thread.alive);
                    tracing::warn!("a function is stuck in a built-in; its thread is left behind");
                    return Err(RunError { timed_out: true, ..RunError::of("stuck in a built-in") });
                }
            }
        }
        self.thread = Some(thread);
        Ok(())
    }

    fn start(&mut self) -> Result<Thread, CompileError> {
        let failed = |message: &str| CompileError { line: 1, message: message.to_owned() };
        self.left_behind.retain(|alive| alive.strong_count() > 0);
        if self.left_behind.len() >= MOST_STUCK {
            return Err(failed("earlier runs are still stuck"));
        }
        let (work, tasks) = mpsc::channel();
        let (answers, results) = mpsc::channel();
        let (compiled, ready) = mpsc::channel();
        let (prelude, source, limits) = (self.prelude, Arc::clone(&self.source), self.limits);
        let life = Arc::new(());
        let alive = Arc::downgrade(&life);
        let thread = std::thread::Builder::new().name("gateway-script".to_owned()).stack_size(STACK);
        let body = move || {
            serve(prelude, &source, limits, &compiled, &tasks, &answers);
            drop(life);
        };
        thread.spawn(body).map_err(|error| failed(&error.to_string()))?;
        let Ok(outcome) = ready.recv_timeout(limits.time + GRACE) else {
            self.left_behind.push(alive);
            return Err(failed("it does not come to an end"));
        };
        outcome.map(|()| Thread { work, results, alive })
    }
}

/// The thread: compiles, then runs until nobody asks any more.
fn serve(
    prelude: &str,
    source: &str,
    limits: Limits,
    compiled: &Sender<Result<(), CompileError>>,
    tasks: &Receiver<Work>,
    answers: &Sender<Vec<Said>>,
) {
    let mut engine = match Engine::new(prelude, source, limits) {
        Ok(engine) => Some(engine),
        Err(error) => {
            let _ = compiled.send(Err(error));
            return;
        }
    };
    if compiled.send(Ok(())).is_err() {
        return;
    }
    while let Ok((batch, part)) = tasks.recv() {
        let mut ready = Vec::new();
        let mut flushed = Instant::now();
        for texts in batch.get(part).into_iter().flatten() {
            // Results are sent before a run that might not end, unless the last ones have only just been.
            if flushed.elapsed() > FLUSH && !ready.is_empty() {
                if answers.send(std::mem::take(&mut ready)).is_err() {
                    return;
                }
                flushed = Instant::now();
            }
            if engine.is_none() {
                engine = Engine::new(prelude, source, limits).ok();
            }
            let said = match &engine {
                Some(engine) => engine.run(&texts.first, texts.second.as_deref(), texts.third.as_deref()),
                None => Err(RunError::of("the function could not be compiled again")),
            };
            if said.as_ref().is_err_and(|error| error.spoiled) {
                engine = None;
            }
            ready.push(said);
        }
        if answers.send(ready).is_err() {
            return;
        }
    }
}
