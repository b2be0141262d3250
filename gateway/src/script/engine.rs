//! One `QuickJS` heap with one compiled function and the driver that calls it.
//! A run that breaks the limits spoils the heap: its owner compiles anew.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use rquickjs::context::EvalOptions;
use rquickjs::{Context, Ctx, Function, Persistent, Runtime, Value};

use super::{CompileError, Limits};

const UNDERSCORE: &str = include_str!("underscore.js");
const STACK: usize = 512 << 10;

/// Why a run ended without a result.
#[derive(Debug)]
pub(super) struct RunError {
    pub(super) message: String,
    /// The heap must not be used again.
    pub(super) spoiled: bool,
    pub(super) timed_out: bool,
}

impl RunError {
    pub(super) fn of(message: impl Into<String>) -> Self {
        Self { message: message.into(), spoiled: false, timed_out: false }
    }
}

pub(super) struct Engine {
    // Dropped before the runtime they belong to.
    driver: Persistent<Function<'static>>,
    function: Persistent<Function<'static>>,
    context: Context,
    runtime: Runtime,
    deadline: Rc<Cell<Option<Instant>>>,
    limits: Limits,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn new(prelude: &str, source: &str, limits: Limits) -> Result<Self, CompileError> {
        let no_memory = |error: rquickjs::Error| CompileError { line: 0, message: error.to_string() };
        let runtime = Runtime::new().map_err(no_memory)?;
        runtime.set_memory_limit(limits.memory);
        runtime.set_max_stack_size(STACK);
        let deadline: Rc<Cell<Option<Instant>>> = Rc::default();
        let watched = Rc::clone(&deadline);
        runtime.set_interrupt_handler(Some(Box::new(move || watched.get().is_some_and(|end| Instant::now() > end))));
        let context = Context::full(&runtime).map_err(no_memory)?;
        deadline.set(Some(Instant::now() + limits.time));
        let (driver, function) = context.with(|ctx| -> Result<_, CompileError> {
            let caught = |_: rquickjs::Error| compile_error(&ctx);
            lazy_underscore(&ctx).map_err(caught)?;
            let driver: Function<'_> = ctx.eval_with_options(prelude, options()).map_err(caught)?;
            let wrapped = format!("var syncFn = {source}\n;syncFn");
            let value: Value<'_> = ctx.eval_with_options(wrapped, options()).map_err(caught)?;
            let function =
                value.into_function().ok_or_else(|| CompileError { line: 1, message: "not a function".to_owned() })?;
            Ok((Persistent::save(&ctx, driver), Persistent::save(&ctx, function)))
        })?;
        deadline.set(None);
        Ok(Self { driver, function, context, runtime, deadline, limits })
    }

    /// Calls the driver with the function and up to three texts; `None` is passed as undefined.
    pub(super) fn run(&self, first: &str, second: Option<&str>, third: Option<&str>) -> Result<String, RunError> {
        let end = Instant::now() + self.limits.time;
        self.deadline.set(Some(end));
        let result = self.context.with(|ctx| {
            let broken = |_: rquickjs::Error| run_error(&ctx);
            let driver = self.driver.clone().restore(&ctx).map_err(broken)?;
            let function = self.function.clone().restore(&ctx).map_err(broken)?;
            driver.call::<_, String>((function, first, second, third)).map_err(broken)
        });
        self.deadline.set(None);
        result.map_err(|mut error| {
            error.timed_out = Instant::now() > end;
            error.spoiled |= error.timed_out;
            if error.spoiled {
                self.runtime.run_gc();
            }
            error
        })
    }
}

fn options() -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = false;
    options
}

/// Defines `_` so that Underscore is only parsed by functions that use it.
fn lazy_underscore(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let load = Function::new(ctx.clone(), |ctx: Ctx<'_>| -> rquickjs::Result<()> {
        ctx.eval_with_options(UNDERSCORE, options())
    })?;
    let install: Function<'_> = ctx.eval_with_options(
        "(function (load) { Object.defineProperty(globalThis, '_', { configurable: true, \
         set: function (value) { Object.defineProperty(globalThis, '_', { value: value, writable: true, configurable: true }); }, \
         get: function () { delete globalThis._; load(); return globalThis._; } }); })",
        options(),
    )?;
    install.call((load,))
}

fn describe(ctx: &Ctx<'_>) -> (String, String) {
    let thrown = ctx.catch();
    if let Some(exception) = thrown.as_exception() {
        let name: String = exception.as_object().get("name").unwrap_or_default();
        let message = exception.message().unwrap_or_default();
        return (format!("{name}: {message}"), exception.stack().unwrap_or_default());
    }
    let text = if let Some(text) = thrown.as_string() {
        text.to_string().unwrap_or_default()
    } else {
        let json = ctx.json_stringify(thrown).ok().flatten();
        json.and_then(|json| json.to_string().ok()).unwrap_or_default()
    };
    (text, String::new())
}

fn compile_error(ctx: &Ctx<'_>) -> CompileError {
    let (message, stack) = describe(ctx);
    CompileError { line: line_of(&stack).unwrap_or(1), message }
}

fn run_error(ctx: &Ctx<'_>) -> RunError {
    let (message, stack) = describe(ctx);
    let spoiled = message.contains("out of memory") || message.contains("interrupted");
    let message = match line_of(&stack) {
        Some(line) => format!("{message} (line {line})"),
        None => message,
    };
    RunError { spoiled, ..RunError::of(message) }
}

/// The line in a stack's first `file:line:column`.
fn line_of(stack: &str) -> Option<u32> {
    let first = stack.lines().find(|line| line.contains("eval_script"))?;
    let after = first.split("eval_script").nth(1)?;
    let digits: String = after.chars().skip_while(|ch| !ch.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
