//! Who is calling: what can be told before any proof, and what is proven.

pub mod client;
pub mod identity;
pub mod network;
pub mod offer;
pub mod roles;
