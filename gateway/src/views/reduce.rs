//! The built-in reduce functions.

use serde_json::Value;

use crate::error::{Error, Result};

/// A built-in reduce function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduce {
    Count,
    Sum,
    Stats,
}

impl Reduce {
    pub(super) fn parse(source: &str) -> Result<Self> {
        match source.trim() {
            "_count" => Ok(Self::Count),
            "_sum" => Ok(Self::Sum),
            "_stats" => Ok(Self::Stats),
            _ => Err(Error::refused(501, "only the reduce functions _count, _sum and _stats are supported")),
        }
    }
}

/// What has been reduced so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Total {
    count: u64,
    sum: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Total {
    pub(super) fn add(&mut self, reduce: Reduce, value: &str) -> Result<()> {
        self.count += 1;
        if reduce == Reduce::Count {
            return Ok(());
        }
        let number = match crate::json::parse(value.as_bytes()) {
            Ok(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        let number = number.ok_or_else(|| Error::refused(500, "reduce needs numbers"))?;
        self.min = if self.count == 1 { number } else { self.min.min(number) };
        self.max = if self.count == 1 { number } else { self.max.max(number) };
        self.sum += number;
        self.squares += number * number;
        Ok(())
    }

    pub(super) fn render(&self, reduce: Reduce) -> String {
        match reduce {
            Reduce::Count => self.count.to_string(),
            Reduce::Sum => self.sum.to_string(),
            Reduce::Stats => format!(
                "{{\"sum\":{},\"count\":{},\"min\":{},\"max\":{},\"sumsqr\":{}}}",
                self.sum, self.count, self.min, self.max, self.squares
            ),
        }
    }
}
