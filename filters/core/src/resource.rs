//! What is fetched over the network and shared by all workers of a proxy: an issuer's keys, lists of addresses.
//!
//! A policy *declares* a resource when it is compiled ([`Resource::declare`]): where it stands ([`Source`]), how often it is fetched and how
//! long it is good ([`Schedule`]), and a function that reads it. It then asks for it with
//! [`crate::decision::exchange::Exchange::resource`] and gets the value, or a wait for it.
//!
//! Each worker has a [`Keeper`] for each source. Keepers agree over the host's shared memory:
//!
//! - A [`record`] says when the value was fetched, what came of the last try, and who tries now (the *lease*). It changes by
//!   compare-and-set. Who gets the lease fetches, all others take what was fetched. A lease has an end: if its holder dies, another follows.
//! - The value lies beside it, under a number that the record names. A worker reads it only when the number is new to it.
//!
//! So each source is fetched once per proxy, however many workers, policies and documents ask for it, and a new policy finds what its
//! predecessor had. Nothing here calls a proxy: time, chance and shared memory are the [`crate::decision::environment::Environment`]'s.

mod freshness;
mod keeper;
pub mod record;
mod slot;
mod source;

pub use keeper::{Event, Keeper, Turn};
pub use slot::{Awaited, Fetched, Parsed, Resource, Unavailable};
pub use source::{Follow, Location, ReadLocation, Schedule, Source};

/// How many resources a document may have.
pub const MOST_RESOURCES: usize = 64;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
