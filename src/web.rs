//! What people and programs reach over HTTP.

pub mod chart;
pub mod cost;
pub mod prices;
