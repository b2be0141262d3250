//! A thread of its own for one function. Most runs that take too long are interrupted by the engine; one that is stuck
//! in a built-in cannot be, and is left behind so that nobody waits for it.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::engine::{Engine, RunError};
use super::{CompileError, Limits};

/// Time beyond the limit for the engine to notice it.
const GRACE: Duration = Duration::from_secs(1);
/// Runs of one function that may be left behind at the same time; then it is refused until one has ended.
const MOST_STUCK: usize = 2;
/// Bytes of the thread's stack; the engine's own limit is well below.
const STACK: usize = 2 << 20;

type Texts = (String, Option<String>, Option<String>);

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
    work: Sender<Texts>,
    results: Receiver<Result<String, RunError>>,
    alive: Alive,
}

impl Runner {
    pub(super) fn new(prelude: &'static str, source: &str, limits: Limits) -> Result<Self, CompileError> {
        let mut runner = Self { prelude, source: source.into(), limits, thread: None, left_behind: Vec::new() };
        runner.thread = Some(runner.start()?);
        Ok(runner)
    }

    /// Runs the function on up to three texts.
    pub(super) fn run(&mut self, first: &str, second: Option<&str>, third: Option<&str>) -> Result<String, RunError> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => self.start().map_err(|error| RunError::of(error.message))?,
        };
        let texts = (first.to_owned(), second.map(str::to_owned), third.map(str::to_owned));
        if thread.work.send(texts).is_err() {
            return Err(RunError::of("the function's thread has ended"));
        }
        match thread.results.recv_timeout(self.limits.time + GRACE) {
            Ok(result) => {
                self.thread = Some(thread);
                result
            }
            Err(RecvTimeoutError::Timeout) => {
                self.left_behind.push(thread.alive);
                tracing::warn!("a function is stuck in a built-in; its thread is left behind");
                Err(RunError { timed_out: true, ..RunError::of("stuck in a built-in") })
            }
            Err(RecvTimeoutError::Disconnected) => Err(RunError::of("the function's thread has ended")),
        }
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
    tasks: &Receiver<Texts>,
    answers: &Sender<Result<String, RunError>>,
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
    while let Ok((first, second, third)) = tasks.recv() {
        let result = match &engine {
            Some(engine) => engine.run(&first, second.as_deref(), third.as_deref()),
            None => Err(RunError::of("the function could not be compiled again")),
        };
        if result.as_ref().is_err_and(|error| error.spoiled) {
            engine = None;
        }
        if answers.send(result).is_err() {
            return;
        }
        if engine.is_none() {
            engine = Engine::new(prelude, source, limits).ok();
        }
    }
}
