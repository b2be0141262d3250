//! Tests of the decision about one lease: a whole world in memory, and tables.

mod life;
mod owner;
mod renewal;
mod world;
