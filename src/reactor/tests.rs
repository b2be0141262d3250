//! Tests of the decision about one lease: tables of scenes, properties, and a whole world in memory.

mod away;
mod decide;
mod dice;
mod forecast;
mod groups;
mod ledger;
mod life;
mod owner;
mod people;
mod properties;
mod reap;
mod renewal;
mod requests;
mod scene;
mod table;
mod unreadable;
mod world;
mod year;
