//! Tests of the reactor.
